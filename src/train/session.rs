//! A model with its optimiser and gathered gradients: the [`Learner`] of the real network.

use super::adamw::{AdamW, AdamWConfig};
use super::gradient_walk::{numbers_of, take_buffers, take_gradients};
use super::learner::{BatchSender, LearnError, Learner, LearnerSummary, MomentsOf, StepSizes, device_error};
use super::sent::Sent;
use crate::data::loader::Batch;
use crate::data::truth::BatchTruth;
use crate::device::{Device, WithBackend};
use crate::kernels::device::Device as _;
use crate::nn::backend::bound::Backend;
use crate::nn::cost::{gflop, parameters, training_bytes};
use crate::nn::losses::table::Loss;
use crate::nn::network::{Network, NetworkError};
use crate::nn::sam2unet::Sam2UNet;
use crate::nn::shape::{Image, Masks, ShapeError, check_map, check_side};
use crate::nn::targets::{ClassWeights, IndexMaps, Known, TargetError, Targets, Truth};
use crate::nn::variant::{Variant, VariantName, WithVariant};
use crate::nn::weights::build::{BuildError, BuildOptions};
use crate::nn::weights::source::WeightSource;
use crate::nn::weights::spec::{Value, WeightSpec};
use dfdx::nn::{ModuleMut, ZeroGrads};
use dfdx::prelude::*;
use std::ops::Range;

/// What a model is trained to tell apart.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainedClasses {
    /// How many classes: of one image's masks, or of its index map.
    pub count: usize,
    /// What each counts in the loss; `None` where all count the same.
    pub weights: Option<Vec<f32>>,
}

/// One.
impl Default for TrainedClasses {
    fn default() -> Self {
        Self { count: 1, weights: None }
    }
}

/// A model in training, on a device. Its number of classes is known at run time, so that there is one such type for
/// each variant.
#[derive(Debug)]
pub struct Session<V: Variant, D: Backend> {
    model: Sam2UNet<V, D, usize>,
    class_weights: Option<ClassWeights<usize, D>>,
    optimiser: AdamW<D>,
    /// Those gathered since the last update; `None` before the first batch.
    gradients: Option<Gradients<f32, D>>,
    /// Losses that nobody asked for yet, in their order, on the device.
    losses: Vec<Tensor<(), f32, D>>,
    /// How many of them are of steps that were made.
    losses_made: usize,
    /// Batches on their way to the host.
    sent: Sent<D>,
    sizes: StepSizes,
    device: D,
    options: BuildOptions,
}

impl<V: Variant, D: Backend> Session<V, D> {
    /// A model of one class with weights from `source`, and an optimiser that has made no step.
    ///
    /// # Errors
    /// When the source does not hold a weight, or the device fails.
    pub fn new(
        device: D,
        source: &mut dyn WeightSource,
        config: AdamWConfig,
        options: BuildOptions,
    ) -> Result<Self, LearnError> {
        Self::with_classes(device, source, &TrainedClasses::default(), config, options)
    }

    /// The same for any number of classes.
    ///
    /// # Errors
    /// As [`new`](Self::new), and when there is no class, or classes cannot have these weights.
    pub fn with_classes(
        device: D,
        source: &mut dyn WeightSource,
        classes: &TrainedClasses,
        config: AdamWConfig,
        options: BuildOptions,
    ) -> Result<Self, LearnError> {
        let mut model = Sam2UNet::with_classes(&device, source, classes.count, options).map_err(built)?;
        let mut statistics = 0;
        let held = model.each_batch_norm(&mut |norm| {
            norm.hold();
            statistics += norm.width();
            Ok(())
        });
        held.map_err(device_error::<D>)?;
        let sizes = StepSizes { gradient: numbers_of(&model)?, statistics };
        let weights = classes.weights.as_ref().map(|weights| ClassWeights::new(&device, weights, classes.count));
        let class_weights = weights.transpose().map_err(target_error)?;
        let optimiser = AdamW::new(config);
        let (losses, sent) = (Vec::new(), Sent::of(&model)?);
        Ok(Self {
            model,
            class_weights,
            optimiser,
            gradients: None,
            losses,
            losses_made: 0,
            sent,
            sizes,
            device,
            options,
        })
    }

