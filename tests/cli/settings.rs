//! Settings from the command line, a file and a run.

use super::help::flags;
use super::program::{done, refused};
use sam2unet::metrics::{Task, titles};
use sam2unet::nn::{Loss, VARIANTS};
use sam2unet::train::Settings;
use sam2unet::train::settings::{KEYS, Key};
use std::collections::BTreeSet;
use std::fs;

/// What `train --help` lists is what the tables hold.
#[test]
fn help_lists_every_setting_task_loss_variant_and_metric() {
    let folder = tempfile::tempdir().unwrap();
    let help = done(folder.path(), &["train", "--help"]);
    #[rustfmt::skip]
    let others = ["out", "resume", "config", "print-config", "check-data", "json", "sheet", "any-memory", "mpi-timeout",
        "help", "version"];
    let others = others.map(String::from);
    let wanted: BTreeSet<String> = KEYS.iter().filter_map(Key::flag_name).chain(others).collect();
    assert_eq!(BTreeSet::from_iter(flags("train")), wanted);
    let together = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let values = |names: Vec<&str>| format!("[possible values: {}]", names.join(", "));
    for names in [
        Task::ALL.iter().map(|task| task.name()).collect(),
        Loss::ALL.iter().map(|loss| loss.name()).collect(),
        VARIANTS.to_vec(),
    ] {
        let values = values(names);
        assert!(together.contains(&values), "{values}: {together}");
    }
    let help = done(folder.path(), &["evaluate", "--help"]).split_whitespace().collect::<Vec<_>>().join(" ");
    for metric in titles() {
        let line = format!("{}: {}", metric.title, metric.keys.join(" "));
        assert!(help.contains(&line), "{line}: {help}");
    }
}

#[test]
fn settings_are_printed_with_where_they_come_from_and_nothing_runs() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("mine.toml"), "seed = 7\n\nlr = 1e-4\nepochs = 3\n").unwrap();
    let printed = done(
        folder.path(),
        &["train", "--print-config", "--config", "mine.toml", "--batch-size", "3", "--no-shuffle", "--loss", "PAPER"],
    );
    let line =
        |key: &str| printed.lines().find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("{key}: {printed}"));
    for (key, origin) in [
        ("lr = 0.0001 ", "mine.toml:3"),
        ("batch_size = 3 ", "given"),
        ("shuffle = false ", "given"),
        ("loss = \"paper\" ", "given"),
        ("size = 128 ", "preset for the demonstration without images"),
        ("weight_decay = 0.0005 ", "default"),
    ] {
        assert!(line(key).ends_with(&format!("# {origin}")), "{printed}");
    }
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "something was written");
    // what is printed is a settings file, and the same settings
    fs::write(folder.path().join("printed.toml"), &printed).unwrap();
    let again = done(folder.path(), &["train", "--print-config", "--config", "printed.toml"]);
    let values = |text: &str| text.parse::<toml::Table>().unwrap();
    assert_eq!(values(&printed), values(&again));
    Settings::read(&folder.path().join("printed.toml")).unwrap();
}

#[test]
fn a_wrong_value_is_named_as_it_was_given() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.toml"), "seed = 1\nbatch_size = 0\n").unwrap();
    fs::write(folder.path().join("odd.toml"), "sise = 352\n").unwrap();
    let message = refused(folder.path(), &["train", "--config", "bad.toml"]);
    assert_eq!(message, "bad.toml:2: batch_size = 0: it must be at least 1");
    let message =
        refused(folder.path(), &["train", "--config", "bad.toml", "--batch-size", "2", "--weight-decay", "-1"]);
    assert_eq!(message, "--weight-decay -1: it must be a number of at least 0, for example 5e-4");
    let output = super::program::run(folder.path(), &["train", "--config", "odd.toml"]);
    assert!(output.status == Some(2) && output.err.contains("line 1") && output.err.contains("`sise`"), "{output:?}");
}
