//! A picture as its file stores it, in the terms of Pillow's modes, and Pillow's `convert` from each of them.

use super::colour::{cmyk_to_rgb, lab_to_rgb, ycbcr_to_rgb};
use super::facts::Clipped;
use crate::data::pixels::{Grey, Rgb};

/// Samples of a file before any conversion, row-major, channels interleaved.
pub(crate) struct Stored {
    /// Pixels in a row.
    pub(crate) width: usize,
    /// Rows.
    pub(crate) height: usize,
    /// One value, or one group of channels, for each pixel.
    pub(crate) samples: Samples,
}

/// The samples of a [`Stored`] picture. Each variant is one of Pillow's modes, named in its first words.
pub(crate) enum Samples {
    /// `1`: 0 or 255.
    Bilevel(Vec<u8>),
    /// `L`: grey of 8 bits; fewer bits are spread over 0..=255.
    Grey(Vec<u8>),
    /// `LA`: grey and alpha.
    GreyAlpha(Vec<u8>),
    /// `P`: for each pixel the number of its colour. Numbers without a colour are black.
    Palette {
        /// The number of each pixel's colour.
        indices: Vec<u8>,
        /// The colours, at most 256.
        colours: Vec<[u8; 3]>,
    },
    /// `RGB`; of 16 bits the high byte.
    Rgb(Vec<u8>),
    /// `RGBA`; of 16 bits the high byte.
    Rgba(Vec<u8>),
    /// `CMYK`: ink, so that 0 is white.
    Cmyk(Vec<u8>),
    /// `YCbCr`: luma, and two chroma channels around 128.
    YCbCr(Vec<u8>),
    /// `LAB`: lightness 0..=255 for 0..=100; a and b plus 128.
    Lab(Vec<u8>),
    /// `I;16`: grey of 16 bits without a sign.
    Grey16(Vec<u16>),
    /// `I`: grey of 32 bits with a sign.
    Int32(Vec<i32>),
    /// `F`: grey in floating point.
    Float(Vec<f32>),
}

/// The eight ways in which a picture can lie, by the values of EXIF's tag `Orientation`.
#[derive(Clone, Copy)]
struct Turn {
    /// Rows become columns.
    transposed: bool,
    /// The picture's left is the stored right.
    from_right: bool,
    /// The picture's top is the stored bottom.
    from_bottom: bool,
}

impl Turn {
    fn of(orientation: u8) -> Self {
        let (transposed, from_right, from_bottom) = match orientation {
            2 => (false, true, false),
            3 => (false, true, true),
            4 => (false, false, true),
            5 => (true, false, false),
            6 => (true, false, true),
            7 => (true, true, true),
            8 => (true, true, false),
            _ => (false, false, false),
        };
        Self { transposed, from_right, from_bottom }
    }
}

impl Stored {
    /// Turned upright, as EXIF's `orientation` (2 to 8) says; any other value leaves it as it is.
    pub(crate) fn turned(self, orientation: u8) -> Self {
        let turn = Turn::of(orientation);
        let Self { width, height, samples } = self;
        let bytes = |data: Vec<u8>, channels: usize| turn_samples(&data, width, height, channels, turn);
        let samples = match samples {
            Samples::Bilevel(data) => Samples::Bilevel(bytes(data, 1)),
            Samples::Grey(data) => Samples::Grey(bytes(data, 1)),
            Samples::GreyAlpha(data) => Samples::GreyAlpha(bytes(data, 2)),
            Samples::Palette { indices, colours } => Samples::Palette { indices: bytes(indices, 1), colours },
            Samples::Rgb(data) => Samples::Rgb(bytes(data, 3)),
            Samples::Rgba(data) => Samples::Rgba(bytes(data, 4)),
            Samples::Cmyk(data) => Samples::Cmyk(bytes(data, 4)),
            Samples::YCbCr(data) => Samples::YCbCr(bytes(data, 3)),
            Samples::Lab(data) => Samples::Lab(bytes(data, 3)),
            Samples::Grey16(data) => Samples::Grey16(turn_samples(&data, width, height, 1, turn)),
            Samples::Int32(data) => Samples::Int32(turn_samples(&data, width, height, 1, turn)),
            Samples::Float(data) => Samples::Float(turn_samples(&data, width, height, 1, turn)),
        };
        let (width, height) = if turn.transposed { (height, width) } else { (width, height) };
        Self { width, height, samples }
    }

    /// Pillow's `convert("RGB")`. `scale_16_bit` divides grey of 16 bits by 257 in place of clipping it.
    pub(crate) fn into_rgb(self, scale_16_bit: bool) -> Rgb {
        let Self { width, height, samples } = self;
        let data = match samples {
            Samples::Rgb(data) => data,
            Samples::Rgba(data) => first_of_each::<4, 3>(&data),
            Samples::Palette { indices, colours } => {
                let colours = all_colours(&colours);
                indices.iter().flat_map(|&index| colours[usize::from(index)]).collect()
            }
            Samples::Cmyk(data) => data.as_chunks::<4>().0.iter().flat_map(|&inks| cmyk_to_rgb(inks)).collect(),
            Samples::YCbCr(data) => data.as_chunks::<3>().0.iter().flat_map(|&pixel| ycbcr_to_rgb(pixel)).collect(),
            Samples::Lab(data) => lab_to_rgb(&data),
            grey => return Self { width, height, samples: grey }.into_grey(scale_16_bit).to_rgb(),
        };
        Rgb { width, height, data }
    }

