//! Buffers on their way to the host, beside the device's work.

use super::device::Device;

/// A device that brings buffers to the host while it goes on computing.
pub trait ReadbackKernel: Device {
    /// A place in the order of the device's work.
    type Mark: 'static;
    /// Transfers that were begun, in their order, and the host's memory that they go to. On a GPU that is page-locked, and is kept from
    /// transfer to transfer; transfers have a stream of their own.
    type Readback: 'static;

    /// The place behind all work that was handed out so far.
    ///
    /// # Errors
    /// When the device is lost.
    fn mark(&self) -> Result<Self::Mark, Self::Error>;

    /// No transfers.
    ///
    /// # Errors
    /// When the device is lost.
    fn readback(&self) -> Result<Self::Readback, Self::Error>;

    /// Begins a transfer of these buffers, one after the other, which nothing writes any more behind `mark`. It waits for the device's
    /// work up to there only, and for the transfers before it; the device's work waits for none of them.
    ///
    /// # Errors
    /// When memory runs out, or the device is lost.
    fn begin_readback(
        &self,
        under_way: &mut Self::Readback,
        from: Vec<Self::Buffer>,
        mark: &Self::Mark,
    ) -> Result<(), Self::Error>;

    /// Waits for the oldest transfer, and appends its numbers to `numbers`: nothing where none was begun.
    ///
    /// # Errors
    /// When the device is lost.
    fn end_readback(&self, under_way: &mut Self::Readback, numbers: &mut Vec<f32>) -> Result<(), Self::Error>;
}
