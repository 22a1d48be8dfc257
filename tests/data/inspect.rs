//! What reading a whole set finds.

use crate::support::pictures::{Folders, awkward_folder, detailed, png_bytes, turned_png};
use sam2unet::data::{
    ExifOrientation, Folder, FolderOptions, Inspection, ReadOptions, SetReport, Warning, inspect, picture_size,
};
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

fn seen(folders: &Folders) -> Inspection {
    inspect(&folders.open().unwrap(), 2, None, &mut |_, _| ())
}

fn codes(found: &Inspection) -> Vec<(&'static str, usize)> {
    found.warnings.iter().map(|warning| (warning.code.name(), warning.count)).collect()
}

#[test]
fn all_bad_files_are_listed_by_cause_whatever_the_threads() {
    let folders = Folders::new();
    for index in 10..40 {
        folders.image(&format!("{index}.png"), 30, 20);
        folders.mask(&format!("{index}.png"), 30, 20);
    }
    assert!(seen(&folders).bad.is_empty());
    folders.mask("31.png", 20, 30);
    fs::write(folders.images().join("17.png"), &png_bytes(&detailed(30, 20))[..300]).unwrap();
    fs::write(folders.masks().join("17.png"), b"text").unwrap();
    fs::write(folders.masks().join("23.png"), b"more text").unwrap();
    let mut texts = Vec::new();
    for threads in [0, 1, 2, 7, 100] {
        let set = folders.open().unwrap();
        let mut calls = Vec::new();
        let found = inspect(&set, threads, None, &mut |done, of| calls.push((done, of)));
        assert_eq!(calls, (1..=30).map(|done| (done, 30)).collect::<Vec<_>>());
        assert_eq!(found.pairs.iter().filter(|facts| facts.is_none()).count(), 3);
        assert_eq!(found.bad.len(), 4);
        texts.push(SetReport::new(Some(&set), &found).errors);
    }
    assert!(texts.iter().all(|text| *text == texts[0]));
    let names = ["images/17.png", "masks/17.png", "masks/23.png", "masks/31.png"];
    assert!(texts[0].iter().zip(names).all(|(text, name)| text.contains(name)), "{texts:?}");
}

#[test]
fn masks_that_are_likely_wrong_are_told_with_counts() {
    let folders = Folders::new();
    for index in 0..3 {
        folders.rows(&format!("{index}.png"), &[0, 0]);
    }
    assert_eq!(codes(&seen(&folders)), [("masks-all-black", 3)]);
    folders.rows("a.png", &[0, 1]);
    folders.rows("b.png", &[1]);
    folders.rows("c.png", &[0, 100]);
    folders.rows("d.png", &[255, 255]);
    folders.rows("e.png", &[0, 100, 255]);
    folders.rows("f.png", &[0, 200, 255]);
    let found = seen(&folders);
    let expected =
        [("masks-empty", 3), ("masks-0-1", 2), ("masks-dark", 1), ("masks-all-white", 1), ("masks-three-levels", 2)];
    assert_eq!(codes(&found), expected);
    let text = found.warnings.iter().map(Warning::to_string).collect::<Vec<_>>().join("\n");
    for part in ["2 of 9 masks hold 0 and 1 only", "a.png, b.png", "(0, 100, 200, 255)", "multiply them by 255"] {
        assert!(text.contains(part), "{part}: {text}");
    }
}

#[test]
fn a_mask_unlike_the_others_is_named() {
    let folders = Folders::new();
    let soft: Vec<u8> = (0..=255).collect();
    for index in 0..9 {
        folders.rows(&format!("{index}.png"), &[0, 255]);
    }
    folders.rows("photo.png", &soft);
    let found = seen(&folders);
    assert_eq!(codes(&found), [("masks-unlike-others", 1)]);
    assert!(found.warnings[0].to_string().contains("photo.png"));
    // a set of soft masks is a set of soft masks
    for index in 0..9 {
        folders.rows(&format!("{index}.png"), &soft);
    }
    assert_eq!(codes(&seen(&folders)), []);
}

