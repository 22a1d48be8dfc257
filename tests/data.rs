//! The data layer against Pillow's and PyTorch's results, bad files, pairing, background loading, the generated scenes.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::golden::shared;
use safetensors::SafeTensors;
use sam2unet::data::{
    Batch, BatchRequest, DataError, Dataset, Example, Filter, Flips, Folder, Grey, Loader, MAX_PIXELS, Pixels, Rgb,
    SheetRow, Synthetic, contact_sheet, image_files, overlay, read_grey, read_rgb, saved_mask, write_png,
};
use tempfile::TempDir;

fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().unwrap_or(0)
}

// -------------------------------------------------------------------------------------------- Pillow and PyTorch agree

#[test]
fn every_resize_equals_pillows_to_the_pixel() {
    let Some(folder) = shared("golden/images") else { return };
    let bytes = fs::read(folder.join("expected.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (key, expected) in golden.iter() {
        // NAME.rgb.bilinear352 or NAME.l.bicubic224
        let [name, mode, how] = key.split('.').collect::<Vec<_>>()[..] else { continue };
        let file = folder.join(format!("{name}.png"));
        let side: usize = how.trim_start_matches(char::is_alphabetic).parse().unwrap();
        let resized = match mode {
            "rgb" => read_rgb(&file).unwrap().resize(side, side, Filter::Bilinear).data,
            _ => read_grey(&file).unwrap().resize(side, side, Filter::Bicubic).data,
        };
        assert!(
            resized == expected.data(),
            "{key}: largest difference {}",
            largest_difference(&resized, expected.data())
        );
        compared += 1;
    }
    assert_eq!(compared, 52);
}

#[test]
fn saved_masks_equal_pytorchs_but_for_a_level() {
    let Some(folder) = shared("golden/images") else { return };
    let bytes = fs::read(folder.join("expected.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let logits: Vec<f32> =
        golden.tensor("logits").unwrap().data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    for (key, expected) in golden.iter().filter(|(key, _)| key.starts_with("saved.")) {
        let &[height, width] = expected.shape() else { panic!("{key} is no map") };
        let saved = saved_mask(&logits, 352, width, height, true);
        let off = saved.data.iter().zip(expected.data()).filter(|(a, b)| a != b).count();
        assert!(largest_difference(&saved.data, expected.data()) <= 1, "{key}");
        assert!(off * 1000 <= expected.data().len(), "{key}: {off} pixels are a level off");
    }
}

#[test]
fn awkward_files_read_as_pillow_reads_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/images");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file() && entry.path().extension().unwrap() != "py")
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    assert!(names.len() >= 20, "{names:?}");
    for name in names {
        let expected = |mode| folder.join("expected").join(format!("{name}.{mode}.png"));
        let (rgb, grey) = (read_rgb(&folder.join(&name)).unwrap(), read_grey(&folder.join(&name)).unwrap());
        let (rgb_expected, grey_expected) = (read_rgb(&expected("rgb")).unwrap(), read_grey(&expected("l")).unwrap());
        assert_eq!(rgb.size(), rgb_expected.size(), "{name}");
        // another JPEG decoder: chroma is interpolated a little differently
        let is_jpeg = name.contains("jp");
        let (in_rgb, in_grey) = if is_jpeg { (8, 2) } else { (0, 0) };
        assert!(largest_difference(&rgb.data, &rgb_expected.data) <= in_rgb, "{name} as RGB");
        assert!(largest_difference(&grey.data, &grey_expected.data) <= in_grey, "{name} as grey");
    }
}

// ---------------------------------------------------------------------------------------------------------- bad files

/// A picture with some detail in it, so that its files have bodies to damage.
fn detailed(width: usize, height: usize) -> Rgb {
    let data = (0..width * height * 3).map(|i| ((i * i) >> 3) as u8 ^ (i * 7) as u8).collect();
    Rgb { width, height, data }
}

fn jpeg_bytes(picture: &Rgb) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
    let (width, height) = (picture.width as u32, picture.height as u32);
    image::ImageEncoder::write_image(encoder, &picture.data, width, height, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

fn png_bytes<const C: usize>(picture: &Pixels<C>) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.png");
    let grey =
        Grey { width: picture.width, height: picture.height, data: picture.data.chunks(C).map(|p| p[0]).collect() };
    if C == 1 {
        write_png(&path, &grey)
    } else {
        write_png(&path, &Rgb { width: picture.width, height: picture.height, data: picture.data.clone() })
    }
    .unwrap();
    fs::read(path).unwrap()
}

fn refusal(file_name: &str, content: &[u8]) -> DataError {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(file_name);
    fs::write(&path, content).unwrap();
    let (as_rgb, as_grey) = (read_rgb(&path).unwrap_err(), read_grey(&path).unwrap_err());
    assert_eq!(as_rgb.to_string(), as_grey.to_string());
    assert!(as_rgb.to_string().contains(file_name), "the file is not named: {as_rgb}");
    as_rgb
}

#[test]
fn a_file_that_is_no_image_is_refused_by_name() {
    assert!(matches!(refusal("empty.png", b""), DataError::NotAnImage { .. }));
    assert!(matches!(refusal("text.png", b"these are words, not pixels"), DataError::NotAnImage { .. }));
    assert!(matches!(refusal("words.tga", b"these are words, not pixels"), DataError::Decode { .. }));
    let gone = read_rgb(Path::new("no/such/file.png")).unwrap_err();
    assert!(matches!(gone, DataError::ReadFile { .. }) && gone.to_string().contains("file.png"), "{gone}");
}

#[test]
fn a_truncated_file_is_refused_wherever_it_is_cut() {
    let picture = detailed(70, 50);
    for (name, whole) in [("cut.png", png_bytes(&picture)), ("cut.jpg", jpeg_bytes(&picture))] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &whole).unwrap();
        assert_eq!(read_rgb(&path).unwrap().size(), (70, 50));
        // the last bytes of a PNG end an empty chunk, which holds no pixel
        for left in (20..whole.len() - 16).step_by(whole.len() / 40).chain([whole.len() - 17]) {
            let error = refusal(name, &whole[..left]);
            assert!(matches!(error, DataError::Decode { .. }), "{left} bytes of {name}: {error}");
        }
        assert!(name != "cut.jpg" || matches!(refusal(name, &whole[..whole.len() - 1]), DataError::Decode { .. }));
    }
}

