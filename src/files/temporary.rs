//! Temporary names, always in the folder of the final one, so that a rename is enough.
//!
//! A writer locks its temporary file as long as it writes. So whoever gets the lock of such a file knows that its writer is
//! gone, and may remove it ([`sweep`]).

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the names of temporary files begin and end with; between stand random characters.
const PREFIX: &str = ".sam2unet-";
const SUFFIX: &str = ".partial";
/// After so long a file that cannot be locked is a left-over.
const LEFT_OVER_AFTER: Duration = Duration::from_secs(24 * 60 * 60);
/// Before so long a file is none, whoever has its lock: on some network file systems a lock does not reach other machines.
const UNTOUCHED_FOR: Duration = Duration::from_secs(5 * 60);
/// How often a new name is tried where a sweep took the file for a left-over.
const ATTEMPTS: usize = 16;

/// A new file in `folder` under a hidden name that nobody else has, locked where there are locks, with the
/// permissions that any new file gets.
pub(super) fn unique_file(folder: &Path) -> io::Result<(File, PathBuf)> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(PREFIX).suffix(SUFFIX);
    #[cfg(unix)]
    {
        // what the user's umask leaves of this: a temporary file would be closed to others
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    for _ in 0..ATTEMPTS {
        let (file, path) = builder.tempfile_in(folder)?.keep().map_err(|error| error.error)?;
        // another process may have swept in the moment between: then it has the lock, or the file is gone
        match file.try_lock() {
            Ok(()) if path.exists() => return Ok((file, path)),
            Ok(()) | Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(_)) => return Ok((file, path)),
        }
    }
    Err(io::Error::other("another process removes temporary files as fast as they are made"))
}

/// Whether a temporary file has a living writer.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    /// Its writer locks it.
    Locked,
    /// Of an earlier version, which locked none: only its age tells.
    Unlocked,
}

impl Kind {
    fn of(name: &OsStr) -> Option<Self> {
        let name = name.to_str()?;
        if name.starts_with(PREFIX) && name.ends_with(SUFFIX) {
            return Some(Self::Locked);
        }
        let random = |ending: &str| {
            let middle = name.strip_prefix('.').and_then(|rest| rest.strip_suffix(ending));
            middle.is_some_and(|middle| middle.len() == 6 && middle.bytes().all(|byte| byte.is_ascii_alphanumeric()))
        };
        let weights = name.starts_with(".weights-") && name.ends_with(SUFFIX);
        (weights || random(SUFFIX) || random(".part")).then_some(Self::Unlocked)
    }
}

/// Removes the temporary files that killed processes left in `folder`, and never one that a living process writes. Those that were
/// written to in the last minutes stay, and where the file system has no locks those of the last day. What cannot be removed is left:
/// it does no harm.
pub(crate) fn sweep(folder: &Path) {
    sweep_by(folder, File::try_lock);
}

