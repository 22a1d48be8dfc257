//! How a map is cut into attention windows, without the padding.
//!
//! Hiera pads a map with zeros to a multiple of the window and does not mask the padding. All padded
//! tokens of a window are the same key and value, so only their number is needed.

use crate::kernels::extent::Extent;

/// A map cut into windows.
#[derive(Clone, Copy, Debug)]
pub struct Windows {
    map: Extent,
    /// Size of a whole window; those at the right and lower edge may have fewer real tokens.
    window: Extent,
    /// Number of windows from top to bottom and from left to right.
    grid: Extent,
}

/// One window: its place and its size in tokens.
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
    /// Number of padded tokens, which are never stored.
    pub padding: usize,
}

impl Window {
    /// Real tokens.
    pub fn tokens(&self) -> usize {
        self.height * self.width
    }
}

impl Windows {
    /// Windows of `window x window` tokens; `window` 0 means one window over the whole map (global attention, nothing padded).
    pub fn new(map: Extent, window: usize) -> Self {
        let window = if window == 0 { map } else { Extent::square(window) };
        let grid = Extent { height: map.height.div_ceil(window.height), width: map.width.div_ceil(window.width) };
        Self { map, window, grid }
    }

    /// The same windows over the map that a 2x2 pool makes of this one.
    pub fn pooled(self) -> Self {
        Self { map: self.map.halved(), window: self.window.halved(), ..self }
    }

    /// How many windows a map has.
    pub fn count(&self) -> usize {
        self.grid.area()
    }

    /// Window `index`, counted from left to right, then from top to bottom.
    pub fn get(&self, index: usize) -> Window {
        let (i, j) = (index / self.grid.width, index % self.grid.width);
        let (y, x) = (i * self.window.height, j * self.window.width);
        let (height, width) = (self.window.height.min(self.map.height - y), self.window.width.min(self.map.width - x));
        Window { y, x, height, width, padding: self.window.area() - height * width }
    }

    /// The position of a token among the tokens sorted by window: tokens in the windows before its own,
    /// tokens in its own, and its index there.
    pub fn position(&self, y: usize, x: usize) -> TokenPosition {
        let (y0, x0) = (y / self.window.height * self.window.height, x / self.window.width * self.window.width);
        let (height, width) =
            (self.window.height.min(self.map.height - y0), self.window.width.min(self.map.width - x0));
        TokenPosition {
            before: y0 * self.map.width + x0 * height,
            tokens: height * width,
            at: (y - y0) * width + (x - x0),
        }
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
        let square = [(88, 8), (22, 14), (22, 16), (11, 7), (11, 8), (6, 14), (4, 0), (1, 7), (10, 4)];
        let square = square.map(|(side, window)| (side, side, window));
        let other = [(6, 10, 4), (10, 6, 4), (5, 7, 0), (3, 30, 8), (9, 2, 3)];
        for (height, width, window) in square.into_iter().chain(other) {
            let windows = Windows::new(Extent { height, width }, window);
            let (mut met, mut before, mut padded_tokens) = (vec![false; height * width], 0, 0);
            for index in 0..windows.count() {
                let w = windows.get(index);
                for i in 0..w.tokens() {
                    let (y, x) = (w.y + i / w.width, w.x + i % w.width);
                    assert_eq!(windows.position(y, x), TokenPosition { before, tokens: w.tokens(), at: i });
                    assert!(!std::mem::replace(&mut met[before + i], true));
                }
                before += w.tokens();
                padded_tokens += w.tokens() + w.padding;
            }
            assert!(met.into_iter().all(|s| s));
            let padded = |side: usize| if window == 0 { side } else { side.div_ceil(window) * window };
            assert_eq!(padded_tokens, padded(height) * padded(width));
        }
    }
}
