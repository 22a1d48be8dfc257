//! `Backend`, the trait bound of all modules and operations.

use crate::kernels::all::AllKernels;
use crate::kernels::batch_norm::BatchNormKernel as _;
use crate::kernels::device::Device as KernelDevice;
use crate::kernels::precision::Precision;
use dfdx::prelude::*;

/// dfdx's storage of a device's `f32` numbers: what holds a gradient. (`D::Vec` would be ambiguous in generic code, as
/// `Device<f32>` implies two `Storage`s.)
pub type StorageOf<D> = <D as Storage<f32>>::Vec;
/// A buffer that kernels read.
pub type BufferOf<D> = <<D as Backend>::Kernels as KernelDevice>::Buffer;
/// A slice that kernels write or add to.
pub type SliceMutOf<'a, D> = <<D as Backend>::Kernels as KernelDevice>::SliceMut<'a>;
/// A frozen weight as the kernels store it.
pub type FrozenOf<D> = <<D as Backend>::Kernels as KernelDevice>::Frozen;
/// The error of a kernel.
pub type KernelError<D> = <<D as Backend>::Kernels as KernelDevice>::Error;

/// A device of dfdx that this crate has kernels for, and how these reach the memory of its tensors and gradients.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no backend of this crate",
    label = "use dfdx's `Cpu`, or with the feature `cuda` its `Cuda`"
)]
pub trait Backend: Device<f32> {
    /// The type of this device in `crate::kernels`.
    type Kernels: AllKernels;

    /// The device as kernels take it.
    ///
    /// # Errors
    /// When the device is lost.
    fn kernels(&self) -> Result<Self::Kernels, Self::Err>;

    /// Converts a kernel's error to dfdx's.
    fn error(error: KernelError<Self>) -> Self::Err;

    /// Runs a kernel.
    ///
    /// # Errors
    /// When the kernel fails.
    fn run<R>(&self, work: impl FnOnce(&Self::Kernels) -> Result<R, KernelError<Self>>) -> Result<R, Self::Err> {
        work(&self.kernels()?).map_err(Self::error)
    }

    /// An error's message for people, with what to try.
    fn explain(error: &Self::Err) -> String;

    /// The numbers of a contiguous tensor: a copy on the CPU, as dfdx lends none; on a GPU the tensor's own memory.
    fn view<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> BufferOf<Self>;

    /// Copies a contiguous tensor's numbers to the host. (dfdx's own functions panic where this fails.)
    ///
    /// # Errors
    /// When the device is lost.
    fn read<S: Shape>(&self, t: &Tensor<S, f32, Self>) -> Result<Vec<f32>, Self::Err>;

    /// A tensor of these numbers. On a GPU the copy overlaps with the work launched before.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn upload<S: Shape>(&self, numbers: &[f32], shape: S) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// A kernel's buffer as a tensor.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn tensor_of<S: Shape>(&self, buffer: BufferOf<Self>, shape: S) -> Result<Tensor<S, f32, Self>, Self::Err>;

    /// A new tensor of zeros, written by a kernel, and the kernel's other result.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    #[allow(clippy::type_complexity)]
    fn build_with<S: Shape, R>(
        &self,
        shape: S,
        fill: impl FnOnce(SliceMutOf<'_, Self>) -> Result<R, Self::Err>,
    ) -> Result<(Tensor<S, f32, Self>, R), Self::Err>;

    /// A new tensor of zeros, written by a kernel.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn build<S: Shape>(
        &self,
        shape: S,
        fill: impl FnOnce(&Self::Kernels, SliceMutOf<'_, Self>) -> Result<(), KernelError<Self>>,
    ) -> Result<Tensor<S, f32, Self>, Self::Err> {
        Ok(self.build_with(shape, |y| self.run(|k| fill(k, y)))?.0)
    }

    /// Gives a tensor new numbers, computed from its old ones; it remains the same tensor to the tape, and views and copies
    /// of it keep the old ones.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn renew<S: Shape>(
        &self,
        t: &mut Tensor<S, f32, Self>,
        fill: impl FnOnce(&Self::Kernels, &BufferOf<Self>, SliceMutOf<'_, Self>) -> Result<(), KernelError<Self>>,
    ) -> Result<(), Self::Err>;

    /// Moves a gradient out of its storage.
    ///
    /// # Errors
    /// When the device is lost.
    fn take(&self, gradient: &mut StorageOf<Self>) -> Result<BufferOf<Self>, Self::Err>;

    /// A gradient as a slice to add to.
    fn slice_mut(gradient: &mut StorageOf<Self>) -> SliceMutOf<'_, Self>;

    /// A new storage of these numbers.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn store(&self, numbers: &[f32]) -> Result<StorageOf<Self>, Self::Err>;

    /// Copies a storage's numbers to the host.
    ///
    /// # Errors
    /// When the device is lost.
    fn fetch(&self, storage: &StorageOf<Self>) -> Result<Vec<f32>, Self::Err>;

    /// The device's name for messages: see [`describe`](KernelDevice::describe).
    fn description(&self) -> String {
        self.kernels().map_or_else(|e| Self::explain(&e), |k| k.describe())
    }

    /// Whether the device supports this precision; one that does not uses single precision instead.
    fn supports(&self, precision: Precision) -> bool {
        self.kernels().is_ok_and(|k| k.supports(precision))
    }

    /// Whether a batch can be held in parts, by several processes: see [`as_part_of`](crate::nn::as_part_of).
    fn supports_parts(&self) -> bool {
        self.kernels().is_ok_and(|k| k.supports_parts())
    }

    /// The precision of products when `precision` is asked for.
    fn computes_in(&self, precision: Precision) -> Precision {
        self.kernels().map_or(Precision::F32, |k| k.computes_in(precision))
    }
}
