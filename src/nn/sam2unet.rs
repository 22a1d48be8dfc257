//! The whole network (arXiv 2408.08870): encoder, four receptive-field blocks, decoder, three outputs.

use super::backend::bound::Backend;
use super::backend::tape::{Inference, Training};
use super::decoder::{Head, Up};
use super::hiera::Hiera;
use super::layers::widths::Mid;
use super::losses::table::Loss;
use super::ops::activation::Activation;
use super::rfb::Rfb;
use super::shape::{Classes, Image, Masks, Side};
use super::targets::Targets;
use super::variant::Variant;
use super::weights::build::{BuildError, BuildOptions, Builder, Weights};
use super::weights::module::module;
use super::weights::path::Path;
use super::weights::roles::Unused;
use super::weights::running::EachNorm;
use super::weights::source::WeightSource;
use super::weights::spec::{SpecList, Value, WeightSpec};
use crate::kernels::precision::Precision;
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;

module! {
    /// SAM2-UNet: `Sam2UNet<Large>` for one class on the CPU.
    ///
    /// Inference (dfdx's `Module`) and training (`ModuleMut`) take `(B, 3, S, S)` images for any
    /// [`Side`] `S` and give [`Outputs`]; the weights do not depend on the side. To predict, turn the model into a
    /// [`Predictor`](super::predictor::Predictor), which computes the prediction only and folds batch norms once. Classes are a
    /// type as sides are: `Const<3>` is checked by the compiler, `usize` is known at run time.
    pub struct Sam2UNet<V: Variant, D: Backend = Cpu, K: Classes = Const<1>> {
        /// From the image to four maps.
        pub encoder("encoder"): Hiera<V, D>,
        /// For the map at a quarter of the side.
        pub rfb1("rfb1"): Rfb<V::C1, D>,
        /// For the map at an eighth.
        pub rfb2("rfb2"): Rfb<V::C2, D>,
        /// For the map at a sixteenth.
        pub rfb3("rfb3"): Rfb<V::C3, D>,
        /// For the map at a thirty-second.
        pub rfb4("rfb4"): Rfb<V::C4, D>,
        /// Decoder step from a thirty-second to a sixteenth.
        pub up1("up1"): Up<D>,
        /// Decoder step to an eighth.
        pub up2("up2"): Up<D>,
        /// Decoder step to a quarter.
        pub up3("up3"): Up<D>,
        /// Published files hold a fourth step; no output depends on it.
        pub up4("up4"): Unused<Up<D>>,
        /// Output after the first step.
        pub side1("side1"): Head<K, D>,
        /// Output after the second step.
        pub side2("side2"): Head<K, D>,
        /// Output after the third step: the prediction.
        pub head("head"): Head<K, D>,
    }
}

/// Three maps of logits at the image's side. Each holds its own piece of the tape, so a loss must use
/// all three, as [`loss`](Self::loss) does.
#[must_use]
#[derive(Debug)]
pub struct Outputs<B: Dim, S: Side, K: Classes, D: Backend, T = NoneTape> {
    /// The prediction.
    pub head: Masks<B, S, K, D, T>,
    /// From the map at a sixteenth of the side, for deep supervision.
    pub side1: Masks<B, S, K, D, T>,
    /// From the map at an eighth of the side.
    pub side2: Masks<B, S, K, D, T>,
}

/// Inference of all three outputs.
impl<V: Variant, K: Classes, B: Dim, S: Side, D: Backend, T: Inference<D>> Module<Image<B, S, D, T>>
    for Sam2UNet<V, D, K>
{
    type Output = Outputs<B, S, K, D, T>;
    type Error = D::Err;
    fn try_forward(&self, image: Image<B, S, D, T>) -> Result<Self::Output, D::Err> {
        let side = image.shape().2;
        let (x1, x2, x3, x4) = self.skips(image)?;
        let x = self.up1.try_forward((&x3, &x4))?;
        let side1 = self.side1.logits(&x, side)?;
        let x = self.up2.try_forward((&x2, &x))?;
        let side2 = self.side2.logits(&x, side)?;
        let x = self.up3.try_forward((&x1, &x))?;
        Ok(Outputs { head: self.head.logits(&x, side)?, side1, side2 })
    }
}