    /// Pillow's `convert("L")`. `scale_16_bit` as for [`into_rgb`](Self::into_rgb).
    pub(crate) fn into_grey(self, scale_16_bit: bool) -> Grey {
        let Self { width, height, samples } = self;
        let data = match samples {
            Samples::Bilevel(data) | Samples::Grey(data) => data,
            Samples::GreyAlpha(data) => first_of_each::<2, 1>(&data),
            // luma is the first channel
            Samples::YCbCr(data) => first_of_each::<3, 1>(&data),
            Samples::Grey16(data) if scale_16_bit => data.iter().map(|&v| ((u32::from(v) + 128) / 257) as u8).collect(),
            Samples::Grey16(data) => data.iter().map(|&v| v.min(255) as u8).collect(),
            Samples::Int32(data) => data.iter().map(|&v| v.clamp(0, 255) as u8).collect(),
            // rounds towards zero, and NaN is black
            Samples::Float(data) => data.iter().map(|&v| v as u8).collect(),
            colour => return Self { width, height, samples: colour }.into_rgb(scale_16_bit).to_grey(),
        };
        Grey { width, height, data }
    }

    /// Whether at least one of `of` pixels, and at least one in all, has red, green and blue that are further apart than `spread`.
    pub(crate) fn is_coloured(&self, spread: u8, of: usize) -> bool {
        let wanted = (self.width * self.height / of.max(1)).max(1);
        let apart = |pixel: &[u8]| {
            let (low, high) = pixel[..3].iter().fold((255, 0), |(low, high), v| (low.min(*v), high.max(*v)));
            high - low > spread
        };
        let of_light = |data: &[u8], channels: usize| {
            data.chunks_exact(channels).filter(|pixel| apart(pixel)).nth(wanted - 1).is_some()
        };
        let of_chroma = |data: &[u8]| {
            let far = |pixel: &&[u8; 3]| pixel[1..].iter().any(|chroma| chroma.abs_diff(128) > spread.max(1));
            data.as_chunks::<3>().0.iter().filter(far).nth(wanted - 1).is_some()
        };
        match &self.samples {
            Samples::Palette { indices, colours } => {
                let apart: [bool; 256] = std::array::from_fn(|index| colours.get(index).is_some_and(|rgb| apart(rgb)));
                indices.iter().filter(|index| apart[usize::from(**index)]).nth(wanted - 1).is_some()
            }
            Samples::Rgb(data) => of_light(data, 3),
            // inks that are apart are colours that are apart
            Samples::Rgba(data) | Samples::Cmyk(data) => of_light(data, 4),
            Samples::YCbCr(data) | Samples::Lab(data) => of_chroma(data),
            _ => false,
        }
    }

    /// What [`into_grey`](Self::into_grey) loses of a grey picture of 16 or 32 bits.
    pub(crate) fn clipped(&self, scale_16_bit: bool) -> Option<Clipped> {
        let (to_white, to_black) = match &self.samples {
            Samples::Grey16(data) if !scale_16_bit => (data.iter().filter(|&&v| v > 255).count(), 0),
            Samples::Int32(data) => {
                (data.iter().filter(|&&v| v > 255).count(), data.iter().filter(|&&v| v < 0).count())
            }
            Samples::Float(data) => {
                // of a picture that ends at 1 all else is lost; of others, fractions below 1 are as good as black
                let is_of_one = data.iter().all(|v| *v <= 1.0 || v.is_nan());
                let lost_to_black = |v: f32| v.is_nan() || v < 0.0 || (is_of_one && v < 1.0 && v != 0.0);
                (data.iter().filter(|&&v| v > 255.0).count(), data.iter().filter(|&&v| lost_to_black(v)).count())
            }
            _ => return None,
        };
        (to_white + to_black > 0).then_some(Clipped { to_white, to_black })
    }
}

/// The first `KEPT` of every `CHANNELS` values.
fn first_of_each<const CHANNELS: usize, const KEPT: usize>(data: &[u8]) -> Vec<u8> {
    data.as_chunks::<CHANNELS>().0.iter().flat_map(|pixel| &pixel[..KEPT]).copied().collect()
}

fn all_colours(colours: &[[u8; 3]]) -> [[u8; 3]; 256] {
    std::array::from_fn(|index| colours.get(index).copied().unwrap_or_default())
}

