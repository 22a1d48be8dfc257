//! The trait of a device, which holds buffers of single precision numbers and computes on them.

use super::encoded::Encoded;
use super::precision::Precision;
use std::fmt::Debug;

/// A device: its buffers of single precision numbers, and frozen weights in the form that its operations read.
/// Every operation's trait (`AddReluKernel`, ...) builds on this one.
pub trait Device: Clone + Debug + Send + Sync + 'static {
    /// The error of a failed operation.
    type Error: std::error::Error + 'static;
    /// A buffer to read; it owns its numbers or keeps their owner alive.
    type Buffer: 'static;
    /// A slice to write or to add to, borrowed from a buffer, a tensor or a gradient.
    type SliceMut<'a>;
    /// A frozen weight as the device stores it.
    type Frozen: Clone + Debug + Send + Sync + 'static;

    /// Its name for messages: `cpu`, or which GPU.
    fn describe(&self) -> String;

    /// What its products in this precision are computed with, for messages: a CPU's instruction set, or the device itself.
    fn instructions(&self, _: Precision) -> String {
        self.describe()
    }

    /// Whether the device supports this precision; one that does not uses single precision instead.
    fn supports(&self, precision: Precision) -> bool;

    /// What a device of this kind needs to compute in this precision, for messages.
    fn requires(precision: Precision) -> &'static str;

    /// The precision of products when `precision` is asked for: single precision if the device does not support it, or if it is
    /// not faster there.
    fn computes_in(&self, precision: Precision) -> Precision {
        if self.supports(precision) { precision } else { Precision::F32 }
    }

    /// Stores a frozen weight in the form that its operation reads. A two-dimensional one is a linear layer's `(out, in)`,
    /// which is rounded to `precision`; products with it are computed as [`computes_in`](Self::computes_in) says.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Self::Frozen, Self::Error>;

    /// [`freeze`](Self::freeze) for numbers encoded as in a file.
    ///
    /// # Errors
    /// As [`freeze`](Self::freeze).
    fn freeze_encoded(
        &self,
        numbers: &Encoded<'_>,
        shape: &[usize],
        precision: Precision,
    ) -> Result<Self::Frozen, Self::Error> {
        self.freeze(numbers.to_vec(), shape, precision)
    }

    /// The numbers of a frozen weight, as [`freeze`](Self::freeze) rounded them.
    ///
    /// # Errors
    /// When the device is lost.
    fn thaw(&self, weight: &Self::Frozen) -> Result<Vec<f32>, Self::Error>;

    /// A buffer of `length` zeros, after `fill` has written or added to it.
    ///
    /// # Errors
    /// When the device is out of memory or lost, and those of `fill`.
    fn zeros(
        &self,
        length: usize,
        fill: impl FnOnce(Self::SliceMut<'_>) -> Result<(), Self::Error>,
    ) -> Result<Self::Buffer, Self::Error>;

    /// An uninitialised buffer of `length` numbers, after `fill`, which must write each of them and read none.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    fn uninit(
        &self,
        length: usize,
        write: impl FnOnce(Self::SliceMut<'_>) -> Result<(), Self::Error>,
    ) -> Result<Self::Buffer, Self::Error>;

    /// Whether the device works asynchronously, so that reading a result makes the host wait for all work launched before.
    fn is_asynchronous(&self) -> bool;

    /// The most of the device's own memory that tensors and temporary buffers took at once, in bytes; `None` for a device
    /// without memory of its own, or if the driver does not tell.
    fn peak_bytes(&self) -> Option<u64>;

    /// How much of the device's own memory is free, and how much it has, in bytes; `None` for a device without memory
    /// of its own, or if the driver does not tell.
    fn memory_bytes(&self) -> Option<(u64, u64)> {
        None
    }

    /// What tells this device from every other one, on any machine; `None` for the CPU, which processes share, or if the driver
    /// does not tell.
    fn identity(&self) -> Option<String> {
        None
    }

    /// Runs `work`, many short operations. On the CPU the pool's threads spin between them instead of sleeping, and take up
    /// any work that the pool is given meanwhile; the calling thread keeps more freed memory for reuse.
    fn keep_busy<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }
}