    /// What is true of a batch's pixels, on the device.
    fn truth(&self, batch: &Batch) -> Result<UploadedTruth<D>, LearnError> {
        let (side, count, classes) = (batch.side, batch.indices.len(), self.model.classes());
        let pixels = count * side * side;
        let check = |what: &str, planes: usize, found: usize| match found == pixels * planes {
            true => Ok(()),
            false => Err(LearnError::Batch(format!(
                "{count} images of side {side} with {planes} planes of {what} each need {} numbers, found {found}",
                pixels * planes
            ))),
        };
        let upload = |numbers: &[f32]| -> Result<Masks<usize, usize, usize, D>, LearnError> {
            check("masks", classes, numbers.len())?;
            self.device.upload(numbers, (count, classes, side, side)).map_err(device_error::<D>)
        };
        Ok(match &batch.truth {
            BatchTruth::Masks(masks) => UploadedTruth::Masks(upload(masks)?),
            BatchTruth::MasksAndKnown { masks, known } => {
                let masks = upload(masks)?;
                let of_all = known.len() == pixels;
                check("known pixels", if of_all { 1 } else { classes }, known.len())?;
                let known: Vec<f32> = known.iter().map(|v| f32::from(*v)).collect();
                let known = match of_all {
                    true => self.device.upload(&known, (count, Const, side, side)).map(Known::OfAll),
                    false => self.device.upload(&known, (count, classes, side, side)).map(Known::OfEach),
                };
                UploadedTruth::MasksAndKnown(masks, known.map_err(device_error::<D>)?)
            }
            BatchTruth::Index(index) => {
                UploadedTruth::Index(IndexMaps::new(&self.device, index, (count, classes, side)).map_err(target_error)?)
            }
        })
    }

    /// Ends a step: batch norms move their running statistics, and its losses are no longer given up with it.
    fn settle(&mut self) -> Result<(), LearnError> {
        self.losses_made = self.losses.len();
        self.model.each_batch_norm(&mut |norm| norm.settle()).map_err(device_error::<D>)
    }

    /// The model as it stands.
    pub fn model(&self) -> &Sam2UNet<V, D, usize> {
        &self.model
    }
}

/// A batch's truth on the device.
enum UploadedTruth<D: Backend> {
    Masks(Masks<usize, usize, usize, D>),
    MasksAndKnown(Masks<usize, usize, usize, D>, Known<usize, usize, usize, D>),
    Index(IndexMaps<usize, usize, usize, D>),
}

impl<D: Backend> UploadedTruth<D> {
    fn lent(&self) -> Truth<'_, usize, usize, usize, D> {
        match self {
            Self::Masks(masks) => Truth::Masks(masks),
            Self::MasksAndKnown(masks, known) => Truth::MasksAndKnown(masks, known),
            Self::Index(index) => Truth::Index(index),
        }
    }
}

/// A [`Session`] of a variant known at run time.
///
/// # Errors
/// As [`Session::with_classes`].
pub fn open_session<D: Backend>(
    variant: VariantName,
    device: D,
    source: &mut dyn WeightSource,
    classes: &TrainedClasses,
    config: AdamWConfig,
    options: BuildOptions,
) -> Result<Box<dyn Learner>, LearnError> {
    struct Open<'a, D>(D, &'a mut dyn WeightSource, &'a TrainedClasses, AdamWConfig, BuildOptions);
    impl<D: Backend> WithVariant for Open<'_, D> {
        type Output = Result<Box<dyn Learner>, LearnError>;
        fn call<V: Variant>(self) -> Self::Output {
            Ok(Box::new(Session::<V, D>::with_classes(self.0, self.1, self.2, self.3, self.4)?))
        }
    }
    variant.visit(Open(device, source, classes, config, options))
}

