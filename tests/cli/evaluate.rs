//! `sam2unet evaluate`.

use super::program::{Ended, done, refused, run, text};
use crate::support::scores::{assert_close, expected, golden};
use sam2unet::data::{Grey, write_png};
use serde_json::Value;
use std::path::Path;

fn evaluate<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    [&["evaluate"], arguments].concat()
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
    #[rustfmt::skip]
    let Ended { status, out: table, err } = run(Path::new("."), &evaluate(&["--predictions", text(&predictions),
        "--masks", text(&masks), "--json", text(&json), "--threads", "2"]));
    // three of the set's pairs are degenerate on purpose
    let told =
        "warning: preds: 3 of 34 masks are white all over (e_full_full.png, e_noise_full.png, e_zero_full.png)\n";
    assert_eq!((status, &err[..]), (Some(0), told));
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

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn write(&self, name: &str, width: usize, levels: &[u8]) {
        let path = self.path().join(name).with_extension("png");
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        let picture = Grey { width, height: levels.len() / width, data: levels.to_vec() };
        write_png(&path, &picture).expect("a picture");
    }

    /// What is said of one set's folders, which must be refused.
    fn refusal(&self, predictions: &str, masks: &str) -> String {
        refused(self.path(), &evaluate(&["--predictions", predictions, "--masks", masks]))
    }
}

#[test]
fn several_named_sets() {
    let sets = Sets::new();
    #[rustfmt::skip]
    let table = done(sets.path(), &evaluate(&["--predictions", "a/predictions", "--masks", "a/masks", "--name", "easy",
        "--pair", "hard", "b/predictions", "b/masks", "--task", "mirror", "--json", "scores.json"]));
    let cells: Vec<Vec<&str>> = table.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells[0], ["images", "IoU", "F", "MAE"]);
    assert_eq!(cells[1], ["easy", "2", "1.0000", "1.0000", "0.0000"]);
    assert_eq!(cells[2][..3], ["hard", "1", "0.0000"]);

    let written = std::fs::read_to_string(sets.path().join("scores.json")).expect("the scores");
    let scores: Value = serde_json::from_str(&written).expect("JSON");
    assert_eq!(scores.as_object().map(|sets| sets.len()), Some(2));
    assert_eq!(scores["easy"]["sample_biiou"], 1.0);
    assert_eq!(scores["hard"]["per_image"]["1"]["mirrorIoU"], 0.0);
}

#[test]
fn faults_are_named() {
    let sets = Sets::new();

    std::fs::remove_file(sets.path().join("a/predictions/2.png")).expect("the prediction was there");
    let message = sets.refusal("a/predictions", "a/masks");
    assert!(message.contains("1 of 2 masks have no prediction in") && message.contains("2.png"), "{message}");

    sets.write("a/predictions/2", 2, &[0, 255, 0, 255, 0, 255]);
    let message = sets.refusal("a/predictions", "a/masks");
    assert!(message.contains("predictions/2.png is 2x3 pixels") && message.contains("is 3x2; write"), "{message}");

    std::fs::write(sets.path().join("a/predictions/1.png"), b"no picture").expect("a written file");
    let message = sets.refusal("a/predictions", "a/masks");
    assert!(message.contains("predictions/1.png"), "{message}");

    std::fs::create_dir(sets.path().join("empty")).expect("a new folder");
    let message = sets.refusal("empty", "a/masks");
    assert!(message.contains("empty"), "{message}");
    let message = sets.refusal("a/predictions", "absent");
    assert!(message.contains("absent"), "{message}");
}

#[test]
fn usage_errors_exit_with_2() {
    let sets = Sets::new();
    let set = ["--predictions", "b/predictions", "--masks", "b/masks"];
    let with = |more: &[&'static str]| [&set, more].concat();
    for (arguments, expected) in [
        (vec![], "--predictions"),
        (set[..2].to_vec(), "--masks"),
        (with(&["--threads", "0"]), "--threads"),
        (with(&["--task", "mirrors"]), "camouflage, salient, marine, mirror, polyp"),
        (with(&["--pair", "predictions", "b/predictions", "b/masks"]), "two sets are called predictions"),
        (with(&["--json", "absent/scores.json"]), "absent/scores.json"),
    ] {
        let Ended { status, out, err } = run(sets.path(), &evaluate(&arguments));
        assert_eq!((status, &out[..]), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{err}");
    }
}

#[test]
fn predictions_without_a_mask_are_counted() {
    let sets = Sets::new();
    sets.write("b/predictions/stray", 1, &[0]);
    let Ended { status, err, .. } =
        run(sets.path(), &evaluate(&["--predictions", "b/predictions", "--masks", "b/masks"]));
    let warning = "warning: predictions: not scored, because they have no mask: 1\n";
    assert_eq!((status, &err[..]), (Some(0), warning));
}
