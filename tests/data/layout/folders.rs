//! Layouts that are told by the names of folders alone.

use crate::support::tree::Tree;
use sam2unet::data::layout::{Labels, LayoutKind, find_layout};

/// The name of a tree's layout.
#[track_caller]
fn name_of(paths: &[&str]) -> String {
    let tree = Tree::new(paths);
    let layout = find_layout(tree.root()).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(layout.kind, LayoutKind::Folders);
    for (_, part) in layout.parts() {
        assert!(part.images.is_dir() && part.labels.path().is_dir(), "{part:?}");
    }
    tree.told(layout.name())
}

#[test]
fn images_beside_masks_are_trained_on() {
    assert_eq!(name_of(&["images/a.jpg", "masks/a.png"]), "folders: images, masks");
    assert_eq!(name_of(&["image/a.jpg", "mask/a.png"]), "folders: image, mask");
    assert_eq!(name_of(&["Imgs/a.jpg", "GT/a.png"]), "folders: Imgs, GT");
    assert_eq!(name_of(&["Original/a.tif", "Ground Truth/a.tif"]), "folders: Original, Ground Truth");
    assert_eq!(name_of(&["JPEGImages/a.jpg", "SegmentationClass/a.png"]), "folders: JPEGImages, SegmentationClass");
}

#[test]
fn names_are_known_in_any_case() {
    assert_eq!(name_of(&["IMAGES/a.JPG", "Masks/a.PNG"]), "folders: IMAGES, Masks");
    let both = name_of(&["Train/Image/a.jpg", "Train/gt_object/a.png", "TEST/image/b.jpg", "TEST/GT_Object/b.png"]);
    assert_eq!(both, "folders: Train/Image, Train/gt_object; test TEST/image, TEST/GT_Object");
}

#[test]
fn sets_may_lie_above() {
    let paths = ["train", "valid", "test"].map(|set| [format!("{set}/images/a.jpg"), format!("{set}/masks/a.png")]);
    let paths: Vec<&str> = paths.iter().flatten().map(String::as_str).collect();
    assert_eq!(
        name_of(&paths),
        "folders: train/images, train/masks; validation valid/images, valid/masks; test test/images, test/masks"
    );
}

#[test]
fn sets_may_lie_below() {
    let paths = ["images/train/a.jpg", "masks/train/a.png", "images/val/b.jpg", "masks/val/b.png"];
    assert_eq!(name_of(&paths), "folders: images/train, masks/train; validation images/val, masks/val");
    // ADE20K; and a set without masks is none
    let paths = [
        "images/training/a.jpg",
        "annotations/training/a.png",
        "images/validation/b.jpg",
        "annotations/validation/b.png",
        "images/test/c.jpg",
    ];
    assert_eq!(
        name_of(&paths),
        "folders: images/training, annotations/training; validation images/validation, annotations/validation"
    );
}

#[test]
fn a_set_to_train_on_may_lie_beside_one_to_test_on() {
    let paths = ["images/a.jpg", "masks/a.png", "test/images/b.jpg", "test/masks/b.png"];
    assert_eq!(name_of(&paths), "folders: images, masks; test test/images, test/masks");
}

#[test]
fn duts_is_known_from_above_and_from_within() {
    let paths = [
        "DUTS-TR/DUTS-TR-Image/a.jpg",
        "DUTS-TR/DUTS-TR-Mask/a.png",
        "DUTS-TE/DUTS-TE-Image/b.jpg",
        "DUTS-TE/DUTS-TE-Mask/b.png",
    ];
    assert_eq!(
        name_of(&paths),
        "folders: DUTS-TR/DUTS-TR-Image, DUTS-TR/DUTS-TR-Mask; test DUTS-TE/DUTS-TE-Image, DUTS-TE/DUTS-TE-Mask"
    );
    let within = ["DUTS-TR-Image/a.jpg", "DUTS-TR-Mask/a.png", "DUTS-TE-Image/b.jpg", "DUTS-TE-Mask/b.png"];
    assert_eq!(name_of(&within), "folders: DUTS-TR-Image, DUTS-TR-Mask; test DUTS-TE-Image, DUTS-TE-Mask");
}

