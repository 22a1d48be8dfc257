//! A file or folder under a temporary name, which takes the place of the one that is replaced once it is complete.

use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::{folder, temporary, unfinished};

/// A file (`Replacement<File>`, which is written to) or a folder (`Replacement<Folder>`, in whose [`path`](Self::path)
/// files are made) under a temporary name. `commit` gives it its own name, over an older one. Dropped without, it is
/// removed, and the older one is as it was.
#[derive(Debug)]
#[must_use = "what is not committed is removed"]
pub struct Replacement<Content> {
    target: PathBuf,
    temporary: PathBuf,
    content: Content,
    /// Whether the temporary one is removed when this is dropped.
    discard: bool,
}

/// What makes a [`Replacement`] one of a folder.
#[derive(Debug)]
pub struct Folder(());

impl<Content> Replacement<Content> {
    fn new(target: &Path, temporary: PathBuf, content: Content) -> Self {
        Self { target: target.to_owned(), temporary, content, discard: true }
    }

    /// Where it lies as long as it is not committed.
    pub fn path(&self) -> &Path {
        &self.temporary
    }
}

impl<Content> Drop for Replacement<Content> {
    fn drop(&mut self) {
        if self.discard {
            // whoever drops it has an error to report already; what is left behind here does no harm
            let is_folder = fs::symlink_metadata(&self.temporary).is_ok_and(|found| found.is_dir());
            let _ = if is_folder { fs::remove_dir_all(&self.temporary) } else { fs::remove_file(&self.temporary) };
        }
        unfinished::ended(&self.temporary);
    }
}

impl Replacement<File> {
    /// Begins a file, in the folder of `target` under a hidden name that no other process has.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn file(target: &Path) -> io::Result<Self> {
        let (file, temporary) = unfinished::begin(|| temporary::unique_file(folder::parent(target)))?;
        Ok(Self::new(target, temporary, file))
    }

    /// Begins a file whose temporary name is always the same (`config.new` for `config.toml`), for a folder that only this
    /// process writes to: what a killed process left there is written over.
    ///
    /// # Errors
    /// When no file can be made there.
    pub fn file_in_own_folder(target: &Path) -> io::Result<Self> {
        let temporary = temporary::new_file(target);
        let file = File::create(&temporary)?;
        Ok(Self::new(target, temporary, file))
    }

    /// Brings the bytes to the disk and gives the file its name, over an older one.
    ///
    /// # Errors
    /// When the bytes cannot be written (a full disk), or the file not be renamed. An older one is then as it was.
    pub fn commit(mut self) -> io::Result<()> {
        self.content.sync_all()?;
        fs::rename(&self.temporary, &self.target)?;
        self.discard = false;
        // the file is whole and in its place: a system that cannot make the name last is no reason to fail
        let _ = folder::sync(folder::parent(&self.target));
        Ok(())
    }
}

impl Write for Replacement<File> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.content.write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        self.content.flush()
    }
}

impl Seek for Replacement<File> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.content.seek(to)
    }
}

impl Replacement<Folder> {
    /// Begins the folder `target` as `target.new`, in a folder that only this process writes to: what a killed process left
    /// under that name is removed. The folder that it lies in is made if need be.
    ///
    /// # Errors
    /// When that cannot be removed, or no folder be made.
    pub fn folder(target: &Path) -> io::Result<Self> {
        let temporary = temporary::new_folder(target);
        folder::remove(&temporary)?;
        fs::create_dir_all(folder::parent(target))?;
        fs::create_dir(&temporary)?;
        Ok(Self::new(target, temporary, Folder(())))
    }

    /// Gives the folder its name by a rename. There must be none of that name, or an empty one: a folder that is there under its
    /// name stays as it is for good.
    ///
    /// Files in it must be on the disk already, as those of a committed [`Replacement`] are.
    ///
    /// # Errors
    /// When it cannot be renamed, as there is one already, for example.
    pub fn commit(mut self) -> io::Result<()> {
        folder::sync(&self.temporary)?;
        fs::rename(&self.temporary, &self.target)?;
        self.discard = false;
        folder::sync(folder::parent(&self.target))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(path: &Path) -> Option<String> {
        fs::read_to_string(path).ok()
    }

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.txt");
        type Begin = fn(&Path) -> io::Result<Replacement<File>>;
        for begin in [Replacement::file as Begin, Replacement::file_in_own_folder] {
            fs::write(&path, "old").unwrap();
            let mut file = begin(&path).unwrap();
            file.write_all(b"half").unwrap();
            assert_eq!(names(dir.path()).len(), 2);
            drop(file);
            assert_eq!((names(dir.path()), read(&path).unwrap()), (vec!["a.txt".to_string()], "old".to_string()));
            let mut file = begin(&path).unwrap();
            file.write_all(b"new").unwrap();
            file.commit().unwrap();
            assert_eq!((names(dir.path()), read(&path).unwrap()), (vec!["a.txt".to_string()], "new".to_string()));
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_file_has_the_permissions_of_any_new_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (plain, path) = (dir.path().join("plain"), dir.path().join("a.txt"));
        fs::write(&plain, "").unwrap();
        Replacement::file(&path).unwrap().commit().unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        assert_eq!(mode(&path), mode(&plain));
    }

    #[test]
    fn a_folder_appears_whole_or_not_at_all_and_is_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let place = dir.path().join("checkpoints/12");
        let begin = |text: &str| {
            let folder = Replacement::folder(&place).unwrap();
            fs::write(folder.path().join("x"), text).unwrap();
            folder
        };
        drop(begin("1"));
        assert!(names(&dir.path().join("checkpoints")).is_empty());
        // a killed process left its half
        fs::create_dir(dir.path().join("checkpoints/12.new")).unwrap();
        fs::write(dir.path().join("checkpoints/12.new/half"), "").unwrap();
        begin("2").commit().unwrap();
        assert_eq!(names(&place), ["x"]);
        assert!(begin("3").commit().is_err());
        assert_eq!(
            (names(&dir.path().join("checkpoints")), read(&place.join("x")).unwrap()),
            (vec!["12".to_string()], "2".to_string())
        );
    }
}
