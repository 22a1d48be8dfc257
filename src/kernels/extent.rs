//! Height and width of a map or image.

/// Height and width, in pixels or tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Rows.
    pub height: usize,
    /// Numbers of a row.
    pub width: usize,
}

impl Extent {
    /// As high as wide.
    pub fn square(side: usize) -> Self {
        Self { height: side, width: side }
    }

    /// How many pixels there are.
    pub fn area(self) -> usize {
        self.height * self.width
    }

    /// Half of each.
    pub fn halved(self) -> Self {
        Self { height: self.height / 2, width: self.width / 2 }
    }

    /// A quarter of each.
    pub fn quarter(self) -> Self {
        Self { height: self.height / 4, width: self.width / 4 }
    }
}