#[test]
fn a_header_that_promises_too_much_is_refused_without_taking_the_memory() {
    // a PNG header of 100000 x 100000 pixels and its checksum, then nothing
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x02\0\0\0".to_vec();
    png.extend(crc32(&png[12..29]).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    let error = refusal("huge.png", &png);
    assert!(matches!(error, DataError::TooLarge { width: 100_000, height: 100_000, .. }), "{error}");
    assert!(error.to_string().contains(&MAX_PIXELS.to_string()), "{error}");

    // a JPEG whose frame header is changed to 65500 x 65500
    let mut jpeg = jpeg_bytes(&detailed(16, 16));
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    assert!(matches!(refusal("huge.jpg", &jpeg), DataError::TooLarge { width: 65_500, .. }));
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn damage_anywhere_gives_an_error_or_a_picture_but_no_panic() {
    let picture = detailed(40, 30);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged");
    for whole in [png_bytes(&picture), jpeg_bytes(&picture)] {
        for at in (0..whole.len()).step_by(whole.len() / 150) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x5a;
            fs::write(&path, &damaged).unwrap();
            if let Ok(picture) = read_rgb(&path) {
                assert_eq!(picture.data.len(), picture.width * picture.height * 3);
            }
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ folders

struct Folders {
    root: TempDir,
}

impl Folders {
    fn new() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("images")).unwrap();
        fs::create_dir(root.path().join("masks")).unwrap();
        Self { root }
    }

    fn images(&self) -> PathBuf {
        self.root.path().join("images")
    }

    fn masks(&self) -> PathBuf {
        self.root.path().join("masks")
    }

    fn image(&self, name: &str, width: usize, height: usize) {
        write_png(&self.images().join(name), &detailed(width, height)).unwrap();
    }

    fn mask(&self, name: &str, width: usize, height: usize) {
        write_png(&self.masks().join(name), &Grey::filled(width, height, [255])).unwrap();
    }

    fn open(&self) -> Result<(Folder, usize), DataError> {
        Folder::open(&self.images(), &self.masks())
    }
}

#[test]
fn pairs_share_a_stem_and_stand_in_bytewise_order() {
    let folders = Folders::new();
    for name in ["b.png", "a.10.png", "a.9.png", "B.png", "\u{e4}.png"] {
        folders.image(name, 3, 2);
        folders.mask(name, 3, 2);
    }
    // hidden files, other files and folders are nobody's image
    fs::write(folders.images().join(".hidden.png"), b"x").unwrap();
    fs::write(folders.images().join("Thumbs.db"), b"x").unwrap();
    fs::write(folders.masks().join("README"), b"x").unwrap();
    fs::create_dir(folders.images().join("folder.png")).unwrap();
    folders.mask("alone.png", 3, 2);
    // the mask's ending is another, and its content a third
    folders.image("c.PNG", 3, 2);
    fs::write(folders.masks().join("c.tif"), png_bytes(&Grey::filled(3, 2, [9]))).unwrap();

    let (folder, unpaired) = folders.open().unwrap();
    assert_eq!(unpaired, 1);
    let stems: Vec<_> = folder.pairs().iter().map(|pair| pair.stem.as_str()).collect();
    assert_eq!(stems, ["B", "a.10", "a.9", "b", "c", "\u{e4}"]);
    assert_eq!(folder.name(1), "a.10");
    assert_eq!(folder.mask(4).unwrap(), Grey::filled(3, 2, [9]));
    folder.check(3).unwrap();
}

#[test]
fn an_image_without_a_mask_is_refused_by_name() {
    let folders = Folders::new();
    for name in ["1.png", "2.png", "3.png"] {
        folders.image(name, 3, 2);
    }
    folders.mask("2.png", 3, 2);
    let error = folders.open().unwrap_err();
    assert!(matches!(&error, DataError::MissingMask { missing: 2, images: 3, .. }), "{error}");
    assert!(error.to_string().contains("1.png"), "{error}");
}

#[test]
fn folders_that_say_nothing_or_two_things_are_refused() {
    let folders = Folders::new();
    let error = folders.open().unwrap_err();
    assert!(matches!(&error, DataError::EmptyFolder { .. }) && error.to_string().contains("images"), "{error}");

    folders.image("1.png", 3, 2);
    fs::write(folders.images().join("1.jpg"), jpeg_bytes(&detailed(3, 2))).unwrap();
    folders.mask("1.png", 3, 2);
    let error = folders.open().unwrap_err();
    assert!(matches!(&error, DataError::SameStem { .. }), "{error}");
    assert!(error.to_string().contains("1.jpg") && error.to_string().contains("1.png"), "{error}");

    let error = image_files(&folders.root.path().join("nowhere")).unwrap_err();
    assert!(matches!(&error, DataError::ReadFolder { .. }) && error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn check_names_the_first_bad_pair_whatever_the_threads() {
    let folders = Folders::new();
    for index in 10..40 {
        folders.image(&format!("{index}.png"), 30, 20);
        folders.mask(&format!("{index}.png"), 30, 20);
    }
    folders.open().unwrap().0.check(4).unwrap();

    folders.mask("31.png", 20, 30);
    fs::write(folders.images().join("17.png"), &png_bytes(&detailed(30, 20))[..300]).unwrap();
    fs::write(folders.masks().join("23.png"), b"").unwrap();
    for threads in [0, 1, 2, 7, 100] {
        let error = folders.open().unwrap().0.check(threads).unwrap_err();
        assert!(error.to_string().contains("17.png"), "{threads} threads: {error}");
    }

    folders.image("17.png", 30, 20);
    folders.mask("23.png", 30, 20);
    let error = folders.open().unwrap().0.check(2).unwrap_err().to_string();
    assert!(error.contains("31") && error.contains("30x20") && error.contains("20x30"), "{error}");
}

// ------------------------------------------------------------------------------------------------------------- loading

fn requests(count: usize, size: usize, side: usize) -> Vec<BatchRequest> {
    let flips = |i: usize| Flips { horizontal: i.is_multiple_of(2), vertical: i.is_multiple_of(3) };
    (0..count)
        .map(|batch| BatchRequest {
            side,
            samples: (batch * size..(batch + 1) * size).map(|i| (i, flips(i))).collect(),
        })
        .collect()
}

#[test]
fn an_example_is_resized_then_flipped_then_normalised() {
    let image = detailed(50, 40);
    let mut mask = Grey::filled(50, 40, [0]);
    for y in 0..20 {
        mask.set(3, y, [255]);
    }
    let plain = Example::new(&image, &mask, 32, Flips::default());
    assert_eq!((plain.image.len(), plain.mask.len()), (3 * 32 * 32, 32 * 32));
    assert!(plain.mask.iter().any(|&v| v > 0.0 && v < 1.0), "masks stay soft");
    let flipped = Example::new(&image, &mask, 32, Flips { horizontal: true, vertical: true });
    // a half turn reverses the order of the pixels
    assert!(plain.mask.iter().eq(flipped.mask.iter().rev()));
    for channel in 0..3 {
        let plane = |example: &Example| example.image[channel * 1024..][..1024].to_vec();
        assert!(plane(&plain).iter().eq(plane(&flipped).iter().rev()));
    }
}

#[test]
fn batches_come_in_order_and_hold_what_was_asked_for() {
    let set = Arc::new(Synthetic::new(4, 20, 48));
    for threads in [0, 1, 3] {
        let loader = Loader::new(set.clone(), requests(5, 4, 64), threads);
        assert_eq!(loader.len(), 5);
        let batches: Vec<Batch> = loader.map(Result::unwrap).collect();
        assert_eq!(batches.len(), 5);
        for (batch, request) in batches.iter().zip(requests(5, 4, 64)) {
            assert_eq!(batch.indices, request.samples.iter().map(|s| s.0).collect::<Vec<_>>());
            for (slot, (index, flips)) in request.samples.into_iter().enumerate() {
                let example = set.example(index, 64, flips).unwrap();
                assert_eq!(batch.images[slot * 3 * 4096..][..3 * 4096], example.image);
                assert_eq!(batch.masks[slot * 4096..][..4096], example.mask);
            }
        }
    }
    assert!(Loader::new(set, vec![], 2).next().is_none());
}

#[test]
fn a_bad_file_is_reported_in_its_turn_and_the_rest_goes_on() {
    let folders = Folders::new();
    for index in 0..8 {
        folders.image(&format!("{index}.png"), 40, 40);
        folders.mask(&format!("{index}.png"), 40, 40);
    }
    fs::write(folders.masks().join("3.png"), b"no longer a mask").unwrap();
    let (folder, _) = folders.open().unwrap();
    let results: Vec<_> = Loader::new(Arc::new(folder), requests(4, 2, 64), 2).collect();
    assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true, true]);
    assert!(results[1].as_ref().unwrap_err().to_string().contains("3.png"));
}

/// Counts what it prepares; panics where it is told to.
struct Counting {
    prepared: std::sync::atomic::AtomicUsize,
    panics_at: Option<usize>,
}

impl Dataset for Counting {
    fn len(&self) -> usize {
        1000
    }

    fn name(&self, _: usize) -> &str {
        "counted"
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        self.prepared.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        assert!(self.panics_at != Some(index), "told to");
        Ok(Rgb::filled(4, 4, [0; 3]))
    }

    fn mask(&self, _: usize) -> Result<Grey, DataError> {
        Ok(Grey::filled(4, 4, [0]))
    }
}

#[test]
fn work_ahead_is_bounded_and_ends_with_the_loader() {
    let set = Arc::new(Counting { prepared: 0.into(), panics_at: None });
    let mut loader = Loader::new(set.clone(), requests(100, 10, 64), 2);
    loader.next().unwrap().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let prepared = set.prepared.load(std::sync::atomic::Ordering::SeqCst);
    assert!((10..=40).contains(&prepared), "{prepared} samples are prepared after one batch of ten");
    drop(loader);
    // the threads are gone, so theirs is not a share any more
    assert_eq!(Arc::strong_count(&set), 1);
}

#[test]
fn a_panic_while_loading_is_an_error_and_not_a_wait_for_ever() {
    let set = Arc::new(Counting { prepared: 0.into(), panics_at: Some(5) });
    // with two threads the other one goes on; with one nobody is left
    for (threads, ok) in [(2, vec![true, false, true]), (1, vec![true, false, false])] {
        let results: Vec<_> = Loader::new(set.clone(), requests(3, 4, 64), threads).collect();
        assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), ok);
        assert!(matches!(results[1], Err(DataError::Worker { .. })));
    }
}

