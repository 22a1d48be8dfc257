//! A name that stands for another folder: a symbolic link, or, where links cannot be made, a file of one line.
//!
//! `last` of a run stands for `checkpoints/12`: it is a link to it, or the file `last.txt` has the line `checkpoints/12`. Either
//! is turned to another folder by renaming a new one over it, so that a reader always finds one of the two. The link
//! counts where both are there: the file is then one that could not be removed.

use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::folder::sync;
use super::write::write_in_own_folder;

/// What a name in a folder is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Pointer {
    /// There is nothing of that name.
    Absent,
    /// A folder itself.
    Folder,
    /// A link; what it says, which may not be there.
    Link(PathBuf),
    /// A file of one line; what it says, which may not be there.
    Text(PathBuf),
}

/// Longest line that is read, in bytes.
const LONGEST: usize = 4096;

impl Pointer {
    /// What `name` is in `folder`.
    ///
    /// # Errors
    /// When it cannot be read, or a file of that name holds no relative path.
    pub fn read(folder: &Path, name: &str) -> io::Result<Self> {
        Self::read_by(read_text, folder, name)
    }

    fn read_by(read_text: impl Fn(&Path) -> io::Result<PathBuf>, folder: &Path, name: &str) -> io::Result<Self> {
        let path = folder.join(name);
        if let Some(found) = there(Self::read_plain(&path))? {
            return Ok(found);
        }
        if let Some(target) = there(read_text(&text_file(folder, name)))? {
            return Ok(Self::Text(target));
        }
        // neither, where a text was turned to a link between the two looks
        Ok(there(Self::read_plain(&path))?.unwrap_or(Self::Absent))
    }

    /// What the name itself is.
    fn read_plain(path: &Path) -> io::Result<Self> {
        let found = fs::symlink_metadata(path)?;
        if found.is_symlink() {
            fs::read_link(path).map(Self::Link)
        } else if found.is_dir() {
            Ok(Self::Folder)
        } else {
            // what some programs make of a link where they cannot make one
            read_text(path).map(Self::Text)
        }
    }

    /// What it says, if it is a link or a text.
    pub fn target(&self) -> Option<&Path> {
        match self {
            Self::Absent | Self::Folder => None,
            Self::Link(target) | Self::Text(target) => Some(target),
        }
    }

    /// The path of the folder that `name` stands for in `folder`, whether it is there or not. Where it is no file of one line,
    /// this is the name itself, which stays valid when the link is turned.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn resolve(folder: &Path, name: &str) -> io::Result<PathBuf> {
        Ok(match Self::read(folder, name)? {
            Self::Text(target) => folder.join(target),
            _ => folder.join(name),
        })
    }

    /// Lets `name` in `folder` stand for `target`, a path relative to `folder`. Nobody finds it absent meanwhile. A folder of that
    /// name must be moved away before.
    ///
    /// # Errors
    /// When neither a link nor a file can be made.
    pub fn turn(folder: &Path, name: &str, target: &Path) -> io::Result<()> {
        turn_by(symlink, folder, name, target)
    }
}

