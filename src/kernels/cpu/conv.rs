//! Convolutions over NHWC maps with "same" padding, any kernel and dilation, as matrix products.
//!
//! In single precision each tap of a kernel is one product with the rows of the map that it sees; nothing is laid out anew. In
//! bf16 maps are rounded first, and come to stand among zeros: then what a tap sees lies as far from every pixel, and taps
//! are runs of one product.

use super::matmul::{
    Onto, Packed, Then, add_column_sums, add_transposed_runs, product, product_of_runs, transposed_product,
};
use super::scratch::Scratch;
use super::tile::Runs;
use super::vector::bf16::{round_bf16_pairs, round_bf16_rows};
use super::vector::rows::add_assign;
use crate::nn::Precision;
use crate::nn::ops::conv2d::ConvSize;
use rayon::prelude::*;
use std::borrow::Cow;
use std::ops::Range;

/// Pixels worked on at once.
const PIXELS: usize = 256;
/// Pixels, at least, or all there are, of which the words are held at once for a weight's gradient in bf16.
const LINE_PIXELS: usize = 6144;
/// Partial sums of a weight's gradient: a fixed number, so that the result depends on no number of threads.
const PARTS: usize = 8;

/// The numbers that one tap sees for each pixel in `from..from + count` (counted over the whole batch): rows of
/// the map, `zeros` outside of it.
fn seen<'a>(
    side: usize,
    x: &'a [f32],
    channels: usize,
    [dy, dx]: [isize; 2],
    (from, count): (usize, usize),
    zeros: &'a [f32],
    rows: &mut Vec<&'a [f32]>,
) {
    rows.clear();
    let (mut pixel, end) = (from, from + count);
    while pixel < end {
        let (line, px) = (pixel / side, pixel % side);
        let (map, y) = (line / side, line % side);
        let here = (side - px).min(end - pixel);
        let inside = px.max((-dx).max(0) as usize)..(px + here).min(side.saturating_sub(dx.max(0) as usize));
        match y.checked_add_signed(dy).filter(|y| *y < side && inside.start < inside.end) {
            Some(y) => {
                let start = (map * side + y) * side;
                let of = |px: usize| (start + (px as isize + dx) as usize) * channels;
                rows.extend(std::iter::repeat_n(zeros, inside.start - px));
                rows.extend(x[of(inside.start)..of(inside.end)].chunks_exact(channels));
                rows.extend(std::iter::repeat_n(zeros, px + here - inside.end));
            }
            None => rows.extend(std::iter::repeat_n(zeros, here)),
        }
        pixel += here;
    }
}

/// Words for some channels of a line's pixels, from `reach` pixels before it to as many behind its half: of pixels `i` and
/// `i + half`, zeros outside of the line.
fn pair_line(
    (line, channels): (&[f32], usize),
    of: Range<usize>,
    (half, reach): (usize, usize),
    zeros: &[f32],
    (words, width): (&mut [f32], usize),
) {
    let (side, count) = (line.len() / channels, half + 2 * reach);
    // where either pixel comes to lie on the line, or leaves it
    let mut cuts = [0, reach.saturating_sub(half), reach, (reach + side).saturating_sub(half), reach + side, count];
    cuts.iter_mut().for_each(|cut| *cut = count.min(*cut));
    cuts.sort_unstable();
    for [from, to] in cuts.array_windows().copied() {
        let at = |i: usize| match i.checked_sub(reach) {
            Some(px) if px < side => (&line[px * channels + of.start..], channels),
            _ => (zeros, 0),
        };
        let words = (&mut words[from * width..], width);
        round_bf16_pairs([to - from, of.len()], [at(from), at(from + half)], words);
    }
}

/// A map in words, with zeros around it: between its lines, and between and around its maps.
struct Framed {
    words: Scratch,
    /// Words of a pixel.
    pixel: usize,
    /// Pixels from a line to the next.
    line: usize,
    /// Lines from a map to the next.
    map: usize,
    /// Lines before a map, and pixels before a line, that are zeros.
    frame: [usize; 2],
    side: usize,
}

