//! A run's folder in the place of its model, several runs that start at once, and what killed programs leave.

use super::program::{Beside, done, refused, run, sam2unet, text, tiny};
use crate::support::scenes::scenes;
use std::fs;
use std::path::Path;
use std::process::Stdio;

/// Trains one step of Tiny.
fn trained(folder: &Path) {
    scenes(folder, 5, 3, 64);
    #[rustfmt::skip]
    done(folder, &["train", "--images", "images", "--masks", "masks", "--variant", "tiny", "--size", "64",
        "--batch-size", "3", "--epochs", "1", "--device", "cpu", "--out", "run"]);
}

fn names(folder: &Path) -> Vec<String> {
    let name = |entry: std::io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
    names.sort();
    names
}

#[cfg(unix)]
#[test]
fn programs_take_a_runs_folder_for_its_best_model() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    trained(folder);
    let best = "run/best/model.safetensors";
    let predict = |checkpoint: &str, out: &str| {
        done(folder, &["predict", "--checkpoint", checkpoint, "--images", "images", "--out", out, "--device", "cpu"])
    };
    let (said, plain) = (predict("run", "one"), predict(best, "two"));
    assert!(said.starts_with("the best model of the run, run/best/model.safetensors\n"), "{said}");
    assert!(!plain.contains("of the run"), "{plain}");
    for name in names(&folder.join("two")) {
        assert!(fs::read(folder.join("one").join(&name)).unwrap() == fs::read(folder.join("two").join(&name)).unwrap());
    }
    predict("run/checkpoints/1", "three");
    assert_eq!(done(folder, &["info", "run"]), done(folder, &["info", best]));
    let said = done(folder, &["convert", "run", "converted.safetensors"]);
    assert!(said.contains("the best model of the run"), "{said}");
    done(folder, &["convert", best, "same.safetensors"]);
    assert!(
        fs::read(folder.join("converted.safetensors")).unwrap() == fs::read(folder.join("same.safetensors")).unwrap()
    );
    #[rustfmt::skip]
    let init = ["train", "--images", "images", "--masks", "masks", "--variant", "tiny", "--size", "64",
        "--batch-size", "3", "--steps", "1", "--device", "cpu", "--init"];
    let said = done(folder, &[&init[..], &["run", "--out", "next"]].concat());
    assert!(said.contains("from the best model of the run"), "{said}");

    // a newer one is refused by each, and so is a newer position
    let model = folder.join("run/checkpoints/1/model.safetensors");
    let (bytes, entry) = (fs::read(&model).unwrap(), b"\"sam2-unet-format\":\"2\"");
    let mut newer = bytes.clone();
    let at = bytes.windows(entry.len()).position(|part| part == entry).unwrap();
    newer[at + entry.len() - 2] = b'9';
    fs::write(&model, newer).unwrap();
    let refusals = [
        refused(folder, &["predict", "--checkpoint", "run", "--images", "images", "--out", "o"]),
        refused(folder, &["info", "run"]),
        refused(folder, &["convert", "run", "o.safetensors"]),
        refused(folder, &["train", "--resume", "run", "--epochs", "2"]),
    ];
    for message in refusals {
        assert!(message.contains("made by a newer version of this program (format 9"), "{message}");
    }
    let ended = run(folder, &[&init[..], &["run", "--out", "o"]].concat());
    assert!(ended.status == Some(2) && ended.err.contains("made by a newer version"), "{ended:?}");
    assert!(!folder.join("o").exists());
    fs::write(&model, bytes).unwrap();
    let state = folder.join("run/checkpoints/1/state.json");
    let position = fs::read_to_string(&state).unwrap();
    fs::write(&state, position.replace("\"format\": 2", "\"format\": 9")).unwrap();
    let message = refused(folder, &["train", "--resume", "run", "--epochs", "2"]);
    assert!(message.contains("state.json: made by a newer version"), "{message}");
    // what a damaged one says
    fs::write(&state, position.replace("\"images\": 3", "\"images\": 9223372036854775808")).unwrap();
    let message = refused(folder, &["train", "--resume", "run", "--epochs", "2"]);
    assert!(message.contains("state.json") && message.contains("images is 9223372036854775808"), "{message}");
    fs::write(&state, position).unwrap();

    // without a best one, the newest; without any, what was looked for
    fs::remove_file(folder.join("run/best")).unwrap();
    let ended = run(folder, &["info", "run"]);
    assert_eq!(ended.status, Some(0));
    assert!(ended.err.contains("run/last/model.safetensors; it has no best one yet"), "{ended:?}");
    let message = refused(folder, &["predict", "--checkpoint", "images", "--images", "images", "--out", "o"]);
    assert!(message.contains("images is a folder without a model: looked for model.safetensors, best/"), "{message}");
}

#[test]
fn runs_that_start_at_once_get_a_folder_each() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("small.toml"), "[generated]\nimages = 2\nval_images = 1\n").unwrap();
    #[rustfmt::skip]
    let arguments = ["train", "--config", "small.toml", "--size", "64", "--batch-size", "2", "--epochs", "1",
        "--threads", "1", "--device", "cpu"];
    let start = || {
        let mut command = sam2unet(dir.path(), &arguments);
        Beside(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap())
    };
    for mut started in [start(), start(), start()] {
        assert!(started.0.wait().unwrap().success());
    }
    assert_eq!(names(&dir.path().join("runs")), ["demo", "demo-2", "demo-3"]);
    for name in ["demo", "demo-2", "demo-3"] {
        assert!(dir.path().join("runs").join(name).join("best/model.safetensors").is_file());
    }
}

/// The next program that writes into a folder removes what killed ones left there.
#[test]
fn left_overs_of_killed_programs_are_removed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    scenes(folder, 5, 1, 64);
    tiny(&folder.join("model.safetensors"));
    let left = [".sam2unet-Ab3dEf.partial", ".sam2unet-zzzzzz.partial"];
    for out in ["masks-out", "converted"] {
        fs::create_dir(folder.join(out)).unwrap();
        for name in left {
            let path = folder.join(out).join(name);
            fs::write(&path, "half").unwrap();
            // not one that was written to a moment ago, by another machine perhaps
            let hour_ago = std::time::SystemTime::now() - std::time::Duration::from_secs(3600);
            fs::File::options().write(true).open(path).unwrap().set_modified(hour_ago).unwrap();
        }
        fs::write(folder.join(out).join(".own.partial"), "somebody's").unwrap();
    }
    #[rustfmt::skip]
    done(folder, &["predict", "--checkpoint", "model.safetensors", "--images", "images", "--out", "masks-out",
        "--size", "64", "--device", "cpu"]);
    assert_eq!(names(&folder.join("masks-out")), [".own.partial", "000.png"]);
    let to = folder.join("converted/model.safetensors");
    done(folder, &["convert", "model.safetensors", text(&to)]);
    assert_eq!(names(&folder.join("converted")), [".own.partial", "model.safetensors"]);
}
