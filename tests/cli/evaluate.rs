//! `sam2unet evaluate`.

use super::program::{Ended, done, run, text};
use crate::support::pictures::{detailed, png_of_16_bits, turned_png};
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
    let told = "note: preds: masks: 3 of 34 masks are black: no foreground (e_full_zero.png, e_noise_zero.png, \
        e_zero_zero.png)\nwarning: preds: masks: 3 of 34 masks are white all over (e_full_full.png, e_noise_full.png, \
                e_zero_full.png)\n";
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
        let Ended { status, out, err } = self.run(predictions, masks, &[]);
        assert_eq!((status, &out[..]), (Some(2), ""), "{err}");
        err.strip_prefix("evaluate: ").expect("the subcommand's name").to_owned()
    }

    fn run(&self, predictions: &str, masks: &str, more: &[&str]) -> Ended {
        run(self.path(), &evaluate(&[&["--predictions", predictions, "--masks", masks], more].concat()))
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

#[test]
fn all_pairs_that_differ_in_size_are_listed_at_once() {
    let sets = Sets::new();
    for number in 0..12 {
        sets.write(&format!("c/predictions/{number:02}"), 3, &[0; 6]);
        sets.write(&format!("c/masks/{number:02}"), if number == 3 { 3 } else { 2 }, &[0; 6]);
    }
    let message = sets.refusal("c/predictions", "c/masks");
    let lines: Vec<&str> = message.lines().collect();
    assert_eq!(lines[0], "11 of 12 predictions have another size than their mask, at which they are scored:");
    assert_eq!(lines[1], "  c/predictions/00.png is 3x2 pixels, c/masks/00.png is 2x3");
    assert_eq!(lines[10], "  c/predictions/10.png is 3x2 pixels, c/masks/10.png is 2x3");
    assert_eq!(lines[11], "  c/predictions/11.png is 3x2 pixels, c/masks/11.png is 2x3");
    assert_eq!(lines[12], "write predictions at the masks' sizes: sam2unet predict --like MASKS");
}

#[test]
fn every_file_that_cannot_be_read_is_named() {
    let sets = Sets::new();
    for name in ["a/predictions/1.png", "a/masks/1.png", "a/masks/2.png"] {
        std::fs::write(sets.path().join(name), b"no picture").expect("a written file");
    }
    let message = sets.refusal("a/predictions", "a/masks");
    assert!(message.starts_with("3 files of 2 pairs cannot be used"), "{message}");
    for name in ["a/predictions/1.png", "a/masks/1.png", "a/masks/2.png"] {
        assert!(message.contains(name), "{message}");
    }
}

/// The same words as for training.
#[test]
fn masks_that_are_likely_wrong_are_told() {
    let sets = Sets::new();
    let cases: [(&str, &[&[u8]], &str); 4] = [
        ("zero-one", &[&[0, 1, 0, 1, 0, 1], &[1, 1, 0, 1, 0, 1]], "2 of 2 masks hold 0 and 1 only"),
        ("black", &[&[0; 6], &[0; 6]], "none of the 2 masks has foreground"),
        ("white", &[&[255; 6], &[0, 0, 0, 255, 255, 255]], "1 of 2 masks are white all over (0.png)"),
        ("levels", &[&[0, 120, 255, 0, 0, 0], &[0, 255, 0, 0, 0, 0]], "1 of 2 masks hold several levels (0, 120, 255)"),
    ];
    for (name, masks, expected) in cases {
        for (number, mask) in masks.iter().enumerate() {
            sets.write(&format!("{name}/masks/{number}"), 3, mask);
            sets.write(&format!("{name}/predictions/{number}"), 3, &[0, 0, 0, 255, 255, 255]);
        }
        let Ended { status, err, .. } = sets.run(&format!("{name}/predictions"), &format!("{name}/masks"), &[]);
        assert_eq!(status, Some(0), "{err}");
        assert!(err.starts_with(&format!("warning: predictions: masks: {expected}")), "{name}: {err}");
        assert_eq!(err.lines().count(), 1, "{err}");
    }
}

#[test]
fn what_is_not_scored_is_told_of_both_folders() {
    let sets = Sets::new();
    for name in ["a/predictions/x.heic", "a/masks/y.dcm", "a/masks/notes.txt"] {
        std::fs::write(sets.path().join(name), b"x").expect("a written file");
    }
    std::fs::create_dir(sets.path().join("a/masks/more")).expect("a new folder");
    let Ended { status, err, .. } = sets.run("a/predictions", "a/masks", &["--name", "A"]);
    assert_eq!(status, Some(0), "{err}");
    let lines: Vec<&str> = err.lines().collect();
    assert_eq!(lines[0], "warning: A: predictions: not used: 1 HEIC file, not read (save as JPEG or PNG): x.heic");
    assert!(lines[1].starts_with("warning: A: masks: not used: 1 DICOM file, not read"), "{err}");
    assert!(lines[1].contains("1 subfolder") && lines[1].contains("--recursive") && lines.len() == 2, "{err}");
}

#[test]
fn names_that_differ_in_case_or_form_are_matched_and_told() {
    let sets = Sets::new();
    let levels = [255, 0, 0, 255, 0, 0];
    for (prediction, mask) in [("IMG_1", "img_1"), ("caf\u{e9}", "cafe\u{301}"), ("same", "same")] {
        sets.write(&format!("d/predictions/{prediction}"), 3, &levels);
        sets.write(&format!("d/masks/{mask}"), 3, &levels);
    }
    let Ended { status, out, err } = sets.run("d/predictions", "d/masks", &[]);
    assert!(status == Some(0) && out.contains("1.0000"), "{err}");
    assert!(err.starts_with("note: predictions: 2 of 3 files have a mask whose name differs in case"), "{err}");
    assert_eq!(err.lines().count(), 1, "{err}");
}

#[test]
fn folders_in_folders_are_scored_when_asked_for() {
    let sets = Sets::new();
    for name in ["1", "x/1", "x/y/1"] {
        sets.write(&format!("e/predictions/{name}"), 3, &[255, 0, 0, 255, 0, 0]);
        sets.write(&format!("e/masks/{name}"), 3, &[255, 0, 0, 255, 0, 0]);
    }
    let more = ["--recursive", "--json", "e.json"];
    let Ended { status, err, .. } = sets.run("e/predictions", "e/masks", &more);
    assert_eq!((status, &err[..]), (Some(0), ""));
    let written = std::fs::read_to_string(sets.path().join("e.json")).expect("the scores");
    let scores: Value = serde_json::from_str(&written).expect("JSON");
    let images: Vec<&String> = scores["per_image"].as_object().expect("an object").keys().collect();
    assert_eq!(images, ["1", "x/1", "x/y/1"]);
}

#[test]
fn how_files_are_read_can_be_chosen() {
    let sets = Sets::new();
    let grey = detailed(20, 10).to_grey();
    let mask: Vec<u8> = grey.data.iter().map(|level| if *level > 90 { 255 } else { 0 }).collect();
    for name in ["f/predictions/1", "g/predictions/1"] {
        sets.write(name, 20, &grey.data);
    }
    for name in ["f/masks/1", "g/masks/1"] {
        sets.write(name, 20, &mask);
    }
    std::fs::write(sets.path().join("g/predictions/1.png"), png_of_16_bits(&grey)).expect("a written file");
    let expected = sets.run("f/predictions", "f/masks", &[]);
    assert_eq!((expected.status, &expected.err[..]), (Some(0), ""));
    assert_eq!(sets.run("g/predictions", "g/masks", &["--scale-16-bit"]), expected);
    let Ended { status, out, err } = sets.run("g/predictions", "g/masks", &["--scale-16-bit=false"]);
    assert!(status == Some(0) && out != expected.out, "{out}");
    assert!(err.starts_with("warning: predictions: predictions: 1 of 1 files are grey with more than 8 bits"), "{err}");
    assert!(err.contains("`--scale-16-bit`") && err.lines().count() == 1, "{err}");

    // masks, too
    std::fs::write(sets.path().join("f/masks/1.png"), turned_png(&detailed(10, 20))).expect("a written file");
    let Ended { status, err, .. } = sets.run("f/predictions", "f/masks", &[]);
    assert!(status == Some(2) && err.contains("is 20x10 pixels, f/masks/1.png is 10x20"), "{err}");
    let Ended { status, err, .. } = sets.run("f/predictions", "f/masks", &["--exif-orientation", "Apply"]);
    assert_eq!(status, Some(0), "{err}");
    let Ended { status, err, .. } = sets.run("a/predictions", "a/masks", &["--exif-orientation", "turn"]);
    assert!(status == Some(2) && err.contains("ignore, apply"), "{err}");
}
