//! What `sam2unet evaluate` says of several classes that cannot be scored.

use super::program::{Ended, run};
use crate::support::pictures::{detailed, jpeg_bytes};
use crate::support::predicted_set::{ClassSet, MASKS, NAMES, PREDICTIONS};
use std::fs;

/// A set with a table of three classes, whose predictions do not tell them.
fn set() -> ClassSet {
    let set = ClassSet::new();
    set.greys("predictions", &PREDICTIONS, |value| value);
    set.greys("masks", &MASKS, |value| value);
    set
}

/// What is said of arguments that must be refused.
fn refusal(set: &ClassSet, arguments: &[&str]) -> String {
    let Ended { status, out, err } = run(set.path(), &[&["evaluate"], arguments].concat());
    assert_eq!((status, &out[..]), (Some(2), ""), "{arguments:?}: {err}");
    err.strip_prefix("evaluate: ").unwrap_or(&err).to_owned()
}

const EXCLUSIVE: [&str; 6] = ["--predictions", "predictions", "--masks", "masks", "--classes", "background,cat,dog"];
const FOLDERS: [&str; 6] = ["--predictions", "each", "--masks", "folders", "--labels", "folders"];

#[test]
fn every_mask_needs_a_prediction() {
    let set = set();
    for name in ["a", "b"] {
        fs::copy(set.file("masks/a.png"), set.file(&format!("masks/more_{name}.png"))).expect("a copy");
    }
    let message = refusal(&set, &EXCLUSIVE);
    assert!(
        message.starts_with("2 of 4 masks have no prediction in predictions: more_a.png, more_b.png;"),
        "{message}"
    );

    set.coco("coco.json", &MASKS);
    fs::remove_file(set.file("predictions/b.png")).expect("the prediction was there");
    let message = refusal(&set, &["--predictions", "predictions", "--annotations", "coco.json"]);
    assert!(message.starts_with("1 of 2 masks have no prediction in predictions: b.jpg;"), "{message}");

    set.folders("folders", &MASKS);
    set.folders("each", &PREDICTIONS);
    for class in ["cat", "dog"] {
        fs::remove_file(set.file(&format!("each/{class}/b.png"))).expect("the prediction was there");
    }
    let message = refusal(&set, &FOLDERS);
    assert!(message.contains("masks have no prediction in each/cat: b.png, b.png, b.png;"), "{message}");

    let labelme = |name: &str| {
        let shapes = r#"[{"label": "cat", "shape_type": "rectangle", "points": [[0, 0], [2, 2]]}]"#;
        let text = format!(r#"{{"shapes": {shapes}, "imagePath": "{name}.jpg", "imageWidth": 6, "imageHeight": 4}}"#);
        set.text(&format!("labelme/{name}.json"), &text);
    };
    ["a", "gone"].iter().for_each(|name| labelme(name));
    let message = refusal(&set, &["--predictions", "predictions", "--annotations", "labelme"]);
    assert!(message.starts_with("1 of 2 masks have no prediction in predictions: gone.json;"), "{message}");
}

#[test]
fn every_class_needs_a_prediction() {
    let set = set();
    set.folders("folders", &MASKS);
    set.folders("each", &PREDICTIONS);
    for file in ["each/cat/b.png", "each/dog/a.png"] {
        fs::rename(set.file(file), set.file("elsewhere.png")).expect("a new name");
    }
    // of the first class all are there
    fs::copy(set.file("each/cat/a.png"), set.file("each/cat/b.png")).expect("a copy");
    let message = refusal(&set, &FOLDERS);
    assert!(message.starts_with("1 of 4 predictions are missing") && message.contains("each/dog/a.png"), "{message}");

    fs::remove_dir_all(set.file("each/dog/x").parent().expect("a folder")).expect("the folder was there");
    let message = refusal(&set, &FOLDERS);
    assert!(message.starts_with("there are no predictions of dog in each, which has"), "{message}");
    assert!(message.contains("each/CLASS/IMAGE.png"), "{message}");

    // index maps in the place of masks of each class, and the other way round
    let message = refusal(&set, &["--predictions", "predictions", "--masks", "folders", "--labels", "folders"]);
    assert!(message.starts_with("there are no predictions of cat, dog in predictions"), "{message}");
    let message = refusal(
        &set,
        &["--predictions", "each", "--masks", "masks", "--classes", "background,cat,dog", "--labels", "index"],
    );
    assert!(message.starts_with("each has folders and no predictions in itself"), "{message}");
}

#[test]
fn all_sizes_that_differ_are_listed() {
    let set = set();
    for name in ["a", "b"] {
        set.grey(&format!("predictions/{name}.png"), &[0; 12]);
    }
    let message = refusal(&set, &EXCLUSIVE);
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "2 of 2 predictions have another size than their mask, at which they are scored:");
    assert_eq!(lines[1], "  predictions/a.png is 6x2 pixels, masks/a.png is 6x4");
    assert_eq!(lines[2], "  predictions/b.png is 6x2 pixels, masks/b.png is 6x4");
    assert_eq!(lines[3], "write predictions at the masks' sizes: sam2unet predict --like MASKS");

    set.folders("folders", &MASKS);
    set.folders("each", &PREDICTIONS);
    set.grey("each/dog/b.png", &[0; 12]);
    let message = refusal(&set, &FOLDERS);
    assert!(message.starts_with("1 of 4 predictions have another size than their mask"), "{message}");
    assert!(message.contains("each/dog/b.png is 6x2 pixels, folders/cat/b.png is 6x4"), "{message}");

    // annotations tell sizes, too
    set.coco("coco.json", &MASKS);
    let message = refusal(&set, &["--predictions", "predictions", "--annotations", "coco.json"]);
    assert!(message.starts_with("2 files of 2 pairs cannot be used"), "{message}");
    assert!(message.contains("says that a.jpg is 6x4 pixels, but it is 6x2"), "{message}");
}

