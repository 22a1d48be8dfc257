//! Why parts of scores cannot be put together.

use std::io;
use std::path::PathBuf;

use crate::metrics::evaluation_error::EvaluationError;
use crate::shard::Shard;

/// Why parts of scores cannot be put together.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PartError {
    /// A file cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file is no part: the scores of whole sets, for instance.
    #[error(
        "{} is no part of an evaluation, though it is JSON (the scores of a whole set have no `shard`); a part is what \
         `evaluate --shard I/N --json FILE` writes",
        path.display()
    )]
    NoPart {
        /// The file.
        path: PathBuf,
    },
    /// A part of another version of the program.
    #[error(
        "{} is a part in format {format}, of which this program knows {known} only: put the parts together with the version that \
         wrote them, or score them anew",
        path.display()
    )]
    Format {
        /// The file.
        path: PathBuf,
        /// Its format.
        format: u64,
        /// [`PART_FORMAT`](super::PART_FORMAT).
        known: u64,
    },
    /// A part that this program did not write so.
    #[error("{} is damaged: {reason}; score this part anew", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Nothing to put together.
    #[error("there is no part to put together")]
    Nothing,
    /// Parts of another number of parts.
    #[error(
        "{} is part {shard} and {} is part {other_shard}: all must be parts of as many",
        path.display(), other.display()
    )]
    OtherCount {
        /// The first part.
        path: PathBuf,
        /// Which part it is.
        shard: Shard,
        /// Another one.
        other: PathBuf,
        /// Which part that is.
        other_shard: Shard,
    },
    /// Parts of different evaluations.
    #[error(
        "{} and {} are parts of different evaluations, as they differ in {what}: {of} and {of_other}; score all parts of the same \
         files with the same options",
        path.display(), other.display()
    )]
    Foreign {
        /// The first part.
        path: PathBuf,
        /// Another one.
        other: PathBuf,
        /// In what they differ.
        what: String,
        /// What the first part says of it.
        of: String,
        /// What the other says.
        of_other: String,
    },
    /// A part is there twice.
    #[error("{} and {} are the same part, {shard}; leave one of them out", path.display(), other.display())]
    Twice {
        /// The part.
        shard: Shard,
        /// One file.
        path: PathBuf,
        /// The other.
        other: PathBuf,
    },
    /// Parts are missing.
    #[error(
        "{} of {of} {} missing beside {}",
        numbers(missing, *count),
        if *count == 1 { "is" } else { "are" },
        there.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
    )]
    Missing {
        /// The first of their numbers.
        missing: Vec<usize>,
        /// How many are missing.
        count: usize,
        /// How many parts there must be.
        of: usize,
        /// Those that there are.
        there: Vec<PathBuf>,
    },
    /// The scores of all parts have no summary.
    #[error(transparent)]
    Scores(#[from] EvaluationError),
}

/// `part 2`, `parts 2, 4 and 12 more`.
fn numbers(first: &[usize], count: usize) -> String {
    let shown: Vec<_> = first.iter().map(usize::to_string).collect();
    let more = match count.saturating_sub(first.len()) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("part{} {}{more}", if count == 1 { "" } else { "s" }, shown.join(", "))
}
