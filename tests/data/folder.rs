//! Pairs of images and masks in two folders.

use crate::support::pictures::{Folders, awkward_folder, detailed, jpeg_bytes, png_bytes};
use sam2unet::data::{DataError, Dataset, Folder, FolderOptions, Grey, Listing, image_files, inspect, read_rgb};
use std::fs;

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

    let folder = folders.open().unwrap();
    assert_eq!(folder.found().masks_without_image, [folders.masks().join("alone.png")]);
    let stems: Vec<_> = folder.pairs().iter().map(|pair| pair.stem.as_str()).collect();
    assert_eq!(stems, ["B", "a.10", "a.9", "b", "c", "\u{e4}"]);
    assert_eq!(folder.name(1), "a.10");
    assert_eq!(folder.mask(4).unwrap(), Grey::filled(3, 2, [9]));
    let seen = inspect(&folder, 3, None, &mut |_, _| ());
    assert!(seen.bad.is_empty(), "{:?}", seen.bad);
    let unused: Vec<_> = folder.found().among_images.kinds().map(|(kind, paths)| (kind.code(), paths.len())).collect();
    assert_eq!(unused, [("subfolder", 1), ("hidden", 1), ("other", 1)]);
}

#[test]
fn an_image_without_a_mask_is_refused_by_name() {
    let folders = Folders::new();
    for name in ["1.png", "2.png", "3.png"] {
        folders.image(name, 3, 2);
    }
    folders.mask("2.png", 3, 2);
    let error = folders.open().unwrap_err();
    let text = error.to_string();
    assert!(text.starts_with("2 of 3 images have no mask") && text.contains("1.png, 3.png"), "{text}");
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
fn a_suffix_that_all_masks_have_is_told() {
    let folders = Folders::new();
    for name in ["ISIC_0", "ISIC_1"] {
        folders.image(&format!("{name}.jpg"), 3, 2);
        folders.mask(&format!("{name}_segmentation.png"), 3, 2);
    }
    let text = folders.open().unwrap_err().to_string();
    assert!(text.contains("Every mask is called IMAGE_segmentation"), "{text}");
    // one image has no mask, another lies beside them that is no image of its own
    folders.image("ISIC_2.jpg", 3, 2);
    folders.image("ISIC_0_superpixels.png", 3, 2);
    let text = folders.open().unwrap_err().to_string();
    assert!(text.contains("Every mask is called IMAGE_segmentation"), "{text}");
}

#[test]
fn names_that_differ_in_case_or_form_are_matched_where_there_is_one_choice_and_told() {
    let folders = Folders::new();
    folders.image("IMG_1.PNG", 3, 2);
    folders.mask("img_1.png", 3, 2);
    folders.image("caf\u{e9}.png", 3, 2);
    folders.mask("cafe\u{301}.png", 3, 2);
    let folder = folders.open().unwrap();
    assert_eq!(folder.len(), 2);
    let seen = inspect(&folder, 1, None, &mut |_, _| ());
    let [warning] = &seen.warnings.iter().filter(|w| w.code.name() == "names-differ").collect::<Vec<_>>()[..] else {
        panic!("{:?}", seen.warnings)
    };
    assert_eq!((warning.count, warning.is_suspicious()), (2, false));

    // two choices are none
    folders.mask("Img_1.png", 3, 2);
    let text = folders.open().unwrap_err().to_string();
    assert!(text.starts_with("1 of 2 images have no mask") && text.contains("IMG_1.PNG"), "{text}");
    assert!(text.contains("Img_1.png and img_1.png may be of IMG_1, as they differ from it in case"), "{text}");
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_make_pairs() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folders = Folders::new();
    folders.image("plain.png", 3, 2);
    folders.mask("plain.png", 3, 2);
    let name = OsStr::from_bytes(b"\xcd\xbc\xc6\xac.png");
    fs::rename(folders.images().join("plain.png"), folders.images().join(name)).unwrap();
    fs::rename(folders.masks().join("plain.png"), folders.masks().join(name)).unwrap();
    let folder = folders.open().unwrap();
    assert_eq!(folder.pairs()[0].image, folders.images().join(name));
    assert_eq!(folder.mask(0).unwrap(), Grey::filled(3, 2, [255]));
}

#[test]
fn what_is_not_used_is_told_by_kind() {
    let folders = Folders::new();
    folders.image("a.png", 3, 2);
    folders.mask("a.png", 3, 2);
    for name in ["b.heic", "c.HIF", "d.avif", "e.dcm", "f.nii.gz", "g.jpm", "h.cr2", "notes.txt", ".hidden.png"] {
        fs::write(folders.images().join(name), b"x").unwrap();
    }
    fs::write(folders.images().join("empty.png"), b"").unwrap();
    fs::create_dir(folders.images().join("more")).unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink("nowhere", folders.images().join("gone.png")).unwrap();
    let listing = Listing::of(&folders.images(), false).unwrap();
    assert_eq!(listing.files().len(), 1);
    let counts: Vec<_> = listing.unused().kinds().map(|(kind, paths)| (kind.code(), paths.len())).collect();
    let expected = [
        ("heic", 2),
        ("avif", 1),
        ("jpeg-2000", 1),
        ("raw", 1),
        ("dicom", 1),
        ("nifti", 1),
        ("zero-bytes", 1),
        ("broken-link", 1),
        ("subfolder", 1),
        ("hidden", 1),
        ("other", 1),
    ];
    assert_eq!(counts, expected);
    let text = listing.unused().suspicious().to_string();
    assert!(text.contains("2 HEIC files, not read (save as JPEG or PNG): "), "{text}");
    assert!(text.contains("1 image file of zero bytes: empty.png") && !text.contains("notes.txt"), "{text}");

    assert!(text.contains("1 camera RAW file, not read (develop to JPEG, PNG or 8-bit TIFF): h.cr2"), "{text}");
    assert!(text.contains("1 DICOM file, not read (save the slices as 8-bit PNG"), "{text}");
    assert!(text.contains("1 NIfTI file, not read (save the slices as 8-bit PNG"), "{text}");

    // a folder of nothing else says what it holds
    fs::remove_file(folders.images().join("a.png")).unwrap();
    let text = folders.open().unwrap_err().to_string();
    assert!(text.contains("no image files in") && text.contains("2 HEIC files"), "{text}");
}

/// The files' contents are whole, so that the feature reads what it lists.
#[test]
fn jpeg_2000_is_listed_where_the_feature_reads_it() {
    let folders = Folders::new();
    let kept = awkward_folder().with_file_name("jpeg2000");
    fs::copy(kept.join("rgb.jp2"), folders.images().join("a.JP2")).unwrap();
    fs::copy(kept.join("rgba.j2k"), folders.images().join("b.j2k")).unwrap();
    folders.image("c.png", 3, 2);
    let listing = Listing::of(&folders.images(), false).unwrap();
    if cfg!(feature = "jpeg2000") {
        assert_eq!((listing.files().len(), listing.unused().is_empty()), (3, true));
        assert!(listing.files().iter().all(|path| read_rgb(path).is_ok()));
    } else {
        let text = listing.unused().to_string();
        assert!(text.contains("2 JPEG 2000 files, not read") && text.contains("feature `jpeg2000`"), "{text}");
    }
}

#[test]
fn subfolders_are_paired_by_their_names_when_asked_for() {
    let folders = Folders::new();
    for folder in ["b", "a", "a/deep"] {
        fs::create_dir_all(folders.images().join(folder)).unwrap();
        fs::create_dir_all(folders.masks().join(folder)).unwrap();
    }
    for name in ["x.png", "b/x.png", "a/x.png", "a/deep/x.png"] {
        folders.image(name, 3, 2);
        folders.mask(name, 3, 2);
    }
    assert_eq!(folders.open().unwrap().len(), 1);
    // a link back does not lead round and round
    #[cfg(unix)]
    std::os::unix::fs::symlink("..", folders.images().join("a/up")).unwrap();
    let options = FolderOptions { recursive: true, ..FolderOptions::default() };
    let folder = Folder::open_with(&folders.images(), &folders.masks(), options).unwrap();
    let stems: Vec<_> = folder.pairs().iter().map(|pair| pair.stem.as_str()).collect();
    assert_eq!(stems, ["a/deep/x", "a/x", "b/x", "x"]);
    assert!(
        folder
            .pairs()
            .iter()
            .all(|pair| pair.masks[0].strip_prefix(folders.masks()).unwrap().with_extension("") == pair.stem)
    );
}