/// Training.
impl<V: Variant, K: Classes, B: Dim, S: Side, D: Backend, T: Training<D>> ModuleMut<Image<B, S, D, T>>
    for Sam2UNet<V, D, K>
{
    type Output = Outputs<B, S, K, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, image: Image<B, S, D, T>) -> Result<Self::Output, D::Err> {
        let side = image.shape().2;
        let (x1, x2, x3, x4) = self.encoder.try_forward_mut(image)?;
        let (x1, x2) = (self.rfb1.try_forward_mut(x1)?, self.rfb2.try_forward_mut(x2)?);
        let (x3, x4) = (self.rfb3.try_forward_mut(x3)?, self.rfb4.try_forward_mut(x4)?);
        let x = self.up1.try_forward_mut((x3, x4))?;
        let side1 = self.side1.train_logits(x.with_empty_tape(), side)?;
        let x = self.up2.try_forward_mut((x2, x))?;
        let side2 = self.side2.train_logits(x.with_empty_tape(), side)?;
        let x = self.up3.try_forward_mut((x1, x))?;
        Ok(Outputs { head: self.head.train_logits(x, side)?, side1, side2 })
    }
}

impl<B: Dim, S: Side, K: Classes, D: Backend, T: Tape<f32, D>> Outputs<B, S, K, D, T> {
    /// The training loss of the three outputs: with [`Loss::Paper`] the structure loss of each, added up (paper, "Loss
    /// function").
    ///
    /// Targets are masks (soft, in `0..=1`) of labels that may overlap, of which each is compared by itself and the
    /// average is taken; or [`IndexMaps`](super::targets::IndexMaps) of classes that exclude each other. See
    /// [`Targets`] for pixels that are ignored, and for what classes count.
    ///
    /// # Panics
    /// When a run-time batch is empty, or targets of run-time sizes do not have the images' batch, side and number of
    /// classes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn loss<'a>(
        self,
        targets: impl Into<Targets<'a, B, S, K, D>>,
        loss: Loss,
    ) -> Result<Tensor<(), f32, D, T>, D::Err> {
        loss.of([self.head, self.side1, self.side2], &targets.into())
    }
}

/// The four maps that the decoder reads, finest first.
type Skips<B, S, D> = (
    Activation<B, <S as Side>::Quarter, Mid, D>,
    Activation<B, <S as Side>::Eighth, Mid, D>,
    Activation<B, <S as Side>::Sixteenth, Mid, D>,
    Activation<B, <S as Side>::ThirtySecond, Mid, D>,
);

impl<V: Variant, D: Backend, K: Classes> Sam2UNet<V, D, K> {
    /// Encoder and receptive-field blocks in inference.
    fn skips<B: Dim, S: Side, T: Inference<D>>(&self, image: Image<B, S, D, T>) -> Result<Skips<B, S, D>, D::Err> {
        let (x1, x2, x3, x4) = self.encoder.activations(image)?;
        let (x1, x2) = (self.rfb1.try_forward(&x1)?, self.rfb2.try_forward(&x2)?);
        Ok((x1, x2, self.rfb3.try_forward(&x3)?, self.rfb4.try_forward(&x4)?))
    }

