//! Scores in parts: several tasks score a stretch of the pairs each, and their parts are put together.
//!
//! An [`EvaluationPart`] holds what a summary needs of each of its images, in exact numbers, and what tells this evaluation from
//! another. It is kept as JSON. [`merge`] takes all parts, in any order, and gives the scores that one task would have given, to the bit.

pub(crate) mod about;
pub(crate) mod error;
pub(crate) mod file;
pub(crate) mod merge;
pub(crate) mod part;

pub use about::PartOptions;
pub use error::PartError;
pub use file::PART_FORMAT;
pub use merge::{MergedScores, merge};
pub use part::{EvaluationPart, SetPart};
