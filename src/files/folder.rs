//! What is done with whole folders.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::temporary;

/// The folder that a file lies in.
pub(crate) fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// Makes the names in a folder last through a power failure, where the system can synchronise folders: some network file
/// systems cannot.
pub(crate) fn sync(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => Ok(()),
        synchronised => synchronised,
    }
}

/// Removes a folder with all that is in it; it is no error if there is none.
pub(crate) fn remove(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes a folder that is needed no more: it gets a hidden name in the folder `bin` first, so that nobody finds a half of
/// it. Some network file systems keep a deleted file as long as a process has it open; what cannot be removed now keeps its
/// hidden name until [`empty`].
///
/// # Errors
/// When the folder cannot be renamed: it is as it was then.
pub(crate) fn discard(folder: &Path, bin: &Path) -> io::Result<()> {
    discard_by(remove, folder, bin)
}

fn discard_by(remove: impl Fn(&Path) -> io::Result<()>, folder: &Path, bin: &Path) -> io::Result<()> {
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let hidden = |n: u32| bin.join(format!(".{name}.{n}{DISCARDED}"));
    let free = (0..).map(hidden).find(|path| fs::symlink_metadata(path).is_err());
    let hidden: PathBuf = free.unwrap_or_else(|| hidden(u32::MAX));
    fs::rename(folder, &hidden)?;
    let _ = remove(&hidden);
    Ok(())
}

/// The ending of the hidden names that [`discard`] gives.
const DISCARDED: &str = ".discarded";

/// Tries again to remove what [`discard`] could not remove, or what it was killed in.
pub(crate) fn empty(bin: &Path) {
    let Ok(entries) = fs::read_dir(bin) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        if name.to_str().is_some_and(|name| name.starts_with('.') && name.ends_with(DISCARDED)) {
            let _ = remove(&entry.path());
        }
    }
}

/// Makes the folder if there is none, sees whether files can be written into it, and removes what killed processes left there.
pub(crate) fn make_writable(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    tempfile::tempfile_in(folder).map(drop)?;
    temporary::sweep(folder);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_discarded_is_gone_or_hidden_and_removed_later() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, bin) = (dir.path().join("12"), dir.path().join("bin"));
        fs::create_dir(&bin).unwrap();
        // what an earlier one could not remove does not stand in the way
        for name in [".12.0.discarded", ".12.1.discarded", "other", ".hidden"] {
            fs::create_dir(bin.join(name)).unwrap();
            fs::write(bin.join(name).join(".nfs0001"), "open").unwrap();
        }
        fs::create_dir(&folder).unwrap();
        discard(&folder, &bin).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 4);
        // one with a file that somebody has open
        fs::create_dir(&folder).unwrap();
        let held = |_: &Path| Err(io::ErrorKind::DirectoryNotEmpty.into());
        discard_by(held, &folder, &bin).unwrap();
        assert!(!folder.exists());
        assert_eq!(fs::read_dir(&bin).unwrap().count(), 5);
        empty(&bin);
        let mut left: Vec<_> = fs::read_dir(&bin).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(left, [".hidden", "other"]);
        assert!(discard(&folder, &bin).is_err());
    }
}