impl Framed {
    /// Rounds a map of so many channels, by all threads; the frame is as wide as the kernel reaches.
    fn of(x: &[f32], channels: usize, size: &ConvSize) -> Self {
        let (side, frame, pixel) = (size.side, size.reach(), channels.div_ceil(2));
        let (line, map) = (side + frame[1], side + frame[0]);
        let lines = size.batch * map + frame[0];
        let mut words = Scratch::shared((lines * line + frame[1]) * pixel);
        words.par_chunks_mut(line * pixel).with_min_len(8).enumerate().for_each(|(i, words)| {
            let (map, y) = (i / map, (i % map).wrapping_sub(frame[0]));
            if map == size.batch || y >= side {
                return words.fill(0.0);
            }
            let (before, words) = words.split_at_mut(frame[1] * pixel);
            before.fill(0.0);
            round_bf16_rows(&x[(map * side + y) * side * channels..][..side * channels], channels, words);
        });
        Self { words, pixel, line, map, frame, side }
    }

    /// Where pixels `from..from + count`, counted over the whole batch, stand.
    fn places(&self, from: usize, count: usize, places: &mut Vec<usize>) {
        places.clear();
        let (mut pixel, end) = (from, from + count);
        while pixel < end {
            let (line, px) = (pixel / self.side, pixel % self.side);
            let (map, y) = (line / self.side, line % self.side);
            let here = (self.side - px).min(end - pixel);
            let start = (map * self.map + self.frame[0] + y) * self.line + self.frame[1] + px;
            places.extend((start..start + here).map(|place| place * self.pixel));
            pixel += here;
        }
    }
}

impl ConvSize {
    fn taps(&self) -> usize {
        self.kernel[0] * self.kernel[1]
    }

    /// Floating-point operations of its products, as one tap after another has them.
    pub(super) fn operations(&self) -> usize {
        2 * self.pixels() * self.taps() * self.channels * self.out_channels
    }

    fn pixels(&self) -> usize {
        self.batch * self.side * self.side
    }

    /// Pixels per task, so that every thread has work.
    fn pixels_per_task(&self) -> usize {
        let threads = rayon::current_num_threads();
        let tasks = self.pixels().div_ceil(PIXELS).next_multiple_of(threads);
        self.pixels().div_ceil(tasks).max(16)
    }

