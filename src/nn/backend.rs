//! The one bound that modules and operations carry.

use super::ops;
use super::weights::Encoded;
use dfdx::prelude::*;
use std::fmt::Debug;

/// A device's storage of `f32` numbers. (`D::Vec` would be ambiguous in generic code, as
/// `Device<f32>` implies two `Storage`s.)
pub type Buffer<D> = <D as Storage<f32>>::Vec;

/// What is asked for of the large products ([`Memory::multiplies_in`] tells what is done): a block's linear layers and
/// adapter, attention's (queries and keys, weights and values; on a GPU only in bf16, and for heads of at most 96 numbers), and the convolutions of decoder and receptive-field
/// blocks, forward and back. Everything else is single precision: the tape, the trainable weights, softmax and its gradient, the
/// first and the last layer, and an adapter's weight gradients. What only such products read next a GPU also holds in bf16:
/// projections, the MLP's hidden layer and their gradients.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// Factors rounded to bf16 (subnormal numbers may count as zero), summed in single precision; the frozen linear layers
    /// are held in bf16. A CPU whose bf16 products are not faster rounds those layers, and nothing else.
    Bf16,
    /// Factors of single precision of which 10 bits of mantissa are multiplied (NVIDIA's TF32), summed in single precision;
    /// everything is held in single precision.
    Tf32,
}

impl Precision {
    /// Every precision by its name.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("f32", Self::F32), ("bf16", Self::Bf16), ("tf32", Self::Tf32)];

    /// The precision of that name, if there is one.
    pub fn of_name(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, precision)| *precision)
    }

    /// Its name: `f32`, `bf16` or `tf32`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "f32",
            Self::Bf16 => "bf16",
            Self::Tf32 => "tf32",
        }
    }
}

/// How kernels reach the numbers behind a dfdx tensor.
pub trait Memory: Device<f32> {
    /// A frozen weight.
    type Frozen: Clone + Debug + Send + Sync + 'static;
    /// Numbers to read, which live as long as the view does: an owned copy on the CPU; on a GPU an address with the
    /// tensor that it belongs to.
    type View: 'static;
    /// Numbers to write: a slice on the CPU, an address on a GPU.
    type Out<'a>;

    /// What it is, for people: `cpu`, or which GPU.
    fn describe(&self) -> String;

    /// An error of the device in words, with what to try.
    fn explain(error: &Self::Err) -> String;

    /// Whether the device takes this precision. One that does not takes single precision in its place.
    fn offers(&self, precision: Precision) -> bool;

