//! A model with its optimiser and gathered gradients: the [`Learner`] of the real network.

use super::adamw::{AdamW, AdamWConfig};
use super::learner::{LearnError, Learner, LearnerSummary};
use crate::data::loader::Batch;
use crate::device::{Device, WithBackend};
use crate::nn::ops::Keep;
use crate::nn::weights::{Value, WeightSource, WeightSpec};
use crate::nn::{
    Backend, BuildError, Image, LossFlavour, Masks, Network, NetworkError, Precision, SIDES, Sam2UNet, Variant,
    WithVariant, gflop, parameters, training_bytes, with_variant,
};
use dfdx::nn::{ModuleMut, ZeroGrads};
use dfdx::prelude::*;

/// How a model in training computes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compute {
    /// What its products are computed in; single precision where the device does not offer it.
    pub precision: Precision,
    /// What its blocks keep for the backward pass.
    pub keep: Keep,
}

/// A model of one class in training, on a device.
#[derive(Debug)]
pub struct Session<V: Variant, D: Backend> {
    model: Sam2UNet<V, D>,
    optimiser: AdamW<D>,
    /// Those gathered since the last update; `None` before the first batch.
    gradients: Option<Gradients<f32, D>>,
    /// Those that nobody asked for yet, in their order, where the device computed them.
    losses: Vec<Tensor<(), f32, D>>,
    device: D,
    compute: Compute,
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
        compute: Compute,
    ) -> Result<Self, LearnError> {
        let model = build(&device, source, compute)?;
        Ok(Self { model, optimiser: AdamW::new(config), gradients: None, losses: Vec::new(), device, compute })
    }

    /// The model as it stands.
    pub fn model(&self) -> &Sam2UNet<V, D> {
        &self.model
    }
}

/// A [`Session`] of the variant called `variant`; `None` if there is none.
///
/// # Errors
/// As [`Session::new`].
pub fn open_session<D: Backend>(
    variant: &str,
    device: D,
    source: &mut dyn WeightSource,
    config: AdamWConfig,
    compute: Compute,
) -> Option<Result<Box<dyn Learner>, LearnError>> {
    struct Open<'a, D>(D, &'a mut dyn WeightSource, AdamWConfig, Compute);
    impl<D: Backend> WithVariant for Open<'_, D> {
        type Output = Result<Box<dyn Learner>, LearnError>;
        fn call<V: Variant>(self) -> Self::Output {
            Ok(Box::new(Session::<V, D>::new(self.0, self.1, self.2, self.3)?))
        }
    }
    with_variant(variant, Open(device, source, config, compute))
}

/// [`open_session`] on a device that is chosen at run time.
///
/// # Errors
/// As [`Session::new`].
pub fn open_session_on(
    device: &Device,
    variant: &str,
    source: &mut dyn WeightSource,
    config: AdamWConfig,
    compute: Compute,
) -> Option<Result<Box<dyn Learner>, LearnError>> {
    struct Open<'a>(&'a str, &'a mut dyn WeightSource, AdamWConfig, Compute);
    impl WithBackend for Open<'_> {
        type Output = Option<Result<Box<dyn Learner>, LearnError>>;
        fn call<D: Backend>(self, device: &D) -> Self::Output {
            open_session(self.0, device.clone(), self.1, self.2, self.3)
        }
    }
    device.visit(Open(variant, source, config, compute))
}

fn build<V: Variant, D: Backend>(
    device: &D,
    source: &mut dyn WeightSource,
    compute: Compute,
) -> Result<Sam2UNet<V, D>, LearnError> {
    let mut model = Sam2UNet::with_precision(device, source, compute.precision).map_err(built)?;
    model.keep(compute.keep);
    Ok(model)
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
    fn accumulate(&mut self, batch: &Batch, scale: f32, flavour: LossFlavour) -> Result<(), LearnError> {
        let (side, count) = (batch.side, batch.indices.len());
        let pixels = count * side * side;
        if batch.images.len() != 3 * pixels || batch.masks.len() != pixels {
            return Err(LearnError::Batch(format!(
                "{count} images of side {side} need {} numbers and their masks {pixels}, found {} and {}",
                3 * pixels,
                batch.images.len(),
                batch.masks.len()
            )));
        }
        if !SIDES.contains(&side) {
            return Err(LearnError::Batch(format!(
                "side {side} is none of the supported ones, the multiples of 32 from {} to {}",
                SIDES[0],
                SIDES[SIDES.len() - 1]
            )));
        }
        let gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => self.model.try_alloc_grads().map_err(device_error::<D>)?,
        };
        let x: Image<usize, usize, D> =
            self.device.upload(&batch.images, (count, Const, side, side)).map_err(device_error::<D>)?;
        let mask: Masks<usize, usize, 1, D> =
            self.device.upload(&batch.masks, (count, Const, side, side)).map_err(device_error::<D>)?;
        let outputs = self.model.try_forward_mut(x.traced(gradients)).map_err(device_error::<D>)?;
        let loss = outputs.loss(&mask, flavour).map_err(device_error::<D>)?;
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

    fn lags(&self) -> bool {
        self.device.lags()
    }

    fn update(&mut self, rate: f64) -> Result<(), LearnError> {
        let Some(mut gradients) = self.gradients.take() else {
            return Err(LearnError::Batch("no batch was seen since the last update".into()));
        };
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

    fn restore(
        &mut self,
        weights: &mut dyn WeightSource,
        moments: &mut dyn FnMut(&str) -> Option<(Vec<f32>, Vec<f32>)>,
        steps: u64,
    ) -> Result<(), LearnError> {
        let model = build(&self.device, weights, self.compute)?;
        self.optimiser.restore(&model, moments, steps)?;
        self.model = model;
        self.gradients = None;
        self.losses.clear();
        Ok(())
    }

    fn summary(&self, side: usize, batch: usize) -> LearnerSummary {
        let counts = parameters::<V, 1>();
        LearnerSummary {
            variant: V::NAME.to_string(),
            device: self.device.describe(),
            precision: self.model.precision(),
            parameters: counts.total(),
            frozen: counts.frozen,
            trainable: counts.trainable,
            gflop_per_image: gflop::<V>(side).total(),
            training_bytes: training_bytes::<V>(side, batch, self.compute.keep, self.model.precision()),
        }
    }
}
