//! What missing files do to the tests that need them.

use super::shared::find;
use std::fs;
use std::path::{Path, PathBuf};

#[test]
fn a_missing_file_fails_and_a_missing_folder_skips() {
    let dir = tempfile::tempdir().unwrap();
    let (there, gone) = (dir.path().join("there"), dir.path().join("gone"));
    fs::create_dir(&there).unwrap();
    fs::write(there.join("file"), "").unwrap();

    assert_eq!(find(None, &there, "file"), Ok(Some(there.join("file"))));
    assert_eq!(find(Some(&there), &gone, "file"), Ok(Some(there.join("file"))));
    // a machine without such files
    assert_eq!(find(None, &gone, "file"), Ok(None));
    // set, and empty
    let empty = Path::new("");
    assert_eq!(find(Some(empty), &there, "file"), Ok(Some(there.join("file"))));
    assert_eq!(find(Some(empty), &gone, "file"), Ok(None));

    for named in [None, Some(&there)] {
        let message = find(named.map(PathBuf::as_path), &there, "golden/lost.safetensors").unwrap_err();
        let path = there.join("golden/lost.safetensors");
        assert!(
            message.contains(path.to_str().unwrap()) && message.contains("bring that folder up to date"),
            "{message}"
        );
    }
    // the one who names a folder means it
    let message = find(Some(&gone), &there, "file").unwrap_err();
    assert!(message.contains("SAM2UNET_SHARED names no folder") && message.contains("gone"), "{message}");
}