/// What was read; `None` if there is nothing to read.
fn there<T>(read: io::Result<T>) -> io::Result<Option<T>> {
    match read {
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Whether an error says that links cannot be made here at all, where something else may hold the next time.
fn no_links(error: &io::Error) -> bool {
    // Windows without the right to make links, and FAT there
    let windows = cfg!(windows) && matches!(error.raw_os_error(), Some(1 | 1314));
    // the last: what cannot be removed stands where the new link would be made
    let kinds = [io::ErrorKind::Unsupported, io::ErrorKind::PermissionDenied, io::ErrorKind::AlreadyExists];
    windows || kinds.contains(&error.kind())
}

fn text_file(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.txt"))
}

fn turn_by(
    symlink: impl Fn(&Path, &Path) -> io::Result<()>,
    folder: &Path,
    name: &str,
    target: &Path,
) -> io::Result<()> {
    let (path, text) = (folder.join(name), text_file(folder, name));
    match Pointer::read(folder, name) {
        Ok(Pointer::Link(old)) if old == target => return Ok(()),
        Ok(Pointer::Folder) => return Err(io::Error::new(io::ErrorKind::AlreadyExists, "it is a folder")),
        _ => {}
    }
    let new = folder.join(format!(".{name}.new"));
    // what a killed process left
    let _ = fs::remove_file(&new);
    let linked = symlink(target, &new).and_then(|()| {
        fs::rename(&new, &path).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
    });
    match linked {
        Ok(()) => {
            let _ = fs::remove_file(text);
        }
        Err(error) if !no_links(&error) => return Err(error),
        Err(_) => {
            let line = target.to_str().ok_or_else(|| io::Error::other("its target is no Unicode"))?;
            write_in_own_folder(&text, format!("{line}\n"))?;
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
    }
    sync(folder)
}

fn read_text(path: &Path) -> io::Result<PathBuf> {
    let wrong = |reason: &str| io::Error::new(io::ErrorKind::InvalidData, reason);
    if fs::metadata(path)?.len() > LONGEST as u64 {
        return Err(wrong("it is no link, and too long a file for the name of a folder"));
    }
    let text = fs::read_to_string(path)?;
    let target = PathBuf::from(text.trim_end_matches(['\n', '\r']));
    let inside = target.components().all(|part| matches!(part, Component::Normal(_)));
    match inside && !target.as_os_str().is_empty() && !text.trim_end_matches(['\n', '\r']).contains('\n') {
        true => Ok(target),
        false => Err(wrong("it should hold one line, the path of a folder beside it")),
    }
}

#[cfg(unix)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &Path, link: &Path) -> io::Result<()> {
    std::os::windows::fs::symlink_dir(target, link)
}

#[cfg(not(any(unix, windows)))]
fn symlink(_: &Path, _: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(unix)]
#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicBool, Ordering};

    fn refused(_: &Path, _: &Path) -> io::Result<()> {
        Err(io::ErrorKind::PermissionDenied.into())
    }

    fn run() -> tempfile::TempDir {
        let dir = tempfile::tempdir().unwrap();
        for step in ["checkpoints/1", "checkpoints/2"] {
            fs::create_dir_all(dir.path().join(step)).unwrap();
            fs::write(dir.path().join(step).join("x"), step).unwrap();
        }
        dir
    }

    #[test]
    fn a_name_is_turned_by_link_and_by_text_and_back() {
        let dir = run();
        let folder = dir.path();
        let (one, two) = (Path::new("checkpoints/1"), Path::new("checkpoints/2"));
        assert_eq!(Pointer::read(folder, "last").unwrap(), Pointer::Absent);
        Pointer::turn(folder, "last", one).unwrap();
        assert_eq!(Pointer::read(folder, "last").unwrap(), Pointer::Link(one.into()));
        assert_eq!(fs::read_to_string(folder.join("last/x")).unwrap(), "checkpoints/1");
        // on a file system without links, from a copy that had them
        turn_by(refused, folder, "last", two).unwrap();
        assert_eq!(Pointer::read(folder, "last").unwrap(), Pointer::Text(two.into()));
        assert_eq!(fs::read_to_string(folder.join("last.txt")).unwrap(), "checkpoints/2\n");
        assert!(fs::symlink_metadata(folder.join("last")).is_err());
        assert_eq!(Pointer::resolve(folder, "last").unwrap(), folder.join(two));
        // and back
        Pointer::turn(folder, "last", one).unwrap();
        assert_eq!(Pointer::read(folder, "last").unwrap(), Pointer::Link(one.into()));
        assert_eq!(Pointer::resolve(folder, "last").unwrap(), folder.join("last"));
        assert!(!folder.join("last.txt").exists());
        assert_eq!(fs::read_dir(folder).unwrap().count(), 2);
    }

    #[test]
    fn a_link_is_never_found_absent() {
        let dir = run();
        let (folder, done) = (dir.path(), AtomicBool::new(false));
        Pointer::turn(folder, "last", Path::new("checkpoints/1")).unwrap();
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let mut reads = 0;
                while !done.load(Ordering::Relaxed) {
                    fs::read(folder.join("last/x")).unwrap();
                    reads += 1;
                }
                reads
            });
            for turn in 0..500 {
                Pointer::turn(folder, "last", &Path::new("checkpoints").join((turn % 2 + 1).to_string())).unwrap();
            }
            done.store(true, Ordering::Relaxed);
            assert!(reader.join().unwrap() > 0);
        });
    }

    #[test]
    fn a_name_that_is_turned_while_it_is_read_is_not_found_absent() {
        let dir = run();
        let (folder, two) = (dir.path(), Path::new("checkpoints/2"));
        turn_by(refused, folder, "last", Path::new("checkpoints/1")).unwrap();
        let to_a_link = |text: &Path| {
            Pointer::turn(folder, "last", two).unwrap();
            read_text(text)
        };
        assert_eq!(Pointer::read_by(to_a_link, folder, "last").unwrap(), Pointer::Link(two.into()));
        fs::remove_file(folder.join("last")).unwrap();
        assert_eq!(Pointer::read(folder, "last").unwrap(), Pointer::Absent);
    }

    #[test]
    fn an_error_that_passes_makes_no_text() {
        let dir = run();
        let folder = dir.path();
        let one = Path::new("checkpoints/1");
        Pointer::turn(folder, "last", one).unwrap();
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::Interrupted, io::ErrorKind::StaleNetworkFileHandle] {
            let error = turn_by(|_, _| Err(kind.into()), folder, "last", Path::new("checkpoints/2")).unwrap_err();
            assert_eq!(error.kind(), kind);
            assert_eq!(Pointer::read(folder, "last").unwrap(), Pointer::Link(one.into()));
            assert!(!folder.join("last.txt").exists());
        }
        // what systems say where there are no links: EPERM, ENOSYS, EOPNOTSUPP
        #[cfg(target_os = "linux")]
        assert!([1, 38, 95].into_iter().all(|number| no_links(&io::Error::from_raw_os_error(number))));
    }

    #[test]
    fn what_a_killed_process_left_is_no_obstacle_and_a_folder_is_not_replaced() {
        let dir = run();
        let folder = dir.path();
        std::os::unix::fs::symlink("nowhere", folder.join(".last.new")).unwrap();
        Pointer::turn(folder, "last", Path::new("checkpoints/1")).unwrap();
        assert!(fs::symlink_metadata(folder.join(".last.new")).is_err());
        fs::create_dir(folder.join("best")).unwrap();
        assert!(Pointer::turn(folder, "best", Path::new("checkpoints/1")).is_err());
        assert_eq!(Pointer::read(folder, "best").unwrap(), Pointer::Folder);
    }

    #[test]
    fn a_text_that_leads_elsewhere_is_refused() {
        let dir = run();
        let long = "x".repeat(5000);
        for text in ["", "\n", "../other", "/etc", "a/../b", "checkpoints/1\nmore\n", &long] {
            fs::write(dir.path().join("best.txt"), text).unwrap();
            assert!(Pointer::read(dir.path(), "best").is_err(), "{text}");
        }
        fs::write(dir.path().join("best.txt"), "checkpoints/1\r\n").unwrap();
        assert_eq!(Pointer::read(dir.path(), "best").unwrap(), Pointer::Text("checkpoints/1".into()));
        // a link that became a file
        fs::write(dir.path().join("last"), "checkpoints/2").unwrap();
        assert_eq!(Pointer::resolve(dir.path(), "last").unwrap(), dir.path().join("checkpoints/2"));
    }
}
