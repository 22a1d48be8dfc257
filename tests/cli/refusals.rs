//! Input that is wrong: one line that names it, nothing lost, nothing left behind.

use super::program::{Ended, done, refused, run, text};
use crate::support::scenes::scenes;
use sam2unet::data::{Grey, write_png};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Puts a number in the place of the first one of a safetensors file's tensor.
fn spoil(file: &Path, key: &str, number: f32) {
    let mut bytes = fs::read(file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let entries: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let start = 8 + header + entries[key]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[start..start + 4].copy_from_slice(&number.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

#[test]
fn wrong_input_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let at = |name: &str| folder.join(name);
    scenes(folder, 5, 3, 70);
    #[rustfmt::skip]
    done(folder, &["train", "--images", "images", "--masks", "masks", "--variant", "tiny", "--size", "64",
        "--batch-size", "2", "--steps", "1", "--out", "run"]);
    let model = at("run/best/model.safetensors");
    fs::copy(&model, at("side.safetensors")).unwrap();
    let mut bytes = fs::read(at("side.safetensors")).unwrap();
    let size = br#""size":"64""#;
    let place = bytes.windows(size.len()).position(|part| part == size).unwrap();
    bytes[place + 8..][..2].copy_from_slice(b"65");
    fs::write(at("side.safetensors"), bytes).unwrap();
    fs::copy(&model, at("nan.safetensors")).unwrap();
    spoil(&at("nan.safetensors"), "head.weight", f32::NAN);
    fs::copy(&model, at("infinite.safetensors")).unwrap();
    spoil(&at("infinite.safetensors"), "encoder.blocks.1.block.attn.qkv.weight", f32::INFINITY);
    for name in ["a.png", "a.overlay.png"] {
        fs::create_dir_all(at("twice")).unwrap();
        fs::copy(at("images/000.png"), at("twice").join(name)).unwrap();
    }
    fs::copy(at("images/000.png"), at("photo.png")).unwrap();
    let photo = fs::read(at("photo.png")).unwrap();

    let [train, predict, evaluate, bench] = ["train", "predict", "evaluate", "bench"];
    let checkpoint = ["--checkpoint", text(&model)];
    let with = |rest: &[&'static str]| [&checkpoint[..], rest].concat();
    #[rustfmt::skip]
    let cases: &[(&str, Vec<&str>, &[&str])] = &[
        (predict, with(&["--images", "photo.png", "--out", "."]), &["over the images"]),
        (predict, with(&["--images", "images", "--out", "images"]), &["over the images"]),
        (predict, with(&["--images", "twice", "--out", "o", "--overlay"]), &["a.overlay.png", "rename one"]),
        (predict, with(&["--images", "nope", "--out", "o"]), &["nope", "--images"]),
        (predict, vec!["--checkpoint", "nope", "--images", "images", "--out", "o"], &["nope"]),
        (predict, vec!["--checkpoint", "side.safetensors", "--images", "images", "--out", "o"],
            &["side.safetensors", "65", "--size N"]),
        (predict, vec!["--checkpoint", "nan.safetensors", "--images", "images", "--out", "o"],
            &["nan.safetensors", "head.weight", "NaN"]),
        (predict, vec!["--checkpoint", "infinite.safetensors", "--images", "images", "--out", "o"],
            &["infinite.safetensors", "blocks.1.block.attn.qkv.weight", "holds inf at [0, 0]"]),
        (predict, with(&["--images", "images", "--out", "photo.png/o"]), &["photo.png/o", "--out"]),
        (evaluate, vec!["--predictions", "masks", "--masks", "masks", "--json", "nope/s.json"], &["nope/s.json"]),
        (bench, vec!["infer", "tiny", "1", "--size", "1000000"], &["1000000", "1024"]),
        (train, vec!["--images", "images", "--masks", "images"], &["two folders"]),
        (train, vec!["--images", "images", "--masks", "masks", "--backbone", text(&model)],
            &["variant tiny", "--variant tiny"]),
        (train, vec!["--resume", "run", "--epochs", "9"], &["`--epochs` 9 and `--steps` 1"]),
        (train, vec!["--lr", "-1"], &["--lr -1"]),
    ];
    for (program, arguments, parts) in cases {
        let message = refused(folder, &[&[*program], &arguments[..]].concat());
        assert!(parts.iter().all(|part| message.contains(part)), "{arguments:?}: {message}");
    }
    // the command line's own refusals name the flag
    for (flag, value) in [("--size", "350"), ("--threads", "0"), ("--threshold", "-1")] {
        let arguments = [&[predict], &with(&["--images", "images", "--out", "o"])[..], &[flag, value]].concat();
        let Ended { status, err, .. } = run(folder, &arguments);
        assert!(status == Some(2) && err.contains(flag) && err.contains(value), "{err}");
    }
    assert_eq!(fs::read(at("photo.png")).unwrap(), photo);
    assert!(!at("o").exists() && !at("runs").exists());

    // masks of 0 and 1 train towards black: a warning
    let mask = Grey { width: 70, height: 70, data: vec![1; 70 * 70] };
    write_png(&at("masks/001.png"), &mask).unwrap();
    #[rustfmt::skip]
    let Ended { status, err, .. } = run(folder, &["train", "--images", "images", "--masks", "masks",
        "--variant", "tiny", "--size", "64", "--batch-size", "2", "--steps", "1", "--out", "dark"]);
    assert!(status == Some(0) && err.contains("1 of 3 masks hold 0 and 1 only") && err.contains("255"), "{err}");
}
