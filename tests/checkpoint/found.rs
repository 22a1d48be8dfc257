//! Which model is meant by a folder.

use std::fs;
use std::path::Path;

use sam2unet::checkpoint::{CheckpointError, FoundAs, find_model};

fn model(folder: &Path, place: &str) {
    fs::create_dir_all(folder.join(place)).unwrap();
    fs::write(folder.join(place).join("model.safetensors"), place).unwrap();
}

fn found(folder: &Path) -> (FoundAs, String) {
    let found = find_model(folder).unwrap();
    (found.kind, fs::read_to_string(found.path).unwrap())
}

#[test]
fn a_file_is_itself_and_a_folder_stands_for_its_model() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["file.pth", "nothing"] {
        let path = dir.path().join(name);
        if name == "file.pth" {
            fs::write(&path, "").unwrap();
        }
        let found = find_model(&path).unwrap();
        assert_eq!((found.kind, found.path), (FoundAs::Given, path));
    }
    model(dir.path(), "checkpoints/12");
    assert_eq!(found(&dir.path().join("checkpoints/12")), (FoundAs::InFolder, "checkpoints/12".into()));
    // a run of an earlier version
    model(dir.path(), "last");
    assert_eq!(found(dir.path()), (FoundAs::Last, "last".into()));
    model(dir.path(), "best");
    assert_eq!(found(dir.path()), (FoundAs::Best, "best".into()));
    // the model in the folder itself comes first
    model(dir.path(), "");
    assert_eq!(find_model(dir.path()).unwrap().path, dir.path().join("model.safetensors"));
}

#[test]
fn texts_lead_to_models_as_links_do() {
    let dir = tempfile::tempdir().unwrap();
    model(dir.path(), "checkpoints/9");
    model(dir.path(), "checkpoints/12");
    fs::write(dir.path().join("last.txt"), "checkpoints/12\n").unwrap();
    assert_eq!(found(dir.path()), (FoundAs::Last, "checkpoints/12".into()));
    fs::write(dir.path().join("best.txt"), "checkpoints/9\n").unwrap();
    assert_eq!(found(dir.path()), (FoundAs::Best, "checkpoints/9".into()));
    fs::write(dir.path().join("best.txt"), "../../etc\n").unwrap();
    assert!(matches!(find_model(dir.path()), Err(CheckpointError::Read { .. })));
}

#[test]
fn what_was_looked_for_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let message = || find_model(dir.path()).unwrap_err().to_string();
    let told = message();
    for part in ["without a model", "looked for model.safetensors, best/model.safetensors, last/model.safetensors"] {
        assert!(told.contains(part), "{told}");
    }
    // names that were lost, or lead nowhere
    for step in ["9", "100", "x"] {
        model(dir.path(), &format!("checkpoints/{step}"));
    }
    let newest = dir.path().join("checkpoints/100");
    assert!(
        message().contains(&format!("there are 2 checkpoints, the newest in {}: name one", newest.display())),
        "{}",
        message()
    );
    fs::write(dir.path().join("best.txt"), "checkpoints/13\n").unwrap();
    assert!(message().contains("best stands for checkpoints/13, where there is none"), "{}", message());
}
