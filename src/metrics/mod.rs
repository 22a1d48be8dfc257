//! The scores that segmentation papers print, as PySODMetrics 1.6.2 computes them.
//!
//! A prediction is an 8-bit map, stretched to 0..=1 between its own lowest and highest level; a pixel of the mask is
//! foreground above 128. [`score_pair`] looks at a prediction and its mask once and keeps histograms and the few
//! numbers that need positions; [`Summary::of`] turns any number of such [`PairScores`] into the scores of the set.
//! Pairs can be scored on any number of threads: a summary depends on the order of the slice it is given, nothing else.
//!
//! | score | definition | keys |
//! |---|---|---|
//! | mean absolute error | Perazzi et al., CVPR 2012 | `MAE` |
//! | S-measure, alpha 0.5 | Fan et al., ICCV 2017 | `Smeasure` |
//! | weighted F, beta 1 | Margolin et al., CVPR 2014 | `wFmeasure` |
//! | F, beta^2 0.3 | Achanta et al., CVPR 2009 | `adpFm` `meanFm` `maxFm` |
//! | E-measure | Fan et al., IJCAI 2018 | `adpEm` `meanEm` `maxEm` |
//! | Dice, IoU, balanced error rate | from the confusion matrix at each of 256 thresholds | `meanDice` `maxDice` `meanIoU` `maxIoU` `meanBER` |
//! | binary Dice, IoU | stretched prediction above 0.5; mean over images, or of the whole set's counts | `sample_bidice` `sample_biiou` `overall_bidice` `overall_biiou` |
//!
//! `adp*` takes twice the prediction's mean as the threshold. `mean*` and `max*` are the mean and the maximum of the
//! set's mean curve over 256 thresholds. Mirror papers score differently: see [`MirrorScores`].

pub(crate) mod confusion;
pub(crate) mod epsilon;
pub(crate) mod folders;
pub(crate) mod min_max;
pub(crate) mod mirror;
#[cfg(test)]
mod mirror_tests;
pub(crate) mod nearest;
pub(crate) mod pair;
pub(crate) mod report;
pub(crate) mod structure;
pub(crate) mod summary;
pub(crate) mod task;
pub(crate) mod weighted;

pub use folders::{EvaluationError, FolderScores, PairedFolders};
pub use mirror::MirrorScores;
pub use pair::{MetricError, PairScores, score_pair};
pub use report::{JsonReport, table};
pub use summary::{KEYS, Summary};
pub use task::{Column, Task, columns};
