//! The scores that segmentation papers print, as PySODMetrics 1.6.2 computes them.
//!
//! A prediction is an 8-bit map, stretched to 0..=1 between its own lowest and highest level; a pixel of the mask is
//! foreground above 128. [`score_pair`] looks at a prediction and its mask once and keeps histograms and the few
//! numbers that need positions; [`Summary::of`] turns any number of such [`PairScores`] into the scores of the set.
//! Pairs can be scored on any number of threads: a summary depends on the order of the slice it is given, nothing else.
//!
//! [`titles`] lists the metrics, with the papers that they are from and the names of their scores; `evaluate --help`
//! prints that list. Each is one file in `src/metrics/measures`, with its formula.
//!
//! `adp*` takes twice the prediction's mean as the threshold. `mean*` and `max*` are the mean and the maximum of the
//! set's mean curve over 256 thresholds. Papers on mirrors score differently: theirs are the names that begin with
//! `mirror`.
//!
//! [`classes`] scores several classes, and leaves out ignored pixels. [`parts`] splits the pairs over several tasks.

pub(crate) mod aligned;
pub(crate) mod all;
pub(crate) mod class_folders;
pub mod classes;
pub(crate) mod confusion;
pub(crate) mod counts;
pub(crate) mod curve;
pub(crate) mod each;
pub(crate) mod epsilon;
pub(crate) mod evaluation_error;
pub(crate) mod exact;
pub(crate) mod folders;
pub(crate) mod levels;
pub(crate) mod maps;
pub(crate) mod measures;
pub(crate) mod metric;
pub(crate) mod min_max;
pub(crate) mod nearest;
pub(crate) mod pair;
pub(crate) mod pairing;
pub mod parts;
pub(crate) mod predicted_classes;
pub(crate) mod report;
pub(crate) mod spacing;
pub(crate) mod stored;
pub(crate) mod summary;
pub(crate) mod task;

pub use all::{MetricTitle, keys, titles};
pub use class_folders::ClassFolderScores;
pub use evaluation_error::{EvaluationError, RefusedPair, SizesOfPair};
pub use folders::{FolderScores, PairedFolders, ScoredFolders};
pub use pair::{MetricError, PairScores, score_pair};
pub use pairing::{FoundBeside, PairingOptions};
pub use report::{JsonReport, table};
pub use spacing::{Spacing, SpacingError};
pub use summary::Summary;
pub use task::{Column, Task, columns};