#[test]
fn batches_that_no_network_takes_are_errors_in_their_turn() {
    let set = Arc::new(Counting { prepared: 0.into(), panics_at: None });
    let request =
        |side, count: usize| BatchRequest { side, samples: (0..count).map(|i| (i, Flips::default())).collect() };
    let requests = vec![request(64, 2), request(63, 2), request(32, 1), request(64, 0), request(96, 1)];
    let said = Loader::new(set.clone(), requests, 2).map(|batch| match batch {
        Ok(batch) => format!("{} of side {}", batch.indices.len(), batch.side),
        Err(e) => e.to_string(),
    });
    let side = |n| format!("a batch's side must be a multiple of 32 from 64 on, not {n}");
    let empty = "an empty batch: there must be an image".to_string();
    assert_eq!(
        said.collect::<Vec<_>>(),
        ["2 of side 64".to_string(), side(63), side(32), empty, "1 of side 96".into()]
    );
    assert_eq!(set.prepared.load(std::sync::atomic::Ordering::SeqCst), 3, "nothing is prepared for a refused batch");
}

/// A set of one's own whose examples are 64 x 128, whatever is asked for.
struct Oblong;

impl Dataset for Oblong {
    fn len(&self) -> usize {
        1
    }

    fn name(&self, _: usize) -> &str {
        "oblong"
    }

