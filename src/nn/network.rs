//! A model whose variant and side are known at run time only: what the programs hold.

use super::weights::WeightSource;
use super::{Backend, BuildError, Image, Precision, SIDES, Sam2UNet, Variant, WithVariant, with_variant};
use dfdx::prelude::*;

/// Inference with one class, whatever the variant, the side and the device.
pub trait Network {
    /// The prediction's logits `(batch, 1, side, side)` for normalised images `(batch, 3, side, side)`.
    ///
    /// # Errors
    /// When the side is not supported, the number of values is not that of the shape, or the device fails.
    fn logits(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, NetworkError>;

    /// What its large products are computed in.
    fn precision(&self) -> Precision;

    /// The variant's name, for example `base-plus`.
    fn variant(&self) -> &'static str;
}

/// Why a [`Network`] gave no logits.
#[derive(Debug, thiserror::Error)]
pub enum NetworkError {
    /// No such side.
    #[error("side {side} is none of the supported ones, the multiples of 32 from {least} to {most}")]
    Side {
        /// What was asked for.
        side: usize,
        /// Smallest supported.
        least: usize,
        /// Largest supported.
        most: usize,
    },
    /// The images are not what was announced.
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

impl<V: Variant, D: Backend> Network for Sam2UNet<V, D> {
    fn logits(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, NetworkError> {
        let expected = batch * 3 * side * side;
        if images.len() != expected {
            return Err(NetworkError::Length { batch, side, expected, found: images.len() });
        }
        check_side(side)?;
        let device = self.head.bias.device();
        let failed = |e| NetworkError::Device(D::explain(&e));
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
}

/// A model of the variant called `variant` on `device`, its products computed in `precision` where the device offers
/// it; `None` if there is no such variant.
///
/// # Errors
/// When the source does not hold a weight, or holds it in another shape, or the device fails.
pub fn open_network<D: Backend>(
    variant: &str,
    device: &D,
    source: &mut dyn WeightSource,
    precision: Precision,
) -> Option<Result<Box<dyn Network>, BuildError>> {
    struct Open<'a, D>(&'a D, &'a mut dyn WeightSource, Precision);
    impl<D: Backend> WithVariant for Open<'_, D> {
        type Output = Result<Box<dyn Network>, BuildError>;
        fn call<V: Variant>(self) -> Self::Output {
            Ok(Box::new(Sam2UNet::<V, D>::for_inference(self.0, self.1, self.2)?))
        }
    }
    with_variant(variant, Open(device, source, precision))
}

/// Whether the network takes images of this side, told at run time.
///
/// # Errors
/// [`NetworkError::Side`] if not.
pub fn check_side(side: usize) -> Result<(), NetworkError> {
    match SIDES.contains(&side) {
        true => Ok(()),
        false => Err(NetworkError::Side { side, least: SIDES[0], most: SIDES[SIDES.len() - 1] }),
    }
}
