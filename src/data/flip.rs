//! Mirrorings.

/// Which mirrorings an example gets; none by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flips {
    /// Left and right swapped.
    pub horizontal: bool,
    /// Top and bottom swapped.
    pub vertical: bool,
}
