//! Written image files.

use crate::support::pictures::detailed;
use sam2unet::data::{DataError, Grey, read_grey, read_rgb, write_png};
use std::fs;
use tempfile::TempDir;

#[test]
fn a_written_png_reads_back_and_replaces_what_was_there() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("map.png");
    let (first, second) = (Grey::filled(5, 3, [200]), detailed(7, 2));
    write_png(&path, &first).unwrap();
    assert_eq!(read_grey(&path).unwrap(), first);
    write_png(&path, &second).unwrap();
    assert_eq!(read_rgb(&path).unwrap(), second);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1, "no temporary file is left");

    let error = write_png(&folder.path().join("gone/map.png"), &first).unwrap_err();
    assert!(matches!(&error, DataError::Write { .. }) && error.to_string().contains("map.png"), "{error}");
}

#[cfg(unix)]
#[test]
fn a_written_png_has_the_permissions_of_any_new_file() {
    use std::os::unix::fs::PermissionsExt;
    let folder = TempDir::new().unwrap();
    write_png(&folder.path().join("map.png"), &Grey::filled(1, 1, [0])).unwrap();
    fs::write(folder.path().join("any"), b"").unwrap();
    let mode = |name| fs::metadata(folder.path().join(name)).unwrap().permissions().mode();
    assert_eq!(mode("map.png"), mode("any"));
}
