//! The program `evaluate` as a user meets it.

use crate::support::scores::{assert_close, expected, golden};
use sam2unet::data::{Grey, write_png};
use serde_json::Value;
use std::path::PathBuf;
use std::process::{Command, Output};

fn evaluate(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sam2unet")).arg("evaluate").args(arguments).output().expect("evaluate runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn numbers(scores: &Value) -> Vec<(String, f64)> {
    let scores = scores.as_object().expect("an object");
    scores.iter().filter_map(|(key, value)| Some((key.clone(), value.as_f64()?))).collect()
}

#[test]
fn the_program_writes_the_golden_values() {
    let Some(folder) = golden() else { return };
    let expected = expected(&folder);
    let scratch = tempfile::tempdir().expect("a temporary folder");
    let json = scratch.path().join("scores.json");
    let (predictions, masks) = (folder.join("preds"), folder.join("masks"));
    let output = evaluate(&[
        "--predictions",
        &predictions.to_string_lossy(),
        "--masks",
        &masks.to_string_lossy(),
        "--json",
        &json.to_string_lossy(),
        "--threads",
        "2",
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    let table = text(&output.stdout);
    assert_eq!(table.lines().count(), 2, "{table}");
    assert!(table.contains("preds") && table.contains("34") && table.contains("0.7459"), "{table}");

    let written = std::fs::read_to_string(&json).expect("the scores");
    let mut scores: Value = serde_json::from_str(&written).expect("JSON");
    let per_image = scores.as_object_mut().expect("an object").remove("per_image").expect("per_image");
    assert_close(numbers(&scores), &expected["all"], "all");
    assert_eq!(per_image.as_object().map(|images| images.len()), Some(34));
    for (stem, image) in per_image.as_object().expect("an object") {
        assert_close(numbers(image), &expected[stem], stem);
    }
}

/// Two small sets: `a` with images 1 and 2, predicted perfectly; `b` with image 1, predicted wrongly.
struct Sets {
    folder: tempfile::TempDir,
}

impl Sets {
    fn new() -> Self {
        let sets = Self { folder: tempfile::tempdir().expect("a temporary folder") };
        let (left, right) = ([255, 0, 0, 255, 0, 0], [0, 0, 255, 0, 0, 255]);
        for (name, prediction, mask) in [("a/%/1", left, left), ("a/%/2", right, right), ("b/%/1", left, right)] {
            sets.write(&name.replace('%', "predictions"), 3, &prediction);
            sets.write(&name.replace('%', "masks"), 3, &mask);
        }
        sets
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_string_lossy().into_owned()
    }

    fn write(&self, name: &str, width: usize, levels: &[u8]) {
        let path = PathBuf::from(self.path(name)).with_extension("png");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        let picture = Grey { width, height: levels.len() / width, data: levels.to_vec() };
        write_png(&path, &picture).expect("a picture");
    }

    /// The message for one set's folders, and that it fails with exit status 2 and prints no table.
    fn refusal(&self, predictions: &str, masks: &str) -> String {
        let output = evaluate(&["--predictions", &self.path(predictions), "--masks", &self.path(masks)]);
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(text(&output.stdout), "");
        let message = text(&output.stderr);
        assert_eq!(message.lines().count(), 1, "{message}");
        message
    }
}

#[test]
fn several_named_sets() {
    let sets = Sets::new();
    let json = sets.path("scores.json");
    let output = evaluate(&[
        "--predictions",
        &sets.path("a/predictions"),
        "--masks",
        &sets.path("a/masks"),
        "--name",
        "easy",
        "--pair",
        "hard",
        &sets.path("b/predictions"),
        &sets.path("b/masks"),
        "--task",
        "mirror",
        "--json",
        &json,
    ]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let table = text(&output.stdout);
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["images", "IoU", "F", "MAE"]);
    assert_eq!(cells[1], ["easy", "2", "1.0000", "1.0000", "0.0000"]);
    assert_eq!(cells[2][..3], ["hard", "1", "0.0000"]);

    let scores: Value = serde_json::from_str(&std::fs::read_to_string(&json).expect("the scores")).expect("JSON");
    assert_eq!(scores.as_object().map(|sets| sets.len()), Some(2));
    assert_eq!(scores["easy"]["sample_biiou"], 1.0);
    assert_eq!(scores["hard"]["per_image"]["1"]["mirrorIoU"], 0.0);
}

#[test]
fn faults_are_named() {
    let sets = Sets::new();

    std::fs::remove_file(sets.path("a/predictions/2.png")).expect("the prediction was there");
    let message = sets.refusal("a/predictions", "a/masks");
    assert!(message.contains("2.png has no prediction in") && message.contains("(1 of 2 masks"), "{message}");

    sets.write("a/predictions/2", 2, &[0, 255, 0, 255, 0, 255]);
    let message = sets.refusal("a/predictions", "a/masks");
    assert!(message.contains("predictions/2.png is 2x3 pixels") && message.contains("is 3x2"), "{message}");

    std::fs::write(sets.path("a/predictions/1.png"), b"no picture").expect("a written file");
    let message = sets.refusal("a/predictions", "a/masks");
    assert!(message.contains("predictions/1.png"), "{message}");

    std::fs::create_dir(sets.path("empty")).expect("a new folder");
    let message = sets.refusal("empty", "a/masks");
    assert!(message.contains("empty"), "{message}");
    let message = sets.refusal("a/predictions", "absent");
    assert!(message.contains("absent"), "{message}");
}

#[test]
fn usage_errors_exit_with_2() {
    let sets = Sets::new();
    let (predictions, masks) = (sets.path("b/predictions"), sets.path("b/masks"));
    let set = ["--predictions", &predictions, "--masks", &masks];
    let with = |more: &[&str]| evaluate(&[&set, more].concat());
    for (output, expected) in [
        (evaluate(&[]), "--predictions"),
        (evaluate(&set[..2]), "--masks"),
        (with(&["--threads", "0"]), "--threads"),
        (with(&["--task", "mirrors"]), "camouflage, salient, marine, mirror, polyp"),
        (with(&["--pair", "predictions", &predictions, &masks]), "two sets are called predictions"),
        (with(&["--json", &sets.path("absent/scores.json")]), "absent/scores.json"),
    ] {
        assert_eq!(output.status.code(), Some(2));
        let message = text(&output.stderr);
        assert!(message.contains(expected), "{message}");
        assert_eq!(text(&output.stdout), "");
    }
}

#[test]
fn predictions_without_a_mask_are_counted() {
    let sets = Sets::new();
    sets.write("b/predictions/stray", 1, &[0]);
    let output = evaluate(&["--predictions", &sets.path("b/predictions"), "--masks", &sets.path("b/masks")]);
    assert!(output.status.success());
    assert_eq!(text(&output.stderr), "warning: predictions: not scored, because they have no mask: 1\n");
}
