//! What was found of files that were read before, kept so that they need not be read again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use serde::{Deserialize, Serialize};

use super::folder::{Folder, Pair};
use super::pair_facts::PairFacts;
use crate::files::write::write;

/// Counts the versions of what is kept: another one is not read.
const FORMAT: u32 = 1;

/// What is known of the pairs of a set, by their files' sizes and times. A file in a folder of such files, one for each set and way
/// of reading it. Nothing depends on it: what is missing or damaged is found anew.
#[derive(Debug)]
pub(super) struct KeptFacts {
    path: PathBuf,
    pairs: HashMap<String, Entry>,
}

#[derive(Debug, Serialize, Deserialize)]
struct Text {
    format: u32,
    pairs: HashMap<String, Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    image: Stamp,
    mask: Stamp,
    facts: PairFacts,
}

/// What tells whether a file is the one that was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    /// Of its last change, in nanoseconds since 1970.
    time: u64,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = path.metadata().ok()?;
        let time = found.modified().ok()?.duration_since(UNIX_EPOCH).ok()?;
        Some(Self { bytes: found.len(), time: u64::try_from(time.as_nanos()).ok()? })
    }
}

impl KeptFacts {
    /// What is kept in `folder` of this set.
    pub(super) fn open(folder: &Path, set: &Folder) -> Self {
        let path = folder.join(format!("{:016x}.json", digest(set)));
        let text = fs::read(&path).ok().and_then(|text| serde_json::from_slice::<Text>(&text).ok());
        let pairs = text.filter(|text| text.format == FORMAT).map(|text| text.pairs).unwrap_or_default();
        Self { path, pairs }
    }

    /// What is known of a pair, if its files are as they were.
    pub(super) fn of(&self, pair: &Pair) -> Option<PairFacts> {
        let entry = self.pairs.get(&key(pair)?)?;
        let same = Stamp::of(&pair.image)? == entry.image && Stamp::of(&pair.mask)? == entry.mask;
        same.then(|| entry.facts.clone())
    }

    /// Keeps what was found of the pairs of a set. That it cannot be written is no error: it saves time only.
    pub(super) fn keep(&mut self, set: &Folder, facts: &[Option<PairFacts>]) {
        let entry = |pair: &Pair, facts: &Option<PairFacts>| {
            let (image, mask) = (Stamp::of(&pair.image)?, Stamp::of(&pair.mask)?);
            Some((key(pair)?, Entry { image, mask, facts: facts.clone()? }))
        };
        let pairs: HashMap<_, _> =
            set.pairs().iter().zip(facts).filter_map(|(pair, facts)| entry(pair, facts)).collect();
        if pairs == self.pairs {
            return;
        }
        self.pairs = pairs;
        let text = Text { format: FORMAT, pairs: std::mem::take(&mut self.pairs) };
        if let (Some(folder), Ok(bytes)) = (self.path.parent(), serde_json::to_vec(&text)) {
            let _ = fs::create_dir_all(folder).and_then(|()| write(&self.path, bytes));
        }
        self.pairs = text.pairs;
    }
}

/// Both files' paths; `None` where a name is no Unicode.
fn key(pair: &Pair) -> Option<String> {
    Some(format!("{}\n{}", pair.image.to_str()?, pair.mask.to_str()?))
}

/// What tells one set and way of reading it from another: FNV-1a, 64 bits.
fn digest(set: &Folder) -> u64 {
    let folder = |pair: &Pair| [&pair.image, &pair.mask].map(|file| file.parent().map(fs::canonicalize));
    let text = format!("{:?} {:?}", set.options(), set.pairs().first().map(folder));
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}
