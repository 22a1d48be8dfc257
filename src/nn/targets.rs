//! What outputs are compared with in training: masks of labels that may overlap, or index maps of classes that exclude
//! each other.

use super::backend::bound::Backend;
use super::shape::{Classes, Masks, PixelMaps, ShapeError, Side, check_map};
use crate::kernels::exclusive_loss::IGNORED;
use dfdx::prelude::*;

/// What a batch of outputs is compared with, and what its classes count.
///
/// Masks alone are one too (`(&masks).into()`), and so are masks with what is known of them, and index maps.
#[derive(Debug)]
pub struct Targets<'a, B: Dim, S: Side, K: Classes, D: Backend> {
    /// Of each pixel.
    pub truth: Truth<'a, B, S, K, D>,
    /// What each class counts in the loss; `None` where all count the same.
    pub class_weights: Option<&'a ClassWeights<K, D>>,
}

/// What is true of each pixel of a batch.
#[derive(Debug)]
pub enum Truth<'a, B: Dim, S: Side, K: Classes, D: Backend> {
    /// Labels that may overlap: for each a soft mask in `0..=1`. One label is the model of the paper.
    Masks(&'a Masks<B, S, K, D>),
    /// The same, where some pixels are ignored: what the masks say there, and what the model says, changes nothing.
    MasksAndKnown(&'a Masks<B, S, K, D>, &'a Known<B, S, K, D>),
    /// Classes that exclude each other.
    Index(&'a IndexMaps<B, S, K, D>),
}

/// Where masks are known: 1, and 0 where a pixel is ignored (what is not 0 counts as 1).
#[derive(Clone, Debug)]
pub enum Known<B: Dim, S: Side, K: Classes, D: Backend> {
    /// The same for every label: `(B, 1, S, S)`.
    OfAll(Masks<B, S, Const<1>, D>),
    /// Of each label by itself: `(B, K, S, S)`. A label that nobody marked in an image is known nowhere in it.
    OfEach(Masks<B, S, K, D>),
}

/// Index maps `(B, S, S)`: of each pixel its class, one of `K`, or [`IGNORED`]. They were checked when they were made.
#[derive(Clone, Debug)]
pub struct IndexMaps<B: Dim, S: Side, K: Classes, D: Backend> {
    /// Whole numbers, as a device's buffers are of single precision.
    index: PixelMaps<B, S, D>,
    classes: K,
}

/// What each of `K` classes counts in a loss: as the weights of PyTorch's `cross_entropy`, and in the mean of the soft
/// IoU over classes. They were checked when they were made.
#[derive(Clone, Debug)]
pub struct ClassWeights<K: Classes, D: Backend>(Tensor<(K,), f32, D>);

/// Why targets were refused.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum TargetError {
    /// There is no image, or it is not square.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// A softmax of one class is constant, and an index is a byte of which 255 means that a pixel is ignored.
    #[error(
        "an index map is for 2 to 255 classes that exclude each other, and there are {classes}: compare a single class \
         with a mask"
    )]
    Classes {
        /// How many there are.
        classes: usize,
    },
    /// There are more or fewer numbers than the shape says.
    #[error("{what} of shape {shape:?} are {} numbers, {found} were given", shape.iter().product::<usize>())]
    Length {
        /// Of what.
        what: &'static str,
        /// What they are to be.
        shape: Vec<usize>,
        /// How many were given.
        found: usize,
    },
    /// An index is no class.
    #[error(
        "index map {image} of the batch has {found} in row {row}, column {column}: with {classes} classes an index is 0 to {}, \
         or 255 where a pixel is ignored",
        classes - 1
    )]
    Index {
        /// Which of the batch, from 0.
        image: usize,
        /// From the top, from 0.
        row: usize,
        /// From the left, from 0.
        column: usize,
        /// The index.
        found: u8,
        /// How many classes there are.
        classes: usize,
    },
    /// A class can count nothing or more, and one must count.
    #[error("class weights are numbers of 0 or more, one of them above 0, and are {weights:?}")]
    ClassWeights {
        /// What was given.
        weights: Vec<f32>,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

impl<B: Dim, S: Side, K: Classes, D: Backend> IndexMaps<B, S, K, D> {
    /// Index maps on a device, from row-major bytes: `batch` images of `side`, of `classes` classes.
    ///
    /// # Errors
    /// When there is no image, there are fewer than 2 or more than 255 classes, the number of bytes is not that of the
    /// shape, a byte is neither a class nor [`IGNORED`], or the device fails.
    pub fn new(device: &D, index: &[u8], (batch, classes, side): (B, K, S)) -> Result<Self, TargetError> {
        let (shape, count) = ([batch.size(), side.size(), side.size()], classes.size());
        check_map(shape[0], shape[1], shape[2])?;
        check_index(index, shape, count)?;
        let numbers: Vec<f32> = index.iter().map(|v| f32::from(*v)).collect();
        let index = device.upload(&numbers, (batch, side, side)).map_err(|e| TargetError::Device(D::explain(&e)))?;
        Ok(Self { index, classes })
    }

    /// The indices, as numbers.
    pub fn tensor(&self) -> &PixelMaps<B, S, D> {
        &self.index
    }

    /// How many classes there are.
    pub fn classes(&self) -> K {
        self.classes
    }
}

fn check_index(index: &[u8], shape: [usize; 3], classes: usize) -> Result<(), TargetError> {
    if !(2..=usize::from(IGNORED)).contains(&classes) {
        return Err(TargetError::Classes { classes });
    }
    let [_, height, width] = shape;
    if index.len() != shape.iter().product::<usize>() {
        return Err(TargetError::Length { what: "index maps", shape: shape.into(), found: index.len() });
    }
    let is_wrong = |v: &u8| usize::from(*v) >= classes && *v != IGNORED;
    match index.iter().position(is_wrong) {
        None => Ok(()),
        Some(at) => {
            let (image, row, column) = (at / (height * width), at / width % height, at % width);
            Err(TargetError::Index { image, row, column, found: index[at], classes })
        }
    }
}

impl<K: Classes, D: Backend> ClassWeights<K, D> {
    /// Weights on a device, one for each class.
    ///
    /// # Errors
    /// When there are more or fewer than classes, one is below 0 or no number, all are 0, or the device fails.
    pub fn new(device: &D, weights: &[f32], classes: K) -> Result<Self, TargetError> {
        if weights.len() != classes.size() {
            let shape = vec![classes.size()];
            return Err(TargetError::Length { what: "class weights", shape, found: weights.len() });
        }
        if weights.iter().any(|w| !w.is_finite() || *w < 0.0) || weights.iter().all(|w| *w == 0.0) {
            return Err(TargetError::ClassWeights { weights: weights.to_vec() });
        }
        device.upload(weights, (classes,)).map(Self).map_err(|e| TargetError::Device(D::explain(&e)))
    }

    /// The weights.
    pub fn tensor(&self) -> &Tensor<(K,), f32, D> {
        &self.0
    }
}

impl<'a, B: Dim, S: Side, K: Classes, D: Backend> Targets<'a, B, S, K, D> {
    /// The same, whose classes count by weight.
    #[must_use]
    pub fn weighted(self, class_weights: &'a ClassWeights<K, D>) -> Self {
        Self { class_weights: Some(class_weights), ..self }
    }
}

impl<'a, B: Dim, S: Side, K: Classes, D: Backend> From<Truth<'a, B, S, K, D>> for Targets<'a, B, S, K, D> {
    fn from(truth: Truth<'a, B, S, K, D>) -> Self {
        Self { truth, class_weights: None }
    }
}

impl<'a, B: Dim, S: Side, K: Classes, D: Backend> From<&'a Masks<B, S, K, D>> for Targets<'a, B, S, K, D> {
    fn from(masks: &'a Masks<B, S, K, D>) -> Self {
        Truth::Masks(masks).into()
    }
}

impl<'a, B: Dim, S: Side, K: Classes, D: Backend> From<&'a IndexMaps<B, S, K, D>> for Targets<'a, B, S, K, D> {
    fn from(index: &'a IndexMaps<B, S, K, D>) -> Self {
        Truth::Index(index).into()
    }
}

/// Masks with what is known of them.
type Partly<'a, B, S, K, D> = (&'a Masks<B, S, K, D>, &'a Known<B, S, K, D>);

impl<'a, B: Dim, S: Side, K: Classes, D: Backend> From<Partly<'a, B, S, K, D>> for Targets<'a, B, S, K, D> {
    fn from((masks, known): Partly<'a, B, S, K, D>) -> Self {
        Truth::MasksAndKnown(masks, known).into()
    }
}