#[test]
fn all_files_with_values_that_are_no_class_are_listed() {
    let set = set();
    set.greys("predictions", &PREDICTIONS, |value| 3 * value);
    let message = refusal(&set, &EXCLUSIVE);
    assert!(
        message.starts_with("2 of 2 pairs cannot be scored:\n  predictions/a.png: the prediction has"),
        "{message}"
    );
    assert!(
        message.contains("no class: 3 (") && message.contains("predictions/b.png: the prediction has"),
        "{message}"
    );

    set.greys("masks", &MASKS, |value| if value == 2 { 9 } else { value });
    let message = refusal(&set, &EXCLUSIVE);
    assert!(message.starts_with("2 files of 2 pairs cannot be used\n2 hold values that mean no class:"), "{message}");
    assert!(message.contains("masks/a.png: 1 value means no class: 9 (4 pixels)"), "{message}");
    assert!(message.contains("masks/b.png"), "{message}");
    // colours are no index
    set.colours("predictions", &PREDICTIONS, |value| [value, 0, 0]);
    let message = refusal(&set, &EXCLUSIVE);
    assert!(message.contains("predictions/a.png: ") && message.contains("#010000"), "{message}");
}

#[test]
fn lossy_index_maps_are_refused() {
    let set = set();
    let jpeg = jpeg_bytes(&detailed(6, 4));
    for (file, other) in [("masks/a.png", "masks/a.jpg"), ("predictions/b.png", "predictions/b.jpg")] {
        fs::remove_file(set.file(file)).expect("it was there");
        fs::write(set.file(other), &jpeg).expect("a written file");
    }
    let message = refusal(&set, &EXCLUSIVE);
    for file in ["masks/a.jpg", "predictions/b.jpg"] {
        assert!(message.contains(&format!("{file}: JPEG keeps no exact values")), "{message}");
    }
}

#[test]
fn what_predictions_say_and_what_masks_are_must_go_together() {
    let set = set();
    set.palettes("told", &PREDICTIONS, NAMES);
    set.folders("folders", &MASKS);
    let of = |more: &[&str]| refusal(&set, &[&["--predictions", "told", "--masks", "masks"], more].concat());
    let message = of(&["--classes", "background,dog,cat"]);
    assert!(
        message.contains("of the classes background, cat, dog, but the labels of background, dog, cat"),
        "{message}"
    );
    assert!(message.contains("`--classes`"), "{message}");
    assert!(of(&["--classes", "background,cat"]).contains("but the labels of background, cat;"));
    let message =
        refusal(&set, &["--predictions", "told", "--masks", "folders", "--labels", "folders", "--classes", "cat,dog"]);
    assert!(
        message.contains("are of classes that are exclusive, but the labels of classes that are overlapping"),
        "{message}"
    );
    assert!(of(&["--labels", "binary"]).contains("are of classes that are exclusive"));
    set.told_folders("each", &PREDICTIONS);
    let message = refusal(&set, &["--predictions", "each", "--masks", "masks"]);
    assert!(
        message.contains("are of classes that are overlapping, but the labels of classes that are exclusive"),
        "{message}"
    );
    // each file is looked at, not the first one only
    set.palettes("mixed", &PREDICTIONS, NAMES);
    set.palettes("other", &PREDICTIONS, ["background", "dog", "cat"]);
    fs::copy(set.file("other/b.png"), set.file("mixed/b.png")).expect("a copy");
    let message = refusal(&set, &["--predictions", "mixed", "--masks", "masks"]);
    assert!(message.contains("b.png") && !message.contains("a.png"), "{message}");
    assert!(message.contains("its file says that it is of"), "{message}");
    let message = of(&["--mask-suffix", "_truth"]);
    assert!(message.starts_with("none of 2 masks in masks is called IMAGE_truth (`--mask-suffix`)"), "{message}");
}

