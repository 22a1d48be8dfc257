//! Where a path leads, through links.

use std::path::{Component, Path, PathBuf};
use std::{fs, io};

/// What two paths have in common that lead to one file: by links, by hard links where the system tells, or by another
/// spelling.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct FileId(#[cfg(unix)] (u64, u64), #[cfg(not(unix))] PathBuf);

impl FileId {
    /// Of the file that the path leads to.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(path: &Path) -> io::Result<Self> {
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt;
            let found = fs::metadata(path)?;
            Ok(Self((found.dev(), found.ino())))
        }
        #[cfg(not(unix))]
        Ok(Self(fs::canonicalize(path)?))
    }
}

/// The path without links, `.` and `..`, as far as its folders are there; the rest is what it would be once they are
/// made.
pub(crate) fn resolved(path: &Path) -> PathBuf {
    let mut at = PathBuf::new();
    if path.is_relative() {
        at = fs::canonicalize(".").unwrap_or_default();
    }
    for component in path.components() {
        match component {
            Component::Prefix(_) | Component::RootDir => at.push(component),
            Component::CurDir => {}
            // `at` holds no link, so that its parent is the folder above
            Component::ParentDir => drop(at.pop()),
            Component::Normal(name) => {
                at.push(name);
                at = fs::canonicalize(&at).unwrap_or(at);
            }
        }
    }
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn a_path_is_resolved_as_far_as_it_is_there() {
        use std::os::unix::fs::symlink;
        let dir = tempfile::tempdir().unwrap();
        let root = fs::canonicalize(dir.path()).unwrap();
        fs::create_dir_all(root.join("a/b")).unwrap();
        symlink("a/b", root.join("link")).unwrap();
        symlink("nowhere", root.join("broken")).unwrap();
        for (path, expected) in [
            ("a/./b", "a/b"),
            ("link/new/deep", "a/b/new/deep"),
            // the folder above the one that the link leads to
            ("link/../c", "a/c"),
            ("new/../a", "a"),
            ("broken/x", "broken/x"),
        ] {
            assert_eq!(resolved(&root.join(path)), root.join(expected), "{path}");
        }
        assert_eq!(resolved(Path::new("./new/../here")), fs::canonicalize(".").unwrap().join("here"));
    }

    #[test]
    fn a_file_has_one_identity_by_all_its_names() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("a"), "").unwrap();
        fs::write(at("b"), "").unwrap();
        let id = |name: &str| FileId::of(&at(name)).unwrap();
        assert_ne!(id("a"), id("b"));
        assert_eq!(id("a"), id("./a"));
        #[cfg(unix)]
        {
            fs::hard_link(at("a"), at("hard")).unwrap();
            std::os::unix::fs::symlink("a", at("soft")).unwrap();
            assert_eq!((id("a"), id("a")), (id("hard"), id("soft")));
        }
        assert!(FileId::of(&at("c")).is_err());
    }
}
