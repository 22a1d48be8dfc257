//! How a square map is cut into attention windows, without the padding.
//!
//! Hiera pads a map with zeros to a multiple of the window and does not mask the padding. All padded
//! tokens of a window are the same key and value, so only their number is needed.

/// A `side x side` map cut into windows of at most `window x window` tokens.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    side: usize,
    window: usize,
    per_side: usize,
}

/// One window: where it stands and how large it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Top left token.
    pub y: usize,
    /// Top left token.
    pub x: usize,
    /// Real tokens from top to bottom.
    pub height: usize,
    /// Real tokens from left to right.
    pub width: usize,
    /// Padded tokens, which exist only as a number.
    pub padding: usize,
}

impl Window {
    /// Real tokens.
    pub fn tokens(&self) -> usize {
        self.height * self.width
    }
}

impl Windows {
    /// `window` 0 means one window over the whole map (global attention, nothing padded).
    pub fn new(side: usize, window: usize) -> Self {
        let window = if window == 0 { side } else { window };
        Self { side, window, per_side: side.div_ceil(window) }
    }

    /// The same windows over the map that a 2x2 pool makes of this one.
    pub fn pooled(self) -> Self {
        Self { side: self.side / 2, window: self.window / 2, ..self }
    }

    /// How many windows a map has.
    pub fn count(&self) -> usize {
        self.per_side * self.per_side
    }

    /// The windows from left to right, top to bottom.
    pub fn get(&self, index: usize) -> Window {
        let (i, j) = (index / self.per_side, index % self.per_side);
        let (y, x) = (i * self.window, j * self.window);
        let (height, width) = (self.window.min(self.side - y), self.window.min(self.side - x));
        Window { y, x, height, width, padding: self.window * self.window - height * width }
    }

    /// The position of a token among the tokens sorted by window: tokens in the windows before its own,
    /// tokens in its own, and its index there.
    pub fn position(&self, y: usize, x: usize) -> TokenPosition {
        let (y0, x0) = (y / self.window * self.window, x / self.window * self.window);
        let (height, width) = (self.window.min(self.side - y0), self.window.min(self.side - x0));
        TokenPosition { before: y0 * self.side + x0 * height, tokens: height * width, at: (y - y0) * width + (x - x0) }
    }
}

/// See [`Windows::position`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenPosition {
    /// Tokens in the windows before.
    pub before: usize,
    /// Tokens in this window.
    pub tokens: usize,
    /// This token's index in its window.
    pub at: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_has_one_position_and_padding_fills_the_windows() {
        for (side, window) in [(88, 8), (22, 14), (22, 16), (11, 7), (11, 8), (6, 14), (4, 0), (1, 7), (10, 4)] {
            let windows = Windows::new(side, window);
            let (mut seen, mut before, mut padded_tokens) = (vec![false; side * side], 0, 0);
            for index in 0..windows.count() {
                let w = windows.get(index);
                for i in 0..w.tokens() {
                    let (y, x) = (w.y + i / w.width, w.x + i % w.width);
                    assert_eq!(windows.position(y, x), TokenPosition { before, tokens: w.tokens(), at: i });
                    assert!(!std::mem::replace(&mut seen[before + i], true));
                }
                before += w.tokens();
                padded_tokens += w.tokens() + w.padding;
            }
            assert!(seen.into_iter().all(|s| s));
            let padded = if window == 0 { side } else { side.div_ceil(window) * window };
            assert_eq!(padded_tokens, padded * padded);
        }
    }
}
