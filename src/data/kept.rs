//! What was found of files that were read before, kept so that they need not be read again.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf, absolute};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::folder::Folder;
use super::pair_facts::PairFacts;
use super::pairs::Pair;
use crate::digest::Digest;
use crate::files::temporary::sweep;
use crate::files::write::write;

/// Counts the versions of what is kept: another one is not read.
const FORMAT: u32 = 4;

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
    stamps: Stamps,
    facts: PairFacts,
}

/// What tells whether a pair's files are those that were read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stamps {
    image: Stamp,
    masks: Vec<Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stamp {
    bytes: u64,
    /// Of its last change, in nanoseconds since 1970.
    time: u64,
    /// Where the system has them: the file's number, and when that or its content last changed.
    number: (u64, i64, i64),
}

/// A file that was changed so shortly ago may change again within the clock's tick.
const SETTLED: Duration = Duration::from_secs(2);

impl Stamps {
    /// Of a pair's files, to be taken before they are read.
    pub(super) fn of(pair: &Pair) -> Option<Self> {
        let masks = pair.masks.iter().map(|mask| Stamp::of(mask)).collect::<Option<_>>()?;
        Some(Self { image: Stamp::of(&pair.image)?, masks })
    }
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let found = path.metadata().ok()?;
        let modified = found.modified().ok()?;
        if SystemTime::now().duration_since(modified).is_ok_and(|age| age < SETTLED) {
            return None;
        }
        let time = u64::try_from(modified.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()?;
        Some(Self { bytes: found.len(), time, number: number(&found) })
    }
}

#[cfg(unix)]
fn number(found: &fs::Metadata) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    (found.ino(), found.ctime(), found.ctime_nsec())
}

#[cfg(not(unix))]
fn number(_: &fs::Metadata) -> (u64, i64, i64) {
    (0, 0, 0)
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
        (Stamps::of(pair)? == entry.stamps).then(|| entry.facts.clone())
    }

    /// Keeps what was found of the pairs of a set, each with the stamps of before its files were read; not where they have others
    /// by now. That it cannot be written is no error: it saves time only.
    pub(super) fn keep(&mut self, set: &Folder, facts: &[Option<PairFacts>], stamps: &[Option<Stamps>]) {
        let entry = |((pair, facts), stamps): ((&Pair, &Option<PairFacts>), &Option<Stamps>)| {
            let stamps = stamps.clone().filter(|stamps| Stamps::of(pair).as_ref() == Some(stamps))?;
            Some((key(pair)?, Entry { stamps, facts: facts.clone()? }))
        };
        let pairs: HashMap<_, _> = set.pairs().iter().zip(facts).zip(stamps).filter_map(entry).collect();
        if pairs == self.pairs {
            return;
        }
        let text = Text { format: FORMAT, pairs };
        if let (Some(folder), Ok(bytes)) = (self.path.parent(), serde_json::to_vec(&text)) {
            let _ = fs::create_dir_all(folder).and_then(|()| {
                sweep(folder);
                write(&self.path, bytes)
            });
        }
        self.pairs = text.pairs;
    }
}

/// All files' paths, from wherever they were named; `None` where a name is no Unicode.
fn key(pair: &Pair) -> Option<String> {
    let text = |path: &Path| Some(absolute(path).ok()?.to_str()?.to_string());
    let all = std::iter::once(&pair.image).chain(&pair.masks).map(|path| text(path));
    Some(all.collect::<Option<Vec<_>>>()?.join("\n"))
}

/// What tells one set and way of reading it, with this version of the program, from another.
fn digest(set: &Folder) -> u64 {
    let folder = |pair: &Pair| [&pair.image, pair.shown()].map(|file| file.parent().map(fs::canonicalize));
    let version = (env!("CARGO_PKG_VERSION"), option_env!("SAM2UNET_COMMIT"), cfg!(feature = "jpeg2000"));
    let folders = set.pairs().first().map(folder);
    let text = format!("{version:?} {:?} {} {folders:?}", set.options(), set.reader().told());
    let mut digest = Digest::new();
    digest.bytes(text.as_bytes());
    digest.number()
}
