//! A model whose variant and side are known at run time only, for the programs.

use super::backend::bound::Backend;
use super::predictor::Predictor;
use super::sam2unet::Sam2UNet;
use super::shape::{Classes, Image, ShapeError, check_map, check_side};
use super::variant::{Variant, VariantName, WithVariant};
use super::weights::build::{BuildError, BuildOptions};
use super::weights::source::WeightSource;
use super::weights::spec::WeightSpec;
use crate::kernels::precision::Precision;
use dfdx::prelude::*;

/// Inference, whatever the variant, the side, the number of classes and the device.
pub trait Network {
    /// The prediction's logits `(batch, classes, side, side)` for normalised images `(batch, 3, side, side)`.
    ///
    /// # Errors
    /// When the batch is empty, the side is not supported, the number of values is not that of the shape, or the device fails.
    fn logits(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, NetworkError>;

    /// Precision in which its large products are computed.
    fn precision(&self) -> Precision;

    /// The variant's name, for example `base-plus`.
    fn variant(&self) -> &'static str;

    /// Number of classes.
    fn classes(&self) -> usize;
}

/// Why a [`Network`] gave no logits.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// There is no image, or no such side.
    #[error(transparent)]
    Shape(#[from] ShapeError),
    /// The slice of images does not have the announced size.
    #[error("{batch} images of side {side} are {expected} numbers, {found} were given")]
    Length {
        /// Images announced.
        batch: usize,
        /// Their side.
        side: usize,
        /// How many numbers that is.
        expected: usize,
        /// How many were given.
        found: usize,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
}

impl<V: Variant, D: Backend, K: Classes> Network for Sam2UNet<V, D, K> {
    /// With the current weights: for a model in training.
    fn logits(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, NetworkError> {
        check_map(batch, side, side)?;
        check_side(side)?;
        let expected = batch.saturating_mul(3 * side * side);
        if images.len() != expected {
            return Err(NetworkError::Length { batch, side, expected, found: images.len() });
        }
        let (device, failed) = (self.device(), |e| NetworkError::Device(D::explain(&e)));
        let x: Image<usize, usize, D> = device.upload(images, (batch, Const, side, side)).map_err(failed)?;
        let head = self.try_predict(x).map_err(failed)?;
        device.read(&head).map_err(failed)
    }

    fn precision(&self) -> Precision {
        Sam2UNet::precision(self)
    }

    fn variant(&self) -> &'static str {
        V::NAME
    }

    fn classes(&self) -> usize {
        Sam2UNet::classes(self)
    }
}

impl<V: Variant, D: Backend, K: Classes> Network for Predictor<V, D, K> {
    fn logits(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, NetworkError> {
        self.model.logits(images, batch, side)
    }

    fn precision(&self) -> Precision {
        self.model.precision()
    }

    fn variant(&self) -> &'static str {
        V::NAME
    }

    fn classes(&self) -> usize {
        self.model.classes()
    }
}

/// A predictor of a variant with `classes` classes on `device`, its products computed in `precision` where the device supports it.
///
/// # Errors
/// When there is no class, when the source does not hold a weight, or holds it in another shape, or the device fails.
pub fn open_network<D: Backend>(
    variant: VariantName,
    device: &D,
    source: &mut dyn WeightSource,
    classes: usize,
    precision: Precision,
) -> Result<Box<dyn Network>, BuildError> {
    struct Open<'a, D>(&'a D, &'a mut dyn WeightSource, usize, Precision);
    impl<D: Backend> WithVariant for Open<'_, D> {
        type Output = Result<Box<dyn Network>, BuildError>;
        fn call<V: Variant>(self) -> Self::Output {
            let options = BuildOptions { precision: self.3, ..BuildOptions::default() };
            Ok(Box::new(Sam2UNet::<V, D, usize>::with_classes(self.0, self.1, self.2, options)?.into_predictor()))
        }
    }
    variant.visit(Open(device, source, classes, precision))
}

/// What a model of each built-in variant stores (with one class), smallest first: how a file's variant is
/// recognised.
pub fn catalogue() -> Vec<(VariantName, Vec<WeightSpec>)> {
    VariantName::ALL.iter().map(|&variant| (variant, specs(variant, 1))).collect()
}

/// What a model of that variant with `classes` classes stores, in the order of the published file.
///
/// # Panics
/// When `classes` is 0.
pub fn specs(variant: VariantName, classes: usize) -> Vec<WeightSpec> {
    struct Specs(usize);
    impl WithVariant for Specs {
        type Output = Vec<WeightSpec>;
        fn call<V: Variant>(self) -> Self::Output {
            Sam2UNet::<V, Cpu, usize>::specs_for(self.0)
        }
    }
    variant.visit(Specs(classes))
}
