//! Numbers and places beyond all measure: one line, before memory is taken.
#![cfg(target_os = "linux")]

use super::program::{Ended, done, refused, run};
use std::fs;

#[test]
fn nonsense_is_refused_in_one_line() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    fs::write(folder.join("huge.toml"), "[generated]\nimages = 9000000000000000000\nval_images = 2\n").unwrap();
    fs::write(folder.join("large.toml"), "[generated]\nimages = 2\nval_images = 1000000000\n").unwrap();
    fs::write(folder.join("many.toml"), "[generated]\nimages = 100000\nval_images = 2\n").unwrap();
    #[rustfmt::skip]
    let cases: &[(&[&str], &[&str])] = &[
        (&["train", "--batch-size", "99999999999"], &["--batch-size 99999999999", "65536"]),
        (&["train", "--accumulate", "9223372036854775807"], &["--accumulate", "65536"]),
        (&["train", "--threads", "99999999999"], &["--threads", "1024"]),
        (&["train", "--size", "0"], &["--size 0", "64"]),
        (&["train", "--config", "huge.toml"], &["huge.toml:1", "images = 9000000000000000000", "1000000 scenes"]),
        (&["train", "--config", "large.toml"], &["val_images = 1000000000", "1000000 scenes"]),
        (&["train", "--config", "/dev/zero"], &["/dev/zero", "no settings file"]),
        (&["train", "--config", "many.toml", "--size", "1024", "--batch-size", "60000", "--device", "cpu"],
            &["GB of memory", "--batch-size", "--any-memory"]),
        (&["train", "--images", "/dev/zero", "--masks", "/dev/zero"], &["/dev/zero", "two folders"]),
        (&["train", "--images", "/dev/zero", "--masks", "."], &["/dev/zero", "folder"]),
        (&["train", "--resume", "/dev/zero"], &["/dev/zero holds no run"]),
        (&["train", "--backbone", "/dev/zero"], &["/dev/zero: not a weight file"]),
        (&["train", "--init", "/dev/zero"], &["/dev/zero: not a weight file"]),
        (&["evaluate", "--predictions", "/dev/zero", "--masks", "."], &["/dev/zero"]),
        (&["predict", "--checkpoint", "/dev/zero", "--images", ".", "--out", "o"], &[]),
    ];
    for (arguments, parts) in cases {
        let message = refused(folder, arguments);
        assert!(parts.iter().all(|part| message.contains(part)), "{arguments:?}: {message}");
    }
    assert_eq!(fs::read_dir(folder).unwrap().count(), 3, "something was left");
}

/// Where a machine has less than a terabyte.
#[test]
fn a_measurement_for_which_there_is_no_memory_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for what in ["infer", "train"] {
        let arguments = ["bench", what, "large", "4096", "--size", "1024", "--device", "cpu"];
        let message = refused(folder.path(), &arguments);
        assert!(message.contains("GB of memory"), "{message}");
    }
}

/// Choices are read in any case, flags are not.
#[test]
fn names_are_read_in_any_case() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.toml"), "loss = \"Published-Script\"\nmemory = \"FAST\"\n").unwrap();
    #[rustfmt::skip]
    let printed = done(folder.path(), &["train", "--print-config", "--config", "mine.toml", "--images", "i",
        "--masks", "m", "--task", "Polyp", "--variant", "Large", "--device", "CPU"]);
    for line in [
        "task = \"polyp\"",
        "variant = \"large\"",
        "device = \"cpu\"",
        "loss = \"published-script\"",
        "memory = \"fast\"",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    // what would be taken in lower case
    let flags = ["train", "--print-config", "--images", "i", "--masks", "m", "--Task", "polyp"];
    let Ended { status, err, .. } = run(folder.path(), &flags);
    assert!(status == Some(2) && err.contains("'--Task'"), "{err}");
}
