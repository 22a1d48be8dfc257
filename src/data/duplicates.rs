//! Images of one set that are images of another one, byte for byte.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use super::folder::Folder;

/// The images of `second` whose bytes are those of an image of `first`, in order. Files of one length are compared only, first a few
/// parts of them. A file that cannot be read is none of them.
pub fn duplicates(first: &Folder, second: &Folder) -> Vec<PathBuf> {
    let images = |set: &Folder| -> Vec<(u64, PathBuf)> {
        let length = |path: &PathBuf| path.metadata().ok().filter(|found| found.is_file()).map(|found| found.len());
        set.pairs().iter().filter_map(|pair| Some((length(&pair.image)?, pair.image.clone()))).collect()
    };
    let [first, second] = [first, second].map(images);
    let lengths: HashSet<u64> = second.iter().map(|(length, _)| *length).collect();
    let mut alike: HashMap<(u64, u64), Vec<&Path>> = HashMap::new();
    for (length, path) in first.iter().filter(|(length, _)| lengths.contains(length)) {
        if let Ok(parts) = parts(path, *length) {
            alike.entry((*length, parts)).or_default().push(path);
        }
    }
    let lengths: HashSet<u64> = alike.keys().map(|(length, _)| *length).collect();
    let is_there = |(length, path): &&(u64, PathBuf)| {
        let parts = Some(*length).filter(|length| lengths.contains(length)).and_then(|length| parts(path, length).ok());
        let candidates = parts.and_then(|parts| alike.get(&(*length, parts)));
        candidates.is_some_and(|paths| paths.iter().any(|other| is_equal(path, other).unwrap_or(false)))
    };
    second.iter().filter(is_there).map(|(_, path)| path.clone()).collect()
}

/// Bytes that are read at once.
const PART: usize = 4096;

/// A number that files of one content share: of the begin, the middle and the end.
fn parts(path: &Path, length: u64) -> io::Result<u64> {
    let mut file = File::open(path)?;
    let (mut hasher, mut part) = (DefaultHasher::new(), Vec::with_capacity(PART));
    let last = length.saturating_sub(PART as u64);
    for from in [0, last / 2, last] {
        file.seek(SeekFrom::Start(from))?;
        part.clear();
        file.by_ref().take(PART as u64).read_to_end(&mut part)?;
        part.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// Whether two files hold the same bytes.
fn is_equal(one: &Path, other: &Path) -> io::Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    let [mut here, mut there] = [const { Vec::new() }; 2];
    loop {
        here.clear();
        there.clear();
        one.by_ref().take(16 * PART as u64).read_to_end(&mut here)?;
        other.by_ref().take(16 * PART as u64).read_to_end(&mut there)?;
        if here != there || here.is_empty() {
            return Ok(here == there);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn all_bytes_count() {
        let folder = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..300_000u32).map(|i| (i.wrapping_mul(i) >> 7) as u8).collect();
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            fs::write(&path, bytes).unwrap();
            path
        };
        let [one, same] = ["one", "same"].map(|name| write(name, &bytes));
        let mut other = bytes.clone();
        other[200_000] ^= 1;
        let other = write("other", &other);
        assert!(is_equal(&one, &same).unwrap() && !is_equal(&one, &other).unwrap());
        assert_eq!(parts(&one, 300_000).unwrap(), parts(&same, 300_000).unwrap());
        let shorter = write("shorter", &bytes[..299_999]);
        assert!(!is_equal(&one, &shorter).unwrap() && !is_equal(&shorter, &one).unwrap());
        assert!(is_equal(&write("empty", &[]), &write("nothing", &[])).unwrap());
    }
}
