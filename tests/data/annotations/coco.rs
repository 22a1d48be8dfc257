//! COCO's files: what is understood, what is told, and what is refused.

use super::{Files, lines};
use sam2unet::data::annotations::{Annotated, AnnotationError, Coco, Mark, NoteKind};
use serde_json::{Value, json};

const TRIANGLE: [f64; 6] = [0.0, 0.0, 4.0, 0.0, 0.0, 4.0];

fn file(annotations: Value) -> Value {
    json!({
        "images": [
            {"id": 1, "file_name": "a.png", "width": 4, "height": 3},
            {"id": 2, "file_name": "sub/b.png", "width": 4, "height": 3}
        ],
        "categories": [{"id": 9, "name": "dog"}, {"id": 3, "name": "cat"}],
        "annotations": annotations
    })
}

fn read(content: &Value) -> Result<Coco, AnnotationError> {
    let files = Files::new();
    Coco::read(&files.write("coco.json", content.to_string()), None)
}

fn refused(content: &Value) -> String {
    read(content).unwrap_err().to_string()
}

fn count(coco: &Coco, kind: NoteKind) -> usize {
    coco.notes().count(kind)
}

#[test]
fn polygons_run_lengths_and_crowds_are_painted_in_the_order_of_the_file() {
    let coco = read(&file(json!([
        {"id": 1, "image_id": 1, "category_id": 9, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]},
        {"id": 2, "image_id": 1, "category_id": 3, "segmentation": {"size": [3, 4], "counts": [3, 2, 7]}},
        {"id": 3, "image_id": 1, "category_id": 3, "iscrowd": 1, "segmentation": {"size": [3, 4], "counts": [10, 2]}},
        {"id": 4, "image_id": 2, "category_id": 3, "segmentation": [[0, 0, 1, 0, 1, 1, 0, 1], [3, 2, 4, 2, 4, 3, 3, 3]]}
    ])))
    .unwrap();
    assert_eq!(coco.classes().names(), ["cat", "dog"]);
    let first = coco.drawing(0, (4, 3)).unwrap();
    assert_eq!(lines(&first.exclusive()), ["2122", "212#", "222#"]);
    assert_eq!(lines(&first.class(1)), ["####"; 3]);
    assert_eq!(lines(&coco.drawing(1, (4, 3)).unwrap().exclusive()), ["1...", "....", "...1"]);
    assert_eq!(count(&coco, NoteKind::Crowd), 1);
}

#[test]
fn the_text_form_of_run_lengths_is_read() {
    // 3, 2, 7 in six bits a character; the crowd covers its pixels
    let coco = read(&file(json!([
        {"id": 1, "image_id": 1, "category_id": 3, "iscrowd": 1, "segmentation": {"size": [3, 4], "counts": "327"}}
    ])))
    .unwrap();
    let drawing = coco.drawing(0, (4, 3)).unwrap();
    assert_eq!(drawing.shapes[0].mark, Mark::Ignored);
    assert_eq!(lines(&drawing.exclusive()), [".#..", ".#..", "...."]);
    assert_eq!(lines(&drawing.ignored()), [".#..", ".#..", "...."]);
}

#[test]
fn given_names_choose_and_order_the_classes() {
    let files = Files::new();
    let content = file(json!([
        {"id": 1, "image_id": 1, "category_id": 9, "segmentation": [TRIANGLE]},
        {"id": 2, "image_id": 1, "category_id": 3, "segmentation": [TRIANGLE]}
    ]));
    let path = files.write("coco.json", content.to_string());
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    let coco = Coco::read(&path, Some(&names(&["background", "dog"]))).unwrap();
    assert_eq!(coco.classes().names(), ["dog"]);
    assert_eq!(coco.drawing(0, (4, 3)).unwrap().shapes.len(), 1);
    assert_eq!(count(&coco, NoteKind::LeftOut), 1);
    let error = Coco::read(&path, Some(&names(&["dgo"]))).unwrap_err().to_string();
    assert!(error.contains("has no category dgo; it has cat, dog"), "{error}");
}

#[test]
fn a_category_called_background_is_class_0() {
    let mut content = file(json!([
        {"id": 1, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]},
        {"id": 2, "image_id": 1, "category_id": 0, "segmentation": [[0, 0, 2, 0, 2, 2, 0, 2]]}
    ]));
    content["categories"] = json!([{"id": 0, "name": "_background_"}, {"id": 3, "name": "cat"}]);
    let coco = read(&content).unwrap();
    assert_eq!(coco.classes().with_background(), ["background", "cat"]);
    assert_eq!(lines(&coco.drawing(0, (4, 3)).unwrap().exclusive()), ["..11", "..11", "1111"]);
}