    fn image(&self, _: usize) -> Result<Rgb, DataError> {
        Ok(Rgb::filled(128, 64, [0; 3]))
    }

    fn mask(&self, _: usize) -> Result<Grey, DataError> {
        Ok(Grey::filled(128, 64, [0]))
    }

    fn example(&self, _: usize, _: usize, _: Flips) -> Result<Example, DataError> {
        Ok(Example { image: vec![0.0; 3 * 64 * 128], mask: vec![0.0; 64 * 128] })
    }
}

#[test]
fn an_example_of_another_size_is_an_error() {
    let said = Loader::new(Arc::new(Oblong), requests(1, 1, 64), 1).next().unwrap().unwrap_err().to_string();
    let wanted =
        "oblong: an example of side 64 has 12288 numbers in its image and 4096 in its mask, not 24576 and 8192";
    assert_eq!(said, wanted);
}

// ------------------------------------------------------------------------------------------------------------ pictures

#[test]
fn a_written_png_reads_back_and_replaces_what_was_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("map.png");
    let (first, second) = (Grey::filled(5, 3, [200]), detailed(7, 2));
    write_png(&path, &first).unwrap();
    assert_eq!(read_grey(&path).unwrap(), first);
    write_png(&path, &second).unwrap();
    assert_eq!(read_rgb(&path).unwrap(), second);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");

    let error = write_png(&folder.path().join("gone/map.png"), &first).unwrap_err();
    assert!(matches!(&error, DataError::Write { .. }) && error.to_string().contains("map.png"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_written_png_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    write_png(&folder.path().join("map.png"), &Grey::filled(1, 1, [0])).unwrap();
    fs::write(folder.path().join("any"), b"").unwrap();
    let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("map.png"), mode("any"));
}

