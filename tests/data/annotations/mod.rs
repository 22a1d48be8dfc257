//! Masks from annotation files: against the tools whose files they are, and files that say nothing.

mod coco;
mod golden;
mod hostile;
mod labelme;
mod painting;
mod polygon_text;
mod shapes;

use std::fs;
use std::path::PathBuf;
use tempfile::TempDir;

/// Files in a folder that goes when the test ends.
pub struct Files {
    pub folder: TempDir,
}

impl Files {
    pub fn new() -> Self {
        Self { folder: TempDir::new().unwrap() }
    }

    /// Writes a file, and gives its path.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.folder.path().join(name);
        fs::write(&path, content).unwrap();
        path
    }
}

/// The lines of a map, its values as digits; `.` is 0 and `#` is 255.
pub fn lines(map: &sam2unet::data::Grey) -> Vec<String> {
    let letter = |value: &u8| match value {
        0 => '.',
        255 => '#',
        other => char::from(b'0' + other),
    };
    map.data.chunks(map.width).map(|row| row.iter().map(letter).collect()).collect()
}
