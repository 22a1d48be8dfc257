//! Lists of names.

use crate::support::tree::Tree;
use sam2unet::data::Listing;
use sam2unet::data::layout::{NameList, NameListError, Selection};

fn images() -> Tree {
    Tree::new(&[
        "images/a.jpg",
        "images/b.9.png",
        "images/c.png.jpg",
        "images/d e.jpg",
        "images/#f.png",
        "images/sub/g.png",
    ])
}

/// The stems of the images that a list names.
#[track_caller]
fn found(tree: &Tree, list: impl AsRef<[u8]>) -> Vec<String> {
    try_found(tree, list).unwrap_or_else(|error| panic!("{error}"))
}

fn try_found(tree: &Tree, list: impl AsRef<[u8]>) -> Result<Vec<String>, NameListError> {
    tree.write("list.txt", list);
    let listing = Listing::of(&tree.at("images"), true).unwrap();
    let found = NameList::read(&tree.at("list.txt"))?.find(&listing)?;
    Ok(found.iter().map(|at| listing.stem(*at).into_string().unwrap()).collect())
}

#[test]
fn names_stand_with_or_without_their_ending() {
    let tree = images();
    assert_eq!(found(&tree, "a\nb.9\nc.png\n"), ["a", "b.9", "c.png"]);
    assert_eq!(found(&tree, "a.jpg\nb.9.png\nc.png.jpg"), ["a", "b.9", "c.png"]);
    // a list that was made of the masks
    assert_eq!(found(&tree, "a.png\n"), ["a"]);
    // the order is the folder's
    assert_eq!(found(&tree, "d e\na\n"), ["a", "d e"]);
}

#[test]
fn a_whole_name_comes_before_one_without_its_ending() {
    let tree = Tree::new(&["images/x.png", "images/x.png.jpg"]);
    assert_eq!(found(&tree, "x.png\n"), ["x"]);
    assert_eq!(found(&tree, "x.png.jpg\n"), ["x.png"]);
}

#[test]
fn lines_end_as_on_any_system_and_comments_count_for_nothing() {
    let tree = images();
    assert_eq!(found(&tree, "\u{feff}a\r\n\r\n# a comment\r\n  b.9  \r\n./#f\r\n"), ["#f", "a", "b.9"]);
    let utf16 = |text: &str| -> Vec<u8> { text.encode_utf16().flat_map(u16::to_le_bytes).collect() };
    assert_eq!(found(&tree, utf16("\u{feff}a\r\nb.9\r\n")), ["a", "b.9"]);
    let big: Vec<u8> = "\u{feff}a\r\nb.9".encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(found(&tree, big), ["a", "b.9"]);
}

#[test]
fn names_are_paths_in_the_folder_or_lead_to_it() {
    let tree = images();
    assert_eq!(found(&tree, "sub/g\n"), ["sub/g"]);
    assert_eq!(found(&tree, "sub\\g.png\n"), ["sub/g"]);
    assert_eq!(found(&tree, "./images/sub/g.png\nimages/a\n"), ["a", "sub/g"]);
    assert_eq!(found(&tree, format!("{}\n", tree.at("images/a.jpg").display())), ["a"]);
}

#[cfg(unix)]
#[test]
fn absolute_names_may_lead_through_links() {
    let tree = images();
    std::os::unix::fs::symlink("images", tree.at("link")).unwrap();
    assert_eq!(found(&tree, format!("{}\n", tree.at("link/sub/g.png").display())), ["sub/g"]);
}

#[test]
fn names_may_differ_in_case_and_form_if_one_image_is_meant() {
    let tree = Tree::new(&["images/IMG_1.JPG", "images/caf\u{e9}.jpg"]);
    assert_eq!(found(&tree, "img_1.jpg\ncafe\u{301}\n"), ["IMG_1", "caf\u{e9}"]);
    tree.add("images/Img_1.JPG");
    assert!(matches!(try_found(&tree, "img_1\n"), Err(NameListError::NotThere { .. })));
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_are_read_and_written() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let tree = images();
    let name = OsStr::from_bytes(b"\xff\xbc");
    std::fs::rename(tree.at("images/a.jpg"), tree.at("images").join(OsStr::from_bytes(b"\xff\xbc.jpg"))).unwrap();
    tree.write("list.txt", b"\xff\xbc\r\n#x\r\nb.9\r\n");
    let listing = Listing::of(&tree.at("images"), false).unwrap();
    let list = NameList::read(&tree.at("list.txt")).unwrap();
    let found: Vec<_> = list.find(&listing).unwrap().iter().map(|at| listing.stem(*at)).collect();
    assert_eq!(found, [OsStr::new("b.9"), name]);

    // what is written is read again
    let stems = listing.stems();
    NameList::of("the set", stems.clone()).write(&tree.at("written.txt")).unwrap();
    let again = NameList::read(&tree.at("written.txt")).unwrap();
    assert_eq!(again.find(&listing).unwrap(), (0..stems.len()).collect::<Vec<_>>());
    let bad = NameList::of("the set", [OsStr::new("two\nlines").to_owned()]).write(&tree.at("bad.txt")).unwrap_err();
    assert!(bad.to_string().contains("has the end of a line in it"), "{bad}");
}

