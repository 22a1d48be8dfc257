//! Masks of classes in folders and by suffixes.

use crate::support::tree::Tree;
use sam2unet::data::Listing;
use sam2unet::data::layout::{ClassMasks, ClassNaming, LayoutError, class_masks};

fn find(tree: &Tree, naming: ClassNaming, classes: Option<&[&str]>) -> Result<ClassMasks, LayoutError> {
    let images = Listing::of(&tree.at("images"), true).unwrap();
    let classes = classes.map(|names| names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    class_masks(&images, &tree.at("masks"), naming, classes.as_deref(), false, true)
}

/// Which masks each image has, by their paths in the folder of the masks.
fn told(tree: &Tree, found: &ClassMasks) -> Vec<Vec<String>> {
    let name = |mask: &Option<std::path::PathBuf>| match mask {
        Some(path) => path.strip_prefix(tree.at("masks")).unwrap().display().to_string(),
        None => "-".to_string(),
    };
    found.masks.iter().map(|masks| masks.iter().map(name).collect()).collect()
}

fn folders() -> Tree {
    Tree::new(&[
        "images/a.jpg",
        "images/b.jpg",
        "images/c.jpg",
        "masks/tool/a.png",
        "masks/polyp/a.png",
        "masks/polyp/b.png",
        "masks/polyp/z.png",
        "masks/Ignore/b.png",
    ])
}

fn suffixes() -> Tree {
    Tree::new(&[
        "images/a.jpg",
        "images/b.jpg",
        "images/c.jpg",
        "masks/a_tool.png",
        "masks/a_polyp.png",
        "masks/b_polyp.png",
        "masks/z_polyp.png",
        "masks/b_Ignore.png",
    ])
}

#[test]
fn folders_and_suffixes_say_the_same() {
    for (tree, naming) in [(folders(), ClassNaming::Folders), (suffixes(), ClassNaming::Suffixes)] {
        let found = find(&tree, naming, None).unwrap();
        assert_eq!(found.classes, ["polyp", "tool"]);
        let shown =
            found.masks.iter().map(|masks| masks.iter().map(Option::is_some).collect()).collect::<Vec<Vec<_>>>();
        assert_eq!(shown, [[true, true], [true, false], [false, false]]);
        let ignored: Vec<_> = found.ignored.iter().map(Option::is_some).collect();
        assert_eq!(ignored, [false, true, false]);
        assert_eq!(found.images_without, [1, 2]);
        assert_eq!(found.unlabelled, [2]);
        assert_eq!(found.masks_without_image.len(), 1);
        assert!(found.masks_without_image[0].to_string_lossy().contains('z'), "{:?}", found.masks_without_image);
        assert!(found.other_classes.is_empty() && found.loosely_named.is_empty());
    }
}

#[test]
fn classes_that_are_given_stand_in_their_order_and_others_are_told() {
    for (tree, naming) in [(folders(), ClassNaming::Folders), (suffixes(), ClassNaming::Suffixes)] {
        let found = find(&tree, naming, Some(&["tool", "polyp"])).unwrap();
        assert_eq!(found.classes, ["tool", "polyp"]);
        assert_eq!(found.images_without, [2, 1]);
        let found = find(&tree, naming, Some(&["polyp"])).unwrap();
        assert_eq!(found.masks.iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1]);
        assert_eq!(found.other_classes, ["tool"]);
    }
}

#[test]
fn a_class_without_any_file_is_refused() {
    let tree = folders();
    tree.add("masks/scar/");
    assert_eq!(
        tree.told(find(&tree, ClassNaming::Folders, None).unwrap_err()),
        "no image has a mask of scar: looked for scar/IMAGE in ROOT/masks; the masks there are of polyp, tool. \
         Add the masks, or leave the class out of `classes`"
    );
    // files of it that belong to no image are none
    tree.add("masks/scar/y.png");
    assert!(find(&tree, ClassNaming::Folders, None).is_err());
    tree.add("masks/scar/c.png");
    assert!(find(&tree, ClassNaming::Folders, None).is_ok());
    let tree = suffixes();
    assert_eq!(
        tree.told(find(&tree, ClassNaming::Suffixes, Some(&["polyp", "scar", "burn"])).unwrap_err()),
        "no image has a mask of scar, burn: looked for IMAGE_scar in ROOT/masks; the masks there are of polyp, tool. \
         Add the masks, or leave the class out of `classes`"
    );
}

