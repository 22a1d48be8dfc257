//! Small data sets in the usual layouts, with real pictures, and what `train --check-data` says of them.

use super::pictures::{detailed, png_bytes};
use super::tree::Tree;
use sam2unet::data::{ClassKind, Classes, Grey, write_index};
use serde_json::Value;
use std::fs;
use std::process::Command;

/// Width and height of the pictures.
pub const SIZE: (usize, usize) = (8, 6);

/// A data set in a folder of its own.
pub struct DataSet {
    pub tree: Tree,
}

/// What a check of a set said.
pub struct Checked {
    pub status: Option<i32>,
    pub out: String,
    pub err: String,
    /// What was written with `--json`.
    pub json: Value,
}

impl DataSet {
    pub fn new() -> Self {
        Self { tree: Tree::new(&[]) }
    }

    /// Images, each unlike the others.
    pub fn images(&self, paths: &[&str]) {
        for path in paths {
            let mut picture = detailed(SIZE.0, SIZE.1);
            picture.data[..path.len().min(40)].copy_from_slice(&path.as_bytes()[..path.len().min(40)]);
            self.tree.write(path, png_bytes(&picture));
        }
    }

    /// A mask whose first rows hold these values, one each; the others hold the last one.
    pub fn mask(&self, path: &str, rows: &[u8]) {
        self.tree.write(path, png_bytes(&map(rows)));
    }

    /// The same as a palette PNG.
    pub fn palette_mask(&self, path: &str, rows: &[u8]) {
        let names = (0..21).map(|class| format!("class {class}"));
        let classes = Classes::named(ClassKind::Exclusive, names).unwrap();
        self.tree.add(path);
        write_index(&self.tree.at(path), &map(rows), &classes).unwrap();
    }

    /// `train --check-data` with these arguments, in the set's folder.
    pub fn check(&self, arguments: &[&str]) -> Checked {
        let out = tempfile::tempdir().unwrap();
        let json = out.path().join("found.json");
        let mut command = Command::new(env!("CARGO_BIN_EXE_sam2unet"));
        command.args(["train", "--check-data"]).args(arguments).arg("--json").arg(&json);
        command.current_dir(self.tree.root()).env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
        let ended = command.output().unwrap();
        let text = |bytes| self.told(String::from_utf8(bytes).unwrap());
        let json = fs::read_to_string(&json).ok().map(|text| serde_json::from_str(&self.told(text)).unwrap());
        let json = json.unwrap_or(Value::Null);
        Checked { status: ended.status.code(), out: text(ended.stdout), err: text(ended.stderr), json }
    }

    /// A text in which paths start in the set's folder.
    fn told(&self, text: String) -> String {
        self.tree.told(text).replace("ROOT/", "")
    }

    /// The same of a set that can be trained on.
    #[track_caller]
    pub fn good(&self, arguments: &[&str]) -> Checked {
        let checked = self.check(arguments);
        assert_eq!(checked.status, Some(0), "{}{}", checked.out, checked.err);
        checked
    }

    /// The message of a set that is refused, without the subcommand's name; warnings are left out.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        let Checked { status, err, out, .. } = self.check(arguments);
        assert_eq!(status, Some(2), "{out}{err}");
        // a flag that cannot be read is refused before there is a subcommand
        let name = "train: ";
        err[err.find(name).map_or(0, |at| at + name.len())..].trim_end().to_string()
    }
}

fn map(rows: &[u8]) -> Grey {
    let (width, height) = SIZE;
    let row = |y: usize| rows[y.min(rows.len() - 1)];
    Grey { width, height, data: (0..height).flat_map(|y| vec![row(y); width]).collect() }
}

impl Checked {
    /// What was found, a line each.
    pub fn found(&self) -> Vec<&str> {
        self.json["found"].as_array().unwrap().iter().map(|line| line.as_str().unwrap()).collect()
    }

    /// Pairs to train on and to validate on.
    pub fn pairs(&self) -> (u64, Option<u64>) {
        (self.json["pairs"].as_u64().unwrap(), self.json["validation"]["pairs"].as_u64())
    }

    /// The classes of the training set with their images and pixels.
    pub fn classes(&self) -> Vec<(&str, u64, u64)> {
        let class = |class: &'_ Value| (class["images"].as_u64().unwrap(), class["pixels"].as_u64().unwrap());
        let all = self.json["classes"].as_array().unwrap().iter();
        all.map(|own| (own["name"].as_str().unwrap(), class(own).0, class(own).1)).collect()
    }

    /// The codes of the training set's warnings, with their counts.
    pub fn codes(&self) -> Vec<(&str, u64)> {
        codes(&self.json["warnings"])
    }

    /// Those of the validation set.
    pub fn validation_codes(&self) -> Vec<(&str, u64)> {
        codes(&self.json["validation"]["warnings"])
    }
}

fn codes(warnings: &Value) -> Vec<(&str, u64)> {
    let warnings = warnings.as_array().map_or(&[][..], Vec::as_slice).iter();
    warnings.map(|warning| (warning["code"].as_str().unwrap(), warning["count"].as_u64().unwrap())).collect()
}
