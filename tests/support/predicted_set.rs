//! A small set with three classes, written in every form that masks have.

use sam2unet::data::{ClassKind, Classes, Grey, Rgb, write_class_mask, write_index, write_png};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Width and height of its images.
pub const SIZE: (usize, usize) = (6, 4);

/// The names of its classes.
pub const NAMES: [&str; 3] = ["background", "cat", "dog"];

/// Its masks: index maps, where 255 is ignored.
#[rustfmt::skip]
pub const MASKS: [[u8; 24]; 2] = [
    [0, 0, 1, 1, 1, 0,  0, 0, 1, 1, 1, 0,  2, 2, 255, 0, 0, 0,  2, 2, 255, 0, 0, 0],
    [1, 1, 1, 0, 0, 0,  1, 1, 1, 0, 0, 2,  255, 0, 0, 0, 2, 2,  0, 0, 0, 0, 2, 2],
];

/// Its predictions.
#[rustfmt::skip]
pub const PREDICTIONS: [[u8; 24]; 2] = [
    [0, 0, 0, 1, 1, 1,  0, 0, 0, 1, 1, 1,  2, 2, 2, 0, 0, 0,  2, 0, 1, 0, 0, 0],
    [1, 1, 0, 0, 0, 0,  1, 1, 2, 2, 0, 2,  1, 0, 0, 0, 2, 2,  0, 0, 0, 0, 2, 2],
];

/// A folder for such sets.
pub struct ClassSet {
    root: TempDir,
}

impl ClassSet {
    pub fn new() -> Self {
        Self { root: tempfile::tempdir().expect("a temporary folder") }
    }

    pub fn path(&self) -> &Path {
        self.root.path()
    }

    /// A file in it, whose folder is made.
    pub fn file(&self, name: &str) -> PathBuf {
        let path = self.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
        path
    }

    pub fn text(&self, name: &str, text: &str) {
        fs::write(self.file(name), text).expect("a written file");
    }

    /// Writes levels of the set's size as a grey picture.
    pub fn grey(&self, name: &str, levels: &[u8]) {
        write_png(&self.file(name), &map(levels)).expect("a picture");
    }

    /// `FOLDER/a.png` and `FOLDER/b.png`: grey levels that `level` gives each value.
    pub fn greys(&self, folder: &str, maps: &[[u8; 24]; 2], level: impl Fn(u8) -> u8) {
        for (name, map) in ["a", "b"].iter().zip(maps) {
            self.grey(&format!("{folder}/{name}.png"), &map.map(&level));
        }
    }

    /// The same as colours.
    pub fn colours(&self, folder: &str, maps: &[[u8; 24]; 2], colour: impl Fn(u8) -> [u8; 3]) {
        for (name, map) in ["a", "b"].iter().zip(maps) {
            let data = map.iter().flat_map(|value| colour(*value)).collect();
            let picture = Rgb { width: SIZE.0, height: SIZE.1, data };
            write_png(&self.file(&format!("{folder}/{name}.png")), &picture).expect("a picture");
        }
    }

    /// The same as `predict` writes index maps: with a palette, and what the classes are.
    pub fn palettes(&self, folder: &str, maps: &[[u8; 24]; 2], names: [&str; 3]) {
        let classes = Classes::named(ClassKind::Exclusive, names.map(String::from)).expect("classes");
        for (name, levels) in ["a", "b"].iter().zip(maps) {
            write_index(&self.file(&format!("{folder}/{name}.png")), &map(levels), &classes).expect("a picture");
        }
    }

    /// A folder of white masks for each class but the background, and one of what is ignored.
    pub fn folders(&self, folder: &str, maps: &[[u8; 24]; 2]) {
        for (value, class) in [(1, "cat"), (2, "dog"), (255, "ignore")] {
            self.greys(&format!("{folder}/{class}"), maps, |v| if v == value { 255 } else { 0 });
        }
        if !maps.iter().flatten().any(|value| *value == 255) {
            fs::remove_dir_all(self.path().join(folder).join("ignore")).expect("the folder was there");
        }
    }

    /// The same as `predict` writes them: with what the classes are.
    pub fn told_folders(&self, folder: &str, maps: &[[u8; 24]; 2]) {
        let classes = Classes::named(ClassKind::Overlapping, ["cat", "dog"].map(String::from)).expect("classes");
        for (value, class) in [(1, "cat"), (2, "dog")] {
            for (name, levels) in ["a", "b"].iter().zip(maps) {
                let mask = map(&levels.map(|v| if v == value { 255 } else { 0 }));
                let path = self.file(&format!("{folder}/{class}/{name}.png"));
                write_class_mask(&path, &mask, &classes).expect("a picture");
            }
        }
    }

    /// COCO's file, with runs; what is ignored is a crowd. Its images are JPEG files.
    pub fn coco(&self, name: &str, maps: &[[u8; 24]; 2]) {
        let images: Vec<Value> = ["a", "b"]
            .iter()
            .enumerate()
            .map(|(id, name)| json!({"id": id, "file_name": format!("{name}.jpg"), "width": SIZE.0, "height": SIZE.1}))
            .collect();
        let mut annotations = Vec::new();
        for (image, map) in maps.iter().enumerate() {
            for (value, category, crowd) in [(1, 1, 0), (2, 2, 0), (255, 1, 1)] {
                let counts = runs(map, value);
                let segmentation = json!({"size": [SIZE.1, SIZE.0], "counts": counts});
                annotations.push(json!({
                    "id": annotations.len(), "image_id": image, "category_id": category, "iscrowd": crowd,
                    "segmentation": segmentation
                }));
            }
        }
        let categories = json!([{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]);
        let file = json!({"images": images, "annotations": annotations, "categories": categories});
        self.text(name, &file.to_string());
    }
}

fn map(levels: &[u8]) -> Grey {
    Grey { width: SIZE.0, height: levels.len() / SIZE.0, data: levels.to_vec() }
}

/// Runs down the columns, of what is not of the value first.
fn runs(map: &[u8; 24], value: u8) -> Vec<usize> {
    let (mut runs, mut is_set) = (vec![0], false);
    for x in 0..SIZE.0 {
        for y in 0..SIZE.1 {
            if (map[y * SIZE.0 + x] == value) != is_set {
                runs.push(0);
                is_set = !is_set;
            }
            *runs.last_mut().expect("a run") += 1;
        }
    }
    runs
}