/// As PraNet and SINet pack what they train and test on.
#[test]
fn several_sets_may_be_tested_on() {
    let paths = [
        "TrainDataset/Imgs/a.jpg",
        "TrainDataset/GT/a.png",
        "TestDataset/CAMO/Imgs/b.jpg",
        "TestDataset/CAMO/GT/b.png",
        "TestDataset/COD10K/Imgs/c.jpg",
        "TestDataset/COD10K/GT/c.png",
    ];
    let tree = Tree::new(&paths);
    let layout = find_layout(tree.root()).unwrap();
    assert_eq!(layout.training.unwrap().images, tree.at("TrainDataset/Imgs"));
    let tests: Vec<_> = layout.tests.iter().map(|part| part.labels.path().to_owned()).collect();
    assert_eq!(tests, [tree.at("TestDataset/CAMO/GT"), tree.at("TestDataset/COD10K/GT")]);
}

#[test]
fn folders_in_folders_and_folders_of_classes_are_told_apart() {
    let tree = Tree::new(&["images/x/a.jpg", "images/y/a.jpg", "masks/x/a.png", "masks/y/a.png"]);
    let part = find_layout(tree.root()).unwrap().training.unwrap();
    assert!(part.recursive && part.labels == Labels::Masks(tree.at("masks")), "{part:?}");
    let tree = Tree::new(&["images/a.jpg", "masks/polyp/a.png", "masks/tool/a.png"]);
    let layout = find_layout(tree.root()).unwrap();
    assert_eq!(layout.name(), "folders: images, masks (a folder a class)");
    let part = layout.training.unwrap();
    assert!(!part.recursive && part.labels == Labels::ClassFolders(tree.at("masks")), "{part:?}");
}

/// VOC's `Annotations` are XML, Ultralytics' `labels` are text.
#[test]
fn folders_without_images_are_nobodys() {
    let paths = ["images/a.jpg", "masks/a.png", "labels/a.txt", "Annotations/a.xml", "img/", "gt/.hidden.png"];
    assert_eq!(name_of(&paths), "folders: images, masks");
}

#[cfg(unix)]
#[test]
fn links_count_as_what_they_lead_to() {
    use std::os::unix::fs::symlink;
    let tree = Tree::new(&["elsewhere/pictures/a.jpg", "set/masks/a.png"]);
    symlink("../elsewhere/pictures", tree.at("set/images")).unwrap();
    // a second name for a folder is no second folder, and a link back does not lead round and round
    symlink("masks", tree.at("set/gt")).unwrap();
    symlink("..", tree.at("set/masks/up")).unwrap();
    symlink("nowhere", tree.at("set/labels")).unwrap();
    let layout = find_layout(&tree.at("set")).unwrap();
    let part = layout.training.unwrap();
    assert_eq!(part.images, tree.at("set/images"));
    assert!(part.labels.path().canonicalize().unwrap() == tree.at("set/masks").canonicalize().unwrap());
}

#[cfg(unix)]
#[test]
fn names_that_are_no_unicode_are_passed_over_and_told() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new(&["images/a.jpg", "masks/a.png"]);
    let odd = tree.root().join(OsStr::from_bytes(b"\xff\xfe"));
    std::fs::create_dir(&odd).unwrap();
    std::fs::write(odd.join(OsStr::from_bytes(b"\xff.png")), "x").unwrap();
    assert_eq!(find_layout(tree.root()).unwrap().name(), "folders: images, masks");
    std::fs::remove_dir_all(tree.at("masks")).unwrap();
    let text = find_layout(tree.root()).unwrap_err().to_string();
    assert!(text.contains("There is: folders images, \u{fffd}\u{fffd}"), "{text}");
}
