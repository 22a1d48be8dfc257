//! The folder of a run that begins: one that holds no run yet, for this process alone.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::error::FolderError;
use super::folder::RunFolder;
use super::names::{CONFIG, HISTORY, LOG};
use crate::checkpoint::found::{BEST, CHECKPOINTS, LAST};
use crate::files::folder::parent;
use crate::train::settings::settings::Settings;

impl RunFolder {
    /// Starts a run in the folder `path`, which is made if it does not exist, and writes its settings. Of two that start there at
    /// once, one gets an error.
    ///
    /// # Errors
    /// When it holds a run already, another process trains in it, or it cannot be written to. A folder that was made for it is
    /// removed again then.
    pub fn create(path: &Path, settings: &Settings) -> Result<Self, FolderError> {
        Self::check_unused(path)?;
        let failed = |source| FolderError::Write { path: path.to_owned(), source };
        fs::create_dir_all(parent(path)).map_err(failed)?;
        match fs::create_dir(path) {
            Ok(()) => Self::begin(path, settings, true),
            Err(_) if path.is_dir() => Self::begin(path, settings, false),
            Err(source) => Err(failed(source)),
        }
    }

    /// The same in the first of `PARENT/NAME`, `PARENT/NAME-2`, ... that does not exist: where a run goes by default. Each of
    /// several that start at once gets a folder of its own.
    ///
    /// # Errors
    /// As [`create`](Self::create).
    pub fn create_numbered(parent: &Path, name: &str, settings: &Settings) -> Result<Self, FolderError> {
        fs::create_dir_all(parent).map_err(|source| FolderError::Write { path: parent.to_owned(), source })?;
        loop {
            let path = Self::unused(parent, name);
            match fs::create_dir(&path) {
                Ok(()) => match Self::begin(&path, settings, true) {
                    // somebody named this very folder
                    Err(
                        FolderError::Busy { .. }
                        | FolderError::Named { .. }
                        | FolderError::Occupied { .. }
                        | FolderError::InTheWay { .. },
                    ) => {}
                    begun => return begun,
                },
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(source) => return Err(FolderError::Write { path, source }),
            }
        }
    }

    /// Takes the folder, which exists, and writes the settings.
    fn begin(path: &Path, settings: &Settings, made: bool) -> Result<Self, FolderError> {
        let taken = Self::take(path, made).inspect_err(|_| {
            if made {
                // unless another process took it
                let _ = fs::remove_dir(path);
            }
        });
        let mut folder = taken?;
        // once more: another run may have begun and ended meanwhile
        match Self::check_unused(path).and_then(|()| folder.write_settings(settings)) {
            Ok(()) => Ok(folder),
            Err(error @ (FolderError::Occupied { .. } | FolderError::InTheWay { .. })) => Err(error),
            Err(error) => {
                folder.abandon();
                Err(error)
            }
        }
    }

    /// Gives up a run that was just created: a folder that was made for it is removed with what was written.
    pub(in crate::train) fn abandon(self) {
        let (path, made) = (self.path.clone(), self.made);
        // what cannot be removed now could not be before, either
        for name in [CONFIG, HISTORY, LOG] {
            let _ = fs::remove_file(path.join(name));
        }
        drop(self);
        if made {
            let _ = fs::remove_dir(path);
        }
    }

    /// Whether [`create`](Self::create) would find a run there: to ask before work that takes long.
    ///
    /// # Errors
    /// When it holds a run, or something of the name of a run's file.
    pub fn check_unused(path: &Path) -> Result<(), FolderError> {
        let there = |name: &&str| match *name {
            // whoever takes the folder makes an empty one
            LOG => fs::metadata(path.join(LOG)).is_ok_and(|log| log.len() > 0),
            name => fs::symlink_metadata(path.join(name)).is_ok(),
        };
        match [CONFIG, LOG, HISTORY, CHECKPOINTS, LAST, BEST].into_iter().find(there) {
            None => Ok(()),
            Some(CONFIG) => Err(FolderError::Occupied { path: path.to_owned() }),
            Some(name) => Err(FolderError::InTheWay { path: path.to_owned(), name }),
        }
    }

