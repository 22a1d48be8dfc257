//! A model with its optimiser and gathered gradients: the [`Learner`] of the real network.

use super::adamw::{AdamW, AdamWConfig};
use super::learner::{LearnError, Learner, LearnerSummary, MomentsOf};
use crate::data::loader::Batch;
use crate::device::{Device, WithBackend};
use crate::kernels::device::Device as _;
use crate::nn::backend::bound::Backend;
use crate::nn::cost::{gflop, parameters, training_bytes};
use crate::nn::losses::table::Loss;
use crate::nn::network::{Network, NetworkError};
use crate::nn::sam2unet::Sam2UNet;
use crate::nn::shape::{Image, Masks, ShapeError, check_map, check_side};
use crate::nn::variant::{Variant, VariantName, WithVariant};
use crate::nn::weights::build::{BuildError, BuildOptions};
use crate::nn::weights::source::WeightSource;
use crate::nn::weights::spec::{Value, WeightSpec};
use dfdx::nn::{ModuleMut, ZeroGrads};
use dfdx::prelude::*;

/// A model of one class in training, on a device.
#[derive(Debug)]
pub struct Session<V: Variant, D: Backend> {
    model: Sam2UNet<V, D>,
    optimiser: AdamW<D>,
    /// Those gathered since the last update; `None` before the first batch.
    gradients: Option<Gradients<f32, D>>,
    /// Losses that nobody asked for yet, in their order, on the device.
    losses: Vec<Tensor<(), f32, D>>,
    /// The model before the step of several batches under way, and how many losses there were.
    before: Option<(Sam2UNet<V, D>, usize)>,
    device: D,
    options: BuildOptions,
}

impl<V: Variant, D: Backend> Session<V, D> {
    /// A model with weights from `source` and an optimiser that has made no step.
    ///
    /// # Errors
    /// When the source does not hold a weight, or the device fails.
    pub fn new(
        device: D,
        source: &mut dyn WeightSource,
        config: AdamWConfig,
        options: BuildOptions,
    ) -> Result<Self, LearnError> {
        let model = build(&device, source, options)?;
        let (optimiser, losses) = (AdamW::new(config), Vec::new());
        Ok(Self { model, optimiser, gradients: None, losses, before: None, device, options })
    }

    /// The model as it stands.
    pub fn model(&self) -> &Sam2UNet<V, D> {
        &self.model
    }
}

/// A [`Session`] of a variant known at run time.
///
/// # Errors
/// As [`Session::new`].
pub fn open_session<D: Backend>(
    variant: VariantName,
    device: D,
    source: &mut dyn WeightSource,
    config: AdamWConfig,
    options: BuildOptions,
) -> Result<Box<dyn Learner>, LearnError> {
    struct Open<'a, D>(D, &'a mut dyn WeightSource, AdamWConfig, BuildOptions);
    impl<D: Backend> WithVariant for Open<'_, D> {
        type Output = Result<Box<dyn Learner>, LearnError>;
        fn call<V: Variant>(self) -> Self::Output {
            Ok(Box::new(Session::<V, D>::new(self.0, self.1, self.2, self.3)?))
        }
    }
    variant.visit(Open(device, source, config, options))
}

/// [`open_session`] on a device that is chosen at run time.
///
/// # Errors
/// As [`Session::new`].
pub fn open_session_on(
    device: &Device,
    variant: VariantName,
    source: &mut dyn WeightSource,
    config: AdamWConfig,
    options: BuildOptions,
) -> Result<Box<dyn Learner>, LearnError> {
    struct Open<'a>(VariantName, &'a mut dyn WeightSource, AdamWConfig, BuildOptions);
    impl WithBackend for Open<'_> {
        type Output = Result<Box<dyn Learner>, LearnError>;
        fn call<D: Backend>(self, device: &D) -> Self::Output {
            open_session(self.0, device.clone(), self.1, self.2, self.3)
        }
    }
    device.visit(Open(variant, source, config, options))
}

fn build<V: Variant, D: Backend>(
    device: &D,
    source: &mut dyn WeightSource,
    options: BuildOptions,
) -> Result<Sam2UNet<V, D>, LearnError> {
    Sam2UNet::with_options(device, source, options).map_err(built)
}

fn built(error: BuildError) -> LearnError {
    match error {
        BuildError::Source(e) => LearnError::Source(e),
        other => LearnError::Device(other.to_string()),
    }
}

fn device_error<D: Backend>(error: D::Err) -> LearnError {
    LearnError::Device(D::explain(&error))
}

