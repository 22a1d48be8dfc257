//! Height and width of a map.

use std::fmt;

/// Height and width of a map or an image, in pixels (in the encoder a pixel is a token).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Extent {
    /// Rows.
    pub height: usize,
    /// Columns.
    pub width: usize,
}

impl Extent {
    /// A map of this height and width.
    pub const fn new(height: usize, width: usize) -> Self {
        Self { height, width }
    }

    /// A map as high as it is wide.
    pub const fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// How many pixels it has.
    pub const fn area(self) -> usize {
        self.height * self.width
    }

    /// Half the height and width, which must be even: the size after 2x2 pooling.
    pub const fn halved(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2 }
    }

    /// A quarter of the height and width: the size of the stem's map for an image.
    pub const fn quarter(self) -> Self {
        Self { height: self.height / 4, width: self.width / 4 }
    }
}

impl fmt::Display for Extent {
    /// `height x width`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} x {}", self.height, self.width)
    }
}
