//! Widths that the paper fixes.

use dfdx::shapes::Const;

/// Hidden width of an adapter.
pub type Hidden = Const<32>;
/// Channels after a receptive-field block, and all through the decoder.
pub type Mid = Const<64>;
