//! The whole network (arXiv 2408.08870): encoder, four receptive-field blocks, decoder, three outputs.

use super::ops::{self, Keep, LossFlavour};
use super::weights::{Value, WeightSource, WeightSpec};
use super::{
    Backend, BuildError, Builder, Head, Hiera, Image, Inference, Masks, Path, Precision, Rfb, Side, Unused, Up,
    Variant, Weights,
};
use dfdx::nn::Module;
use dfdx::prelude::*;

module! {
    /// SAM2-UNet: `Sam2UNet<Large>` for one class on the CPU.
    ///
    /// Inference (dfdx's `Module`) and training (`ModuleMut`) take `(B, 3, S, S)` images for any
    /// [`Side`] `S` and give [`Outputs`]; the weights do not depend on the side.
    pub struct Sam2UNet<V: Variant, D: Backend = Cpu; CLASSES = 1> {
        /// Image to four maps.
        pub encoder("encoder"): Hiera<V, D>,
        /// For the map at a quarter of the side.
        pub rfb1("rfb1"): Rfb<V::C1, D>,
        /// At an eighth.
        pub rfb2("rfb2"): Rfb<V::C2, D>,
        /// At a sixteenth.
        pub rfb3("rfb3"): Rfb<V::C3, D>,
        /// At a thirty-second.
        pub rfb4("rfb4"): Rfb<V::C4, D>,
        /// From a thirty-second to a sixteenth.
        pub up1("up1"): Up<D>,
        /// To an eighth.
        pub up2("up2"): Up<D>,
        /// To a quarter.
        pub up3("up3"): Up<D>,
        /// Published files hold a fourth step; no output depends on it.
        pub up4("up4"): Unused<Up<D>>,
        /// Output after the first step.
        pub side1("side1"): Head<D, CLASSES>,
        /// Output after the second step.
        pub side2("side2"): Head<D, CLASSES>,
        /// Output after the third step: the prediction.
        pub head("head"): Head<D, CLASSES>,
    }
}

/// Three maps of logits at the image's side. Each holds its own piece of the tape, so a loss must use
/// all three, as [`loss`](Self::loss) does.
#[must_use]
#[derive(Debug)]
pub struct Outputs<B: Dim, S: Side, const CLASSES: usize, D: Backend, T = NoneTape> {
    /// The prediction.
    pub head: Masks<B, S, CLASSES, D, T>,
    /// From the map at a sixteenth of the side, for deep supervision.
    pub side1: Masks<B, S, CLASSES, D, T>,
    /// From the map at an eighth of the side.
    pub side2: Masks<B, S, CLASSES, D, T>,
}

forward! { [V: Variant, const CLASSES: usize, B: Dim, S: Side] Sam2UNet<V, D, CLASSES>:
    |self, x, run| Image<B, S, D, T> => Outputs<B, S, CLASSES, D, T> {
        let side = x.shape().2;
        let (x1, x2, x3, x4) = run!(self.encoder, x);
        let (x1, x2) = (run!(self.rfb1, x1), run!(self.rfb2, x2));
        let (x3, x4) = (run!(self.rfb3, x3), run!(self.rfb4, x4));
        let x = run!(self.up1, (x3, x4));
        let side1 = self.side1.to_side(x.with_empty_tape(), side)?;
        let x = run!(self.up2, (x2, x));
        let side2 = self.side2.to_side(x.with_empty_tape(), side)?;
        let x = run!(self.up3, (x1, x));
        Ok(Outputs { head: self.head.to_side(x, side)?, side1, side2 })
    }
}

impl<B: Dim, S: Side, const CLASSES: usize, D: Backend, T: Tape<f32, D>> Outputs<B, S, CLASSES, D, T> {
    /// The training loss: the structure loss of each output against `mask` (soft, in `0..=1`), added
    /// up (section 3.4 of the paper). With several classes, the average over them.
    ///
    /// # Errors
    /// The device's.
    pub fn loss(self, mask: &Masks<B, S, CLASSES, D>, flavour: LossFlavour) -> Result<Tensor<(), f32, D, T>, D::Err> {
        let weights = ops::loss_weights(mask)?;
        let of = |logits| ops::structure_loss(logits, mask, &weights, flavour);
        of(self.head)?.try_add(of(self.side1)?)?.try_add(of(self.side2)?)
    }
}