#[test]
fn pairs_of_one_shape_are_taken_and_told_and_others_only_when_asked_for() {
    let folders = Folders::new();
    for (name, image, mask) in [("a.png", (36, 55), (38, 57)), ("b.png", (64, 48), (32, 24)), ("c.png", (9, 9), (9, 9))]
    {
        folders.image(name, image.0, image.1);
        folders.mask(name, mask.0, mask.1);
    }
    let found = seen(&folders);
    assert!(found.bad.is_empty(), "{:?}", found.bad);
    assert_eq!(codes(&found), [("masks-all-white", 3), ("sizes-differ", 2)]);
    folders.mask("c.png", 9, 12);
    folders.mask("b.png", 48, 48);
    let texts: Vec<_> = seen(&folders).bad.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), 2, "{texts:?}");
    assert!(texts[0].contains("64x48") && texts[0].contains("48x48") && texts[1].contains("9x12"), "{texts:?}");
    let options = FolderOptions { resize_masks: true, ..FolderOptions::default() };
    let set = Folder::open_with(&folders.images(), &folders.masks(), options).unwrap();
    let found = inspect(&set, 1, None, &mut |_, _| ());
    assert_eq!(codes(&found), [("masks-all-white", 3), ("sizes-differ", 1), ("shapes-differ", 2)]);
}

#[test]
fn a_jpeg_of_a_mask_is_a_mask() {
    let folders = Folders::new();
    for index in 0..12 {
        folders.rows(&format!("{index}.png"), &[0, 0, 1, 3, 5, 252, 255, 254, 253, 255]);
    }
    assert_eq!(codes(&seen(&folders)), []);
}

