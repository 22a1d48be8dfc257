//! Output that nobody reads, or that finds no room: the work is done all the same.
#![cfg(target_os = "linux")]

use super::program::{sam2unet, tiny};
use crate::support::scenes::scenes;
use std::fs::{self, File};
use std::path::Path;
use std::process::Stdio;

/// A disk that is full, and a pipe that nobody reads any more.
fn outputs() -> [(&'static str, Stdio, Stdio); 2] {
    let full = || Stdio::from(File::options().write(true).open("/dev/full").unwrap());
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    [("full", full(), full()), ("closed", writer.try_clone().unwrap().into(), writer.into())]
}

/// The exit statuses of a program whose output and errors go to a full disk, and to a closed pipe.
fn statuses(folder: &Path, arguments: impl Fn(&str) -> Vec<String>) -> [Option<i32>; 2] {
    outputs().map(|(name, out, err)| {
        let arguments = arguments(name);
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        sam2unet(folder, &arguments).stdout(out).stderr(err).status().unwrap().code()
    })
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_string).collect()
}

#[test]
fn a_run_and_a_conversion_are_completed() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    scenes(folder, 5, 4, 64);
    let train = |name: &str| {
        words(&format!(
            "train --images images --masks masks --variant tiny --size 64 --batch-size 2 --epochs 1 --out run-{name}"
        ))
    };
    assert_eq!(statuses(folder, train), [Some(0); 2]);
    for name in ["full", "closed"] {
        assert!(folder.join(format!("run-{name}/samples.png")).is_file(), "{name}");
    }
    let convert = |name: &str| words(&format!("convert run-full/last/model.safetensors {name}.safetensors"));
    assert_eq!(statuses(folder, convert), [Some(0); 2]);
    assert!(folder.join("full.safetensors").is_file() && folder.join("closed.safetensors").is_file());
    // wrong input has its status, whether the message is read or not
    assert_eq!(statuses(folder, |_| words("train --images nope --masks masks")), [Some(2); 2]);
    assert_eq!(statuses(folder, |_| words("train --imagse nope")), [Some(2); 2]);
}

/// An image that cannot be read is told of in vain; those after it have their masks.
#[test]
fn every_image_is_predicted_and_scored() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    scenes(folder, 5, 3, 64);
    tiny(&folder.join("model.safetensors"));
    fs::write(folder.join("images/000.png"), "no image").unwrap();
    let predict = |name: &str| {
        words(&format!(
            "predict --checkpoint model.safetensors --images images --out masks-{name} --size 64 --device cpu"
        ))
    };
    assert_eq!(statuses(folder, predict), [Some(1); 2]);
    for name in ["full", "closed"] {
        let masks = fs::read_dir(folder.join(format!("masks-{name}"))).unwrap().count();
        assert_eq!(masks, 2, "{name}");
    }
    fs::remove_file(folder.join("masks/000.png")).unwrap();
    // a table that finds no room is a failure, one that nobody reads is not; the file is there in both cases
    let evaluate = |name: &str| words(&format!("evaluate --predictions masks-full --masks masks --json {name}.json"));
    assert_eq!(statuses(folder, evaluate), [Some(1), Some(0)]);
    assert!(folder.join("full.json").is_file() && folder.join("closed.json").is_file());
    for print in ["bench infer tiny 1 bf16 --size 64 --repeat 1 --device cpu", "info tiny", "man", "completions bash"] {
        assert_eq!(statuses(folder, |_| words(print)), [Some(1), Some(0)], "{print}");
    }
}
