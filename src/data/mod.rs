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
//! 7. [`saved_mask`], [`overlay`], [`contact_sheet`]: predictions as pictures; [`write_png`], and [`write_prediction`],
//!    whose files are known again ([`is_prediction`], [`whole_prediction`]).
//!
//! This layer knows no tensor, no tape and no network.

pub mod annotations;
pub(crate) mod classes;
pub(crate) mod dataset;
pub(crate) mod error;
pub(crate) mod example;

pub(crate) mod folder;
pub(crate) mod inspect;
pub(crate) mod kept;
pub mod layout;
pub(crate) mod listing;
pub(crate) mod loader;
pub(crate) mod mask;
pub(crate) mod multi_scale;
pub(crate) mod names;
pub(crate) mod pair_facts;
pub(crate) mod picture;
pub(crate) mod pixels;
pub(crate) mod random;
pub(crate) mod read;
pub(crate) mod report;
pub(crate) mod resize;
pub(crate) mod size;
pub(crate) mod synthetic;
pub(crate) mod text;
pub(crate) mod unused;
pub(crate) mod warning;
pub(crate) mod write;
pub(crate) mod written;

pub use classes::class::{Class, ClassKind, Classes, ClassesError};
pub use classes::index::{IndexError, UnknownValues, read_index};
pub use classes::nearest::resize_nearest;
pub use classes::palette::voc_palette;
pub use classes::prediction::{predicted_index, predicted_labels};
pub use classes::values::{IGNORED, PixelValue, ValueTable, ValueTwice};
pub use dataset::{Dataset, is_same_shape};
pub use error::{BadFiles, DataError};
pub use example::{Example, Flips, epoch_order, flips, normalise};
pub use folder::{Folder, FolderOptions, Found, Pair};
pub use inspect::{Inspection, inspect};
pub use listing::{Listing, image_files};
pub use loader::{Batch, BatchRequest, BatchTruth, Loader};
pub use mask::{FOREGROUND_ABOVE, saved_mask};
pub use multi_scale::{LARGER_SCALE, MultiScale};
pub use names::StemRule;
pub use pair_facts::{MaskLevels, PairFacts, PictureFacts};
pub use picture::{SheetRow, contact_sheet, overlay};
pub use pixels::{Grey, MAX_PIXELS, Pixels, Rgb};
pub use random::Draws;
pub use read::facts::{Clipped, ExifOrientation, FileFacts, ReadOptions};
pub use read::{read_grey, read_grey_with, read_rgb, read_rgb_with};
pub use report::{Depths, SetReport};
pub use resize::Filter;
pub use size::picture_size;
pub use synthetic::Synthetic;
pub use unused::{OtherFormat, Unused, UnusedKind};
pub use warning::{Warning, WarningCode, image_warnings, mask_warnings};
pub use write::{write_png, write_prediction};
pub use written::{is_prediction, whole_prediction};
