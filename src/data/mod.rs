//! Images and masks: from files (or generated scenes) to the numbers that a network is given, and back to files.
//!
//! Training parity depends on pixels. The published code reads with Pillow, so this layer reads, resizes and
//! rounds as Pillow does; each deviation that a different decoder forces is named where it arises.
//!
//! In the order in which data flows:
//!
//! 1. [`read_rgb`] and [`read_grey`]: a file, as `Image.open(path).convert("RGB")` and `convert("L")` see it;
//!    [`read_rgb_with`] and [`read_grey_with`] take [`ReadOptions`] and give [`FileFacts`] too;
//! 2. [`Pixels::resize`]: Pillow's antialiased resizing, equal to the pixel;
//! 3. [`layout`]: where a data set's images, masks and lists are;
//! 4. [`Dataset`]: pairs of image and mask, from two folders ([`Listing`], [`Folder`]) or generated ([`Synthetic`]);
//!    [`inspect()`] reads a whole folder first: what cannot be used, and what is likely wrong ([`Warning`], [`SetReport`]);
//!    Masks may also come from annotation files: [`annotations`] gives the shapes of each image as a drawing, which paints them;
//! 5. [`Example`]: one normalised pair at a network's side, perhaps flipped; [`epoch_order`] and [`flips`] decide
//!    which and how, from seed, epoch and sample alone;
//! 6. [`Loader`]: batches of examples, prepared in the background, always in the order asked for;
//! 7. [`saved_mask`], [`overlay`], [`contact_sheet`]: predictions as pictures; [`write_png`], [`write_prediction`],
//!    [`write_index`], [`write_class_mask`] and [`write_floats`], whose files are known again ([`is_prediction`], [`whole_prediction`]).
//!
//! This layer knows no tensor, no tape and no network.

pub mod annotations;
pub(crate) mod class_picture;
pub(crate) mod class_warnings;
pub(crate) mod classes;
pub(crate) mod dataset;
pub(crate) mod description;
pub(crate) mod duplicates;
pub(crate) mod error;
pub(crate) mod example;

pub(crate) mod flip;
pub(crate) mod float_tiff;
pub(crate) mod folder;
pub(crate) mod inspect;
pub(crate) mod kept;
pub(crate) mod labels;
pub mod layout;
pub(crate) mod listing;
pub(crate) mod loader;
pub(crate) mod mask;
pub(crate) mod multi_scale;
pub(crate) mod names;
pub(crate) mod pair_facts;
pub(crate) mod pairs;
pub(crate) mod picture;
pub(crate) mod pixels;
pub(crate) mod random;
pub(crate) mod read;
pub(crate) mod report;
pub(crate) mod resize;
pub(crate) mod shapes;
pub(crate) mod sheet;
pub(crate) mod size;
pub(crate) mod synthetic;
pub(crate) mod text;
pub(crate) mod truth;
pub(crate) mod unused;
pub(crate) mod warning;
pub(crate) mod write;
pub(crate) mod written;

pub use class_picture::{class_overlay, paint, size_with_legend, with_legend};
pub use class_warnings::{missing_class_warnings, pixels_of_classes};
pub use classes::class::{Class, ClassKind, Classes, ClassesError};
pub use classes::folders::ClassFolders;
pub use classes::index::read_index;
pub use classes::nearest::resize_nearest;
pub use classes::palette::voc_palette;
pub use classes::prediction::{predicted_index, predicted_labels};
pub use classes::probability::Probabilities;
pub use classes::unknown::UnknownValues;
pub use classes::values::{IGNORED, PixelValue, ValueTable, ValueTwice};
pub use dataset::{Dataset, is_same_shape};
pub use description::classes::{GivenClass, GivenClasses};
pub use description::describe::Description;
pub use description::open::DescribedSets;
pub use duplicates::duplicates;
pub use error::{BadFiles, DataError};
pub use example::{Example, check_normalisation, epoch_order, flips, normalisation_metadata, normalise};
pub use flip::Flips;
pub use float_tiff::write_floats;
pub use folder::Folder;
pub use inspect::{Inspection, inspect};
pub use labels::kind::LabelKind;
pub use labels::source::LabelSource;
pub use listing::{Listing, image_files};
pub use loader::{Batch, BatchRequest, Loader};
pub use mask::{FOREGROUND_ABOVE, saved_mask};
pub use multi_scale::{LARGER_SCALE, MultiScale};
pub use names::StemRule;
pub use pair_facts::{LabelFacts, MaskLevels, PairFacts, PictureFacts};
pub use pairs::{FolderOptions, Found, Pair};
pub use picture::{SheetRow, contact_sheet, overlay};
pub use pixels::{Grey, MAX_PIXELS, Pixels, Rgb};
pub use random::Draws;
pub use read::facts::{Clipped, ExifOrientation, FileFacts, MaskColours, ReadOptions};
pub use read::{read_grey, read_grey_with, read_rgb, read_rgb_with};
pub use report::{ClassReport, Depths, SetReport};
pub use resize::Filter;
pub use shapes::Shapes;
pub use sheet::labelled_sheet;
pub use size::picture_size;
pub use synthetic::Synthetic;
pub use truth::{BatchTruth, Truth};
pub use unused::{OtherFormat, Unused, UnusedKind};
pub use warning::{Warning, WarningCode, image_warnings, mask_warnings};
pub use write::{write_class_mask, write_index, write_png, write_prediction};
pub use written::{classes_of_prediction, is_prediction, whole_prediction};