    /// Runs `work`, many short operations one after the other; a CPU's threads do not fall asleep between them, and do whatever
    /// their pool is given meanwhile; the calling one keeps more of the memory that operations let go of.
    fn awake<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }

    /// What a device of this kind must have or be to compute in it, for people.
    fn needs(precision: Precision) -> &'static str;

    /// What products are computed in where `precision` is asked for: in single precision where the device does not offer it,
    /// or has no faster way.
    fn multiplies_in(&self, precision: Precision) -> Precision {
        if self.offers(precision) { precision } else { Precision::F32 }
    }

    /// Stores a frozen weight as its operation wants it. One of two dimensions is a linear layer's `(out, in)`, held in
    /// `precision`, which its operation then computes in, unless another serves better.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Self::Frozen, Self::Err>;

    /// [`freeze`](Self::freeze) for numbers that stand in a file.
    ///
    /// # Errors
    /// As there.
    fn freeze_encoded(
        &self,
        numbers: &Encoded<'_>,
        shape: &[usize],
        precision: Precision,
    ) -> Result<Self::Frozen, Self::Err> {
        self.freeze(numbers.to_vec(), shape, precision)
    }

    /// The numbers of a frozen weight, as [`freeze`](Self::freeze) rounded them.
    ///
    /// # Errors
    /// When the device is lost.
    fn thaw(&self, weight: &Self::Frozen) -> Result<Vec<f32>, Self::Err>;

    /// The numbers of a contiguous tensor.
    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Self::View;

    /// A contiguous tensor's numbers, brought to the host. (dfdx's own functions panic where this fails.)
    ///
    /// # Errors
    /// When the device is lost.
    fn read<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Result<Vec<f32>, Self::Err>;

    /// Moves a gradient out of the tape.
    ///
    /// # Errors
    /// When the device is lost.
    fn take(&self, slot: &mut Buffer<Self>) -> Result<Self::View, Self::Err>;

    /// A gradient to add to.
    fn out(buffer: &mut Buffer<Self>) -> Self::Out<'_>;

    /// A buffer of these numbers.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn store(&self, numbers: &[f32]) -> Result<Buffer<Self>, Self::Err>;

    /// A buffer's numbers, brought to the host.
    ///
    /// # Errors
    /// When the device is lost.
    fn fetch(&self, buffer: &Buffer<Self>) -> Result<Vec<f32>, Self::Err>;

    /// A tensor of these numbers. Where copying to the device takes long, it goes on beside the work that the device does
    /// already.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn upload<S: Shape>(&self, numbers: &[f32], shape: S) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// Whether the device works beside the host, so that reading a result makes the host wait for all that it was told to
    /// do before.
    fn lags(&self) -> bool;

    /// Gives a tensor new numbers, computed from its old ones; it remains the same tensor to the tape, and views and copies
    /// of it keep the old ones.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn renew<S: Shape>(
        &self,
        t: &mut Tensor<S, f32, Self>,
        fill: impl FnOnce(&Self::View, Self::Out<'_>) -> Result<(), Self::Err>,
    ) -> Result<(), Self::Err>;

    /// The most of the device's own memory that tensors and temporary buffers took at once, in bytes; `None` for a device
    /// that has none, or where the driver does not tell.
    fn peak_bytes(&self) -> Option<u64>;

    /// `length` numbers that are no tensor, zeros to be filled by a kernel.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn fill(
        &self,
        length: usize,
        fill: impl FnOnce(Self::Out<'_>) -> Result<(), Self::Err>,
    ) -> Result<Self::View, Self::Err>;

    /// `length` numbers that are no tensor, for a kernel that writes each of them and reads none: they need be no zeros.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn overwrite(
        &self,
        length: usize,
        write: impl FnOnce(Self::Out<'_>) -> Result<(), Self::Err>,
    ) -> Result<Self::View, Self::Err> {
        self.fill(length, write)
    }

    /// A new tensor of zeros, to be filled by a kernel, and what else the kernel gives.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    #[allow(clippy::type_complexity)]
    fn build_with<S: Shape, R>(
        &self,
        shape: S,
        fill: impl FnOnce(Self::Out<'_>) -> Result<R, Self::Err>,
    ) -> Result<(Tensor<S, f32, Self>, R), Self::Err>;

    /// A new tensor, filled by a kernel.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn build<S: Shape>(
        &self,
        shape: S,
        fill: impl FnOnce(Self::Out<'_>) -> Result<(), Self::Err>,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        Ok(self.build_with(shape, fill)?.0)
    }
}

macro_rules! backend {
    ($($kernel:ident),* $(,)?) => {
        /// Everything a device must offer. An alias: each operation declares its kernels beside itself.
        #[diagnostic::on_unimplemented(
            message = "`{Self}` is no backend of this crate",
            label = "use dfdx's `Cpu`, or with the feature `cuda` its `Cuda`"
        )]
        pub trait Backend: Memory $(+ ops::$kernel)* {}
        impl<D: Memory $(+ ops::$kernel)*> Backend for D {}
    };
}
backend! {
    PatchEmbedKernel, AdaptedBlockKernel, Conv2dKernel, BatchNormKernel, AddReluKernel, ConcatKernel,
    Up2ConcatKernel, ResizeKernel, StructureLossKernel, AdamWKernel,
}

/// No tape: what `forward` takes.
#[diagnostic::on_unimplemented(
    message = "`forward` is inference and takes a tensor without a tape",
    label = "this input carries a tape: call `forward_mut` to train, or drop the tape with `split_tape()`"
)]
pub trait Inference<D: Backend>: Tape<f32, D> {}
impl<D: Backend> Inference<D> for NoneTape {}

/// A tape: what `forward_mut` takes.
#[diagnostic::on_unimplemented(
    message = "`forward_mut` is training and takes a tensor with a tape",
    label = "this input has no tape: call `forward` to predict, or `.traced(gradients)` on it to train"
)]
pub trait Training<D: Backend>: Tape<f32, D> {}
impl<D: Backend> Training<D> for OwnedTape<f32, D> {}
