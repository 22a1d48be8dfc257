//! `train --check-data`: what a folder holds, without training.

use super::program::{Ended, run, sam2unet};
use crate::support::pictures::Folders;
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

const CHECK: [&str; 6] = ["train", "--check-data", "--images", "images", "--masks", "masks"];

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn a_good_folder_is_described_and_nothing_is_trained() {
    let folders = Folders::new();
    let root = folders.root.path();
    for name in ["a.png", "b.png"] {
        folders.rows(name, &[0, 255, 255]);
    }
    folders.rows("c.png", &[0, 0]);
    folders.mask("alone.png", 4, 3);
    fs::write(root.join("images/photo.heic"), b"x").unwrap();
    let Ended { status, out, err } = run(root, &[&CHECK[..], &["--json", "data.json"]].concat());
    assert_eq!(status, Some(0), "{err}");
    for line in ["pairs      3", "sizes      4x3 (2), 4x2 (1)", "levels     0 (50.0 %), 255 (50.0 %)"] {
        assert!(out.contains(line), "{line}: {out}");
    }
    assert!(out.ends_with("these images can be trained on\n"), "{out}");
    let told: Vec<_> = err.lines().collect();
    assert!(told[0].starts_with("note: training: 1 of 3 masks are black"), "{err}");
    assert!(told[1].starts_with("warning: training: 1 masks have no image"), "{err}");
    assert!(told[2].contains("among the images: 1 HEIC file, not read"), "{err}");
    assert_eq!(told.len(), 3, "{err}");

    let found = json(&root.join("data.json"));
    assert_eq!((&found["pairs"], &found["empty_masks"]), (&3.into(), &1.into()));
    assert_eq!(found["values"]["255"], 16);
    assert_eq!(found["unused"]["heic"], 1);
    assert_eq!(found["warnings"][0]["code"], "masks-empty");
    assert_eq!(found["warnings"][0]["files"].as_array().unwrap().len(), 1);
    assert_eq!(found["errors"], Value::Array(vec![]));
    assert!(!root.join("runs").exists());
}

