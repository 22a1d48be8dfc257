//! Files under temporary names that are not finished: a program that ends at once removes them.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

type Paths = BTreeSet<PathBuf>;

static UNFINISHED: Mutex<Paths> = Mutex::new(Paths::new());

fn unfinished() -> MutexGuard<'static, Paths> {
    UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins a file that `create` makes. There is no moment when the file is there and nobody would remove it.
pub(super) fn begin(create: impl FnOnce() -> io::Result<(File, PathBuf)>) -> io::Result<(File, PathBuf)> {
    let mut paths = unfinished();
    let (file, path) = create()?;
    paths.insert(path.clone());
    Ok((file, path))
}

/// It has its own name, or was removed.
pub(super) fn ended(path: &Path) {
    unfinished().remove(path);
}

/// No file is begun or ended while this is held.
#[derive(Debug)]
#[must_use = "a file that is begun from now on would be left behind"]
pub struct Held {
    _paths: MutexGuard<'static, Paths>,
}

/// Removes every [`Replacement`](super::Replacement) of a file that this process has begun and not committed, but for
/// those in a folder of its own. For a program that ends at once, whatever its other threads do: they wait at their
/// next file, until it has ended.
pub fn remove_unfinished() -> Held {
    let paths = unfinished();
    for path in paths.iter() {
        // the program ends, whatever comes of it
        let _ = fs::remove_file(path);
    }
    Held { _paths: paths }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::replace::Replacement;

    /// Looks at this test's files only, as others run beside it.
    #[test]
    fn a_file_is_unfinished_until_it_has_its_name_or_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let begin = |name: &str| Replacement::file(&dir.path().join(name)).unwrap();
        let (kept, dropped, open) = (begin("kept"), begin("dropped"), begin("open"));
        let paths = [&kept, &dropped, &open].map(|file| file.path().to_owned());
        assert!(paths.iter().all(|path| unfinished().contains(path)));
        kept.commit().unwrap();
        drop(dropped);
        assert_eq!(paths.each_ref().map(|path| unfinished().contains(path)), [false, false, true]);
    }
}
