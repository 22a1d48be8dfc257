//! The scores of several classes: of classes that exclude each other (index maps), and of classes that may overlap (a
//! mask each).
//!
//! [`score_classes`] and [`score_labels`] look at one image and keep counts and a few numbers; [`ClassSummary::of`]
//! turns any number of such [`ClassPairScores`] into the scores of the set. Images can be scored on any number of
//! threads: a summary depends on the order of the slice it is given, nothing else. [`score_truth`] takes what a data set
//! says of an image, whatever its form. [`class_table`] and [`ClassJson`]
//! show scores, [`confusion_picture`] draws the confusion matrix, and a [`ClassKey`] chooses the better of two models.
//!
//! [`class_titles`] lists the metrics. Each is one file in `src/metrics/classes/measures`, with its formula. Pixels are
//! added up over the set in whole numbers, as mmsegmentation 1.2's `IoUMetric` does (its sums are in single precision);
//! `image` holds means over images, as nnU-Net's summary does; distances between outlines are MONAI 1.6's.
//!
//! A class that neither mask nor prediction has gets no score (NaN, `null` in JSON), and means leave it out. Where only
//! one of them has it, IoU, Dice and NSD are 0, and HD95 is infinite: such images are counted apart.

pub(crate) mod all;
pub(crate) mod bounds;
pub(crate) mod error;
pub(crate) mod json;
pub(crate) mod key;
pub(crate) mod masks;
pub(crate) mod matrix;
pub(crate) mod mean;
pub(crate) mod measures;
pub(crate) mod metric;
pub(crate) mod options;
pub(crate) mod outline;
pub(crate) mod pair;
pub(crate) mod percentile;
pub(crate) mod picture;
pub(crate) mod region;
pub(crate) mod report;
pub(crate) mod scan;
pub(crate) mod set;
pub(crate) mod stored;
pub(crate) mod summary;
pub(crate) mod truth;

pub use crate::data::classes::class::ClassKind;
pub use all::{ClassMetricTitle, class_titles};
pub use error::{ClassError, IndexMap};
pub use json::ClassJson;
pub use key::ClassKey;
pub use matrix::ConfusionMatrix;
pub use options::{ClassOptions, OutlineOptions};
pub use pair::{ClassPairScores, score_classes, score_labels};
pub use picture::confusion_picture;
pub use report::class_table;
pub use scan::IGNORED;
pub use set::ClassSetScores;
pub use summary::ClassSummary;
pub use truth::{ClassPrediction, score_truth};
