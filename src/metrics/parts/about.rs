//! What tells an evaluation from another.

use serde::{Deserialize, Serialize};

use crate::data::read::facts::ExifOrientation;
use crate::metrics::class_folders::ClassesOfSet;
use crate::metrics::classes::options::OutlineOptions;
use crate::metrics::folders::{PairedFolders, ScoredImages};
use crate::metrics::task::Task;

/// What is computed, and how the scores of all parts together are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PartOptions {
    /// How the outlines of classes are compared; `None` leaves the scores out that need them.
    pub outlines: Option<OutlineOptions>,
    /// The task whose columns are shown.
    pub task: Option<Task>,
    /// Whether the only set stands under its name in JSON.
    pub named: bool,
}

/// What all parts of an evaluation have in common.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AboutEvaluation {
    /// The version that scored: another may compute other numbers.
    pub version: String,
    pub task: Option<Task>,
    pub named: bool,
}

/// What all parts of an evaluation have in common of a set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AboutSet {
    pub name: String,
    /// How many pairs the whole set has.
    pub pairs: usize,
    /// Digest of the names of all its images and masks.
    pub files: String,
    /// Digest of what the values of its labels mean.
    pub labels: String,
    pub exif_orientation: ExifOrientation,
    pub scale_16_bit: bool,
    /// Several classes, or one with ignored pixels.
    pub classes: Option<ClassesOfSet>,
    /// How the outlines of classes are compared.
    pub outlines: Option<Outlines>,
}

/// [`OutlineOptions`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Outlines {
    /// From a row to the next, and from a column to the next.
    pub spacing: [f64; 2],
    pub nsd_tolerance: f64,
}

impl AboutEvaluation {
    pub fn of(options: &PartOptions) -> Self {
        let version = env!("CARGO_PKG_VERSION").to_string();
        Self { version, task: options.task, named: options.named }
    }

    /// What it says, each thing with its name.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let Self { version, task, named } = self;
        let task = task.map_or("none".to_string(), |task| task.to_string());
        let named = if *named { "under their names" } else { "alone" }.to_string();
        vec![("the version of the program", version.clone()), ("the task", task), ("how sets stand in JSON", named)]
    }
}

impl AboutSet {
    pub fn of(set: &PairedFolders, images: &ScoredImages, outlines: Option<OutlineOptions>) -> Self {
        let classes = match images {
            ScoredImages::OneClass(_) => None,
            ScoredImages::Classes(classes, _) => Some(classes.clone()),
        };
        let read = set.read_options();
        Self {
            name: set.name().to_owned(),
            pairs: set.pairs(),
            files: digest(&set.pairs_told()),
            labels: digest(&set.labels_told()),
            exif_orientation: read.exif_orientation,
            scale_16_bit: read.scale_16_bit,
            outlines: outlines.filter(|_| classes.is_some()).map(Outlines::of),
            classes,
        }
    }

    /// What it says, each thing with its name.
    pub fn told(&self) -> Vec<(&'static str, String)> {
        let Self { name, pairs, files, labels, exif_orientation, scale_16_bit, classes, outlines } = self;
        let of_classes = classes.as_ref().map_or("one without a name".to_string(), |classes| {
            let names =
                if classes.names.is_empty() { String::new() } else { format!(" ({})", classes.names.join(", ")) };
            format!("{} {}{names}", classes.count, classes.kind)
        });
        let spacing = outlines.map_or("none".to_string(), |outlines| {
            let [row, column] = outlines.spacing;
            format!("{row},{column}")
        });
        let tolerance = outlines.map_or("none".to_string(), |outlines| outlines.nsd_tolerance.to_string());
        vec![
            ("the name", name.clone()),
            ("the number of pairs", pairs.to_string()),
            ("the classes", of_classes),
            ("`exif_orientation`", exif_orientation.to_string()),
            ("`scale_16_bit`", scale_16_bit.to_string()),
            ("the spacing", spacing),
            ("the tolerance of the normalised surface distance", tolerance),
            ("the digest of the files' names", files.clone()),
            ("the digest of what values of labels mean", labels.clone()),
        ]
    }
}

impl Outlines {
    fn of(options: OutlineOptions) -> Self {
        Self { spacing: [options.spacing.row(), options.spacing.column()], nsd_tolerance: options.nsd_tolerance }
    }
}

/// What tells a text from another.
fn digest(text: &str) -> String {
    format!("{:08x}", crc32fast::hash(text.as_bytes()))
}
