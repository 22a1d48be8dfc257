//! A step that several processes make together: who takes which batches, how their gradients are added up so that the sum does
//! not depend on how many processes there are, and how all hear of what one of them knows.

pub(crate) mod cut;
pub(crate) mod error;
pub(crate) mod moments;
pub(crate) mod ranks;
mod readers;
pub(crate) mod sum;
pub(crate) mod told_source;
pub(crate) mod tree;
pub(crate) mod whole;

pub use error::{RankFailure, RanksError};
pub use ranks::{Ranks, Wishes};
