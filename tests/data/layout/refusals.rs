//! Trees without a layout, and with two.

use crate::support::tree::Tree;
use sam2unet::data::layout::{LayoutError, find_layout};

/// The message for a tree.
#[track_caller]
fn refusal(paths: &[&str]) -> String {
    let tree = Tree::new(paths);
    tree.told(find_layout(tree.root()).expect_err("a refusal"))
}

#[test]
fn two_folders_of_masks_are_both_named() {
    assert_eq!(
        refusal(&["images/a.jpg", "masks/a.png", "gt/a.png"]),
        "ROOT can be read in 2 ways:\n  folders: images, gt\n  folders: images, masks\nSet `images` and `masks` (or \
         `annotations`) to say which"
    );
    // DRIVE: `mask` is what the camera sees, `1st_manual` what is to be learnt
    let drive = refusal(&["training/images/21.tif", "training/1st_manual/21.gif", "training/mask/21.gif"]);
    assert!(drive.contains("training/images, training/1st_manual\n"), "{drive}");
    assert!(drive.contains("training/images, training/mask\n"), "{drive}");
}

#[test]
fn sets_in_two_places_are_both_named() {
    let text = refusal(&["images/a.jpg", "masks/a.png", "train/images/a.jpg", "train/masks/a.png"]);
    assert!(text.contains("\n  folders: images, masks\n  folders: train/images, train/masks\n"), "{text}");
    let text = refusal(&["images/a.jpg", "images/train/b.jpg", "masks/a.png", "masks/train/b.png"]);
    assert!(text.contains("\n  folders: images/train, masks/train\n  folders: images, masks\n"), "{text}");
    let text = refusal(&["images/a.jpg", "Images/a.jpg", "masks/a.png"]);
    assert!(text.contains("\n  folders: Images, masks\n  folders: images, masks\n"), "{text}");
    let tests = refusal(&["images/a.jpg", "masks/a.png", "test/images/b.jpg", "test/masks/b.png", "test/gt/b.png"]);
    assert!(tests.contains("folders: test test/images, test/gt\n"), "{tests}");
}

#[test]
fn an_empty_folder_is_told_what_was_looked_for() {
    let text = refusal(&[]);
    let lines: Vec<&str> = text.lines().collect();
    let first = "ROOT has no layout that is known; set `images` and `masks` to the two folders. There is: nothing";
    assert_eq!(lines[..2], [first, "Looked for:"]);
    let begin =
        ["a folder of images beside one of masks", "VOC", "nnU-Net", "Cityscapes", "a YAML file", "COCO", "Labelme"];
    assert_eq!(lines.len(), 2 + begin.len(), "{text}");
    for (line, begin) in lines[2..].iter().zip(begin) {
        assert!(line.starts_with(&format!("  {begin}")), "{line}");
    }
}

#[test]
fn what_is_there_is_told() {
    let second = |paths: &[&str]| refusal(paths).lines().nth(1).unwrap().to_string();
    let text = refusal(&["images/a.jpg", "masks/", "notes/n.txt", "b.jpg", "c.csv", "d.csv"]);
    let there = "There is: folders images, masks (no image file in it), notes (no image file in it); 1 image file; \
                 2 other files\n  a folder of masks is called one of masks, mask, GT, ";
    assert!(text.contains(there), "{text}");
    let text = second(&["pictures/a.jpg", "masks/a.png"]);
    assert!(text.starts_with("  a folder of images is called one of images, image, Imgs, "), "{text}");
    // words that only one of the two has; sets in the one that the other has not
    assert!(refusal(&["images_2024/a.jpg", "masks/a.png"]).contains("There is: folders images_2024, masks\n"));
    assert!(refusal(&["images/train/a.jpg", "masks/a.png"]).contains("There is: folders images, masks\n"));
}

#[test]
fn a_folder_one_level_up_is_told_where_the_set_is() {
    let text = refusal(&["Kvasir-SEG/images/a.jpg", "Kvasir-SEG/masks/a.jpg", "__MACOSX/Kvasir-SEG/x"]);
    assert!(text.contains("\n  ROOT/Kvasir-SEG has one (folders: images, masks); set `data` to it\n"), "{text}");
}

#[test]
fn polygons_without_their_yaml_file_are_told() {
    let text = refusal(&["images/train/a.jpg", "labels/a.txt"]);
    let hint = "\n  ROOT/labels holds text files, as Ultralytics writes polygons; set `data` to the YAML file that \
    names \
                their classes\n";
    assert!(text.contains(hint), "{text}");
}

#[test]
fn what_is_no_folder_is_refused() {
    let tree = Tree::new(&["a.png"]);
    let error = find_layout(&tree.at("a.png")).unwrap_err();
    assert!(matches!(error, LayoutError::NotAFolder { .. }), "{error}");
    assert_eq!(tree.told(error), "ROOT/a.png is a file; set `data` to the folder of a data set, or to its YAML file");
    let text = tree.told(find_layout(&tree.at("nowhere")).unwrap_err());
    assert!(text.starts_with("cannot read ROOT/nowhere: "), "{text}");
}
