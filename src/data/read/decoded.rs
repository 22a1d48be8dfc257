//! What a format's decoder gives: a picture, and what only the decoder knows about the file.

use super::stored::Stored;

/// A picture with what its decoder found beside it.
pub(crate) struct Decoded {
    /// As it lies in the file; not turned.
    pub(crate) stored: Stored,
    /// Channels as stored, alpha included.
    pub(crate) channels: u8,
    /// Bits of a channel as stored.
    pub(crate) bits: u8,
    pub(crate) lossy: bool,
    /// EXIF's value, 2 to 8.
    pub(crate) orientation: Option<u8>,
    pub(crate) more_frames: bool,
}
