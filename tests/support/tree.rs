//! Small trees of files, for what looks at names alone.

use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub struct Tree {
    root: TempDir,
}

impl Tree {
    /// Files of one byte, in folders that are made for them; a path that ends in `/` is an empty folder.
    pub fn new(paths: &[&str]) -> Self {
        let tree = Self { root: TempDir::new().unwrap() };
        paths.iter().for_each(|path| tree.add(path));
        tree
    }

    pub fn add(&self, path: &str) {
        if path.ends_with('/') {
            fs::create_dir_all(self.at(path)).unwrap();
        } else {
            self.write(path, "x");
        }
    }

    pub fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub fn at(&self, path: &str) -> PathBuf {
        self.root.path().join(path)
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// A text with the tree's own path as `ROOT`, so that it can be compared.
    pub fn told(&self, text: impl ToString) -> String {
        text.to_string().replace(&self.root().display().to_string(), "ROOT")
    }
}