#[test]
fn all_that_a_run_would_be_refused_for_is_listed() {
    let folders = Folders::new();
    let root = folders.root.path();
    for name in ["a.png", "b.png", "c.png"] {
        folders.rows(name, &[0, 255]);
    }
    fs::write(root.join("images/a.png"), b"no image").unwrap();
    folders.mask("c.png", 9, 1);
    let Ended { status, err, .. } = run(root, &[&CHECK[..], &["--json", "data.json"]].concat());
    assert_eq!(status, Some(2), "{err}");
    for part in ["images/a.png", "masks/c.png", "9x1", "2 files of 3 pairs cannot be used", "would be refused"] {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert_eq!(json(&root.join("data.json"))["errors"].as_array().unwrap().len(), 2);
    // a run says the same
    let Ended { status, err, .. } = run(root, &["train", "--images", "images", "--masks", "masks", "--out", "run"]);
    assert_eq!(status, Some(2), "{err}");
    for part in ["2 files of 3 pairs cannot be used", "1 are no images", "1 differ in shape", "9x1", "`--resize-masks`"]
    {
        assert!(err.contains(part), "{part}: {err}");
    }
    assert!(!root.join("run").exists());
}

#[test]
fn a_validation_set_is_described_too() {
    let folders = Folders::new();
    let root = folders.root.path();
    folders.rows("a.png", &[0, 1]);
    let arguments = [&CHECK[..], &["--val-images", "images", "--val-masks", "masks", "--json", "data.json"]].concat();
    let Ended { status, err, .. } = run(root, &arguments);
    assert_eq!(status, Some(0), "{err}");
    assert!(err.contains("warning: training: 1 of 1 masks hold 0 and 1 only"), "{err}");
    assert!(err.contains("warning: validation: 1 of 1 masks hold 0 and 1 only"), "{err}");
    assert_eq!(json(&root.join("data.json"))["validation"]["pairs"], 1);
}

#[test]
fn without_files_there_is_nothing_to_check() {
    let root = tempfile::tempdir().unwrap();
    let Ended { status, err, .. } = run(root.path(), &["train", "--check-data"]);
    assert_eq!(
        (status, &err[..]),
        (Some(2), "train: --check-data needs files: give --data, or --images and --masks\n")
    );
}

/// What a check found, a run believes, from wherever the files are named.
#[test]
fn a_run_remembers_what_a_check_found() {
    let folders = Folders::new();
    let (root, cache) = (folders.root.path(), tempfile::tempdir().unwrap());
    for name in ["a.png", "b.png"] {
        folders.rows(name, &[0, 255]);
        for folder in ["images", "masks"] {
            let file = fs::File::options().write(true).open(root.join(folder).join(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(60)).unwrap();
        }
    }
    let run = |arguments: &[&str]| -> Ended {
        sam2unet(root, arguments).env("XDG_CACHE_HOME", cache.path()).output().unwrap().into()
    };
    assert_eq!(run(&CHECK).status, Some(0));
    let kept = fs::read_dir(cache.path().join("sam2unet/data")).unwrap().next().unwrap().unwrap().path();
    // levels that only what is remembered has
    let text = fs::read_to_string(&kept).unwrap();
    fs::write(&kept, text.replace("[[0,4],[255,4]]", "[[0,4],[1,4]]")).unwrap();
    #[rustfmt::skip]
    let trained = run(&["train", "--images", "images", "--masks", "masks", "--variant", "tiny", "--size", "64",
        "--batch-size", "2", "--steps", "1", "--out", "run"]);
    assert_eq!(trained.status, Some(0), "{}", trained.err);
    assert!(trained.err.contains("2 of 2 masks hold 0 and 1 only"), "{}", trained.err);
}

#[test]
fn masks_may_have_a_suffix() {
    let folders = Folders::new();
    let root = folders.root.path();
    for name in ["ISIC_0", "ISIC_1"] {
        folders.image(&format!("{name}.jpg"), 4, 2);
        folders.mask(&format!("{name}_segmentation.png"), 4, 2);
    }
    let Ended { status, err, .. } = run(root, &CHECK);
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("set `--mask-suffix` to \"_segmentation\""), "{err}");
    let Ended { status, out, err } = run(root, &[&CHECK[..], &["--mask-suffix", "_segmentation"]].concat());
    assert_eq!((status, out.contains("pairs      2")), (Some(0), true), "{err}");
}

#[test]
fn a_check_trains_nothing_whatever_else_is_given() {
    let folders = Folders::new();
    let root = folders.root.path();
    ["a.png", "b.png"].iter().for_each(|name| folders.rows(name, &[0, 255]));
    let more = ["--variant", "tiny", "--size", "64", "--batch-size", "2", "--steps", "1", "--device", "cpu"];
    let Ended { status, out, err } = run(root, &[&CHECK[..], &more].concat());
    assert_eq!((status, &err[..]), (Some(0), ""));
    assert!(out.ends_with("these images can be trained on\n") && !root.join("runs").exists(), "{out}");
}

#[test]
fn subfolders_and_masks_of_other_shapes_count_when_asked_for() {
    let folders = Folders::new();
    let root = folders.root.path();
    for folder in ["images/more", "masks/more"] {
        fs::create_dir(root.join(folder)).unwrap();
    }
    for name in ["a.png", "more/a.png"] {
        folders.rows(name, &[0, 255]);
    }
    let Ended { status, out, .. } = run(root, &CHECK);
    assert_eq!((status, out.contains("pairs      1\n")), (Some(0), true), "{out}");
    let Ended { status, out, err } = run(root, &[&CHECK[..], &["--recursive"]].concat());
    assert_eq!((status, out.contains("pairs      2\n"), &err[..]), (Some(0), true, ""), "{out}");
    folders.mask("a.png", 3, 9);
    assert_eq!(run(root, &CHECK).status, Some(2));
    let Ended { status, err, .. } = run(root, &[&CHECK[..], &["--resize-masks", "--recursive"]].concat());
    assert_eq!(status, Some(0), "{err}");
    assert!(err.contains("1 of 2 masks have another shape than their image, and are stretched to it"), "{err}");
}

#[test]
fn sets_that_cannot_be_paired_are_reported_too() {
    let folders = Folders::new();
    let root = folders.root.path();
    folders.rows("a.png", &[0, 255]);
    folders.image("b.png", 4, 2);
    let arguments = [&CHECK[..], &["--val-images", "images", "--val-masks", "nowhere", "--json", "data.json"]].concat();
    let Ended { status, err, .. } = run(root, &arguments);
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("1 of 2 images have no mask") && err.contains("nowhere"), "{err}");
    let found = json(&root.join("data.json"));
    assert_eq!((&found["pairs"], found["errors"].as_array().unwrap().len()), (&0.into(), 1));
    assert_eq!(found["validation"]["errors"].as_array().unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn names_of_any_bytes_and_devices_are_no_trouble_for_json() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folders = Folders::new();
    let root = folders.root.path();
    folders.rows("a.png", &[0, 1]);
    let name = OsStr::from_bytes(b"\xcd\xbc\xc6\xff.png");
    for folder in ["images", "masks"] {
        fs::rename(root.join(folder).join("a.png"), root.join(folder).join(name)).unwrap();
    }
    let Ended { status, err, .. } = run(root, &[&CHECK[..], &["--json", "data.json"]].concat());
    assert_eq!(status, Some(0), "{err}");
    let file = json(&root.join("data.json"))["warnings"][0]["files"][0].as_str().unwrap().to_string();
    assert!(file.contains("\\xFF"), "{file}");
    assert_eq!(run(root, &[&CHECK[..], &["--json", "/dev/null"]].concat()).status, Some(0));
    assert!(!fs::metadata("/dev/null").unwrap().is_file());
    let Ended { status, err, .. } = run(root, &[&CHECK[..], &["--json", "nowhere/data.json"]].concat());
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("--json nowhere/data.json: it must be a file in a folder that exists"), "{err}");
}