    /// The first of `PARENT/NAME`, `PARENT/NAME-2`, ... that does not exist now.
    pub fn unused(parent: &Path, name: &str) -> PathBuf {
        let numbered = (2u64..).map(|n| parent.join(format!("{name}-{n}")));
        let mut places = std::iter::once(parent.join(name)).chain(numbered);
        places.find(|path| fs::symlink_metadata(path).is_err()).unwrap_or_else(|| parent.join(name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::train::settings::layers::resolve;
    use std::collections::BTreeSet;

    fn settings() -> Settings {
        resolve(&[]).unwrap().settings
    }

    #[test]
    fn a_run_is_never_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/run");
        assert_eq!(RunFolder::unused(dir.path(), "a"), dir.path().join("a"));
        let folder = RunFolder::create(&path, &settings()).unwrap();
        assert_eq!(folder.settings().unwrap(), settings());
        assert_eq!(folder.state().unwrap(), None);
        assert_eq!(RunFolder::unused(dir.path(), "a"), dir.path().join("a-2"));
        let message = RunFolder::create(&path, &settings()).unwrap_err().to_string();
        assert!(message.contains("holds a run already"), "{message}");
        let message = RunFolder::open(dir.path()).unwrap_err().to_string();
        assert!(message.contains("config.toml"), "{message}");
        let message = RunFolder::open(&path).unwrap_err().to_string();
        let process = format!(": process {} on ", std::process::id());
        assert!(message.contains("another process is training in") && message.contains(&process), "{message}");
        drop(folder);
        assert!(!path.join("running.json").exists());
        RunFolder::open(&path).unwrap();
    }

    #[test]
    fn an_output_that_cannot_be_written_to_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "x").unwrap();
        let message = RunFolder::create(&file.join("run"), &settings()).unwrap_err().to_string();
        assert!(message.starts_with("cannot write") && message.contains("file/run"), "{message}");
    }

    #[test]
    fn runs_that_start_at_once_share_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let parent = dir.path().join("runs");
        let count = 8;
        let folders: Vec<_> = std::thread::scope(|scope| {
            let start = || RunFolder::create_numbered(&parent, "train", &settings()).unwrap();
            let starts: Vec<_> = (0..count).map(|_| scope.spawn(start)).collect();
            starts.into_iter().map(|start| start.join().unwrap()).collect()
        });
        let places: BTreeSet<_> = folders.iter().map(|folder| folder.path().to_owned()).collect();
        let names = (2..=count).map(|n| parent.join(format!("train-{n}"))).chain([parent.join("train")]);
        assert_eq!(places, names.collect());
        // and of those that are given one folder, one gets it
        let named = dir.path().join("named");
        let begun = std::thread::scope(|scope| {
            let starts: Vec<_> = (0..count).map(|_| scope.spawn(|| RunFolder::create(&named, &settings()))).collect();
            starts.into_iter().map(|start| start.join().unwrap()).filter(Result::is_ok).count()
        });
        assert_eq!(begun, 1);
    }

    #[test]
    fn what_is_in_the_way_is_named_and_is_no_run() {
        for name in ["checkpoints", "last", "best"] {
            let dir = tempfile::tempdir().unwrap();
            fs::create_dir(dir.path().join(name)).unwrap();
            let message = RunFolder::create(dir.path(), &settings()).unwrap_err().to_string();
            assert!(message.contains("holds no run") && message.contains(&format!("but {name}, ")), "{message}");
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
        }
    }

    /// The folder's path is one that the system takes, its log's is longer.
    #[cfg(target_os = "linux")]
    #[test]
    fn a_folder_that_cannot_be_taken_is_removed_again() {
        let dir = tempfile::tempdir().unwrap();
        let mut path = dir.path().to_owned();
        while path.as_os_str().len() < 4090 {
            path = path.join("x".repeat((4090 - path.as_os_str().len() - 1).clamp(1, 200)));
        }
        let error = RunFolder::create(&path, &settings()).unwrap_err();
        assert!(matches!(error, FolderError::Write { .. }), "{error}");
        assert!(parent(&path).is_dir() && !path.exists());
    }

    #[test]
    fn a_start_that_is_refused_leaves_no_folder() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        RunFolder::create(&path, &settings()).unwrap().abandon();
        assert!(!path.exists());
        // one that was there stays
        fs::create_dir(&path).unwrap();
        RunFolder::create(&path, &settings()).unwrap().abandon();
        assert_eq!(fs::read_dir(&path).unwrap().count(), 0);
    }
}
