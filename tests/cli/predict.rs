//! What `sam2unet predict` takes and where its masks go. Masks themselves are tested elsewhere.

use super::program::{Ended, done, refused, run, sam2unet, tiny};
use crate::support::scenes::scenes;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// Three images of side 64 in `images`, and a model.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    scenes(folder.path(), 5, 3, 64);
    tiny(&folder.path().join("model.safetensors"));
    folder
}

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "--checkpoint", "model.safetensors", "--size", "64", "--device", "cpu"], more].concat()
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_folder_a_list_and_standard_input_give_the_same_masks() {
    let folder = workplace();
    let folder = folder.path();
    let said = done(folder, &arguments(&["--images", "images", "--out", "predicted"]));
    assert!(said.ends_with("3 masks written to predicted\n"), "{said}");
    assert_eq!(files(&folder.join("predicted")), ["000.png", "001.png", "002.png"]);
    let same = |out: &str, name: &str| {
        let [old, new] = ["predicted", out].map(|out| fs::read(folder.join(out).join(name)).unwrap());
        assert!(old == new, "{out}/{name}");
    };

    let whole = folder.join("images/001.png");
    fs::write(folder.join("list.txt"), format!("images/002.png\n\n{}\r\n", whole.display())).unwrap();
    let said = done(folder, &arguments(&["--list", "list.txt", "--out", "listed"]));
    assert!(said.ends_with("2 masks written to listed\n"), "{said}");
    assert_eq!(files(&folder.join("listed")), ["001.png", "002.png"]);
    same("listed", "001.png");
    same("listed", "002.png");

    let mut command = sam2unet(folder, &arguments(&["--images", "-", "--out", "piped"]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"images/000.png\nimages/001.png").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(files(&folder.join("piped")), ["000.png", "001.png"]);
    same("piped", "000.png");
    same("piped", "001.png");
}

#[test]
fn one_image_goes_to_the_file_that_is_named() {
    let folder = workplace();
    let folder = folder.path();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    done(folder, &arguments(&["--images", "images/000.png", "--out", "predicted", "--overlay"]));
    assert_eq!(files(&folder.join("predicted")), ["000.overlay.png", "000.png"]);
    let said = done(folder, &arguments(&["--images", "images/000.png", "--out", "new/mask.PNG", "--overlay"]));
    assert!(said.ends_with("mask written to new/mask.PNG\n"), "{said}");
    assert_eq!(files(&folder.join("new")), ["mask.PNG", "mask.overlay.png"]);
    assert!(read("new/mask.PNG") == read("predicted/000.png"));
    assert!(read("new/mask.overlay.png") == read("predicted/000.overlay.png"));
    // over an older one
    done(folder, &arguments(&["--images", "images/001.png", "--out", "new/mask.PNG"]));
    assert!(read("new/mask.PNG") != read("predicted/000.png"));
    // a folder stays a folder, whatever its name
    fs::create_dir(folder.join("folder.png")).unwrap();
    done(folder, &arguments(&["--images", "images", "--out", "folder.png"]));
    assert_eq!(files(&folder.join("folder.png")).len(), 3);
}

/// All of it before the model is read: there is none.
#[test]
fn what_cannot_be_done_is_refused_before_the_model_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    scenes(folder, 5, 2, 64);
    fs::create_dir(folder.join("more")).unwrap();
    fs::copy(folder.join("images/000.png"), folder.join("more/000.png")).unwrap();
    let lists = [
        ("missing.txt", "images/000.png\n\nimages/900.png\nimages/001.png\nimages/901.png\n"),
        ("folder.txt", "images\n"),
        ("empty.txt", "\n\r\n"),
        ("twice.txt", "images/000.png\nimages/000.png\n"),
        ("stems.txt", "images/000.png\nmore/000.png\n"),
        ("one.txt", "images/000.png\n"),
    ];
    for (name, text) in lists {
        fs::write(folder.join(name), text).unwrap();
    }
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--list", "missing.txt", "--out", "o"], &["missing.txt, line 3: images/900.png", "2 of 4 images"]),
        (&["--list", "folder.txt", "--out", "o"], &["folder.txt, line 1: images", "directory"]),
        (&["--list", "empty.txt", "--out", "o"], &["empty.txt", "one path a line"]),
        (&["--list", "nothing.txt", "--out", "o"], &["nothing.txt"]),
        (&["--list", "twice.txt", "--out", "o"], &["images/000.png is given twice"]),
        (&["--list", "stems.txt", "--out", "o"], &["images/000.png and more/000.png", "o/000.png"]),
        (&["--images", "images", "--out", "o.png"], &["o.png", "one image", "there are 2", "--out"]),
        (&["--images", "images/000.png", "--out", "images/000.png"], &["over the images"]),
        (&["--list", "one.txt", "--out", "images"], &["over the images"]),
    ];
    for (more, parts) in cases {
        let message = refused(folder, &arguments(more));
        assert!(parts.iter().all(|part| message.contains(part)), "{more:?}: {message}");
    }
    // an empty standard input
    let mut command = sam2unet(folder, &arguments(&["--images", "-", "--out", "o"]));
    let ended = Ended::from(command.stdin(Stdio::null()).output().unwrap());
    assert!(ended.status == Some(2) && ended.err.contains("standard input lists no image"), "{ended:?}");
    // one of the two, and no more
    for more in [&["--out", "o"][..], &["--images", "images", "--list", "one.txt", "--out", "o"]] {
        let ended = run(folder, &arguments(more));
        assert!(ended.status == Some(2) && ended.err.contains("--list"), "{more:?}: {ended:?}");
    }
    assert!(!folder.join("o").exists() && !folder.join("o.png").exists());
    // with nothing else wrong it is the model
    let message = refused(folder, &arguments(&["--list", "one.txt", "--out", "o"]));
    assert!(message.contains("model.safetensors"), "{message}");
}

/// Names need not be Unicode.
#[cfg(target_os = "linux")]
#[test]
fn a_list_holds_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = workplace();
    let folder = folder.path();
    let name = OsStr::from_bytes(b"\xff\xfe.png");
    fs::rename(folder.join("images/000.png"), folder.join("images").join(name)).unwrap();
    fs::write(folder.join("list.txt"), b"images/\xff\xfe.png\n").unwrap();
    done(folder, &arguments(&["--list", "list.txt", "--out", "predicted"]));
    assert!(folder.join("predicted").join(name).is_file());
}

/// An image that cannot be read costs its own mask only, and exit status 1.
#[test]
fn a_broken_image_is_named_and_the_others_are_predicted() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("images/001.png"), "no picture").unwrap();
    let ended = run(folder, &arguments(&["--images", "images", "--out", "predicted"]));
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("images/001.png") && ended.err.ends_with("predict: 1 of 3 images failed, named above\n")
    );
    assert!(ended.out.ends_with("2 masks written to predicted\n"), "{ended:?}");
    assert_eq!(files(&folder.join("predicted")), ["000.png", "002.png"]);
}
