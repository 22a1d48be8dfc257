//! A model whose variant and side are known at run time only: what the programs hold.

use super::dispatch::{Job, at_side};
use super::weights::WeightSource;
use super::{Backend, BuildError, SIDES, Sam2UNet, Side, Variant, WithVariant, with_variant};
use dfdx::nn::Module;
use dfdx::prelude::*;

/// Inference with one class, whatever the variant, the side and the device.
pub trait Network {
    /// The prediction's logits `(batch, 1, side, side)` for normalised images `(batch, 3, side, side)`.
    ///
    /// # Errors
    /// When the side is not supported, the number of values is not that of the shape, or the device fails.
    fn logits(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, NetworkError>;

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
        struct Infer<'a, V: Variant, D: Backend>(&'a Sam2UNet<V, D>, &'a [f32], usize);
        impl<V: Variant, D: Backend> Job for Infer<'_, V, D> {
            type Output = Result<Vec<f32>, D::Err>;
            fn run<W: Variant, S: Side>(self) -> Self::Output {
                let (Self(model, images, batch), side) = (self, S::default());
                let device = model.head.bias.device();
                let x = device.try_tensor_from_vec(images.to_vec(), (batch, Const::<3>, side, side))?;
                let head = model.try_forward(x)?.head;
                let mut logits = vec![0.0; batch * S::SIZE * S::SIZE];
                head.copy_into(&mut logits);
                Ok(logits)
            }
        }
        let expected = batch * 3 * side * side;
        if images.len() != expected {
            return Err(NetworkError::Length { batch, side, expected, found: images.len() });
        }
        match at_side::<V, _>(side, Infer(self, images, batch)) {
            Some(logits) => logits.map_err(|e| NetworkError::Device(format!("{e:?}"))),
            None => Err(NetworkError::Side { side, least: SIDES[0], most: SIDES[SIDES.len() - 1] }),
        }
    }

    fn variant(&self) -> &'static str {
        V::NAME
    }
}

/// A model of the variant called `variant` on `device`; `None` if there is no such variant.
///
/// # Errors
/// When the source does not hold a weight, or holds it in another shape, or the device fails.
pub fn open_network<D: Backend>(
    variant: &str,
    device: &D,
    source: &mut dyn WeightSource,
) -> Option<Result<Box<dyn Network>, BuildError>> {
    struct Open<'a, D>(&'a D, &'a mut dyn WeightSource);
    impl<D: Backend> WithVariant for Open<'_, D> {
        type Output = Result<Box<dyn Network>, BuildError>;
        fn call<V: Variant>(self) -> Self::Output {
            Ok(Box::new(Sam2UNet::<V, D>::from_source(self.0, self.1)?))
        }
    }
    with_variant(variant, Open(device, source))
}