impl<V: Variant, D: Backend, const CLASSES: usize> Sam2UNet<V, D, CLASSES> {
    /// Builds the model on `device` with every weight from `source`: a file, or an
    /// [`Initialiser`](super::Initialiser).
    ///
    /// # Errors
    /// When the source does not hold a weight, or holds it in another shape, or the device fails.
    pub fn from_source(device: &D, source: &mut dyn WeightSource) -> Result<Self, BuildError> {
        Self::with_precision(device, source, Precision::F32)
    }

    /// As [`from_source`](Self::from_source), its products computed in `precision`, or in single precision where the device
    /// does not offer it. In bf16 the frozen linear layers *are* rounded: that is what it computes with, and what its file holds.
    ///
    /// # Errors
    /// As there.
    pub fn with_precision(device: &D, source: &mut dyn WeightSource, precision: Precision) -> Result<Self, BuildError> {
        Self::with_builder(&mut Builder::new(device, source).with_precision(precision))
    }

    /// As [`with_precision`](Self::with_precision), for a model whose weights stay as they are: the first prediction folds batch
    /// norms into convolutions, and the next ones find them so. Training it ends that; a weight or a precision that is
    /// changed in any other way is not seen.
    ///
    /// # Errors
    /// As there.
    pub fn for_inference(device: &D, source: &mut dyn WeightSource, precision: Precision) -> Result<Self, BuildError> {
        Self::with_builder(&mut Builder::new(device, source).with_precision(precision).for_inference())
    }

    fn with_builder(from: &mut Builder<'_, D>) -> Result<Self, BuildError> {
        const {
            let () = V::CHECKED;
            assert!(CLASSES > 0, "a model must have a class");
        }
        Self::build(from, &Path::root())
    }

    /// The prediction alone, without the outputs of deep supervision: `(B, 3, S, S)` to `(B, CLASSES, S, S)` logits.
    ///
    /// # Errors
    /// The device's.
    pub fn try_predict<B: Dim, S: Side, T: Inference<D>>(
        &self,
        x: Image<B, S, D, T>,
    ) -> Result<Masks<B, S, CLASSES, D, T>, D::Err> {
        let side = x.shape().2;
        let (x1, x2, x3, x4) = self.encoder.try_forward(x)?;
        let (x1, x2) = (self.rfb1.try_forward(x1)?, self.rfb2.try_forward(x2)?);
        let (x3, x4) = (self.rfb3.try_forward(x3)?, self.rfb4.try_forward(x4)?);
        let x = self.up1.try_forward((x3, x4))?;
        let x = self.up2.try_forward((x2, x))?;
        let x = self.up3.try_forward((x1, x))?;
        self.head.to_side(x, side)
    }

    /// What its large products are computed in.
    pub fn precision(&self) -> Precision {
        self.rfb1.branch0.precision
    }

    /// Name, shape and role of every value that the model stores, without building it.
    pub fn specs() -> Vec<WeightSpec> {
        let mut list = Vec::new();
        <Self as Weights<D>>::specs(&Path::root(), &mut list);
        list
    }

    /// Calls `f` with every stored value, in the order of [`specs`](Self::specs): what a file of the
    /// model holds.
    ///
    /// # Panics
    /// When the device is lost, as dfdx's own reading of a tensor does; never on the CPU.
    pub fn each_value(&self, f: &mut dyn FnMut(WeightSpec, Value)) {
        self.each(&Path::root(), f);
    }

    /// Sets what training keeps for the backward pass of each encoder block and of each convolution with a batch norm.
    pub fn keep(&mut self, keep: Keep) {
        self.encoder.keep(keep);
        self.rfb1.keep(keep);
        self.rfb2.keep(keep);
        self.rfb3.keep(keep);
        self.rfb4.keep(keep);
        for up in [&mut self.up1, &mut self.up2, &mut self.up3] {
            up.conv.keep = keep;
        }
    }
}
