//! Why processes cannot go on together.

use std::fmt::Display;

use crate::group::processes::GroupError;

/// Why processes cannot go on together. Every one of them gets it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RanksError {
    /// A rank cannot go on: the lowest one that said so.
    #[error("rank {rank} ({host}): {reason}")]
    Failed {
        /// Which.
        rank: usize,
        /// Its machine.
        host: String,
        /// Its words.
        reason: String,
        /// What its error's [`code`](RankFailure::code) is.
        code: u8,
    },
    /// Ranks differ from rank 0.
    #[error(
        "{} from rank 0 in {what}: all processes must be the same program with the same arguments, data and weights",
        differing(ranks)
    )]
    Differs {
        /// Which, and their machines.
        ranks: Vec<(usize, String)>,
        /// In what.
        what: String,
    },
    /// Ranks that each need one of their own have the same.
    #[error(
        "{} have one GPU between them ({what}): start as many processes on a machine as it has GPUs, and let all see all of \
         its GPUs, or each one of its own (CUDA_VISIBLE_DEVICES)",
        named(ranks)
    )]
    Shared {
        /// Which, and their machines.
        ranks: Vec<(usize, String)>,
        /// What they have.
        what: String,
    },
    /// What a rank told the others cannot be read.
    #[error("{what} that another rank told cannot be read: {reason}")]
    Told {
        /// What.
        what: &'static str,
        /// Why not.
        reason: String,
    },
    /// A rank is lost, or does not answer.
    #[error(transparent)]
    Group(#[from] GroupError),
}

/// An error of one rank's work, which all ranks are told.
pub trait RankFailure: From<RanksError> + Display {
    /// A number that the others are told with the words: what the error means to those who know it.
    fn code(&self) -> u8 {
        0
    }
}

/// The ranks that differ, and the verb.
fn differing(ranks: &[(usize, String)]) -> String {
    format!("{} differ{}", named(ranks), if ranks.len() == 1 { "s" } else { "" })
}

/// The ranks and their machines.
fn named(ranks: &[(usize, String)]) -> String {
    const SHOWN: usize = 8;
    let shown: Vec<_> = ranks.iter().take(SHOWN).map(|(rank, host)| format!("{rank} ({host})")).collect();
    let more = match ranks.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    format!("rank{} {}{more}", if ranks.len() == 1 { "" } else { "s" }, shown.join(", "))
}
