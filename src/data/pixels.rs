//! 8-bit pictures in memory.

/// The most pixels that an image file may hold: twice 2^30 / 4 / 3, where Pillow raises `DecompressionBombError`.
pub const MAX_PIXELS: usize = 178_956_970;

/// A picture of `C` interleaved 8-bit channels, row-major: `data[(y * width + x) * C + c]`.
#[derive(Clone, PartialEq, Eq)]
pub struct Pixels<const C: usize> {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height * C` values.
    pub data: Vec<u8>,
}

/// Red, green, blue.
pub type Rgb = Pixels<3>;

/// One channel: a grey image, a mask or a saved prediction.
pub type Grey = Pixels<1>;

impl<const C: usize> Pixels<C> {
    /// A picture of one colour.
    pub fn filled(width: usize, height: usize, colour: [u8; C]) -> Self {
        let data = colour.repeat(width * height);
        Self { width, height, data }
    }

    /// The channels of the pixel in column `x` of row `y`.
    ///
    /// # Panics
    ///
    /// When the pixel lies outside the picture.
    pub fn at(&self, x: usize, y: usize) -> [u8; C] {
        let start = (y * self.width + x) * C;
        std::array::from_fn(|c| self.data[start + c])
    }

    /// Sets the pixel in column `x` of row `y`.
    ///
    /// # Panics
    ///
    /// When the pixel lies outside the picture.
    pub fn set(&mut self, x: usize, y: usize, colour: [u8; C]) {
        let start = (y * self.width + x) * C;
        self.data[start..start + C].copy_from_slice(&colour);
    }

    /// Width and height.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// The row `y`, `width * C` values.
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        &self.data[y * self.width * C..][..self.width * C]
    }

    /// Mirrors left and right, in place.
    pub fn flip_horizontal(&mut self) {
        if self.width == 0 {
            return;
        }
        for row in self.data.chunks_exact_mut(self.width * C) {
            let (pixels, _) = row.as_chunks_mut::<C>();
            pixels.reverse();
        }
    }

    /// Mirrors top and bottom, in place.
    pub fn flip_vertical(&mut self) {
        let row = self.width * C;
        for y in 0..self.height / 2 {
            let (top, bottom) = self.data.split_at_mut((self.height - 1 - y) * row);
            top[y * row..][..row].swap_with_slice(&mut bottom[..row]);
        }
    }
}

impl Rgb {
    /// Luma as Pillow's `convert("L")` computes it: `(19595 R + 38470 G + 7471 B + 0x8000) >> 16` (ITU-R 601-2).
    pub fn to_grey(&self) -> Grey {
        let (pixels, _) = self.data.as_chunks::<3>();
        Grey { width: self.width, height: self.height, data: pixels.iter().map(|&pixel| luma(pixel)).collect() }
    }
}

impl Grey {
    /// The same value in all three channels.
    pub fn to_rgb(&self) -> Rgb {
        Rgb { width: self.width, height: self.height, data: self.data.iter().flat_map(|&v| [v; 3]).collect() }
    }
}

fn luma([r, g, b]: [u8; 3]) -> u8 {
    let sum = 19595 * u32::from(r) + 38470 * u32::from(g) + 7471 * u32::from(b) + 0x8000;
    (sum >> 16) as u8
}

impl<const C: usize> std::fmt::Debug for Pixels<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Pixels<{C}>({}x{})", self.width, self.height)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn luma_rounds_as_pillow_does() {
        // values of Pillow 12's Image.new("RGB", (1, 1), colour).convert("L")
        for (colour, grey) in [([255, 255, 255], 255), ([255, 0, 0], 76), ([0, 255, 0], 150), ([0, 0, 255], 29)] {
            assert_eq!(luma(colour), grey);
        }
    }

    #[test]
    fn flips_move_pixels_whole() {
        let mut picture = Rgb { width: 2, height: 2, data: (0..12).collect() };
        picture.flip_horizontal();
        assert_eq!(picture.data, [3, 4, 5, 0, 1, 2, 9, 10, 11, 6, 7, 8]);
        picture.flip_vertical();
        assert_eq!(picture.data, [9, 10, 11, 6, 7, 8, 3, 4, 5, 0, 1, 2]);
    }
}