#[test]
fn a_mask_that_fits_its_image_only_as_it_is_turned_or_not_says_so() {
    let folders = Folders::new();
    folders.mask("shown.png", 20, 40);
    folders.mask("stored.png", 40, 20);
    folders.mask("neither.png", 40, 40);
    for name in ["shown.png", "stored.png", "neither.png"] {
        fs::write(folders.images().join(name), turned_png(&detailed(40, 20))).unwrap();
    }
    let texts = |exif_orientation| {
        let read = ReadOptions { exif_orientation, ..ReadOptions::default() };
        let options = FolderOptions { read, ..FolderOptions::default() };
        let set = Folder::open_with(&folders.images(), &folders.masks(), options).unwrap();
        let found = inspect(&set, 1, None, &mut |_, _| ());
        found.bad.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let [neither, shown] = &texts(ExifOrientation::Ignore)[..] else { panic!("two do not fit") };
    assert!(neither.contains("40x20 pixels but its mask is 40x40"), "{neither}");
    assert!(shown.contains("shown.png: the mask fits the image only if it is turned as viewers show it"), "{shown}");
    assert!(shown.ends_with("(EXIF orientation 6); set `exif_orientation` to \"apply\""), "{shown}");
    let [neither, stored] = &texts(ExifOrientation::Apply)[..] else { panic!("two do not fit") };
    assert!(neither.contains("20x40 pixels but its mask is 40x40"), "{neither}");
    assert!(stored.contains("stored.png: the mask fits the image only as it lies in the file"), "{stored}");
}

#[test]
fn turned_images_and_files_of_several_pictures_are_told_with_counts() {
    let folders = Folders::new();
    for name in ["animated.gif", "pages.tif", "turned.jpg", "turned_exif.png", "grey2.png"] {
        fs::copy(awkward_folder().join(name), folders.images().join(name)).unwrap();
        let (width, height) = picture_size(&folders.images().join(name), &ReadOptions::default()).unwrap();
        let mask = Path::new(name).with_extension("png");
        folders.mask(mask.to_str().unwrap(), width, height);
    }
    let found = seen(&folders);
    assert_eq!(codes(&found), [("masks-all-white", 5), ("exif-orientation", 2), ("first-frame", 2)]);
    let texts: Vec<_> = found.warnings[1..].iter().map(Warning::to_string).collect();
    assert!(texts[0].starts_with("2 of 5 files have an EXIF orientation, which is not applied"), "{texts:?}");
    assert!(texts[0].contains("(turned.jpg, turned_exif.png)"), "{texts:?}");
    let several = "2 of 5 files hold several pictures, of which the first is taken (animated.gif, pages.tif)";
    assert_eq!(texts[1], several);
}

/// So long ago that a file's time tells whether it was changed since.
fn settle(path: &Path, seconds: u64) {
    let time = SystemTime::now() - Duration::from_secs(seconds);
    fs::File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
}

#[test]
fn files_that_are_as_they_were_are_not_read_again() {
    let (folders, kept) = (Folders::new(), tempfile::tempdir().unwrap());
    for name in ["a.png", "b.png"] {
        folders.rows(name, &[0, 255]);
        settle(&folders.images().join(name), 60);
        settle(&folders.masks().join(name), 60);
    }
    let inspect_with =
        |progress: &mut dyn FnMut(usize, usize)| inspect(&folders.open().unwrap(), 1, Some(kept.path()), progress);
    let again = || inspect_with(&mut |_, _| ());
    assert!(again().bad.is_empty());
    let file = || fs::read_dir(kept.path()).unwrap().next().unwrap().unwrap().path();
    // what is kept is believed
    let text = fs::read_to_string(file()).unwrap();
    fs::write(file(), text.replace("\"highest\":255", "\"highest\":77")).unwrap();
    let levels =
        |found: &Inspection| found.pairs.iter().flatten().map(|pair| pair.labels.levels[0].highest).collect::<Vec<_>>();
    assert_eq!(levels(&again()), [77, 77]);
    // of the same size and time, but written anew
    let path = folders.masks().join("a.png");
    let time = fs::metadata(&path).unwrap().modified().unwrap();
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes).unwrap();
    fs::File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
    assert_eq!(levels(&again()), if cfg!(unix) { [255, 77] } else { [77, 77] });
    // another time
    settle(&path, 30);
    assert_eq!(levels(&again()), [255, 77]);
    // changed while it is read: what was found is of the file before, and is not kept
    fs::remove_file(file()).unwrap();
    let mut change = |done, _| {
        if done == 1 {
            folders.rows("a.png", &[0, 0]);
            settle(&path, 20);
        }
    };
    inspect_with(&mut change);
    let found = again();
    assert_eq!(levels(&found), [0, 255]);
    // what is damaged is found anew
    fs::write(file(), b"{").unwrap();
    assert_eq!(levels(&again()), [0, 255]);
}

#[test]
fn masks_are_looked_at_as_files_too() {
    let folders = Folders::new();
    folders.image("a.png", 4, 2);
    let grey = Grey16 { width: 4, height: 2, data: vec![0, 65535, 300, 0, 0, 0, 0, 0] };
    fs::write(folders.masks().join("a.png"), grey.png()).unwrap();
    let found = seen(&folders);
    let [warning] = &found.warnings.iter().filter(|w| w.code.name() == "clipped-16-bit").collect::<Vec<_>>()[..] else {
        panic!("{:?}", found.warnings)
    };
    assert_eq!(warning.files, [folders.masks().join("a.png")]);
    assert!(warning.to_string().contains("`scale_16_bit` divides by 257"), "{warning}");
}

struct Grey16 {
    width: usize,
    height: usize,
    data: Vec<u16>,
}

impl Grey16 {
    fn png(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let samples: Vec<u8> = self.data.iter().flat_map(|v| v.to_ne_bytes()).collect();
        let (width, height) = (self.width as u32, self.height as u32);
        let encoder = image::codecs::png::PngEncoder::new(&mut bytes);
        image::ImageEncoder::write_image(encoder, &samples, width, height, image::ExtendedColorType::L16).unwrap();
        bytes
    }
}