    /// The published `(co, c, kh, kw)` as `(co, taps, c)`.
    fn by_tap<'w>(&self, weight: &'w [f32]) -> Cow<'w, [f32]> {
        let (taps, c) = (self.taps(), self.channels);
        if taps == 1 {
            return Cow::Borrowed(weight);
        }
        let mut w = vec![0.0; weight.len()];
        weight.par_chunks_exact(c * taps).zip(w.par_chunks_exact_mut(c * taps)).for_each(|(from, to)| {
            for (ch, from) in from.chunks_exact(taps).enumerate() {
                for (tap, v) in from.iter().enumerate() {
                    to[tap * c + ch] = *v;
                }
            }
        });
        Cow::Owned(w)
    }

    /// The published `(co, c, kh, kw)` as `(c, taps, co)`.
    fn by_input(&self, weight: &[f32]) -> Vec<f32> {
        let (taps, c, co) = (self.taps(), self.channels, self.out_channels);
        let mut w = vec![0.0; weight.len()];
        for (o, from) in weight.chunks_exact(c * taps).enumerate() {
            for (from, to) in from.chunks_exact(taps).zip(w.chunks_exact_mut(taps * co)) {
                for (tap, v) in from.iter().enumerate() {
                    to[tap * co + o] = *v;
                }
            }
        }
        w
    }

    /// Distance from a pixel to what each tap sees.
    fn offset(&self, tap: usize) -> [isize; 2] {
        let [kh, kw] = self.kernel;
        let at = |i: usize, k: usize| self.dilation as isize * (i as isize - (k / 2) as isize);
        [at(tap / kw, kh), at(tap % kw, kw)]
    }

    fn offsets(&self) -> impl Iterator<Item = [isize; 2]> {
        (0..self.taps()).map(|tap| self.offset(tap))
    }

    /// The largest of these distances.
    fn reach(&self) -> [usize; 2] {
        self.kernel.map(|k| self.dilation * (k / 2))
    }

    /// `y = then(onto + sum over taps of what the tap sees * its rows of the factor)`, for all pixels. `sign` -1 turns
    /// the kernel around.
    fn apply(
        &self,
        (x, channels): (&[f32], usize),
        sign: isize,
        factor: &Packed,
        onto: Onto<'_>,
        then: Then<'_>,
        y: &mut [f32],
    ) {
        let (pixels, co) = (self.pixels_per_task(), factor.columns());
        let tasks = y.par_chunks_mut(pixels * co).enumerate();
        if factor.precision() == Precision::Bf16 {
            let x = Framed::of(x, channels, self);
            let shift = |[dy, dx]: [isize; 2]| sign * (dy * x.line as isize + dx) * x.pixel as isize;
            let shifts: Vec<isize> = self.offsets().map(shift).collect();
            let runs = Runs { run: x.pixel, shifts: &shifts };
            return tasks.for_each_init(Vec::new, |places, (i, y)| {
                x.places(i * pixels, y.len() / co, places);
                product_of_runs((&x.words, places), runs, factor, onto, then, y);
            });
        }
        // One after another on purpose: longer sums would be rounded more.
        let (zeros, last) = (vec![0.0; channels], self.taps() - 1);
        tasks.for_each_init(Vec::new, |rows, (i, y)| {
            for (tap, [dy, dx]) in self.offsets().enumerate() {
                let range = (i * pixels, y.len() / co);
                seen(self.side, x, channels, [sign * dy, sign * dx], range, &zeros, rows);
                let onto = if tap == 0 { onto } else { Onto::Itself };
                let then = if tap == last { then } else { Then::Stop };
                product(rows, factor, tap * channels, onto, then, y);
            }
        });
    }

    /// What maps are multiplied by.
    pub(super) fn factor(&self, weight: &[f32]) -> Packed {
        Packed::from_runs(&self.by_tap(weight), self.channels, self.taps(), self.precision)
    }

    /// `y = conv(x, weight) + bias`, then a ReLU if asked for.
    pub(super) fn forward(&self, x: &[f32], factor: &Packed, bias: Option<&[f32]>, relu: bool, y: &mut [f32]) {
        let then = if relu { Then::Relu } else { Then::Stop };
        self.apply((x, self.channels), 1, factor, bias.map_or(Onto::Nothing, Onto::Bias), then, y);
    }

    /// Adds to the gradient of the input.
    pub(super) fn backward_input(&self, weight: &[f32], gy: &[f32], gx: &mut [f32]) {
        let factor = Packed::from_runs(&self.by_input(weight), self.out_channels, self.taps(), self.precision);
        self.apply((gy, self.out_channels), -1, &factor, Onto::Itself, Then::Stop, gx);
    }

    /// Adds to the gradients of weight and bias.
    pub(super) fn backward_weight(&self, x: &[f32], gy: &[f32], gw: &mut [f32], gb: Option<&mut [f32]>) {
        match Packed::empty(self.precision) {
            factor if factor.precision() == Precision::Bf16 => self.weight_by_lines(x, gy, factor, gw),
            _ => self.weight_by_pixels(x, gy, gw),
        }
        if let Some(gb) = gb {
            add_column_sums(gy, gb);
        }
    }

    /// Some pixels after others, in parts whose sums are added: what a tap sees of them is a factor, laid out anew.
    fn weight_by_pixels(&self, x: &[f32], gy: &[f32], gw: &mut [f32]) {
        let (c, co, taps) = (self.channels, self.out_channels, self.taps());
        let k = taps * c;
        let part_pixels = self.pixels().div_ceil(PARTS).max(PIXELS);
        let zeros = vec![0.0; c];
        let partial: Vec<Vec<f32>> = gy
            .par_chunks(part_pixels * co)
            .enumerate()
            .map(|(part, gy)| {
                let (mut sum, mut rows, mut factor) = (vec![0.0; co * k], Vec::new(), Packed::empty(Precision::F32));
                for (i, gy) in gy.chunks(PIXELS * co).enumerate() {
                    let range = (part * part_pixels + i * PIXELS, gy.len() / co);
                    for (tap, offset) in self.offsets().enumerate() {
                        seen(self.side, x, c, offset, range, &zeros, &mut rows);
                        factor.set_rows(rows.len(), c, |p| rows[p]);
                        transposed_product(gy, co, &factor, Onto::Itself, k, &mut sum[tap * c..]);
                    }
                }
                sum
            })
            .collect();
        let mut total = vec![0.0; co * k];
        for part in &partial {
            add_assign(&mut total, part);
        }
        for (gw, total) in gw.chunks_exact_mut(k).zip(total.chunks_exact(k)) {
            for (ch, gw) in gw.chunks_exact_mut(taps).enumerate() {
                for (tap, g) in gw.iter_mut().enumerate() {
                    *g += total[tap * c + ch];
                }
            }
        }
    }

    /// In bf16: the output's gradient is the factor, and what a tap sees is read where it stands. A word holds two pixels of one
    /// line, half a line apart: so all taps see whole words, wherever they look.
    fn weight_by_lines(&self, x: &[f32], gy: &[f32], mut factor: Packed, gw: &mut [f32]) {
        let (c, co, taps, side) = (self.channels, self.out_channels, self.taps(), self.side);
        let (half, reach) = (side.div_ceil(2), self.reach()[1]);
        // Some channels of all lines after another.
        let channels = c.div_ceil(2 * c.div_ceil(64));
        let (parts, line) = (c.div_ceil(channels), (half + 2 * reach) * channels);
        let maps = LINE_PIXELS.div_ceil(side * side).min(self.batch);
        let mut words = Scratch::shared(maps * side * parts * line);
        let mut sums = Scratch::zeros(parts * taps * channels * co);
        let zeros = vec![0.0; channels.max(co)];
        for (x, gy) in x.chunks(maps * side * side * c).zip(gy.chunks(maps * side * side * co)) {
            let lines = gy.len() / (side * co);
            factor.set_blocks([lines * half, co], half, |i, columns, words| {
                let gy = &gy[i * side * co..][..side * co];
                pair_line((gy, co), columns, (half, 0), &zeros, words);
            });
            let words = &mut words[..lines * parts * line];
            words.par_chunks_mut(parts * line).with_min_len(4).enumerate().for_each(|(i, words)| {
                let x = &x[i * side * c..][..side * c];
                for (part, words) in words.chunks_exact_mut(line).enumerate() {
                    let of = part * channels..c.min((part + 1) * channels);
                    pair_line((x, c), of, (half, reach), &zeros, (words, channels));
                }
            });
            let words = &*words;
            sums.par_chunks_mut(channels * co).enumerate().for_each_init(Vec::new, |shifts, (i, sum)| {
                let ([dy, dx], part) = (self.offset(i % taps), i / taps);
                let rows = channels.min(c - part * channels);
                // lines whose tap lies on the map
                let seen = (-dy).max(0) as usize..side.saturating_sub(dy.max(0) as usize);
                for map in (0..lines).step_by(side).filter(|_| !seen.is_empty()) {
                    let start = |y: usize| {
                        let y = map + y.wrapping_add_signed(dy);
                        (y * parts + part) * line + reach.wrapping_add_signed(dx) * channels
                    };
                    shifts.clear();
                    shifts.extend(seen.clone().map(|y| start(y) as isize));
                    let runs = Runs { run: half, shifts };
                    let factor = (&factor, (map + seen.start) * half);
                    add_transposed_runs((words, channels), rows, runs, factor, &mut sum[..rows * co]);
                }
            });
        }
        gw.par_chunks_exact_mut(c * taps).enumerate().for_each(|(o, gw)| {
            for (ch, gw) in gw.chunks_exact_mut(taps).enumerate() {
                for (tap, g) in gw.iter_mut().enumerate() {
                    let row = (ch / channels * taps + tap) * channels + ch % channels;
                    *g += sums[row * co + o];
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::super::matmul::tests::{numbers, rounded};
    use super::*;

    /// The plain twin, forward and backward: calls `term` with places in output, input and weight that belong together.
    fn each_term(s: &ConvSize, mut term: impl FnMut([usize; 3])) {
        let (side, c, co, [kh, kw]) = (s.side, s.channels, s.out_channels, s.kernel);
        let at =
            |p: usize, i: usize, k: usize| (p + s.dilation * i).checked_sub(s.dilation * (k / 2)).filter(|p| *p < side);
        for (pixel, tap) in (0..s.batch * side * side).flat_map(|pixel| (0..kh * kw).map(move |tap| (pixel, tap))) {
            let (map, y, x) = (pixel / (side * side), pixel / side % side, pixel % side);
            let (Some(y), Some(x)) = (at(y, tap / kw, kh), at(x, tap % kw, kw)) else { continue };
            let seen = (map * side + y) * side + x;
            for (o, ch) in (0..co).flat_map(|o| (0..c).map(move |ch| (o, ch))) {
                term([pixel * co + o, seen * c + ch, (o * c + ch) * kh * kw + tap]);
            }
        }
    }

    fn close(got: &[f32], want: &[f64], what: &str) {
        let largest = want.iter().fold(1.0, |most: f64, w| most.max(w.abs()));
        for (i, (g, w)) in got.iter().zip(want).enumerate() {
            assert!((f64::from(*g) - w).abs() < 2e-6 * largest, "{what}, number {i}: {g} {w}");
        }
    }

    fn agrees_with_the_plain_twin(s: &ConvSize) {
        let halves = Packed::computed_in(s.precision) == Precision::Bf16;
        let factor = |n: usize, seed: u32| if halves { rounded(&numbers(n, seed)) } else { numbers(n, seed) };
        let (inputs, outputs) = (s.pixels() * s.channels, s.pixels() * s.out_channels);
        let (x, w) = (numbers(inputs, 1), numbers(s.taps() * s.channels * s.out_channels, 2));
        let (bias, gy) = (numbers(s.out_channels, 3), numbers(outputs, 4));
        let (as_x, as_w, as_gy) = (factor(inputs, 1), factor(w.len(), 2), factor(outputs, 4));
        let mut want: Vec<f64> = (0..outputs).map(|i| f64::from(bias[i % s.out_channels])).collect();
        let (mut want_x, mut want_w) = (vec![0.25; inputs], vec![0.5; w.len()]);
        each_term(s, |[y, x, w]| {
            want[y] += f64::from(as_x[x]) * f64::from(as_w[w]);
            want_x[x] += f64::from(as_gy[y]) * f64::from(as_w[w]);
            want_w[w] += f64::from(as_gy[y]) * f64::from(as_x[x]);
        });
        let mut y = vec![f32::NAN; outputs];
        s.forward(&x, &s.factor(&w), Some(&bias), false, &mut y);
        close(&y, &want, &format!("{s:?}"));
        s.forward(&x, &s.factor(&w), Some(&bias), true, &mut y);
        want.iter_mut().for_each(|w| *w = w.max(0.0));
        close(&y, &want, &format!("{s:?}, ReLU"));
        let (mut gx, mut gw) = (vec![0.25; inputs], vec![0.5; w.len()]);
        s.backward_input(&w, &gy, &mut gx);
        close(&gx, &want_x, &format!("{s:?}, gradient of the input"));
        s.backward_weight(&x, &gy, &mut gw, None);
        close(&gw, &want_w, &format!("{s:?}, gradient of the weight"));
    }

    #[test]
    fn any_kernel_on_maps_of_any_size_agrees_with_the_plain_twin() {
        let kernels = [[1, 1], [1, 3], [3, 1], [3, 3], [1, 7], [5, 1]];
        let channels = [[1, 1], [2, 17], [5, 3], [33, 16], [70, 5], [16, 64]];
        let cases = kernels.into_iter().flat_map(|kernel| [1, 3, 5, 7].map(|dilation| (kernel, dilation)));
        for (i, (kernel, dilation)) in cases.enumerate() {
            for side in [1, 2, 3, 7, 11, 15].into_iter().filter(|side| (side + i) % 2 == 0 || *side > 10) {
                let [channels, out_channels] = channels[(side + i) % channels.len()];
                let batch = 1 + (side + i) % 3;
                for precision in [Precision::F32, Precision::Bf16] {
                    agrees_with_the_plain_twin(&ConvSize {
                        batch,
                        side,
                        channels,
                        out_channels,
                        kernel,
                        dilation,
                        precision,
                    });
                }
            }
        }
    }

    #[test]
    fn large_maps_and_many_channels_agree_with_the_plain_twin() {
        // Several tasks and blocks of maps; several slabs and panels.
        for (batch, side, channels, out_channels, kernel, dilation) in [
            (3, 60, 4, 3, [3, 3], 1),
            (2, 20, 130, 40, [3, 3], 2),
            (1, 12, 410, 33, [1, 1], 1),
            (2, 40, 24, 70, [1, 7], 1),
        ] {
            for precision in [Precision::F32, Precision::Bf16] {
                let size = ConvSize { batch, side, channels, out_channels, kernel, dilation, precision };
                agrees_with_the_plain_twin(&size);
            }
        }
    }

    #[test]
    fn no_number_depends_on_the_number_of_threads() {
        for precision in [Precision::F32, Precision::Bf16] {
            let size =
                ConvSize { batch: 3, side: 30, channels: 40, out_channels: 24, kernel: [3, 3], dilation: 3, precision };
            let (x, w) = (numbers(size.pixels() * 40, 1), numbers(9 * 40 * 24, 2));
            let gy = numbers(size.pixels() * 24, 3);
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                let (mut y, mut gx, mut gw) = (gy.clone(), x.clone(), w.clone());
                pool.install(|| {
                    size.forward(&x, &size.factor(&w), None, true, &mut y);
                    size.backward_input(&w, &gy, &mut gx);
                    size.backward_weight(&x, &gy, &mut gw, None);
                });
                [y, gx, gw].concat().into_iter().map(f32::to_bits).collect::<Vec<_>>()
            };
            let one = run(1);
            assert!(run(2) == one && run(5) == one, "{precision:?}");
        }
    }

    #[test]
    fn a_tap_sees_what_a_plain_loop_sees() {
        let (side, channels, maps) = (5, 2, 3);
        let x: Vec<f32> = (1..=maps * side * side * channels).map(|v| v as f32).collect();
        let zeros = [0.0; 2];
        for (dy, dx) in (-7..=7).flat_map(|dy| (-7..=7).map(move |dx| (dy, dx))) {
            for (from, count) in [(0, 75), (3, 1), (7, 30), (24, 2), (74, 1)] {
                let mut rows = Vec::new();
                seen(side, &x, channels, [dy, dx], (from, count), &zeros, &mut rows);
                let want = (from..from + count).map(|pixel| {
                    let (map, y, x0) = (pixel / 25, (pixel / 5 % 5) as isize + dy, (pixel % 5) as isize + dx);
                    let inside = (0..5).contains(&y) && (0..5).contains(&x0);
                    if inside { &x[((map * 5 + y as usize) * 5 + x0 as usize) * 2..][..2] } else { &zeros[..] }
                });
                assert!(rows.iter().copied().eq(want), "offset {dy} {dx}, pixels {from} + {count}");
            }
        }
    }
}
