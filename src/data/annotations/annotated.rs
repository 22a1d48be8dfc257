//! What all kinds of annotations have in common.

use std::fmt;

use super::classes::Classes;
use super::drawing::Drawing;
use super::flaw::AnnotationError;
use super::notes::Notes;

/// Annotations of a set of images, whatever files they come from.
pub trait Annotated: fmt::Debug + Send + Sync {
    /// The classes.
    fn classes(&self) -> &Classes;

    /// What is worth knowing.
    fn notes(&self) -> &Notes;

    /// How many images there are.
    fn images(&self) -> usize;

    /// Whether pixels of an image are to be ignored.
    ///
    /// # Panics
    ///
    /// When there are not so many images.
    fn ignores(&self, image: usize) -> bool;

    /// What is marked in an image, which has this width and height.
    ///
    /// # Errors
    ///
    /// When the annotations are of an image of another size.
    ///
    /// # Panics
    ///
    /// When there are not so many images.
    fn drawing(&self, image: usize, size: (usize, usize)) -> Result<Drawing, AnnotationError>;
}
