//! Pairs of images and masks in two folders.

use crate::support::pictures::{Folders, detailed, jpeg_bytes, png_bytes};
use sam2unet::data::{DataError, Dataset, Grey, image_files};
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