/// [`open_session`] on a device that is chosen at run time.
///
/// # Errors
/// As [`Session::with_classes`].
pub fn open_session_on(
    device: &Device,
    variant: VariantName,
    source: &mut dyn WeightSource,
    classes: &TrainedClasses,
    config: AdamWConfig,
    options: BuildOptions,
) -> Result<Box<dyn Learner>, LearnError> {
    struct Open<'a>(VariantName, &'a mut dyn WeightSource, &'a TrainedClasses, AdamWConfig, BuildOptions);
    impl WithBackend for Open<'_> {
        type Output = Result<Box<dyn Learner>, LearnError>;
        fn call<D: Backend>(self, device: &D) -> Self::Output {
            open_session(self.0, device.clone(), self.1, self.2, self.3, self.4)
        }
    }
    device.visit(Open(variant, source, classes, config, options))
}

fn built(error: BuildError) -> LearnError {
    match error {
        BuildError::Source(e) => LearnError::Source(e),
        classes @ BuildError::Classes { .. } => LearnError::Build(classes),
        other => LearnError::Device(other.to_string()),
    }
}

fn target_error(error: TargetError) -> LearnError {
    match error {
        TargetError::Device(reason) => LearnError::Device(reason),
        other => LearnError::Target(other),
    }
}

impl<V: Variant, D: Backend> Learner for Session<V, D> {
    fn abandon_step(&mut self) {
        self.losses.truncate(self.losses_made);
        self.gradients = None;
        self.sent.forget();
        // forgetting cannot fail
        let _ = self.model.each_batch_norm(&mut |norm| {
            norm.forget();
            Ok(())
        });
    }

    fn accumulate(&mut self, batch: &Batch, scale: f32, loss: Loss) -> Result<(), LearnError> {
        let (side, count) = (batch.side, batch.indices.len());
        let refused = |e: ShapeError| LearnError::Batch(e.to_string());
        check_map(count, side, side).map_err(refused)?;
        check_side(side).map_err(refused)?;
        let pixels = count.saturating_mul(side * side);
        if batch.images.len() != pixels.saturating_mul(3) {
            return Err(LearnError::Batch(format!(
                "{count} images of side {side} need {} numbers, found {}",
                pixels.saturating_mul(3),
                batch.images.len()
            )));
        }
        let truth = self.truth(batch)?;
        let gradients = match self.gradients.take() {
            Some(gradients) => gradients,
            None => self.model.try_alloc_grads().map_err(device_error::<D>)?,
        };
        let x: Image<usize, usize, D> =
            self.device.upload(&batch.images, (count, Const, side, side)).map_err(device_error::<D>)?;
        let (model, x) = (&mut self.model, x.traced(gradients));
        let outputs = match self.device.kernels().is_ok_and(|k| k.is_asynchronous()) {
            true => self.sent.marked(&self.device, || model.try_forward_mut(x)),
            false => model.try_forward_mut(x),
        };
        let outputs = outputs.map_err(device_error::<D>)?;
        let targets = Targets { truth: truth.lent(), class_weights: self.class_weights.as_ref() };
        let loss = outputs.loss(targets, loss).map_err(device_error::<D>)?;
        let (loss, tape) = loss.split_tape();
        let unscaled = loss.clone();
        let scaled = loss.put_tape(tape).try_mul(scale).map_err(device_error::<D>)?;
        self.gradients = Some(scaled.try_backward().map_err(device_error::<D>)?);
        self.losses.push(unscaled);
        Ok(())
    }

    fn losses(&mut self) -> Result<Vec<f64>, LearnError> {
        let read = |loss| Ok(f64::from(self.device.read(&loss).map_err(device_error::<D>)?[0]));
        self.losses_made = 0;
        std::mem::take(&mut self.losses).into_iter().map(read).collect()
    }

