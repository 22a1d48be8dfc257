//! Labelme's files: what is understood, what is told, and what is refused.

use super::{Files, lines};
use crate::support::pictures::png_bytes;
use sam2unet::data::Grey;
use sam2unet::data::annotations::{Annotated, AnnotationError, Labelme, NoteKind, files_beside};
use serde_json::{Value, json};
use std::path::PathBuf;

fn file(shapes: Value) -> String {
    json!({"shapes": shapes, "imagePath": "a.png", "imageData": null, "imageHeight": 5, "imageWidth": 6}).to_string()
}

fn read(contents: &[String], names: Option<&[&str]>) -> Result<Labelme, AnnotationError> {
    let files = Files::new();
    let paths: Vec<Option<PathBuf>> =
        contents.iter().enumerate().map(|(n, content)| Some(files.write(&format!("{n}.json"), content))).collect();
    let names = names.map(|names| names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    Labelme::read(&paths, names.as_deref())
}

/// Base64 without a library.
fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for place in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * place)) as usize & 63]);
            text.push(if place <= three.len() { letter } else { '=' });
        }
    }
    text
}

#[test]
fn shapes_are_painted_in_the_order_of_the_file() {
    let shapes = json!([
        {"label": "dog", "points": [[0, 0], [5.9, 4.2]], "shape_type": "rectangle"},
        {"label": "cat", "points": [[1, 1], [3, 1], [1, 3]]},
        {"label": "__ignore__", "points": [[5, 4], [5, 4.5]], "shape_type": "circle"},
        {"label": "_background_", "points": [[0, 4], [1, 4], [1, 4], [0, 4]], "shape_type": "oriented_rectangle"}
    ]);
    let labelme = read(&[file(shapes)], None).unwrap();
    assert_eq!(labelme.classes().names(), ["dog", "cat"]);
    let map = labelme.drawing(0, (6, 5)).unwrap().exclusive();
    assert_eq!(lines(&map), ["111111", "122211", "122111", "1211##", "..11##"]);
}

#[test]
fn classes_follow_in_the_order_in_which_they_are_met() {
    let shape = |label: &str| json!({"label": label, "points": [[1, 1]], "shape_type": "point"});
    let contents = [file(json!([shape("b"), shape("__ignore__")])), file(json!([shape("a"), shape("b")]))];
    assert_eq!(read(&contents, None).unwrap().classes().names(), ["b", "a"]);
    let given = read(&contents, Some(&["_background_", "a", "b", "c"])).unwrap();
    assert_eq!(given.classes().with_background(), ["_background_", "a", "b", "c"]);
    assert_eq!(given.notes().count(NoteKind::Unused), 1);
    let error = read(&contents, Some(&["a"])).unwrap_err().to_string();
    assert!(error.starts_with("2 of 4 entries cannot be used"), "{error}");
    assert!(error.contains("0.json, shape 1 (b): its label is none of the classes (background, a)"), "{error}");
}

#[test]
fn masks_are_read_as_labelme_reads_them() {
    let mut mask = Grey::filled(3, 2, [1]);
    mask.set(0, 1, [0]);
    let text = base64(&png_bytes(&mask));
    let map = |points: Value| {
        let shapes = json!([{"label": "a", "points": points, "shape_type": "mask", "mask": text}]);
        read(&[file(shapes)], None).map(|labelme| lines(&labelme.drawing(0, (6, 5)).unwrap().exclusive()))
    };
    assert_eq!(map(json!([[2, 1], [4, 2]])).unwrap(), ["......", "..111.", "...11.", "......", "......"]);
    // whole points cut the mask, others do not; halves are rounded to even
    assert_eq!(map(json!([[2, 1], [3, 1]])).unwrap(), ["......", "..11..", "......", "......", "......"]);
    assert_eq!(map(json!([[2.5, 1], [3, 1]])).unwrap(), ["......", "..111.", "...11.", "......", "......"]);
    assert_eq!(map(json!([[-1, 4], [1, 5]])).unwrap(), ["......", "......", "......", "......", "11...."]);
    let error = map(json!([[0, 0], [3, 1]])).unwrap_err().to_string();
    assert!(error.contains("it has 3x2 pixels, but its two points are 4x2 pixels apart"), "{error}");
}