impl<V: Variant, D: Backend> Learner for Session<V, D> {
    fn begin_step(&mut self) {
        // a copy shares each tensor's numbers until one of the two changes them, as batch norms change their statistics
        self.before = Some((self.model.clone(), self.losses.len()));
    }

    fn abandon_step(&mut self) {
        if let Some((model, losses)) = self.before.take() {
            self.model = model;
            self.losses.truncate(losses);
            self.gradients = None;
        }
    }

    fn accumulate(&mut self, batch: &Batch, scale: f32, loss: Loss) -> Result<(), LearnError> {
        let (side, count) = (batch.side, batch.indices.len());
        let refused = |e: ShapeError| LearnError::Batch(e.to_string());
        check_map(count, side, side).map_err(refused)?;
        check_side(side).map_err(refused)?;
        let pixels = count.saturating_mul(side * side);
        if batch.images.len() != pixels.saturating_mul(3) || batch.masks.len() != pixels {
            return Err(LearnError::Batch(format!(
                "{count} images of side {side} need {} numbers and their masks {pixels}, found {} and {}",
                pixels.saturating_mul(3),
                batch.images.len(),
                batch.masks.len()
            )));
        }
        let gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => self.model.try_alloc_grads().map_err(device_error::<D>)?,
        };
        let x: Image<usize, usize, D> =
            self.device.upload(&batch.images, (count, Const, side, side)).map_err(device_error::<D>)?;
        let mask: Masks<usize, usize, Const<1>, D> =
            self.device.upload(&batch.masks, (count, Const, side, side)).map_err(device_error::<D>)?;
        let outputs = self.model.try_forward_mut(x.traced(gradients)).map_err(device_error::<D>)?;
        let loss = outputs.loss(&mask, loss).map_err(device_error::<D>)?;
        let (loss, tape) = loss.split_tape();
        let unscaled = loss.clone();
        let scaled = loss.put_tape(tape).try_mul(scale).map_err(device_error::<D>)?;
        self.gradients = Some(scaled.try_backward().map_err(device_error::<D>)?);
        self.losses.push(unscaled);
        Ok(())
    }

    fn losses(&mut self) -> Result<Vec<f64>, LearnError> {
        let read = |loss| Ok(f64::from(self.device.read(&loss).map_err(device_error::<D>)?[0]));
        std::mem::take(&mut self.losses).into_iter().map(read).collect()
    }

    fn is_asynchronous(&self) -> bool {
        self.device.kernels().is_ok_and(|k| k.is_asynchronous())
    }

    fn update(&mut self, rate: f64) -> Result<(), LearnError> {
        let Some(mut gradients) = self.gradients.take() else {
            return Err(LearnError::Batch("no batch was seen since the last update".into()));
        };
        // the optimiser changes weights where they are, if nothing shares them
        self.before = None;
        // they were allocated for the whole model
        self.optimiser.use_up(&mut self.model, &mut gradients, rate)?;
        gradients.drop_non_leafs();
        self.gradients = Some(gradients);
        Ok(())
    }

    fn predict(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, LearnError> {
        self.model.logits(images, batch, side).map_err(|e| match e {
            NetworkError::Device(reason) => LearnError::Device(reason),
            other => LearnError::Batch(other.to_string()),
        })
    }

    fn specs(&self) -> Vec<WeightSpec> {
        Sam2UNet::<V, D>::specs()
    }

    fn each_value(&self, f: &mut dyn FnMut(WeightSpec, Value)) {
        self.model.each_value(f);
    }

    fn each_moment(&self, f: &mut dyn FnMut(&str, &[f32], &[f32])) -> Result<(), LearnError> {
        self.optimiser.each_moment(f)
    }

    fn optimiser_steps(&self) -> u64 {
        self.optimiser.steps()
    }

    fn restore_optimiser(&mut self, moments: MomentsOf<'_>, steps: u64) -> Result<(), LearnError> {
        self.optimiser.restore(&self.model, moments, steps)
    }

    fn summary(&self, side: usize, batch: usize) -> LearnerSummary {
        let counts = parameters::<V>(1);
        LearnerSummary {
            variant: V::NAME.to_string(),
            device: self.device.description(),
            precision: self.model.precision(),
            parameters: counts.total(),
            frozen: counts.frozen,
            trainable: counts.trainable,
            gflop_per_image: gflop::<V>(side).total(),
            training_bytes: training_bytes::<V>(side, batch, self.options.memory, self.model.precision()),
        }
    }
}
