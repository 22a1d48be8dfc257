//! Pillow's `Image.resize`, equal to the pixel.
//!
//! The filter's support grows with the reduction (antialiasing). Two separable passes, each rounded to 8 bits; weights
//! are computed in double precision, normalised, then rounded to fixed point (`libImaging/Resample.c` of Pillow defines
//! the numbers; the code here is our own).
//!
//! The order of the passes shows in the last bit. It is that of Pillow 13: horizontal first, unless the height shrinks
//! by more than twice as many pixels as the width (tall images). Pillow up to 12 always went horizontally first, so
//! there a tall image differs by a level here and there.

use std::borrow::Cow;

use super::pixels::Pixels;

/// A resampling filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filter {
    /// Triangle of half-width 1: what the published pipeline uses for images.
    Bilinear,
    /// Keys' cubic with a = -0.5, half-width 2: what the published pipeline uses for masks.
    Bicubic,
}

/// Bits after the point of a weight: 32 minus 8 for the pixel and 2 for overshoot and sign.
const PRECISION_BITS: u32 = 32 - 8 - 2;

impl Filter {
    fn support(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        const A: f64 = -0.5;
        let x = x.abs();
        match self {
            Filter::Bilinear if x < 1.0 => 1.0 - x,
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            _ => 0.0,
        }
    }
}

/// For each output position along one axis: where its inputs start, and their fixed-point weights.
struct Taps {
    starts: Vec<usize>,
    /// `weights[ends[i - 1]..ends[i]]` belong to output `i`.
    ends: Vec<usize>,
    weights: Vec<i32>,
}

impl Taps {
    fn new(from: usize, to: usize, filter: Filter) -> Self {
        let scale = from as f64 / to as f64;
        let filter_scale = scale.max(1.0);
        let support = filter.support() * filter_scale;
        let mut taps = Self { starts: Vec::with_capacity(to), ends: Vec::with_capacity(to), weights: Vec::new() };
        let mut exact = Vec::new();
        for i in 0..to {
            let centre = (i as f64 + 0.5) * scale;
            // `as` truncates toward zero and saturates at zero, as the clamped C cast does
            let start = (centre - support + 0.5) as usize;
            let end = ((centre + support + 0.5) as usize).min(from);
            exact.clear();
            exact.extend((start..end).map(|x| filter.weight((x as f64 - centre + 0.5) * (1.0 / filter_scale))));
            let total: f64 = exact.iter().sum();
            taps.starts.push(start);
            taps.weights.extend(exact.iter().map(|w| to_fixed(if total == 0.0 { *w } else { w / total })));
            taps.ends.push(taps.weights.len());
        }
        taps
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[i32])> {
        let begins = std::iter::once(0).chain(self.ends.iter().copied());
        let weights = begins.zip(&self.ends).map(|(begin, &end)| &self.weights[begin..end]);
        self.starts.iter().copied().zip(weights)
    }
}

/// Rounds half away from zero.
fn to_fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1u32 << PRECISION_BITS);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

fn to_pixel(sum: i32) -> u8 {
    (sum >> PRECISION_BITS).clamp(0, 255) as u8
}

const HALF: i32 = 1 << (PRECISION_BITS - 1);

impl<const C: usize> Pixels<C> {
    /// The picture at another size, as Pillow's `resize((width, height), filter)` computes it.
    ///
    /// An axis that keeps its length is not touched; the same size is a copy. A picture without pixels gives a
    /// black one.
    pub fn resize(&self, width: usize, height: usize, filter: Filter) -> Self {
        if self.data.is_empty() || width == 0 || height == 0 {
            return Self::filled(width, height, [0; C]);
        }
        let picture = Cow::Borrowed(self);
        let (shorter, narrower) = (self.height as i64 - height as i64, self.width as i64 - width as i64);
        let resized = if shorter > 0 && shorter > 2 * narrower {
            horizontally(vertically(picture, height, filter), width, filter)
        } else {
            vertically(horizontally(picture, width, filter), height, filter)
        };
        resized.into_owned()
    }
}

fn horizontally<const C: usize>(from: Cow<Pixels<C>>, width: usize, filter: Filter) -> Cow<Pixels<C>> {
    if from.width == width {
        return from;
    }
    let taps = Taps::new(from.width, width, filter);
    let mut data = Vec::with_capacity(width * from.height * C);
    for y in 0..from.height {
        let (row, _) = from.row(y).as_chunks::<C>();
        for (start, weights) in taps.iter() {
            let mut sums = [HALF; C];
            for (pixel, &weight) in row[start..].iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * weight;
                }
            }
            data.extend(sums.map(to_pixel));
        }
    }
    Cow::Owned(Pixels { width, height: from.height, data })
}

fn vertically<const C: usize>(from: Cow<Pixels<C>>, height: usize, filter: Filter) -> Cow<Pixels<C>> {
    if from.height == height {
        return from;
    }
    let taps = Taps::new(from.height, height, filter);
    let mut data = Vec::with_capacity(from.width * height * C);
    let mut sums = vec![0i32; from.width * C];
    for (start, weights) in taps.iter() {
        sums.fill(HALF);
        for (y, &weight) in (start..).zip(weights) {
            for (sum, &value) in sums.iter_mut().zip(from.row(y)) {
                *sum += i32::from(value) * weight;
            }
        }
        data.extend(sums.iter().map(|&sum| to_pixel(sum)));
    }
    Cow::Owned(Pixels { width: from.width, height, data })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::pixels::Grey;

    #[test]
    fn small_cases_by_pillow() {
        // Image.fromarray(np.array([[0, 255, 0, 255]], np.uint8)).resize(...) of Pillow 12
        let row = Grey { width: 4, height: 1, data: vec![0, 255, 0, 255] };
        assert_eq!(row.resize(2, 1, Filter::Bilinear).data, [109, 146]);
        assert_eq!(row.resize(6, 1, Filter::Bicubic).data, [0, 135, 236, 19, 120, 255]);
    }

    #[test]
    fn nothing_in_gives_black_out() {
        let nothing = Grey { width: 0, height: 3, data: vec![] };
        assert_eq!(nothing.resize(2, 2, Filter::Bilinear), Grey::filled(2, 2, [0]));
    }
}