#[test]
fn what_marks_no_pixels_and_what_is_clipped_is_counted() {
    let coco = read(&file(json!([
        {"id": 1, "image_id": 1, "category_id": 3, "bbox": [0, 0, 2, 2], "segmentation": []},
        {"id": 2, "image_id": 1, "category_id": 3, "bbox": [0, 0, 2, 2]},
        {"id": 3, "image_id": 1, "category_id": 3, "bbox": [0, 0, 2, 2], "keypoints": [1, 1, 2]},
        {"id": 4, "image_id": 1, "category_id": 3, "segmentation": [[1, 1, 2, 2], [0, 0, 1, 0, 1, 1]]},
        {"id": 5, "image_id": 1, "category_id": 3, "segmentation": [[-3, 0, 9, 0, 9, 1, -3, 1]]},
        {"id": 6, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 4, 0, 4, 3, 0, 3]]}
    ])))
    .unwrap();
    let counted = [NoteKind::BoxOnly, NoteKind::KeypointsOnly, NoteKind::FewPoints, NoteKind::Clipped];
    assert_eq!(counted.map(|kind| count(&coco, kind)), [2, 1, 1, 1]);
    assert_eq!((count(&coco, NoteKind::Unused), count(&coco, NoteKind::Unannotated)), (1, 1));
    let notes: Vec<String> = coco.notes().all().iter().map(ToString::to_string).collect();
    assert!(
        notes[0].contains("1 shapes reach beyond their image") && notes[0].ends_with("(annotation 5)"),
        "{notes:?}"
    );
    assert!(notes.contains(&"1 classes have no annotation (dog)".to_string()), "{notes:?}");
    let drawing = coco.drawing(0, (4, 3)).unwrap();
    assert_eq!(drawing.shapes.len(), 3);
}

