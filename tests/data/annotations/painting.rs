//! How shapes are painted, whatever file they come from.

use super::lines;
use sam2unet::data::annotations::{Classes, Drawing, Mark, Region, Shape};

fn square(mark: Mark, from: f64, to: f64) -> Shape {
    Shape { mark, region: Region::rectangle(&[[from, from], [to, to]]).unwrap() }
}

#[test]
fn a_later_shape_lies_over_an_earlier_one() {
    let shapes = vec![
        square(Mark::Class(0), 0.0, 2.0),
        square(Mark::Ignored, 2.0, 3.0),
        square(Mark::Class(1), 1.0, 2.0),
        square(Mark::Background, 0.0, 0.0),
    ];
    let mut drawing = Drawing { width: 5, height: 4, shapes };
    assert_eq!(lines(&drawing.exclusive()), [".11..", "122..", "122#.", "..##."]);
    drawing.shapes.swap(0, 2);
    assert_eq!(lines(&drawing.exclusive()), [".11..", "111..", "111#.", "..##."]);
}

#[test]
fn planes_overlap_and_background_clears_them() {
    let shapes = vec![
        square(Mark::Class(0), 0.0, 2.0),
        square(Mark::Ignored, 1.0, 3.0),
        square(Mark::Class(1), 1.0, 2.0),
        square(Mark::Background, 2.0, 2.0),
    ];
    let drawing = Drawing { width: 4, height: 4, shapes };
    assert_eq!(lines(&drawing.class(0)), ["###.", "###.", "##..", "...."]);
    assert_eq!(lines(&drawing.class(1)), ["....", ".##.", ".#..", "...."]);
    // a class on top says nothing of the other classes
    assert_eq!(lines(&drawing.ignored()), ["....", ".###", ".#.#", ".###"]);
    assert_eq!(lines(&drawing.class(2)), ["...."; 4]);
}

#[test]
fn names_become_classes_in_their_order() {
    let given = |names: &[&str]| Classes::given(&names.iter().map(|name| name.to_string()).collect::<Vec<_>>());
    let classes = given(&["Background", "polyp", "tool"]).unwrap();
    assert_eq!(classes.with_background(), ["Background", "polyp", "tool"]);
    assert_eq!(classes.mark("tool"), Some(Mark::Class(1)));
    assert_eq!(classes.mark("_background_"), Some(Mark::Background));
    assert_eq!(classes.mark("__ignore__"), Some(Mark::Ignored));
    assert_eq!(classes.mark("Tool"), None);
    assert_eq!(given(&["polyp"]).unwrap().with_background(), ["background", "polyp"]);

    let refused = |names: &[&str]| given(names).unwrap_err().to_string();
    assert!(refused(&["polyp", "background"]).contains("`background` must be the first"));
    assert!(refused(&["a", "b", "a"]).contains("twice (a)"));
    assert!(refused(&["background"]).contains("no class beside the background"));
    let many: Vec<String> = (0..255).map(|number| number.to_string()).collect();
    assert!(Classes::given(&many).unwrap_err().to_string().contains("255 classes"));
    assert_eq!(Classes::given(&many[1..]).unwrap().mark("254"), Some(Mark::Class(253)));
}