#[test]
fn folders_without_classes_are_refused() {
    let tree = Tree::new(&["images/a.jpg", "masks/a.png"]);
    let text = tree.told(find(&tree, ClassNaming::Folders, None).unwrap_err());
    assert_eq!(
        text,
        "ROOT/masks holds no masks of classes: looked for folders with the names of classes, with masks in them; \
         there is: 1 image file"
    );
    let text = tree.told(find(&tree, ClassNaming::Suffixes, None).unwrap_err());
    assert!(text.contains("looked for files called as an image, with `_` and a class behind it"), "{text}");
}

#[test]
fn names_that_classes_cannot_have_are_refused() {
    let tree = folders();
    let text = |classes: &[&str]| find(&tree, ClassNaming::Folders, Some(classes)).unwrap_err().to_string();
    assert_eq!(
        text(&["polyp", "polyp"]),
        "the class `polyp`: another one has this name; give each its own (`classes`)"
    );
    assert!(text(&["ignore"]).contains("this name is for masks of pixels that are ignored"));
    assert!(text(&[""]).contains("a class must have a name"));
}

#[test]
fn the_longer_image_counts_where_a_suffix_can_be_read_in_two_ways() {
    let tree = Tree::new(&[
        "images/a.jpg",
        "images/a_1.jpg",
        "masks/a_polyp.png",
        "masks/a_1_polyp.png",
        "masks/a_1_big_tool.png",
    ]);
    let found = find(&tree, ClassNaming::Suffixes, None).unwrap();
    assert_eq!(found.classes, ["big_tool", "polyp"]);
    assert_eq!(told(&tree, &found), [["-", "a_polyp.png"], ["a_1_big_tool.png", "a_1_polyp.png"]]);
    // the classes decide, if only one way leads to one of them
    let found = find(&tree, ClassNaming::Suffixes, Some(&["polyp", "1_polyp"])).unwrap_err();
    assert_eq!(
        tree.told(found),
        "ROOT/masks/a_1_polyp.png may be the mask of class polyp or of class 1_polyp; rename it"
    );
}

#[test]
fn names_may_differ_in_case() {
    let tree = Tree::new(&["images/IMG_1.jpg", "images/b.jpg", "masks/Polyp/img_1.png", "masks/Polyp/b.png"]);
    let found = find(&tree, ClassNaming::Folders, Some(&["polyp"])).unwrap();
    assert_eq!(
        (found.classes, found.loosely_named, found.images_without),
        (vec!["polyp".to_string()], vec![0], vec![0])
    );
    let tree = Tree::new(&["images/IMG_1.jpg", "images/b.jpg", "masks/img_1_polyp.png", "masks/b_polyp.png"]);
    for classes in [None, Some(&["polyp"][..])] {
        let found = find(&tree, ClassNaming::Suffixes, classes).unwrap();
        assert_eq!((found.loosely_named, found.images_without), (vec![0], vec![0]));
    }
}

#[test]
fn images_in_folders_have_their_masks_in_the_same_folders() {
    let tree = Tree::new(&["images/x/a.jpg", "images/y/a.jpg", "masks/polyp/x/a.png", "masks/polyp/y/a.png"]);
    let found = find(&tree, ClassNaming::Folders, None).unwrap();
    assert_eq!(told(&tree, &found), [["polyp/x/a.png"], ["polyp/y/a.png"]]);
}

#[cfg(unix)]
#[test]
fn images_of_any_bytes_have_masks() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let tree = Tree::new(&["images/", "masks/"]);
    std::fs::write(tree.at("images").join(OsStr::from_bytes(b"\xcd.jpg")), "x").unwrap();
    std::fs::write(tree.at("masks").join(OsStr::from_bytes(b"\xcd_polyp.png")), "x").unwrap();
    let found = find(&tree, ClassNaming::Suffixes, None).unwrap();
    assert_eq!((found.classes, found.images_without), (vec!["polyp".to_string()], vec![0]));
}