#[test]
fn all_that_cannot_be_used_is_told_at_once() {
    let text = refused(&file(json!([
        {"id": 10, "image_id": 7, "category_id": 3, "segmentation": [TRIANGLE]},
        {"id": 11, "image_id": 1, "category_id": 4, "segmentation": [TRIANGLE]},
        {"id": 12, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 1, 1, 2]]},
        {"id": 13, "image_id": 1, "category_id": 3, "segmentation": [0, 0, 1, 0, 1, 1]},
        {"id": 14, "image_id": 1, "category_id": 3, "segmentation": {"size": [3, 4], "counts": [3, 2, 8]}},
        {"id": 15, "image_id": 1, "category_id": 3, "segmentation": {"size": [4, 3], "counts": [12]}},
        {"id": 16, "image_id": 1, "category_id": 3, "segmentation": {"size": [3, 4], "counts": "3 2"}},
        {"id": 17, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 1e30, 0, 1, 1]]},
        {"id": 18, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, null, 0, 1, 1]]},
        {"id": 19, "image_id": 1, "category_id": 3, "segmentation": {"size": [3, 4], "counts": [3, -2, 11]}},
        {"id": 20, "image_id": 1, "category_id": 3},
        {"image_id": "x", "category_id": 3, "segmentation": "mask"},
        {"id": "z", "image_id": 1, "category_id": 3, "segmentation": "mask"}
    ])));
    assert!(text.starts_with("13 of 17 entries cannot be used"), "{text}");
    for part in [
        "coco.json, annotation 10: its image_id 7 is not among the \"images\"",
        "annotation 11: its category_id 4 is not among the \"categories\"",
        "annotation 12: a polygon has 5 numbers",
        "annotation 13: its \"segmentation\" is a list of numbers; COCO has a list of polygons",
        "annotation 14: the counts add up to 13, not to the 12 pixels of 4x3",
        "annotation 15: its run lengths are of 3x4 pixels, but the image has 4x3",
        "annotation 16: the compressed counts hold a character that they cannot hold (byte 32)",
        "annotation 17: a coordinate is 1000000000000000000000000000000, more than 10000000 pixels away",
        "annotation 18: a coordinate is not a finite number",
        "annotation 19: a count is -2",
        "annotation 20: it has no \"segmentation\"",
        "annotation number 12: its image_id \"x\" is not among",
        "annotation \"z\": its \"segmentation\" is neither",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[test]
fn many_of_one_kind_are_counted_and_ten_are_named() {
    let bad: Vec<Value> =
        (0..25).map(|id| json!({"id": id, "image_id": 8, "category_id": 3, "segmentation": [TRIANGLE]})).collect();
    let text = refused(&file(Value::from(bad)));
    assert!(text.contains("25 are of an image that is not listed:") && text.contains("and 15 more"), "{text}");
    assert_eq!(text.lines().count(), 13, "{text}");
}

#[test]
fn images_and_categories_are_checked() {
    let mut content = file(json!([]));
    content["images"] = json!([
        {"id": 1, "file_name": "a.png", "width": 0, "height": 3},
        {"id": 1, "file_name": "b.png"},
        {"id": 2, "file_name": "c.png"},
        {"id": 3, "file_name": "./c.png"},
        {"id": 4},
        {"file_name": "d.png"},
        {"id": 5, "file_name": "e.png", "width": 100000, "height": 100000},
        {"id": 6, "file_name": "f.png", "width": 4.5, "height": 3},
        {"id": 7, "file_name": "g.png", "width": 4}
    ]);
    content["categories"] =
        json!([{"id": 1, "name": "cat"}, {"id": 1, "name": "dog"}, {"id": 2, "name": "cat"}, {"name": "x"}]);
    let text = refused(&content);
    for part in [
        "image 1: its size 0x3 is not that of an image",
        "image 1: its id 1 is another one's too",
        "image 3: its name `c.png` is another one's too",
        "image 4: it has no \"file_name\"",
        "image number 6: it has no \"id\"",
        "image 5: its size 100000x100000",
        "image 6: its \"width\" is not a whole number",
        "image 7: it has no \"height\"",
        "category number 2: its id 1 is another one's too",
        "category number 3: its name `cat` is another one's too",
        "category number 4: it has no \"id\"",
    ] {
        assert!(text.contains(part), "{part}\nis not in\n{text}");
    }
}

#[test]
fn numbers_that_json_does_not_have_are_told_by_annotation() {
    let files = Files::new();
    let text = file(json!([
        {"id": 5, "image_id": 1, "category_id": 3, "segmentation": [[0, 0, 111, 0, 4, 3]]},
        {"id": 6, "image_id": 1, "category_id": 3, "note": "NaN \" Infinity", "segmentation": [[0, 0, 222, 0, 4, 3]]}
    ]));
    let text = text.to_string().replace("111", "NaN").replace("222", "-Infinity");
    let error = Coco::read(&files.write("nan.json", text), None).unwrap_err().to_string();
    for id in [5, 6] {
        assert!(error.contains(&format!("annotation {id}: a coordinate is not a finite number")), "{error}");
    }
}

#[test]
fn a_byte_order_mark_and_ids_as_text_are_read() {
    let mut content = file(json!([{"id": "z", "image_id": "im", "category_id": 3.0, "segmentation": [TRIANGLE]}]));
    content["images"] = json!([{"id": "im", "file_name": "a.png"}]);
    content["categories"] = json!([{"id": "b", "name": "dog"}, {"id": 3, "name": "cat"}]);
    let files = Files::new();
    let coco = Coco::read(&files.write("coco.json", format!("\u{feff}{content}")), None).unwrap();
    assert_eq!(coco.classes().names(), ["cat", "dog"]);
    assert_eq!(coco.drawing(0, (5, 5)).unwrap().shapes[0].mark, Mark::Class(0));
}

#[test]
fn files_of_another_kind_are_refused() {
    let files = Files::new();
    let refused = |content: &str| Coco::read(&files.write("x.json", content), None).unwrap_err().to_string();
    assert!(refused("{\"images\": [").contains("is no whole JSON file"));
    assert!(refused("").contains("is no whole JSON file"));
    assert!(refused("[{\"image_id\": 1}]").contains("is no COCO annotation file"));
    assert!(refused("{\"images\": []}").contains("it has no \"categories\""));
    assert!(refused("{\"images\": [], \"categories\": []}").contains("it has no \"annotations\""));
    let error = refused("{\"images\": [], \"categories\": [], \"annotations\": []}");
    assert!(error.contains("no class beside the background"), "{error}");
    assert!(refused("{\"images\": 3, \"categories\": [], \"annotations\": []}").contains("is no COCO annotation file"));
    let error = Coco::read(&files.folder.path().join("nowhere.json"), None).unwrap_err().to_string();
    assert!(error.starts_with("cannot read") && error.contains("nowhere.json"), "{error}");
}

#[test]
fn another_size_than_the_images_is_refused() {
    let mut content = file(json!([]));
    content["images"][1] = json!({"id": 2, "file_name": "b.png"});
    content["annotations"] = json!([
        {"id": 1, "image_id": 2, "category_id": 3, "segmentation": {"size": [3, 4], "counts": [12]}}
    ]);
    let coco = read(&content).unwrap();
    let error = coco.drawing(0, (3, 4)).unwrap_err().to_string();
    assert!(
        error.contains("says that a.png is 4x3 pixels, but it is 3x4") && error.contains("exif_orientation"),
        "{error}"
    );
    let error = coco.drawing(0, (8, 6)).unwrap_err().to_string();
    assert!(error.contains("put back the one that was annotated"), "{error}");
    // the run lengths tell the size where the list of images does not
    assert!(coco.drawing(1, (4, 4)).is_err());
    assert!(coco.drawing(1, (4, 3)).is_ok());
}

#[test]
fn images_are_found_by_path_and_by_name_and_missing_ones_are_told() {
    let mut content = file(json!([]));
    content["images"] = json!([
        {"id": 1, "file_name": "train\\a.png"},
        {"id": 2, "file_name": "elsewhere/B.PNG"},
        {"id": 3, "file_name": "one/same.png"},
        {"id": 4, "file_name": "two/same.png"},
        {"id": 5, "file_name": "gone.png"}
    ]);
    let coco = read(&content).unwrap();
    let root = std::path::Path::new("/set");
    let files: Vec<_> =
        ["train/a.png", "b.png", "two/same.png", "more.png"].map(|name| root.join(name)).into_iter().collect();
    let found = coco.matched(root, &files);
    assert_eq!(found.images, [Some(0), Some(1), Some(3), None]);
    assert_eq!(found.missing, [2, 4]);
    let error = coco.all_there(&found.missing, root).unwrap_err().to_string();
    assert!(error.contains("2 of 5 images") && error.contains("one/same.png, gone.png"), "{error}");
}