#[test]
fn names_that_are_not_there_are_told_with_their_lines_and_how_many_there_are() {
    let tree = images();
    let names: Vec<String> = (1..=13).map(|i| format!("x{i}")).collect();
    let text = tree.told(try_found(&tree, format!("a\n{}\n", names.join("\n"))).unwrap_err());
    assert!(
        text.starts_with("ROOT/list.txt: 13 of 14 names belong to no image in ROOT/images:\n  x1 (line 2)\n"),
        "{text}"
    );
    assert!(text.ends_with("\n  x10 (line 11)\n  and 3 more"), "{text}");
    let text = tree.told(try_found(&tree, "a 1\nb.9 -1\n").unwrap_err());
    assert!(text.ends_with("\nA line holds one name, and no second column"), "{text}");
}

#[test]
fn names_that_stand_twice_are_told() {
    let tree = images();
    let text = tree.told(try_found(&tree, "a\nb.9\na.jpg\nA\nimages/b.9.png\n").unwrap_err());
    assert_eq!(
        text,
        "ROOT/list.txt: 3 names of 5 stand there before:\n  a.jpg (line 3)\n  A (line 4)\n  images/b.9.png (line \
         5)\nLeave each of them out once"
    );
}

#[test]
fn lists_that_cannot_be_read_or_are_empty_are_refused() {
    let tree = images();
    let text = tree.told(NameList::read(&tree.at("nowhere.txt")).unwrap_err());
    assert!(text.starts_with("cannot read the list of names ROOT/nowhere.txt: "), "{text}");
    let text = tree.told(try_found(&tree, "\n# nothing\n").unwrap_err());
    assert_eq!(text, "the list of names ROOT/list.txt is empty; write one name of an image on each line");
    let text = tree.told(try_found(&tree, b"\xff\xfea\0\n\0\x00\xd8").unwrap_err());
    assert_eq!(text, "ROOT/list.txt, line 2: not UTF-16; save the list as UTF-8");
}

#[test]
fn a_list_takes_or_leaves_its_images() {
    let tree = images();
    let listing = Listing::of(&tree.at("images"), false).unwrap();
    let list = || NameList::of("val_list", ["a".into(), "b.9".into()]);
    let names = |selection: Selection| -> Vec<_> {
        let used = selection.of(&listing).unwrap();
        used.iter().map(|at| listing.stem(*at).into_string().unwrap()).collect()
    };
    assert_eq!(names(Selection::All), ["#f", "a", "b.9", "c.png", "d e"]);
    assert_eq!(names(Selection::Only(list())), ["a", "b.9"]);
    assert_eq!(names(Selection::Except(list())), ["#f", "c.png", "d e"]);
    let text = tree.told(Selection::Except(NameList::of("val_list", listing.stems())).of(&listing).unwrap_err());
    assert_eq!(text, "val_list names all 5 images of ROOT/images, so that none is left");
}

#[test]
fn images_of_two_lists_are_told() {
    let tree = images();
    let listing = Listing::of(&tree.at("images"), false).unwrap();
    let training = NameList::of("train_list", ["a".into(), "b.9".into()]);
    let apart = NameList::of("val_list", ["c.png".into()]);
    assert!(training.check_apart(&apart, &listing).is_ok());
    let shared = NameList::of("val_list", ["c.png".into(), "a.jpg".into()]);
    let text = training.check_apart(&shared, &listing).unwrap_err().to_string();
    assert_eq!(
        text,
        "1 of the images of val_list are in train_list too:\n  a.jpg (line 2)\nLeave them out of one of both"
    );
}