fn sweep_by(folder: &Path, try_lock: impl Fn(&File) -> Result<(), TryLockError>) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let Some(kind) = Kind::of(&entry.file_name()) else { continue };
        if !entry.file_type().is_ok_and(|found| found.is_file()) {
            continue;
        }
        // for writing, too: network file systems lock only such files
        let Ok(file) = File::options().read(true).write(true).open(entry.path()) else { continue };
        let left_over = match kind {
            Kind::Unlocked => is_older(&file, LEFT_OVER_AFTER),
            // first its age: a lock that is tried on a file just made would disturb its writer
            Kind::Locked => {
                is_older(&file, UNTOUCHED_FOR)
                    && match try_lock(&file) {
                        Ok(()) => true,
                        Err(TryLockError::WouldBlock) => false,
                        Err(TryLockError::Error(_)) => is_older(&file, LEFT_OVER_AFTER),
                    }
            }
        };
        if left_over {
            // with the lock still held, so that its writer cannot begin meanwhile
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// Whether it was last changed so long ago.
fn is_older(file: &File, than: Duration) -> bool {
    let age = file.metadata().and_then(|found| found.modified()).ok().and_then(|changed| changed.elapsed().ok());
    age.is_some_and(|age| age > than)
}

/// `config.new` for `config.toml`: the same name each time, so that what a killed process left is written over by the next one.
pub(super) fn new_file(target: &Path) -> PathBuf {
    target.with_extension("new")
}

/// `12.new` for the folder `12`.
pub(super) fn new_folder(target: &Path) -> PathBuf {
    let mut name = OsString::from(target);
    name.push(NEW_FOLDER);
    PathBuf::from(name)
}

/// The ending of folders that are not complete yet.
pub(crate) const NEW_FOLDER: &str = ".new";

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::SystemTime;

    fn names(folder: &Path) -> Vec<String> {
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name().into_string().unwrap();
        let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(name).collect();
        names.sort();
        names
    }

    fn without_locks(_: &File) -> Result<(), TryLockError> {
        Err(TryLockError::Error(io::ErrorKind::Unsupported.into()))
    }

    /// Writes a file that was last changed so many hours ago.
    fn aged(path: &Path, hours: u64) {
        fs::write(path, "half").unwrap();
        let time = SystemTime::now() - Duration::from_secs(hours * 60 * 60);
        File::options().write(true).open(path).unwrap().set_modified(time).unwrap();
    }

    #[test]
    fn a_living_writers_file_stays_and_a_dead_ones_goes() {
        let dir = tempfile::tempdir().unwrap();
        let (living, path) = unique_file(dir.path()).unwrap();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        aged(&dir.path().join(".sam2unet-dead00.partial"), 1);
        sweep(dir.path());
        assert_eq!(names(dir.path()), [&name[..]]);
        // a file of age is no proof that its writer is gone
        living.set_modified(SystemTime::UNIX_EPOCH).unwrap();
        sweep(dir.path());
        assert_eq!(names(dir.path()), [name]);
        drop(living);
        sweep(dir.path());
        assert!(names(dir.path()).is_empty());
    }

    /// The lock of a writer on another machine may not be seen here.
    #[test]
    fn a_file_of_the_last_minutes_stays_though_nobody_has_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let (writer, path) = unique_file(dir.path()).unwrap();
        drop(writer);
        sweep(dir.path());
        assert!(path.exists());
        aged(&path, 1);
        sweep(dir.path());
        assert!(!path.exists());
    }

    #[test]
    fn without_locks_age_decides() {
        let dir = tempfile::tempdir().unwrap();
        aged(&dir.path().join(".sam2unet-older0.partial"), 25);
        aged(&dir.path().join(".sam2unet-newer0.partial"), 23);
        sweep_by(dir.path(), without_locks);
        assert_eq!(names(dir.path()), [".sam2unet-newer0.partial"]);
    }

    #[test]
    fn left_overs_of_earlier_versions_go_after_a_day_and_other_files_never() {
        let dir = tempfile::tempdir().unwrap();
        for name in [".Ab3dEf.partial", ".Ab3dEf.part", ".weights-x1.partial", ".sam2unet-a.partial"] {
            aged(&dir.path().join(name), 25);
        }
        let others = [".download.partial", "a.partial", ".weights-x1", ".Ab3dE.part", "sam2unet-a.partial", ".hidden"];
        for name in others {
            aged(&dir.path().join(name), 1000);
        }
        aged(&dir.path().join(".Zz3dEf.partial"), 23);
        fs::create_dir(dir.path().join(".sam2unet-b.partial")).unwrap();
        sweep(dir.path());
        let mut left = [&others[..], &[".Zz3dEf.partial", ".sam2unet-b.partial"]].concat();
        left.sort_unstable();
        assert_eq!(names(dir.path()), left);
    }

    /// Many writers and sweeps at once: no writer loses its file.
    #[test]
    fn a_sweep_takes_no_file_from_a_writer_that_begins() {
        let dir = tempfile::tempdir().unwrap();
        let (writers, sweeps) = (4, 4);
        std::thread::scope(|scope| {
            for writer in 0..writers {
                let (dir, target) = (dir.path(), dir.path().join(format!("{writer}.png")));
                scope.spawn(move || {
                    for _ in 0..50 {
                        let (_file, path) = unique_file(dir).unwrap();
                        fs::rename(&path, &target).unwrap();
                    }
                });
            }
            for _ in 0..sweeps {
                scope.spawn(|| (0..200).for_each(|_| sweep(dir.path())));
            }
        });
        assert_eq!(names(dir.path()).len(), writers);
    }
}