    fn is_asynchronous(&self) -> bool {
        self.device.kernels().is_ok_and(|k| k.is_asynchronous())
    }

    fn update(&mut self, rate: f64) -> Result<(), LearnError> {
        let Some(mut gradients) = self.gradients.take() else {
            return Err(LearnError::Batch("no batch was seen since the last update".into()));
        };
        // they were allocated for the whole model
        self.optimiser.use_up(&mut self.model, &mut gradients, rate)?;
        gradients.drop_non_leafs();
        self.gradients = Some(gradients);
        self.settle()
    }

    fn sizes(&self) -> StepSizes {
        self.sizes
    }

    fn take_batch(&mut self, gradient: &mut Vec<f32>, statistics: &mut Vec<f32>) -> Result<(), LearnError> {
        let Some(gradients) = &mut self.gradients else {
            return Err(LearnError::Batch("no batch was seen since the last one was taken".into()));
        };
        take_gradients(&self.model, gradients, gradient)?;
        gradients.drop_non_leafs();
        let taken = self.model.each_batch_norm(&mut |norm| {
            statistics.extend(norm.take()?);
            Ok(())
        });
        taken.map_err(device_error::<D>)
    }

    fn sender(&mut self) -> Option<&mut dyn BatchSender> {
        if self.is_asynchronous() { Some(self) } else { None }
    }

    fn update_with(&mut self, gradient: &[f32], statistics: &[f32], rate: f64) -> Result<(), LearnError> {
        self.optimiser.update_with(&mut self.model, gradient, rate)?;
        for batch in statistics.chunks(self.sizes.statistics.max(1)) {
            let mut rest = batch;
            let put = self.model.each_batch_norm(&mut |norm| {
                let (own, others) = rest.split_at(norm.width());
                rest = others;
                norm.put(own)
            });
            put.map_err(device_error::<D>)?;
        }
        self.settle()
    }

    fn predict(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, LearnError> {
        self.model.logits(images, batch, side).map_err(|e| match e {
            NetworkError::Device(reason) => LearnError::Device(reason),
            other => LearnError::Batch(other.to_string()),
        })
    }

    fn specs(&self) -> Vec<WeightSpec> {
        Sam2UNet::<V, D, usize>::specs_for(self.model.classes())
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
        let classes = self.model.classes();
        let counts = parameters::<V>(classes);
        LearnerSummary {
            variant: V::NAME.to_string(),
            device: self.device.description(),
            precision: self.model.precision(),
            parameters: counts.total(),
            frozen: counts.frozen,
            trainable: counts.trainable,
            gflop_per_image: gflop::<V>(side).total(),
            training_bytes: training_bytes::<V>(classes, side, batch, self.options.memory, self.model.precision()),
        }
    }
}

impl<V: Variant, D: Backend> BatchSender for Session<V, D> {
    fn parts(&self) -> Vec<Range<usize>> {
        self.sent.parts().to_vec()
    }

    fn send_batch(&mut self) -> Result<(), LearnError> {
        let Some(gradients) = &mut self.gradients else {
            return Err(LearnError::Batch("no batch was seen since the last one was sent".into()));
        };
        let gradient = take_buffers(&self.model, gradients)?;
        gradients.drop_non_leafs();
        let mut statistics = Vec::new();
        let taken = self.model.each_batch_norm(&mut |norm| {
            statistics.extend(norm.take_buffers());
            Ok(())
        });
        taken.map_err(device_error::<D>)?;
        self.sent.send(&self.device, gradient, statistics)
    }

    fn receive_statistics(&mut self, statistics: &mut Vec<f32>) -> Result<(), LearnError> {
        self.sent.receive(&self.device, statistics)
    }

    fn receive_part(&mut self, gradient: &mut Vec<f32>) -> Result<(), LearnError> {
        self.sent.receive(&self.device, gradient)
    }
}