#[test]
fn one_class_must_say_what_255_is() {
    use sam2unet::data::{ClassKind, Classes, Grey, write_class_mask};
    let set = set();
    let classes = Classes::named(ClassKind::Overlapping, ["cat".to_string()]).expect("a class");
    for (name, levels) in ["a", "b"].iter().zip(&PREDICTIONS) {
        let map = Grey { width: 6, height: 4, data: levels.map(|v| if v == 1 { 255 } else { 0 }).to_vec() };
        write_class_mask(&set.file(&format!("cats/{name}.png")), &map, &classes).expect("a picture");
    }
    set.greys("index", &MASKS, |value| if value == 2 { 0 } else { value });
    set.greys("white", &MASKS, |value| if value == 1 { 255 } else { 0 });
    let message = refusal(&set, &["--predictions", "cats", "--masks", "index"]);
    assert!(message.contains("are of one class, `cat`, and index has no folder of that name"), "{message}");
    assert!(message.contains("set `--labels` to \"binary\""), "{message}");
    for (masks, labels, shown) in [("index", "index", "cat "), ("white", "binary", "mDice")] {
        let of = ["evaluate", "--predictions", "cats", "--masks", masks, "--labels", labels];
        let Ended { status, out, err } = run(set.path(), &of);
        assert!(status == Some(0) && out.contains(shown), "{labels}: {out}{err}");
    }
}

#[test]
fn flags_that_do_not_go_together() {
    let set = set();
    set.greys("white", &MASKS, |value| if value == 1 { 255 } else { 0 });
    set.folders("folders", &MASKS);
    set.folders("each", &PREDICTIONS);
    set.palettes("told", &PREDICTIONS, NAMES);
    let one = ["--predictions", "predictions", "--masks", "white"];
    let pairs = ["--pair", "x/y", "told", "masks", "--pair", "z", "told", "masks"];
    for (set_of, more, expected) in [
        (&one[..], &["--confusion", "x.png"][..], "--confusion is for several classes"),
        (&one, &["--spacing", "1,2"], "--spacing is for several classes"),
        (&one, &["--nsd-tolerance", "1"], "--nsd-tolerance is for several classes"),
        (&one, &["--annotations", "coco.json"], "cannot be used with"),
        (&EXCLUSIVE, &["--task", "polyp"], "--task is for one class"),
        (&EXCLUSIVE, &["--confusion", "x.jpg"], "must end in .png"),
        (&EXCLUSIVE, &["--confusion", "absent/x.png"], "--confusion absent/x.png: it must be a file in a folder"),
        (&EXCLUSIVE, &["--confusion", "predictions/x.png"], "it would lie among the predictions or masks of"),
        (&EXCLUSIVE, &["--confusion", "./masks/x.png"], "it would lie among the predictions or masks of"),
        (&EXCLUSIVE, &["--spacing", "1,0"], "0.5,0.7"),
        (&EXCLUSIVE, &["--nsd-tolerance=-1"], "--nsd-tolerance"),
        (&FOLDERS, &["--confusion", "x.png"], "no confusion matrix"),
        (&pairs, &["--confusion", "x.png"], "the name x/y cannot be part of a file's"),
        (&pairs, &["--annotations", "coco.json"], "stands in the place of MASKS"),
        (&one, &["--pair", "other", "told", "masks"], "the set predictions is of one class, other of several"),
        (&EXCLUSIVE[..2], &[], "--masks"),
    ] {
        let message = refusal(&set, &[set_of, more].concat());
        assert!(message.contains(expected), "{expected}: {message}");
    }
}
