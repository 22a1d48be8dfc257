//! Pictures made for tests, and folders of them.

use sam2unet::data::{DataError, Folder, Grey, Pixels, Rgb, write_png};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

#[track_caller]
pub fn largest_difference(a: &[u8], b: &[u8]) -> u8 {
    assert_eq!(a.len(), b.len(), "as many numbers");
    a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).max().expect("a number to compare")
}

/// A picture with some detail in it, so that its files have bodies to damage.
pub fn detailed(width: usize, height: usize) -> Rgb {
    let data = (0..width * height * 3).map(|i| ((i * i) >> 3) as u8 ^ (i * 7) as u8).collect();
    Rgb { width, height, data }
}

pub fn jpeg_bytes(picture: &Rgb) -> Vec<u8> {
    let mut bytes = Vec::new();
    let encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90);
    let (width, height) = (picture.width as u32, picture.height as u32);
    image::ImageEncoder::write_image(encoder, &picture.data, width, height, image::ExtendedColorType::Rgb8).unwrap();
    bytes
}

pub fn png_bytes<const C: usize>(picture: &Pixels<C>) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.png");
    let grey =
        Grey { width: picture.width, height: picture.height, data: picture.data.chunks(C).map(|p| p[0]).collect() };
    if C == 1 {
        write_png(&path, &grey)
    } else {
        write_png(&path, &Rgb { width: picture.width, height: picture.height, data: picture.data.clone() })
    }
    .unwrap();
    fs::read(path).unwrap()
}

/// The folder of awkward files, with Pillow's results beside them.
pub fn awkward_folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images")
}

/// The files of a folder but scripts, by name.
pub fn awkward_files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<_> =
        entries.filter(|path| path.is_file() && path.extension().is_some_and(|ending| ending != "py")).collect();
    files.sort();
    files
}

pub struct Folders {
    pub root: TempDir,
}

impl Folders {
    pub fn new() -> Self {
        let root = TempDir::new().unwrap();
        fs::create_dir(root.path().join("images")).unwrap();
        fs::create_dir(root.path().join("masks")).unwrap();
        Self { root }
    }

    pub fn images(&self) -> PathBuf {
        self.root.path().join("images")
    }

    pub fn masks(&self) -> PathBuf {
        self.root.path().join("masks")
    }

    pub fn image(&self, name: &str, width: usize, height: usize) {
        write_png(&self.images().join(name), &detailed(width, height)).unwrap();
    }

    pub fn mask(&self, name: &str, width: usize, height: usize) {
        write_png(&self.masks().join(name), &Grey::filled(width, height, [255])).unwrap();
    }

    /// A mask of two rows or more, each of one of these levels.
    pub fn rows(&self, name: &str, levels: &[u8]) {
        let data = levels.iter().flat_map(|level| [*level; 4]).collect();
        write_png(&self.masks().join(name), &Grey { width: 4, height: levels.len(), data }).unwrap();
        write_png(&self.images().join(name), &detailed(4, levels.len())).unwrap();
    }

    pub fn open(&self) -> Result<Folder, DataError> {
        Folder::open(&self.images(), &self.masks())
    }
}
