//! Ultralytics' polygon labels.

use super::{Files, lines};
use sam2unet::data::annotations::{Annotated, AnnotationError, NoteKind, PolygonText};

fn read(text: &str, names: &[&str]) -> Result<PolygonText, AnnotationError> {
    let files = Files::new();
    let names: Vec<String> = names.iter().map(|name| name.to_string()).collect();
    PolygonText::read(&[Some(files.write("a.txt", text))], &names)
}

#[test]
fn smaller_polygons_lie_over_larger_ones_wherever_they_stand() {
    let (small, large) = ("1 .25 .25 .5 .25 .5 .5 .25 .5", "0 0 0 .75 0 .75 .75 0 .75");
    for text in [format!("{small}\n\n{large}\n"), format!("\u{feff}{large}\r\n{small}\r\n")] {
        let labels = read(&text, &["cat", "dog"]).unwrap();
        let drawing = labels.drawing(0, (8, 4)).unwrap();
        assert_eq!(lines(&drawing.exclusive()), ["1111111.", "1122211.", "1122211.", "1111111."]);
    }
}

#[test]
fn a_class_called_background_is_class_0() {
    let labels = read("1 0 0 1 0 1 1\n0 0 0 .5 0 .5 .5", &["background", "polyp"]).unwrap();
    assert_eq!(labels.classes().with_background(), ["background", "polyp"]);
    assert_eq!(labels.drawing(0, (2, 2)).unwrap().exclusive().at(0, 0), [0]);
}

#[test]
fn boxes_and_corners_outside_are_counted() {
    let labels = read("0 .5 .5 .2 .2\n0 0 0 1.005 0 1 1\n", &["cat"]).unwrap();
    assert_eq!((labels.notes().count(NoteKind::BoxOnly), labels.notes().count(NoteKind::Clipped)), (1, 1));
    let files = [None];
    let labels = PolygonText::read(&files, &["cat".to_string()]).unwrap();
    assert_eq!(lines(&labels.drawing(0, (2, 1)).unwrap().exclusive()), [".."]);
    assert_eq!(labels.notes().count(NoteKind::WithoutFile), 1);
}

#[test]
fn all_lines_that_cannot_be_used_are_told_at_once() {
    let text = "2 0 0 1 0 1 1\n-1 0 0 1 0 1 1\n0 0 0 1\n0 0 0 1 0 1\n0 0 0 1 0 1 nan\n0 0 0 64 0 1 1\nx 0 0 1 0 1 1\n0";
    let error = read(text, &["cat", "dog"]).unwrap_err().to_string();
    assert!(error.starts_with("8 of 8 entries cannot be used"), "{error}");
    for part in [
        "a.txt, line 1: its class 2 is not among the 2 classes, which count from 0",
        "line 2: its class -1",
        "line 3: a line has 4 numbers",
        "line 4: a line has 6 numbers",
        "line 5: a coordinate is not a finite number",
        "line 6: a coordinate is 64, but they are to be divided",
        "line 7: its class x",
        "line 8: a line has 1 numbers",
    ] {
        assert!(error.contains(part), "{part}\nis not in\n{error}");
    }
}