fn turn_samples<T: Copy>(data: &[T], width: usize, height: usize, channels: usize, turn: Turn) -> Vec<T> {
    let (new_width, new_height) = if turn.transposed { (height, width) } else { (width, height) };
    let mut turned = Vec::with_capacity(data.len());
    for y in 0..new_height {
        for x in 0..new_width {
            let (x, y) = if turn.transposed { (y, x) } else { (x, y) };
            let x = if turn.from_right { width - 1 - x } else { x };
            let y = if turn.from_bottom { height - 1 - y } else { y };
            turned.extend_from_slice(&data[(y * width + x) * channels..][..channels]);
        }
    }
    turned
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, samples: Samples) -> Stored {
        let height = match &samples {
            Samples::Grey16(data) => data.len(),
            Samples::Int32(data) => data.len(),
            Samples::Float(data) => data.len(),
            Samples::Grey(data) => data.len(),
            _ => unreachable!(),
        } / width;
        Stored { width, height, samples }
    }

    /// The values are those of Pillow's `ImageOps.exif_transpose` on the picture 1 2 3 / 4 5 6.
    #[test]
    fn each_orientation_turns_as_pillow_does() {
        let expected: [(u8, usize, [u8; 6]); 9] = [
            (1, 3, [1, 2, 3, 4, 5, 6]),
            (2, 3, [3, 2, 1, 6, 5, 4]),
            (3, 3, [6, 5, 4, 3, 2, 1]),
            (4, 3, [4, 5, 6, 1, 2, 3]),
            (5, 2, [1, 4, 2, 5, 3, 6]),
            (6, 2, [4, 1, 5, 2, 6, 3]),
            (7, 2, [6, 3, 5, 2, 4, 1]),
            (8, 2, [3, 6, 2, 5, 1, 4]),
            (9, 3, [1, 2, 3, 4, 5, 6]),
        ];
        for (orientation, width, data) in expected {
            let turned = grey(3, Samples::Grey((1..=6).collect())).turned(orientation).into_grey(false);
            assert_eq!((turned.width, &turned.data[..]), (width, &data[..]), "orientation {orientation}");
        }
    }

    #[test]
    fn sixteen_bits_are_clipped_and_counted_or_scaled() {
        let picture = || grey(6, Samples::Grey16(vec![0, 128, 129, 255, 256, 65535]));
        assert_eq!(picture().clipped(false), Some(Clipped { to_white: 2, to_black: 0 }));
        assert_eq!(picture().into_grey(false).data, [0, 128, 129, 255, 255, 255]);
        assert_eq!(picture().clipped(true), None);
        assert_eq!(picture().into_grey(true).data, [0, 0, 1, 1, 1, 255]);
        assert_eq!(grey(1, Samples::Grey16(vec![255])).clipped(false), None);
    }

    #[test]
    fn colours_are_told_from_greys() {
        let rgb = |data: &[u8]| Stored { width: data.len() / 3, height: 1, samples: Samples::Rgb(data.to_vec()) };
        assert!(!rgb(&[0, 0, 0, 9, 9, 9]).is_coloured(0, usize::MAX));
        assert!(rgb(&[0, 0, 0, 9, 9, 8]).is_coloured(0, usize::MAX));
        assert!(!rgb(&[0, 0, 0, 9, 9, 1]).is_coloured(8, usize::MAX));
        // half of the pixels
        assert!(rgb(&[0, 0, 0, 9, 9, 8]).is_coloured(0, 2) && !rgb(&[0, 0, 0, 9, 9, 8]).is_coloured(0, 1));
        let palette = |indices: &[u8]| {
            let samples = Samples::Palette { indices: indices.to_vec(), colours: vec![[0; 3], [128, 0, 0]] };
            Stored { width: indices.len(), height: 1, samples }
        };
        assert!(palette(&[0, 1]).is_coloured(0, usize::MAX) && !palette(&[0, 0, 7]).is_coloured(0, usize::MAX));
        let chroma = |data: &[u8]| Stored { width: 1, height: 1, samples: Samples::YCbCr(data.to_vec()) };
        assert!(chroma(&[0, 128, 200]).is_coloured(32, 1000) && !chroma(&[0, 128, 129]).is_coloured(0, usize::MAX));
        assert!(!grey(1, Samples::Grey16(vec![255])).is_coloured(0, usize::MAX));
    }

    #[test]
    fn integers_and_floats_are_clipped_and_counted() {
        let picture = grey(5, Samples::Int32(vec![-1, 0, 255, 256, i32::MAX]));
        assert_eq!(picture.clipped(true), Some(Clipped { to_white: 2, to_black: 1 }));
        assert_eq!(picture.into_grey(true).data, [0, 0, 255, 255, 255]);
        let values = vec![-3.0, -0.0, 0.5, 1.0, 254.9, 255.0, 256.0, f32::NAN];
        let picture = grey(8, Samples::Float(values));
        assert_eq!(picture.clipped(true), Some(Clipped { to_white: 1, to_black: 2 }));
        assert_eq!(picture.into_grey(true).data, [0, 0, 0, 1, 254, 255, 255, 0]);
        // a picture between 0 and 1 is lost; one between 0 and 255 is not
        let lost = grey(4, Samples::Float(vec![0.0, 0.3, 0.7, 1.0])).clipped(false);
        assert_eq!(lost, Some(Clipped { to_white: 0, to_black: 2 }));
        assert_eq!(grey(4, Samples::Float(vec![0.0, 0.3, 99.5, 247.6])).clipped(false), None);
    }
}
