//! What training, validation and prediction need of a set of pairs.

use super::error::DataError;
use super::example::{Example, Flips};
use super::pixels::{Grey, Rgb};

/// Pairs of image and mask. Implement `len`, `name`, `image` and `mask` to bring your own.
pub trait Dataset: Send + Sync {
    /// How many pairs there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A name for the pair `index`, for messages and file names: the stem of its files.
    fn name(&self, index: usize) -> &str;

    /// The image, at its own size.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn image(&self, index: usize) -> Result<Rgb, DataError>;

    /// The mask, at its own size.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn mask(&self, index: usize) -> Result<Grey, DataError>;

    /// Both, checked to have one size.
    ///
    /// # Errors
    ///
    /// When either cannot be read, and when their sizes differ.
    fn pair(&self, index: usize) -> Result<(Rgb, Grey), DataError> {
        let (image, mask) = (self.image(index)?, self.mask(index)?);
        if image.size() == mask.size() {
            Ok((image, mask))
        } else {
            Err(DataError::SizesDiffer { name: self.name(index).to_owned(), image: image.size(), mask: mask.size() })
        }
    }

    /// The pair as a network of this side sees it.
    ///
    /// # Errors
    ///
    /// As [`pair`](Self::pair), and when there are no pixels.
    fn example(&self, index: usize, side: usize, flips: Flips) -> Result<Example, DataError> {
        let (image, mask) = self.pair(index)?;
        match image.data.is_empty() || mask.data.is_empty() {
            true => Err(DataError::NoPixels { name: self.name(index).to_owned(), size: image.size() }),
            false => Ok(Example::new(&image, &mask, side, flips)),
        }
    }
}