#[test]
fn a_saved_mask_without_stretch_is_the_floor_of_the_sigmoid() {
    let saved = saved_mask(&[0.0, 100.0, -100.0, 1.0], 2, 2, 2, false);
    assert_eq!(saved.data, [127, 255, 0, 186]);
    assert_eq!(saved_mask(&[f32::NAN], 1, 1, 1, true).data, [0]);
    // a flat map has nothing to stretch
    assert_eq!(saved_mask(&[3.0; 4], 2, 5, 4, true), Grey::filled(5, 4, [0]));
}

#[test]
fn an_overlay_touches_the_mask_alone_and_a_sheet_shows_three_tiles_a_row() {
    let image = detailed(40, 30);
    let mut mask = Grey::filled(40, 30, [0]);
    for y in 5..15 {
        for x in 10..20 {
            mask.set(x, y, [255]);
        }
    }
    let painted = overlay(&image, &mask);
    for y in 0..30 {
        for x in 0..40 {
            let inside = (5..15).contains(&y) && (10..20).contains(&x);
            assert!(inside || painted.at(x, y) == image.at(x, y), "({x}, {y})");
        }
    }
    assert_eq!(painted.at(10, 9), painted.at(19, 9), "the contour is of one colour");
    assert_ne!(painted.at(14, 9), image.at(14, 9), "the inside is tinted");

    let row = SheetRow { image: Rgb::filled(9, 7, [10, 20, 30]), prediction: Grey::filled(9, 7, [99]), truth: mask };
    let sheet = contact_sheet(&[row.clone(), row], 32);
    assert_eq!(sheet.size(), (3 * 32 + 4 * 2, 2 * 34 + 2));
    assert_eq!(sheet.at(2, 2), [10, 20, 30]);
    assert_eq!(sheet.at(36, 40), [99; 3]);
    assert_eq!(sheet.at(0, 0), [255; 3]);
}

