//! The processes of a group, and the two operations that all of them take part in.

use std::fmt::Debug;

/// What a group could not do. Nothing can be sent after it: a process that gets it ends.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct GroupError(pub String);

/// Processes that work together, numbered from 0: their ranks. [`gather`](Self::gather) and [`exchange`](Self::exchange) are
/// collective: each rank calls the same ones in the same order, one at a time, with lengths that all of them know.
///
/// They move bytes of the host. An exchange between GPUs themselves would be these two for buffers on the card, beside these
/// (`docs/mpi.md` says what it would gain): what is added up of what they move is a layer above, in an order of its own.
pub trait Group: Debug + Send + Sync {
    /// Which of them this is, from 0.
    fn rank(&self) -> usize;

    /// How many they are.
    fn size(&self) -> usize;

    /// The name of the machine that this rank runs on.
    fn host(&self) -> String;

    /// Which of the ranks on its machine this is, from 0, and how many these are.
    fn local(&self) -> (usize, usize);

    /// Every rank's bytes one after the other, in the order of the ranks; `lengths[r]` are rank `r`'s.
    ///
    /// # Errors
    /// When a rank is lost, or more is sent than can be.
    fn gather(&self, mine: &[u8], all: &mut [u8], lengths: &[usize]) -> Result<(), GroupError>;

    /// Sends the next `sent[r]` bytes of `send` to rank `r`; `receive` gets `received[r]` bytes from each, in their order.
    ///
    /// # Errors
    /// When a rank is lost, or more is sent than can be.
    fn exchange(&self, send: &[u8], sent: &[usize], receive: &mut [u8], received: &[usize]) -> Result<(), GroupError>;

    /// Ends all of them, now, with this exit status, and lets somebody say why. No other rank has to take part.
    fn abort(&self, reason: &str, status: i32) -> !;
}