#[test]
fn a_mask_that_is_no_grey_png_is_refused() {
    let colour = base64(&png_bytes(&sam2unet::data::Rgb::filled(1, 1, [1, 2, 3])));
    for (mask, reason) in
        [(&colour[..], "it is no grey PNG"), ("AAAA", "its mask cannot be used"), ("*", "it is no base64")]
    {
        let shapes = json!([{"label": "a", "points": [[0, 0], [0, 0]], "shape_type": "mask", "mask": mask}]);
        let error = read(&[file(shapes)], None).unwrap_err().to_string();
        assert!(error.contains("shape 1 (a)") && error.contains(reason), "{error}");
    }
}

#[test]
fn all_that_cannot_be_used_is_told_at_once() {
    let bad = json!([
        {"label": "a", "points": [[0, 0]], "shape_type": "rectangle"},
        {"label": "b", "points": [[0, 0]], "shape_type": "star"},
        {"label": "c", "points": [[0, 0], [1, 1], [2]], "shape_type": "polygon"},
        {"points": [[0, 0], [1, 1], [2, 2]], "shape_type": "polygon"},
        {"label": "d", "points": [[0, 0], [1, 1], [2, "x"]], "shape_type": "polygon"},
        {"label": "e", "shape_type": "polygon"},
        {"label": "f", "points": [[0, 0], [1, 1]], "shape_type": "mask"},
        {"label": "g", "points": [[0, 0], [1, 1], [2, 2]], "shape_type": 3}
    ]);
    let error = read(&[file(bad), "{".to_string(), "{\"images\": []}".to_string()], None).unwrap_err().to_string();
    for part in [
        "0.json, shape 1 (a): a rectangle has two points, not 1",
        "shape 2 (b): shapes of type `star` are not known",
        "shape 3 (c): its \"points\" is not a list of pairs",
        "shape 4 (): it has no \"label\"",
        "shape 5 (d): a coordinate is not a finite number",
        "shape 6 (e): it has no \"points\"",
        "shape 7 (f): it has no \"mask\"",
        "shape 8 (g): its \"shape_type\" is not text",
        "1.json: it is no whole JSON file of this kind",
        "2.json: it is no whole JSON file of this kind: missing field `shapes`",
    ] {
        assert!(error.contains(part), "{part}\nis not in\n{error}");
    }
}

#[test]
fn what_marks_no_pixels_is_counted() {
    let shapes = json!([
        {"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "polygon"},
        {"label": "a", "points": [[0, 0]], "shape_type": "points"},
        {"label": "a", "points": [[0, 0]], "shape_type": "linestrip"},
        {"label": "a", "points": [[2, 2], [90, 2]], "shape_type": "line"}
    ]);
    let files = Files::new();
    let paths = [Some(files.write("1.json", file(shapes))), None, Some(files.write("3.json", file(json!([]))))];
    let labelme = Labelme::read(&paths, None).unwrap();
    let kinds =
        [NoteKind::FewPoints, NoteKind::PointLists, NoteKind::Clipped, NoteKind::WithoutFile, NoteKind::Unannotated];
    assert_eq!(kinds.map(|kind| labelme.notes().count(kind)), [2, 1, 1, 1, 1]);
    assert_eq!(lines(&labelme.drawing(1, (2, 1)).unwrap().exclusive()), [".."]);
}

#[test]
fn another_size_than_the_images_is_refused() {
    let labelme = read(&[file(json!([{"label": "a", "points": [[1, 1]], "shape_type": "point"}]))], None).unwrap();
    let error = labelme.drawing(0, (5, 6)).unwrap_err().to_string();
    assert!(error.contains("is 6x5 pixels, but it is 5x6") && error.contains("exif_orientation"), "{error}");
}

#[test]
fn files_are_found_beside_their_images_and_in_a_folder() {
    let files = Files::new();
    let root = files.folder.path();
    std::fs::create_dir_all(root.join("labels/sub")).unwrap();
    std::fs::create_dir_all(root.join("images/sub")).unwrap();
    let beside = files.write("images/a.b.json", "{}");
    let apart = files.write("labels/sub/c.json", "{}");
    let images = root.join("images");
    let list = [images.join("a.b.jpg"), images.join("sub/c.png")];
    assert_eq!(files_beside(&list, &images, None, "json"), [Some(beside), None]);
    assert_eq!(files_beside(&list, &images, Some(&root.join("labels")), "json"), [None, Some(apart)]);
}