    /// The prediction alone, without the outputs of deep supervision: `(B, 3, S, S)` to `(B, K, S, S)` logits. A
    /// [`Predictor`](super::predictor::Predictor) does the same faster, image after image.
    ///
    /// # Panics
    /// When a run-time batch is empty, or a run-time side is not square, no multiple of 32, or below 64.
    ///
    /// # Errors
    /// When the device fails.
    pub fn try_predict<B: Dim, S: Side, T: Inference<D>>(
        &self,
        image: Image<B, S, D, T>,
    ) -> Result<Masks<B, S, K, D, T>, D::Err> {
        let side = image.shape().2;
        let (x1, x2, x3, x4) = self.skips(image)?;
        let x = self.up1.try_forward((&x3, &x4))?;
        let x = self.up2.try_forward((&x2, &x))?;
        let x = self.up3.try_forward((&x1, &x))?;
        self.head.logits(&x, side)
    }

    /// Builds the model on `device` with every weight from `source`: a file, or an
    /// [`Initialiser`](super::weights::initialiser::Initialiser). In single precision and with [`BuildOptions`]' defaults.
    ///
    /// A model of `usize` classes has one: see [`with_classes`](Self::with_classes).
    ///
    /// # Errors
    /// When the source does not hold a weight, or holds it in another shape, or the device fails.
    pub fn from_source(device: &D, source: &mut dyn WeightSource) -> Result<Self, BuildError> {
        Self::with_options(device, source, BuildOptions::default())
    }

    /// As [`from_source`](Self::from_source), for a model that computes as `options` say.
    ///
    /// # Errors
    /// As [`from_source`](Self::from_source).
    pub fn with_options(device: &D, source: &mut dyn WeightSource, options: BuildOptions) -> Result<Self, BuildError> {
        Self::with_classes(device, source, K::FIXED.unwrap_or(1), options)
    }

    /// As [`with_options`](Self::with_options), for a model of `classes` classes, whose type may leave their number open
    /// (`usize`).
    ///
    /// # Errors
    /// As [`from_source`](Self::from_source), and when the type has another number of classes, or `classes` is 0.
    pub fn with_classes(
        device: &D,
        source: &mut dyn WeightSource,
        classes: usize,
        options: BuildOptions,
    ) -> Result<Self, BuildError> {
        const {
            let () = V::CHECKED;
        }
        if K::FIXED.unwrap_or(classes) != classes || classes == 0 {
            return Err(BuildError::Classes { given: classes, fixed: K::FIXED });
        }
        Self::build(&mut Builder::new(device, source).with_options(options).with_classes(classes), &Path::root())
    }

    /// Precision in which its large products are computed.
    pub fn precision(&self) -> Precision {
        self.rfb1.branch0.precision()
    }

    /// The device that it is on.
    pub fn device(&self) -> &D {
        self.head.device()
    }

    /// Number of classes.
    pub fn classes(&self) -> usize {
        self.head.classes()
    }

    /// Name, shape and role of every value that the model stores, without building it; a model of `usize` classes has one
    /// here: see [`specs_for`](Self::specs_for).
    pub fn specs() -> Vec<WeightSpec> {
        Self::specs_for(K::FIXED.unwrap_or(1))
    }

    /// As [`specs`](Self::specs), for a model of `classes` classes, if its type leaves their number open.
    ///
    /// # Panics
    /// When `classes` is 0.
    pub fn specs_for(classes: usize) -> Vec<WeightSpec> {
        let mut list = SpecList::new(classes);
        <Self as Weights<D>>::specs(&Path::root(), &mut list);
        list.specs
    }

    /// Calls `f` with every stored value, in the order of [`specs`](Self::specs): what a file of the
    /// model holds.
    ///
    /// # Panics
    /// When the device is lost, as dfdx's own reading of a tensor does; never on the CPU.
    pub fn each_value(&self, f: &mut dyn FnMut(WeightSpec, Value)) {
        self.each(&Path::root(), f);
    }

    /// Calls `f` with each batch norm, in the order of [`specs`](Self::specs).
    ///
    /// # Errors
    /// Those of `f`.
    pub(crate) fn each_batch_norm(&mut self, f: EachNorm<'_, D>) -> Result<(), D::Err> {
        self.each_norm(f)
    }
}
