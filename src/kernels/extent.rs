//! The size of a map, an image or a window.

/// Height and width, in pixels or tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Lines.
    pub height: usize,
    /// Pixels or tokens of a line.
    pub width: usize,
}

impl Extent {
    /// As high as wide.
    pub const fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// Pixels or tokens.
    pub const fn area(self) -> usize {
        self.height * self.width
    }

    /// Half as high and half as wide, rounded down.
    pub const fn halved(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2 }
    }

    /// A quarter as high and a quarter as wide, rounded down.
    pub const fn quarter(self) -> Self {
        Self { height: self.height / 4, width: self.width / 4 }
    }
}
