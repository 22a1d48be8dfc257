//! What a resumed run may be given.

use super::program::{done, refused};
use crate::support::run_log::timeless;
use crate::support::scenes::scenes;
use std::fs;

const MODEL: [&str; 8] = ["train", "--variant", "tiny", "--size", "64", "--batch-size", "2", "--device"];

#[test]
fn a_run_goes_on_where_its_data_was_moved_to() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    for (seed, set) in [(5, "train"), (6, "val")] {
        scenes(&folder.join(set), seed, 3, 64);
    }
    let places = |below: &str| {
        let place = |part: &str| format!("{below}{part}");
        let flags = ["--images", "--masks", "--val-images", "--val-masks"];
        let parts = ["train/images", "train/masks", "val/images", "val/masks"].map(place);
        flags.into_iter().map(str::to_string).zip(parts).flat_map(|(flag, part)| [flag, part]).collect::<Vec<_>>()
    };
    let with = |more: &[&str], places: &[String]| {
        let arguments: Vec<_> = more.iter().copied().chain(places.iter().map(String::as_str)).collect();
        done(folder, &arguments)
    };
    let begin = |out: &str, steps: &str| {
        with(&[&MODEL[..], &["cpu", "--epochs", "2", "--steps", steps, "--out", out]].concat(), &places(""))
    };
    begin("whole", "4");
    begin("run", "2");
    fs::create_dir(folder.join("moved")).unwrap();
    for set in ["train", "val"] {
        fs::rename(folder.join(set), folder.join("moved").join(set)).unwrap();
    }
    let message = refused(folder, &["train", "--resume", "run", "--steps", "4"]);
    assert!(message.contains("train/images") && message.contains("--images DIR beside --resume"), "{message}");
    // what a mount that is gone, or a move under way, leaves
    for part in ["train/images", "train/masks"] {
        fs::create_dir_all(folder.join(part)).unwrap();
        if part == "train/masks" {
            fs::copy(folder.join("moved/train/images/000.png"), folder.join("train/images/000.png")).unwrap();
        }
        let message = refused(folder, &["train", "--resume", "run", "--steps", "4"]);
        assert!(message.contains("if the data was moved, give its new place (`--images`, "), "{part}: {message}");
    }
    with(&["train", "--resume", "run", "--steps", "4"], &places("moved/"));
    for file in ["last/model.safetensors", "last/optimiser.safetensors", "last/state.json", "best/model.safetensors"] {
        let [whole, run] = ["whole", "run"].map(|run| fs::read(folder.join(run).join(file)).unwrap());
        assert!(whole == run, "{file} differs");
    }
    let [whole, run] = ["whole", "run"].map(|run| timeless(&folder.join(run)));
    // the shorter run ended with a validation of its own, if at all
    assert_eq!(whole, run);
    let config = fs::read_to_string(folder.join("run/config.toml")).unwrap();
    assert_eq!(config.matches("moved/").count(), 4, "{config}");
    // other images of the same number are not those of the run
    fs::rename(folder.join("moved/train/images/000.png"), folder.join("moved/train/images/zzz.png")).unwrap();
    fs::rename(folder.join("moved/train/masks/000.png"), folder.join("moved/train/masks/zzz.png")).unwrap();
    let message = refused(folder, &["train", "--resume", "run", "--steps", "6", "--epochs", "3"]);
    assert!(message.contains("other names"), "{message}");
}

/// The command that began a run, with `--resume`, whatever it gave and how.
#[test]
fn the_command_that_began_a_run_goes_on_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    scenes(folder, 5, 2, 64);
    fs::write(folder.join("mine.toml"), "seed = 3\nlr = 1e-4\nepochs = 7\nmulti_scale = \"OFF\"\n").unwrap();
    #[rustfmt::skip]
    let given = ["cpu", "--images", "images", "--masks", "masks", "--task", "Polyp", "--config", "mine.toml",
        "--steps", "1", "--no-shuffle", "--no-augment", "--precision", "TF32", "--weight-decay", "1e-3",
        "--out", "run"];
    let begin = [&MODEL[..], &given].concat();
    done(folder, &begin);
    let resumed = |more: &[&'static str]| [&begin[..], &["--resume", "run"], more].concat();
    assert!(done(folder, &resumed(&[])).contains("run is finished: 1 steps"));
    // as an absolute path too
    let run = folder.join("run");
    let arguments = [&begin[..], &["--resume", run.to_str().unwrap()]].concat();
    assert!(done(folder, &arguments).contains("is finished"));
    let printed = done(folder, &resumed(&["--print-config"]));
    assert!(printed.contains("precision = \"f32\""), "{printed}");
    // another folder is no place for it
    let message = refused(folder, &["train", "--resume", "run", "--out", "other"]);
    assert!(message.contains("--out other") && message.contains("--resume run"), "{message}");
    assert!(!folder.join("other").exists());
}

#[test]
fn values_of_another_run_are_refused_by_their_flags() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    scenes(folder, 5, 2, 64);
    done(
        folder,
        &[&MODEL[..], &["cpu", "--images", "images", "--masks", "masks", "--steps", "1", "--out", "run"]].concat(),
    );
    let before = fs::read(folder.join("run/config.toml")).unwrap();
    fs::write(folder.join("mine.toml"), "seed = 3\n").unwrap();
    #[rustfmt::skip]
    let message = refused(folder, &["train", "--resume", "run", "--lr", "1e-4", "--no-shuffle", "--config", "mine.toml",
        "--steps", "2", "--val-images", "images", "--val-masks", "masks"]);
    for part in [
        "--lr 0.0001 (the run has 0.001)",
        "--no-shuffle (the run has true)",
        "seed = 3 in mine.toml:1 (the run has 0)",
        "--val-images ",
        "(the run has none)",
        "(`--init`: run/last/model.safetensors)",
    ] {
        assert!(message.contains(part), "{part}: {message}");
    }
    assert!(!message.contains("--steps"), "{message}");
    assert_eq!(fs::read(folder.join("run/config.toml")).unwrap(), before);
}

/// A slip in the folder's name begins no demonstration.
#[test]
fn a_run_begins_in_the_folder_of_resume_only_if_it_is_said_what_to_train_on() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    for more in [&[][..], &["--epochs", "3"], &["--task", "polyp", "--out", "run"]] {
        let message = refused(folder, &[&["train", "--resume", "run"], more].concat());
        assert!(message.contains("holds no run") && message.contains("--demo"), "{more:?}: {message}");
        assert!(!folder.join("run").exists());
    }
    // remains of a run without its settings are none to begin among
    fs::create_dir(folder.join("run")).unwrap();
    fs::write(folder.join("run/log.jsonl"), "{}\n").unwrap();
    let message = refused(folder, &["train", "--resume", "run", "--demo", "blobs"]);
    assert!(message.contains("holds no run"), "{message}");
    // what would run is shown either way
    let shown = done(folder, &["train", "--resume", "new", "--demo", "classes", "--print-config"]);
    assert!(shown.contains("demo = \"classes\"") && !folder.join("new").exists(), "{shown}");
}
