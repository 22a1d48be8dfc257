//! `sam2unet evaluate` with several classes.

use super::program::{Ended, done, run, text};
use crate::support::class_scores::{compare, expected};
use crate::support::predicted_set::{ClassSet, MASKS, NAMES, PREDICTIONS};
use crate::support::shared::shared;
use sam2unet::data::{read_rgb, write_prediction};
use serde_json::Value;
use std::path::Path;

fn json(path: &Path) -> Value {
    let written = std::fs::read_to_string(path).expect("the scores");
    serde_json::from_str(&written).expect("JSON")
}

/// The scores of a call that must succeed, and what it says.
fn scores(set: &ClassSet, arguments: &[&str]) -> (Value, Ended) {
    let ended = run(set.path(), &[&["evaluate", "--json", "scores.json"], arguments].concat());
    assert_eq!(ended.status, Some(0), "{arguments:?}: {}", ended.err);
    (json(&set.path().join("scores.json")), ended)
}

#[test]
fn golden_index_maps() {
    let Some(folder) = shared("golden/multiclass/metrics") else { return };
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let (written, picture) = (scratch.path().join("scores.json"), scratch.path().join("matrix.png"));
    let (predictions, masks) = (folder.join("preds"), folder.join("masks"));
    #[rustfmt::skip]
    let Ended { status, out, err } = run(Path::new("."), &["evaluate", "--predictions", text(&predictions), "--masks",
        text(&masks), "--labels", "index", "--json", text(&written), "--confusion", text(&picture)]);
    assert_eq!(status, Some(0), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
    assert!(err.starts_with("warning: preds: masks: all pixels of 1 of 12 images are ignored"), "{err}");
    assert!(out.starts_with("preds: 12 images\n") && out.contains("(aAcc): 0.7029"), "{out}");
    compare(&json(&written), &expected(&folder), "");
    let drawn = read_rgb(&picture).expect("the confusion matrix");
    assert!(drawn.width > 4 * 48 && drawn.height > 4 * 48, "{drawn:?}");
}

#[test]
fn golden_labels() {
    let Some(folder) = shared("golden/multiclass/metrics_labels") else { return };
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let written = scratch.path().join("scores.json");
    let (predictions, masks) = (folder.join("preds"), folder.join("masks"));
    #[rustfmt::skip]
    let Ended { status, out, err } = run(Path::new("."), &["evaluate", "--predictions", text(&predictions), "--masks",
        text(&masks), "--labels", "folders", "--json", text(&written)]);
    assert_eq!(status, Some(0), "{err}");
    assert!(out.starts_with("preds: 4 images\nclass  pixels") && !out.contains("aAcc"), "{out}");
    compare(&json(&written), &expected(&folder), "");
}

/// A file of classes with values, some of which are ignored.
const GREYS: &str = "background = 10\ncat = 128\ndog = 250\nignore = 77\n";
const COLOURS: &str = "background = 0\ncat = [255, 0, 0]\ndog = [0, 0, 255]\nignore = [255, 255, 255]\n";

#[test]
fn every_form_of_masks_gives_equal_scores() {
    let set = ClassSet::new();
    set.greys("predictions", &PREDICTIONS, |value| value);
    set.greys("index", &MASKS, |value| value);
    set.palettes("palette", &MASKS, NAMES);
    let place = |value: u8| usize::from(value).min(3);
    set.greys("greys", &MASKS, |value| [10, 128, 250, 77][place(value)]);
    set.colours("colours", &MASKS, |value| [[0, 0, 0], [255, 0, 0], [0, 0, 255], [255; 3]][place(value)]);
    set.greys("suffixed/more", &MASKS, |value| value);
    for name in ["a", "b"] {
        let [from, to] = ["", "_truth"].map(|suffix| format!("suffixed/more/{name}{suffix}.png"));
        std::fs::rename(set.file(&from), set.file(&to)).expect("a new name");
    }
    set.coco("coco.json", &MASKS);
    set.text("greys.toml", GREYS);
    set.text("colours.toml", COLOURS);
    let of = |more: &[&str]| scores(&set, &[&["--predictions", "predictions"], more].concat());
    let (index, said) = of(&["--masks", "index", "--classes", "background,cat,dog"]);
    assert_eq!(said.err, "");
    assert_eq!(index["classes"], serde_json::json!(NAMES));
    let forms: [&[&str]; 5] = [
        &["--masks", "palette", "--classes", "background,cat,dog"],
        &["--masks", "greys", "--classes", "greys.toml"],
        &["--masks", "colours", "--classes", "colours.toml"],
        &["--masks", "suffixed/more", "--mask-suffix", "_truth", "--classes", "background,cat,dog"],
        &["--annotations", "coco.json"],
    ];
    for form in forms {
        let (found, said) = of(form);
        assert_eq!(found, index, "{form:?}");
        // a crowd is worth a note
        assert_eq!(said.err.contains("2 crowds"), form[0] == "--annotations", "{form:?}: {}", said.err);
    }

    // classes that may overlap have no background, and the same scores
    set.folders("folders", &MASKS);
    set.folders("each", &PREDICTIONS);
    let (folders, said) = scores(&set, &["--predictions", "each", "--masks", "folders", "--labels", "folders"]);
    assert_eq!((&folders["classes"], &said.err[..]), (&serde_json::json!(["cat", "dog"]), ""));
    for place in ["all", "a", "b"] {
        for key in ["IoU", "Dice", "Precision", "Recall", "HD95", "NSD", "BoundaryIoU"] {
            let of_both = index[place][key].as_array().expect("an array");
            assert_eq!(folders[place][key].as_array().expect("an array")[..], of_both[1..], "{place} {key}");
        }
        assert_eq!(folders[place]["mIoU"], index[place]["foreground_mIoU"]);
    }
    #[rustfmt::skip]
    let (coco, _) = scores(&set, &["--predictions", "each", "--annotations", "coco.json", "--overlapping"]);
    assert_eq!(coco, folders);
}

#[test]
fn predictions_tell_their_classes() {
    let set = ClassSet::new();
    set.palettes("predictions", &PREDICTIONS, NAMES);
    set.greys("masks", &MASKS, |value| value);
    set.coco("coco.json", &MASKS);
    let (index, Ended { out, err, .. }) = scores(&set, &["--predictions", "predictions", "--masks", "masks"]);
    assert_eq!((&index["classes"], &index["ignore"], &err[..]), (&serde_json::json!(NAMES), &255.into(), ""));
    assert!(out.starts_with("predictions: 2 images\n") && out.contains("mean without background"), "{out}");
    let (coco, _) = scores(&set, &["--predictions", "predictions", "--annotations", "coco.json"]);
    assert_eq!(coco, index);

    // a stray picture that tells nothing hides no classes, and subfolders are looked into
    set.grey("predictions/0.png", &PREDICTIONS[0]);
    set.palettes("deep/x", &PREDICTIONS, NAMES);
    set.greys("deep_masks/x", &MASKS, |value| value);
    for (predictions, masks) in [("predictions", "masks"), ("deep", "deep_masks")] {
        let of = ["--predictions", predictions, "--masks", masks, "--recursive"];
        let (found, _) = scores(&set, &of);
        assert_eq!(found["classes"], serde_json::json!(NAMES), "{predictions}");
    }

    set.told_folders("each", &PREDICTIONS);
    set.folders("folders", &MASKS);
    // an overlay for all classes is no prediction
    let overlay = set.file("each/a.overlay.png");
    write_prediction(&overlay, &read_rgb(&set.file("masks/a.png")).expect("a picture")).expect("a written file");
    let (folders, Ended { err, .. }) = scores(&set, &["--predictions", "each", "--masks", "folders"]);
    assert_eq!((&folders["classes"], &err[..]), (&serde_json::json!(["cat", "dog"]), ""));
    let (coco, _) = scores(&set, &["--predictions", "each", "--annotations", "coco.json"]);
    assert_eq!(coco, folders);
}

/// By its number in the mask, white in the prediction.
#[test]
fn one_class_with_ignored_pixels() {
    let set = ClassSet::new();
    let cat = |value: u8| if value == 255 { 255 } else { u8::from(value == 1) };
    set.greys("masks", &MASKS, cat);
    set.greys("predictions", &PREDICTIONS, |value| if value == 1 { 255 } else { 0 });
    set.folders("folders", &MASKS);
    set.folders("each", &PREDICTIONS);
    #[rustfmt::skip]
    let (one, _) = scores(&set, &["--predictions", "predictions", "--masks", "masks", "--classes", "cat"]);
    let (both, _) = scores(&set, &["--predictions", "each", "--masks", "folders", "--labels", "folders"]);
    assert_eq!(one["classes"], serde_json::json!(["cat"]));
    assert_eq!(one["all"]["counts"][0], both["all"]["counts"][0]);
    assert_eq!(one["b"]["IoU"][0], both["b"]["IoU"][0]);
}

#[test]
fn several_sets_and_options() {
    let set = ClassSet::new();
    set.palettes("p", &PREDICTIONS, NAMES);
    set.palettes("q", &MASKS.map(|map| map.map(|value| value % 255)), NAMES);
    set.greys("masks", &MASKS, |value| value);
    set.coco("coco.json", &MASKS);
    #[rustfmt::skip]
    let out = run(set.path(), &["evaluate", "--predictions", "p", "--masks", "masks", "--pair", "right", "q",
        "coco.json", "--json", "scores.json", "--confusion", "matrix.png", "--spacing", "0.5,2", "--threads", "1"]);
    assert_eq!(out.status, Some(0), "{}", out.err);
    assert!(out.err.starts_with("note: right: masks: 2 crowds (`iscrowd`) are ignored"), "{}", out.err);
    let titles: Vec<&str> = out.out.lines().filter(|line| line.ends_with("images")).collect();
    assert_eq!(titles, ["p: 2 images", "right: 2 images"]);
    let found = json(&set.path().join("scores.json"));
    assert_eq!(found["right"]["all"]["mIoU"], 1.0);
    let [p, right] = ["matrix-p.png", "matrix-right.png"].map(|name| read_rgb(&set.file(name)).expect("a picture"));
    assert_eq!(p.size(), right.size());
    assert!(p != right && !set.file("matrix.png").exists());

    let distance = |more: &[&str]| {
        scores(&set, &[&["--predictions", "p", "--masks", "masks"], more].concat()).0["all"]["HD95"][1].clone()
    };
    let number = |value: &Value| value.as_f64().expect("a number");
    let (pixels, twice) = (distance(&[]), distance(&["--spacing", "2,2"]));
    assert_eq!(2.0 * number(&pixels), number(&twice));
    let nsd = |tolerance: &str| {
        let more = ["--predictions", "p", "--masks", "masks", "--nsd-tolerance", tolerance];
        number(&scores(&set, &more).0["all"]["mNSD"])
    };
    assert!(nsd("0") < nsd("1") && nsd("100") == 1.0);
}

#[test]
fn predictions_without_a_mask_are_counted_and_overlays_are_not() {
    let set = ClassSet::new();
    set.palettes("predictions", &PREDICTIONS, NAMES);
    set.greys("masks", &MASKS, |value| value);
    set.greys("more", &MASKS, |value| value);
    for (from, to) in [("more/a.png", "predictions/a.overlay.png"), ("more/b.png", "predictions/stray.png")] {
        std::fs::rename(set.file(from), set.file(to)).expect("a new name");
    }
    let (_, Ended { err, .. }) = scores(&set, &["--predictions", "predictions", "--masks", "masks"]);
    assert_eq!(err, "warning: predictions: not scored, because they have no mask: 1\n");
    set.coco("coco.json", &MASKS);
    let (_, Ended { err, .. }) = scores(&set, &["--predictions", "predictions", "--annotations", "coco.json"]);
    assert!(err.contains("1 images are not listed in the file of annotations") && err.contains("stray.png"), "{err}");
    assert_eq!(err.lines().count(), 2, "{err}");
}

/// As training says it.
#[test]
fn masks_that_are_likely_wrong_are_told() {
    let set = ClassSet::new();
    set.greys("predictions", &PREDICTIONS, |value| value);
    set.greys("masks", &MASKS, |value| if value == 1 { 255 } else { 0 });
    let set_of = ["--predictions", "predictions", "--masks", "masks", "--classes", "background,cat,dog"];
    let (_, Ended { err, .. }) = scores(&set, &set_of);
    let lines: Vec<&str> = err.lines().collect();
    assert!(lines[0].starts_with("warning: predictions: masks: all 2 masks hold 0 and 255 only"), "{err}");
    assert_eq!(lines[1], "warning: predictions: masks: no pixel is of cat (class 1), dog (class 2)");
    assert_eq!(lines.len(), 2, "{err}");
}

#[test]
fn help_names_the_scores_and_the_keys_to_choose_by() {
    let help = done(Path::new("."), &["evaluate", "--help"]);
    for name in ["BoundaryIoU", "HD95_infinite", "foreground_mIoU", "aAcc", "--best-by", "sample_biiou"] {
        assert!(help.contains(name), "{name}: {help}");
    }
}
