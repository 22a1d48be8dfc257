//! What holds numbers and computes on them.

use super::encoded::Encoded;
use super::precision::Precision;
use std::fmt::Debug;

/// A device as kernels see it: buffers of single precision numbers, and frozen weights in the form that its operations want.
/// Every operation's trait (`AddReluKernel`, ...) builds on this one.
pub trait Device: Clone + Debug + Send + Sync + 'static {
    /// What can go wrong on it.
    type Error: std::error::Error + 'static;
    /// Numbers to read, which live as long as the buffer does.
    type Buffer: 'static;
    /// Numbers to write or to add to, borrowed from a buffer, a tensor or a gradient.
    type SliceMut<'a>;
    /// A frozen weight.
    type Frozen: Clone + Debug + Send + Sync + 'static;

    /// What it is, for people: `cpu`, or which GPU.
    fn describe(&self) -> String;

    /// Whether the device takes this precision. One that does not takes single precision in its place.
    fn supports(&self, precision: Precision) -> bool;

    /// What a device of this kind must have or be to compute in it, for people.
    fn requires(precision: Precision) -> &'static str;

    /// What products are computed in where `precision` is asked for: in single precision where the device does not support it,
    /// or has no faster way.
    fn computes_in(&self, precision: Precision) -> Precision {
        if self.supports(precision) { precision } else { Precision::F32 }
    }

    /// Stores a frozen weight as its operation wants it. One of two dimensions is a linear layer's `(out, in)`, held in
    /// `precision`, which its operation then computes in, unless another serves better.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    fn freeze(&self, values: Vec<f32>, shape: &[usize], precision: Precision) -> Result<Self::Frozen, Self::Error>;

    /// [`freeze`](Self::freeze) for numbers that stand in a file.
    ///
    /// # Errors
    /// As there.
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

    /// A buffer of `length` zeros, given to a kernel that writes or adds.
    ///
    /// # Errors
    /// When the device is out of memory or lost, and those of `fill`.
    fn zeros(
        &self,
        length: usize,
        fill: impl FnOnce(Self::SliceMut<'_>) -> Result<(), Self::Error>,
    ) -> Result<Self::Buffer, Self::Error>;

    /// A buffer of `length` numbers of any value, given to a kernel that writes each of them and reads none.
    ///
    /// # Errors
    /// As [`zeros`](Self::zeros).
    fn uninit(
        &self,
        length: usize,
        write: impl FnOnce(Self::SliceMut<'_>) -> Result<(), Self::Error>,
    ) -> Result<Self::Buffer, Self::Error>;

    /// Whether the device works beside the host, so that reading a result makes the host wait for all that it was told to
    /// do before.
    fn is_asynchronous(&self) -> bool;

    /// The most of the device's own memory that tensors and temporary buffers took at once, in bytes; `None` for a device
    /// that has none, or where the driver does not tell.
    fn peak_bytes(&self) -> Option<u64>;

    /// Runs `work`, many short operations one after the other; a CPU's threads do not fall asleep between them, and do whatever
    /// their pool is given meanwhile; the calling one keeps more of the memory that operations let go of.
    fn keep_busy<R>(&self, work: impl FnOnce() -> R) -> R {
        work()
    }
}
