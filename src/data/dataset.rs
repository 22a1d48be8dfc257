//! What training, validation and prediction need of a set of pairs.

use super::classes::class::Classes;
use std::path::Path;

use super::error::DataError;
use super::example::Example;
use super::flip::Flips;
use super::pixels::{Grey, Rgb};
use super::read::facts::FileFacts;
use super::truth::Truth;

/// Whether a mask may be its image's at another scale: widths and heights, with one of them scaled to the image's, differ by at most
/// one pixel in the other. Both are resized to a network's side, each by itself, as the field's scripts do; some published sets hold
/// such pairs (NC4K, CAMO).
pub fn is_same_shape(image: (usize, usize), mask: (usize, usize)) -> bool {
    let [width, height, mask_width, mask_height] = [image.0, image.1, mask.0, mask.1].map(|n| n as u128);
    let difference = (mask_width * height).abs_diff(width * mask_height);
    // |w_mask * h / h_mask - w| <= 1, or the same for heights
    difference <= mask_height.max(mask_width)
}

/// Why a mask does not fit its image, if it would when one of them was turned by its orientation, or was not: each with its file, its
/// size and what is known of it.
pub(crate) fn turned(
    (image, size, facts): (&Path, (usize, usize), &FileFacts),
    (mask, mask_size, mask_facts): (&Path, (usize, usize), Option<&FileFacts>),
) -> Option<DataError> {
    if is_same_shape(size, mask_size) || !is_same_shape((size.1, size.0), mask_size) {
        return None;
    }
    let (image, mask) = (image.to_owned(), mask.to_owned());
    // orientations from 5 on swap width and height
    let swaps = |facts: &FileFacts| facts.orientation.filter(|orientation| *orientation >= 5);
    if let Some(orientation) = swaps(facts) {
        return Some(DataError::TurnedImage { image, mask, orientation, applied: facts.turned });
    }
    // the mask lies turned in its file, as a camera or a viewer saved it
    let facts = mask_facts?;
    swaps(facts).map(|orientation| DataError::TurnedMask { image, mask, orientation, applied: facts.turned })
}

/// Pairs of an image and what is true of its pixels. Implement `len`, `name`, `image` and `truth` to bring your own, and `classes` if
/// there are several.
pub trait Dataset: Send + Sync {
    /// How many pairs there are.
    fn len(&self) -> usize;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A name for the pair `index`, for messages and file names: the stem of its files.
    fn name(&self, index: usize) -> &str;

    /// The classes that its truths tell apart; `None` for one class, which has no name.
    fn classes(&self) -> Option<&Classes> {
        None
    }

    /// The image, at its own size.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn image(&self, index: usize) -> Result<Rgb, DataError>;

    /// What is true of its pixels, at the mask's own size: always of one kind, with as many masks as there are classes.
    ///
    /// # Errors
    ///
    /// When it cannot be read.
    fn truth(&self, index: usize) -> Result<Truth, DataError>;

    /// The mask of one class, or the index map of several ([`Truth::into_mask`]).
    ///
    /// # Errors
    ///
    /// As [`truth`](Self::truth).
    fn mask(&self, index: usize) -> Result<Grey, DataError> {
        Ok(self.truth(index)?.into_mask())
    }

    /// Both, checked to have one shape ([`is_same_shape`]).
    ///
    /// # Errors
    ///
    /// When either cannot be read, and when their shapes differ.
    fn pair(&self, index: usize) -> Result<(Rgb, Truth), DataError> {
        let (image, truth) = (self.image(index)?, self.truth(index)?);
        let name = || self.name(index).to_owned();
        truth.check(self.classes()).map_err(|reason| DataError::Truth { name: name(), reason })?;
        if is_same_shape(image.size(), truth.size()) {
            Ok((image, truth))
        } else {
            Err(DataError::SizesDiffer { name: self.name(index).to_owned(), image: image.size(), mask: truth.size() })
        }
    }

    /// The pair as a network of this side sees it.
    ///
    /// # Errors
    ///
    /// As [`pair`](Self::pair), and when there are no pixels.
    fn example(&self, index: usize, side: usize, flips: Flips) -> Result<Example, DataError> {
        let (image, truth) = self.pair(index)?;
        let (width, height) = truth.size();
        match image.data.is_empty() || width * height == 0 {
            true => Err(DataError::NoPixels { name: self.name(index).to_owned(), size: image.size() }),
            false => Ok(Example::new(&image, &truth, side, flips)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_agree_within_a_pixel() {
        for (image, mask) in [((70, 37), (72, 37)), ((352, 352), (20, 20)), ((1, 1), (9, 9)), ((1000, 3), (500, 2))] {
            let told = (image, mask);
            let (w, h, wm, hm) = (image.0 as f64, image.1 as f64, mask.0 as f64, mask.1 as f64);
            let expected = (wm * h / hm - w).abs() <= 1.0 || (hm * w / wm - h).abs() <= 1.0;
            assert_eq!(is_same_shape(image, mask), expected, "{told:?}");
        }
        // 72 x 37 scaled to the width 70 is 35.97 high
        assert!(is_same_shape((70, 36), (72, 37)) && is_same_shape((640, 480), (320, 240)));
        assert!(!is_same_shape((80, 64), (64, 80)) && !is_same_shape((640, 480), (480, 480)));
    }
}
