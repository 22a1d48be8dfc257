//! Everything that can go wrong between a folder and a batch.

use std::io;
use std::path::PathBuf;

use super::pixels::MAX_PIXELS;

/// What is wrong with the data, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// A folder cannot be listed.
    #[error("cannot read the folder {}: {source}", path.display())]
    ReadFolder {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A folder holds no image file.
    #[error(
        "no image files in {} (looked for files ending in {looked_for}; hidden files are not read)",
        path.display()
    )]
    EmptyFolder {
        /// The folder.
        path: PathBuf,
        /// The endings that count as an image.
        looked_for: String,
    },
    /// An image has no mask of the same stem.
    #[error(
        "{} has no mask in {} ({missing} of {images} images have none); \
         a mask is an image file of the same stem, whatever its ending",
        image.display(),
        masks.display()
    )]
    MissingMask {
        /// The first image without a mask.
        image: PathBuf,
        /// The folder of the masks.
        masks: PathBuf,
        /// How many images have no mask.
        missing: usize,
        /// How many images there are.
        images: usize,
    },
    /// Images and masks are looked for in one folder: each image would be its own mask.
    #[error("{} is given for the images and for the masks; they must be two folders", path.display())]
    OneFolder {
        /// The folder.
        path: PathBuf,
    },
    /// Two files of one folder share a stem, so that a pair is ambiguous.
    #[error("{} and {} have the same stem; rename or remove one of them", first.display(), second.display())]
    SameStem {
        /// The first of them, by name.
        first: PathBuf,
        /// The second of them.
        second: PathBuf,
    },
    /// A file cannot be read at all.
    #[error("cannot read {}: {source}", path.display())]
    ReadFile {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A file's content is no known image format, whatever its name says.
    #[error(
        "{} is not an image (its content is none of PNG, JPEG, BMP, GIF, TIFF, WebP, PNM, TGA)",
        path.display()
    )]
    NotAnImage {
        /// The file.
        path: PathBuf,
    },
    /// A file is truncated, corrupt, or of a flavour that is not read.
    #[error("cannot decode {}: {reason}; replace the file, or save it again as 8-bit PNG", path.display())]
    Decode {
        /// The file.
        path: PathBuf,
        /// The decoder's reason.
        reason: String,
    },
    /// A file's header promises more pixels than is sane (a decompression bomb, or a damaged header).
    #[error(
        "{} says that it is {width}x{height} pixels, more than the limit of {MAX_PIXELS}; scale it down first",
        path.display()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The width in its header.
        width: usize,
        /// The height in its header.
        height: usize,
    },
    /// An image and its mask have different sizes.
    #[error(
        "{name}: the image is {}x{} pixels but its mask is {}x{}; resize the mask to the image's size",
        image.0, image.1, mask.0, mask.1
    )]
    SizesDiffer {
        /// The pair: the paths of its files where there are any, otherwise its name.
        name: String,
        /// Width and height of the image.
        image: (usize, usize),
        /// Width and height of the mask.
        mask: (usize, usize),
    },
    /// An image of a [`Dataset`](super::dataset::Dataset) of one's own has no pixels.
    #[error("{name}: the image is {}x{} pixels: there is nothing to see", size.0, size.1)]
    NoPixels {
        /// The sample's name.
        name: String,
        /// Width and height.
        size: (usize, usize),
    },
    /// A picture cannot be written.
    #[error("cannot write {}: {source}", path.display())]
    Write {
        /// The file that was to appear.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A batch of no sample was asked for.
    #[error("an empty batch: there must be an image")]
    EmptyBatch,
    /// A batch was asked for at a side that no network takes.
    #[error("a batch's side must be a multiple of 32 from 64 on, not {side}")]
    Side {
        /// Pixels to a side.
        side: usize,
    },
    /// A [`Dataset`](super::dataset::Dataset) of one's own gave an example of another size than it was asked for.
    #[error(
        "{name}: an example of side {side} has {} numbers in its image and {} in its mask, not {image} and {mask}",
        3 * side * side, side * side
    )]
    ExampleSize {
        /// The sample's name.
        name: String,
        /// The side that was asked for.
        side: usize,
        /// Numbers of the image.
        image: usize,
        /// Numbers of the mask.
        mask: usize,
    },
    /// A background thread ended while it prepared a sample: a defect of a decoder or of a [`Dataset`](super::Dataset).
    #[error("a loading thread ended while preparing {name}; the sample's files may be damaged, check them one by one")]
    Worker {
        /// The sample's name.
        name: String,
    },
}