// ---------------------------------------------------------------------------------------------------- generated scenes

/// Mean over images of the intersection over union of `predicted(image, truth)` and the truth.
fn mean_iou(scenes: &[(Rgb, Vec<bool>)], predicted: impl Fn(&Rgb, &[bool]) -> Vec<bool>) -> f64 {
    let ious = scenes.iter().map(|(image, truth)| iou(&predicted(image, truth), truth));
    ious.sum::<f64>() / scenes.len() as f64
}

fn iou(a: &[bool], b: &[bool]) -> f64 {
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let either = a.iter().zip(b).filter(|(a, b)| **a || **b).count();
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}

/// Otsu's threshold of the grey image (the one that separates two classes of largest between-class variance), of the
/// two polarities the one that fits the truth better: more than a threshold could know.
fn otsu(image: &Rgb, truth: &[bool]) -> Vec<bool> {
    let grey = image.to_grey().data;
    let mut histogram = [0f64; 256];
    grey.iter().for_each(|&v| histogram[usize::from(v)] += 1.0);
    let count = grey.len() as f64;
    let total: f64 = histogram.iter().enumerate().map(|(v, n)| v as f64 * n).sum();
    let (mut below, mut sum, mut best) = (0.0, 0.0, (f64::MIN, 0));
    for (v, n) in histogram.iter().enumerate() {
        below += n;
        sum += v as f64 * n;
        let between = (total * below - count * sum).powi(2) / (below * (count - below));
        if between > best.0 {
            best = (between, v);
        }
    }
    let light: Vec<bool> = grey.iter().map(|&v| usize::from(v) > best.1).collect();
    let dark: Vec<bool> = light.iter().map(|v| !v).collect();
    if iou(&light, truth) >= iou(&dark, truth) { light } else { dark }
}

