//! `sam2unet convert`.

use super::program::{done, refused, tiny, tiny_of_classes};
use sam2unet::checkpoint::{WeightFile, classes_of};
use sam2unet::data::{ClassKind, Classes};
use std::fs;

#[test]
fn there_and_back_again() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    tiny(&folder.join("model.safetensors"));
    // a whole model stays one
    let said = done(folder, &["convert", "model.safetensors", "same.safetensors"]);
    assert!(said.starts_with("tiny, SAM2-UNet -> sam2-unet"), "{said}");
    done(folder, &["convert", "same.safetensors", "again.safetensors"]);
    assert!(read("same.safetensors") == read("again.safetensors"));
    // its trunk, with a rest drawn at random, and the trunk of that
    let said = done(folder, &["convert", "model.safetensors", "trunk.safetensors", "--to", "TRUNK"]);
    assert!(said.starts_with("tiny, SAM2-UNet -> trunk"), "{said}");
    let to = ["--to", "sam2-unet", "--seed"];
    for (out, seed) in [("whole.safetensors", "1"), ("twin.safetensors", "1"), ("other.safetensors", "2")] {
        done(folder, &[&["convert", "trunk.safetensors", out], &to[..], &[seed]].concat());
    }
    assert!(read("whole.safetensors") == read("twin.safetensors"));
    assert!(read("whole.safetensors") != read("other.safetensors"));
    done(folder, &["convert", "other.safetensors", "back.safetensors", "--to", "trunk"]);
    assert!(read("trunk.safetensors") == read("back.safetensors"));
}

#[test]
fn unclear_conversions_are_refused_with_the_flag_that_is_missing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    tiny(&folder.join("model.safetensors"));
    done(folder, &["convert", "model.safetensors", "trunk.safetensors", "--to", "trunk"]);
    let before = fs::read(folder.join("trunk.safetensors")).unwrap();

    let same = refused(folder, &["convert", "trunk.safetensors", "./trunk.safetensors", "--to", "trunk"]);
    assert!(same.contains("trunk.safetensors is input and output at once"), "{same}");
    assert!(fs::read(folder.join("trunk.safetensors")).unwrap() == before);

    let target = refused(folder, &["convert", "trunk.safetensors", "out.safetensors"]);
    assert!(target.contains("--to trunk") && target.contains("--to sam2-unet --seed N"), "{target}");
    let seed = refused(folder, &["convert", "trunk.safetensors", "out.safetensors", "--to", "sam2-unet"]);
    assert!(seed.contains("trunk.safetensors") && seed.contains("--seed N"), "{seed}");
    let missing = refused(folder, &["convert", "nothing.pt", "out.safetensors"]);
    assert!(missing.contains("nothing.pt"), "{missing}");
    assert!(!folder.join("out.safetensors").exists());
}

/// A model keeps its classes and what else its metadata tell. Without names of classes only the weights count.
#[test]
fn classes_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let names = ["background", "polyp", "tool"].map(String::from);
    let told = Classes::named(ClassKind::Exclusive, names).unwrap().metadata();
    let size = ("size".to_string(), "64".to_string());
    let converted = |metadata: &[(String, String)]| {
        tiny_of_classes(&folder.join("in.safetensors"), 3, metadata);
        let said = done(folder, &["convert", "in.safetensors", "out.safetensors"]);
        assert!(said.starts_with("tiny, SAM2-UNet -> sam2-unet"), "{said}");
        let file = WeightFile::open(&folder.join("out.safetensors")).unwrap();
        assert_eq!(classes_of(&file), Some(3));
        file.metadata().clone()
    };
    let format = ("format".to_string(), "pt".to_string());
    assert_eq!(converted(&[told.clone(), size.clone()]), [told.clone(), size.clone(), format.clone()].into());
    assert_eq!(converted(&[size]), [format].into());
    // its trunk tells of none
    tiny_of_classes(&folder.join("in.safetensors"), 3, &[told]);
    done(folder, &["convert", "in.safetensors", "trunk.safetensors", "--to", "trunk"]);
    assert!(!done(folder, &["info", "trunk.safetensors"]).contains("classes"));
}
