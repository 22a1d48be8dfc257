//! Masks whose name differs from their image's.

use crate::support::tree::Tree;
use sam2unet::data::layout::{NameList, Selection};
use sam2unet::data::{DataError, Folder, FolderOptions, StemRule};

fn open(tree: &Tree, stems: StemRule, selection: Selection) -> Result<Folder, DataError> {
    let options = FolderOptions { stems, selection, ..FolderOptions::default() };
    Folder::open_with(&tree.at("images"), &tree.at("masks"), options)
}

fn isic() -> Tree {
    Tree::new(&[
        "images/ISIC_0.jpg",
        "images/ISIC_1.jpg",
        "masks/ISIC_0_segmentation.png",
        "masks/ISIC_1_segmentation.png",
    ])
}

#[test]
fn a_suffix_that_is_set_pairs_and_one_that_is_not_is_proposed() {
    let tree = isic();
    let folder = open(&tree, StemRule::with_mask_suffix("_segmentation"), Selection::All).unwrap();
    assert_eq!(folder.pairs().len(), 2);
    assert_eq!(folder.pairs()[1].masks[0], tree.at("masks/ISIC_1_segmentation.png"));
    let text = open(&tree, StemRule::default(), Selection::All).unwrap_err().to_string();
    assert!(
        text.ends_with(". Every mask is called IMAGE_segmentation: set `mask_suffix` to \"_segmentation\""),
        "{text}"
    );
    // where a mask has its image's stem, nothing is proposed
    tree.add("masks/ISIC_0.png");
    let text = open(&tree, StemRule::default(), Selection::All).unwrap_err().to_string();
    assert!(text.starts_with("1 of 2 images have no mask") && !text.contains("mask_suffix"), "{text}");
}

#[test]
fn a_suffix_that_no_mask_has_is_told() {
    let tree = isic();
    let text = tree.told(open(&tree, StemRule::with_mask_suffix("_mask"), Selection::All).unwrap_err());
    assert!(
        text.starts_with(
            "2 of 2 images have no mask in ROOT/masks: ISIC_0.jpg, ISIC_1.jpg; a mask is an image file called \
             IMAGE_mask, whatever its ending. Every mask is called IMAGE_segmentation: set `mask_suffix` to "
        ),
        "{text}"
    );
}

#[test]
fn masks_without_the_suffix_are_not_masks_without_an_image() {
    let tree = isic();
    tree.add("masks/ISIC_0_superpixels.png");
    tree.add("masks/ISIC_2_segmentation.png");
    let folder = open(&tree, StemRule::with_mask_suffix("_segmentation"), Selection::All).unwrap();
    assert_eq!(folder.found().masks_without_image, [tree.at("masks/ISIC_2_segmentation.png")]);
    assert_eq!(folder.found().masks_without_suffix, [tree.at("masks/ISIC_0_superpixels.png")]);
}

#[test]
fn only_images_that_are_used_need_a_mask() {
    let tree = isic();
    tree.add("images/ISIC_2.jpg");
    let used = || Selection::Only(NameList::of("train_list", ["ISIC_0".into(), "ISIC_1.jpg".into()]));
    let rule = StemRule::with_mask_suffix("_segmentation");
    assert_eq!(open(&tree, rule.clone(), used()).unwrap().pairs().len(), 2);
    assert!(open(&tree, rule, Selection::All).unwrap_err().to_string().starts_with("1 of 3 images have no mask"));
    // the suffix of the masks is that of the images that are used
    let text = open(&tree, StemRule::default(), used()).unwrap_err().to_string();
    assert!(text.contains("set `mask_suffix` to \"_segmentation\""), "{text}");
    let wrong = Selection::Only(NameList::of("train_list", ["ISIC_9".into()]));
    let error = open(&tree, StemRule::default(), wrong).unwrap_err();
    assert!(matches!(&error, DataError::Names(_)) && error.to_string().contains("ISIC_9 (line 1)"), "{error}");
}