/// An ellipse in the middle with these half-axes, in parts of the side.
fn ellipse(image: &Rgb, half: [f64; 2]) -> Vec<bool> {
    let (width, height) = (image.width as f64, image.height as f64);
    let offset = |i: usize, length: f64, half: f64| ((i as f64 + 0.5) / length - 0.5) / half;
    (0..image.width * image.height)
        .map(|i| offset(i % image.width, width, half[0]).hypot(offset(i / image.width, height, half[1])) < 1.0)
        .collect()
}

/// Mean IoU of Otsu's threshold, and of the best of sixteen centred ellipses.
pub fn baselines(set: &Synthetic) -> [f64; 2] {
    let foreground = |mask: Grey| mask.data.iter().map(|&v| v > 128).collect();
    let scenes: Vec<_> =
        (0..set.len()).map(|i| set.pair(i).map(|(image, mask)| (image, foreground(mask))).unwrap()).collect();
    let sizes = [0.2, 0.3, 0.4, 0.5];
    let guesses = sizes
        .into_iter()
        .flat_map(|across| sizes.map(|down| mean_iou(&scenes, |image, _| ellipse(image, [across, down]))));
    [mean_iou(&scenes, otsu), guesses.fold(0.0, f64::max)]
}

#[test]
fn generated_scenes_defeat_a_threshold_and_a_guess_at_the_middle() {
    let [threshold, guess] = baselines(&Synthetic::new(1, 100, 128));
    eprintln!("generated scenes, mean IoU: Otsu's threshold {threshold:.3}, the best centred ellipse {guess:.3}");
    assert!(threshold < 0.40 && guess < 0.40);
}

#[test]
fn generated_scenes_are_varied_and_repeatable() {
    let set = Synthetic::new(2, 60, 64);
    assert_eq!(set.pair(7).unwrap(), Synthetic::new(2, 8, 64).pair(7).unwrap());
    assert_ne!(set.image(7).unwrap(), Synthetic::new(3, 8, 64).image(7).unwrap());
    let mut sizes = BTreeMap::new();
    let mut at_border = 0;
    for index in 0..set.len() {
        let (image, mask) = set.pair(index).unwrap();
        assert_eq!(image, set.image(index).unwrap());
        let area = mask.data.iter().filter(|&&v| v > 128).count();
        assert!(area > 20, "scene {index} has no blob to find");
        *sizes.entry(area * 10 / mask.data.len()).or_insert(0) += 1;
        at_border += usize::from(
            (0..64).any(|i| [mask.at(i, 0), mask.at(i, 63), mask.at(0, i), mask.at(63, i)].iter().any(|v| v[0] > 128)),
        );
    }
    assert!(sizes.len() >= 3, "areas in tenths of the image: {sizes:?}");
    assert!((5..55).contains(&at_border), "{at_border} of 60 scenes touch the border");
    // one scene at another side is the same scene
    let (small, large) = (Synthetic::new(2, 1, 64).mask(0).unwrap(), Synthetic::new(2, 1, 128).mask(0).unwrap());
    let shrunk = large.resize(64, 64, Filter::Bilinear);
    let off = small.data.iter().zip(&shrunk.data).filter(|(a, b)| a.abs_diff(**b) > 100).count();
    assert!(off < 20, "{off} pixels differ");
}
