//! Elementary functions on slices, compiled for several instruction sets and chosen at run time.

/// Compiles a function for AVX-512, for AVX2 with FMA and for the baseline, and picks one per call.
macro_rules! vectorised {
    ($($(#[$doc:meta])* $vis:vis fn $name:ident($($arg:ident: $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block)*) => {$(
        $(#[$doc])*
        $vis fn $name($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn plain($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            {
                #[target_feature(enable = "avx512f,avx512vl,avx512bw,avx512dq,avx2,fma")]
                fn avx512($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                #[target_feature(enable = "avx2,fma")]
                fn avx2($($arg: $ty),*) $(-> $ret)? {
                    plain($($arg),*)
                }
                if is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512dq")
                    && is_x86_feature_detected!("fma")
                {
                    // SAFETY: the features that the function was compiled for have just been detected.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                    // SAFETY: as above.
                    return unsafe { avx2($($arg),*) };
                }
            }
            plain($($arg),*)
        }
    )*};
}
pub(super) use vectorised;

/// Numbers worked on as one: a vector of AVX-512, two of AVX2.
const VECTOR: usize = 16;

/// 1.5 * 2^23: what is added to it is rounded to the nearest integer.
const ROUND: f32 = 12_582_912.0;

/// `e^x`, within 2 units in the last place; not a number stays so.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons rather than `max`/`min`, which would turn a NaN into a number.
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = shifted - ROUND;
    // ln 2 in two parts, so that x - n ln 2 is exact to the last bit.
    let r = n.mul_add(-0.693_359_4, x);
    let r = n.mul_add(2.121_944_4e-4, r);
    // Taylor's series on |r| <= ln 2 / 2, its last terms within rounding.
    let p = 1.0 / 5040.0;
    let p = r.mul_add(p, 1.0 / 720.0);
    let p = r.mul_add(p, 1.0 / 120.0);
    let p = r.mul_add(p, 1.0 / 24.0);
    let p = r.mul_add(p, 1.0 / 6.0);
    let p = r.mul_add(p, 0.5);
    let p = (r * r).mul_add(p, r) + 1.0;
    // 2^n, as in `power_of_two`.
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// `e^x` for `x` of at most 0, never quite zero, within 2 units in the last place near 0, where a softmax has its largest
/// weights, and 2e-8 of `x` far from it; not a number stays so.
#[inline(always)]
fn exp_of_negative(x: f32) -> f32 {
    let x = if x < -86.6 { -86.6 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    power_of_two(shifted, x.mul_add(std::f32::consts::LOG2_E, ROUND - shifted))
}

/// `2^(n + r)` for a whole number `n`, as it stands in `n +` [`ROUND`], and `|r| <= 1/2`.
#[inline(always)]
fn power_of_two(shifted: f32, r: f32) -> f32 {
    // The polynomial through `(2^r - 1) / r` at the nodes of Chebyshev's.
    let p = 1.545_316_3e-4;
    let p = r.mul_add(p, 1.339_086_3e-3);
    let p = r.mul_add(p, 9.618_083e-3);
    let p = r.mul_add(p, 5.550_357e-2);
    let p = r.mul_add(p, 0.240_226_5);
    let p = r.mul_add(p, std::f32::consts::LN_2);
    let p = r.mul_add(p, 1.0);
    // The integer stands in the low bits of `shifted` (a cast of `n` would not be vectorised).
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Natural logarithm of a positive normal number, within 2 units in the last place away from 1.
#[inline(always)]
fn ln(x: f32) -> f32 {
    let bits = x.to_bits();
    // Splits x into m * 2^e with m in [sqrt 1/2, sqrt 2).
    let e = (bits.wrapping_sub(0x3f35_04f3) as i32) >> 23;
    let m = f32::from_bits(bits.wrapping_sub((e << 23) as u32));
    // ln m = 2 atanh(s), s = (m - 1) / (m + 1), |s| <= 0.172.
    let s = (m - 1.0) / (m + 1.0);
    let q = s * s;
    let p = 2.0 / 9.0;
    let p = q.mul_add(p, 2.0 / 7.0);
    let p = q.mul_add(p, 2.0 / 5.0);
    let p = q.mul_add(p, 2.0 / 3.0);
    let e = e as f32;
    let small = (s * q).mul_add(p, 2.0 * s);
    e.mul_add(0.693_359_4, e.mul_add(-2.121_944_4e-4, small))
}

/// How much of a standard normal distribution lies beyond `-a` and `a`, `erfc(a / sqrt 2)`, for `a = min(|x|, 6)`, and `a`:
/// within 1.5e-7. The polynomial for `-log2(erfc(a / sqrt 2)) / a` was fitted to 2e-8 of what [`gelu`] makes of it.
#[inline(always)]
fn tails(x: f32) -> (f32, f32) {
    let a = x.abs();
    let a = if a > 6.0 { 6.0 } else { a };
    let q = 2.050_256_9e-6;
    let q = a.mul_add(q, -3.006_628_7e-5);
    let q = a.mul_add(q, 1.424_566_5e-4);
    let q = a.mul_add(q, 2.409_156_4e-4);
    let q = a.mul_add(q, -7.196_288e-3);
    let q = a.mul_add(q, 5.258_501e-2);
    let q = a.mul_add(q, 0.459_180_7);
    let q = a * a.mul_add(q, 1.151_108);
    let shifted = ROUND - q;
    (power_of_two(shifted, ROUND - shifted - q), a)
}

/// `x Phi(x)`, the exact (erf) form of GELU.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    let (t, a) = tails(x);
    let positive = if x < 0.0 { 0.0 } else { x };
    (-0.5 * a).mul_add(t, positive)
}

/// GELU's derivative, `Phi(x) + x phi(x)`.
#[inline(always)]
pub fn gelu_slope(x: f32) -> f32 {
    const INV_SQRT_TAU: f32 = 0.398_942_3;
    let (t, a) = tails(x);
    let at_minus_a = (a * -INV_SQRT_TAU).mul_add(exp_of_negative(-0.5 * a * a), 0.5 * t);
    if x < 0.0 { at_minus_a } else { 1.0 - at_minus_a }
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + exp(-x))
}

/// `ln(1 + e^x)` without overflow.
#[inline(always)]
pub fn softplus(x: f32) -> f32 {
    let positive = if x < 0.0 { 0.0 } else { x };
    positive + ln(1.0 + exp(-x.abs()))
}

/// Two numbers rounded to bf16 in a word, the first one in its low half.
#[inline(always)]
fn halved(first: f32, second: f32) -> f32 {
    f32::from_bits(bf16_bits(first) >> 16 | bf16_bits(second) & 0xffff_0000)
}

/// A number rounded to bf16, ties to even, in the upper half; the lower half is of no worth. Not a number stays so.
#[inline(always)]
fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    if x.is_nan() { bits | 0x0040_0000 } else { rounded }
}

/// Rows of `columns` numbers, each `stride` after the one before.
pub struct Rows<'a> {
    /// From the first row's first number to the last row's last.
    pub y: &'a mut [f32],
    /// From a row to the next.
    pub stride: usize,
    /// Numbers of a row that count.
    pub columns: usize,
}

/// `y = f(y)` for an `f` of many steps, a whole vector at a time also where a row is short.
#[inline(always)]
fn map_row(y: &mut [f32], f: impl Fn(f32) -> f32) {
    let (vectors, rest) = y.as_chunks_mut::<VECTOR>();
    vectors.iter_mut().for_each(|y| *y = y.map(&f));
    rest.iter_mut().for_each(|y| *y = f(*y));
}

/// `y = f(y, x)`, likewise. (Of an `f` of a step or two the compiler would make strides of sixteen numbers: a plain loop is
/// better there.)
#[inline(always)]
fn map_rows(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    let (vectors, rest) = y.as_chunks_mut::<VECTOR>();
    let (others, others_rest) = x[..vectors.len() * VECTOR + rest.len()].as_chunks::<VECTOR>();
    for (y, x) in vectors.iter_mut().zip(others) {
        for (y, x) in y.iter_mut().zip(x) {
            *y = f(*y, *x);
        }
    }
    for (y, x) in rest.iter_mut().zip(others_rest) {
        *y = f(*y, *x);
    }
}

/// `y = f(y, x)`, place by place.
#[inline(always)]
fn combine(y: &mut [f32], x: &[f32], f: impl Fn(f32, f32) -> f32) {
    for (y, x) in y.iter_mut().zip(x) {
        *y = f(*y, *x);
    }
}

vectorised! {
    /// `y = max(y, 0)`.
    pub fn relu_rows(rows: Rows<'_>) {
        for row in rows.y.chunks_mut(rows.stride) {
            row[..rows.columns].iter_mut().for_each(|y| *y = if *y < 0.0 { 0.0 } else { *y });
        }
    }

    /// `y = gelu(y)`.
    pub fn gelu_rows(rows: Rows<'_>) {
        for row in rows.y.chunks_mut(rows.stride) {
            map_row(&mut row[..rows.columns], gelu);
        }
    }

    /// `y += residual`, laid out alike.
    pub fn add_rows(rows: Rows<'_>, residual: &[f32]) {
        for (row, residual) in rows.y.chunks_mut(rows.stride).zip(residual.chunks(rows.stride)) {
            combine(&mut row[..rows.columns], residual, |y, r| y + r);
        }
    }

    /// `y = gelu(y) + residual`, laid out alike.
    pub fn gelu_add_rows(rows: Rows<'_>, residual: &[f32]) {
        for (row, residual) in rows.y.chunks_mut(rows.stride).zip(residual.chunks(rows.stride)) {
            map_rows(&mut row[..rows.columns], residual, |y, r| gelu(y) + r);
        }
    }

    /// The largest of four numbers, place by place, and which of the four it is: among equals the first, and a NaN,
    /// once met, stays.
    pub fn largest_of_four(four: [&[f32]; 4], largest: &mut [f32], which: &mut [u32]) {
        let n = largest.len();
        let ([a, b, c, d], which) = (four.map(|row| &row[..n]), &mut which[..n]);
        for i in 0..n {
            let (mut best, mut index) = (a[i], 0);
            for (v, at) in [(b[i], 1), (c[i], 2), (d[i], 3)] {
                // A NaN is neither larger nor smaller.
                let better = (v > best) | (v.is_nan() & !best.is_nan());
                best = if better { v } else { best };
                index = if better { at } else { index };
            }
            (largest[i], which[i]) = (best, index);
        }
    }

    /// `x = gelu(x)`.
    pub fn gelu_in_place(x: &mut [f32]) {
        map_row(x, gelu);
    }

    /// `g *= gelu'(x)`.
    pub fn gelu_backward(x: &[f32], g: &mut [f32]) {
        map_rows(g, x, |g, x| g * gelu_slope(x));
    }

    /// `y += x`.
    pub fn add_assign(y: &mut [f32], x: &[f32]) {
        combine(y, x, |y, x| y + x);
    }

    /// `y = max(a + b, 0)`.
    pub fn add_relu(a: &[f32], b: &[f32], y: &mut [f32]) {
        for ((y, a), b) in y.iter_mut().zip(a).zip(b) {
            let v = a + b;
            *y = if v < 0.0 { 0.0 } else { v };
        }
    }

    /// `gx = gy` where the output `y` of a ReLU is above zero, else zero.
    pub fn relu_backward(y: &[f32], gy: &[f32], gx: &mut [f32]) {
        for ((gx, gy), y) in gx.iter_mut().zip(gy).zip(y) {
            *gx = if *y <= 0.0 { 0.0 } else { *gy };
        }
    }

    /// `B^T d B` of Winograd's F(2x2, 3x3), channel by channel: from a tile's 4x4 pixels (whole vectors of channels) to the
    /// left factors' rows in `turned`, each `plane` numbers after the one before.
    pub fn to_tile(pixels: &[&[f32]; 16], plane: usize, turned: &mut [f32]) {
        let channels = pixels[0].len();
        for at in (0..channels / VECTOR).map(|i| i * VECTOR) {
            let mut d = [[0.0; VECTOR]; 16];
            for (d, pixel) in d.iter_mut().zip(pixels) {
                d.copy_from_slice(&pixel[at..at + VECTOR]);
            }
            let mut rows = [[0.0; VECTOR]; 16];
            for y in 0..4 {
                for i in 0..VECTOR {
                    let [a, b, c, e] = [d[4 * y][i], d[4 * y + 1][i], d[4 * y + 2][i], d[4 * y + 3][i]];
                    (rows[4 * y][i], rows[4 * y + 1][i]) = (a - c, b + c);
                    (rows[4 * y + 2][i], rows[4 * y + 3][i]) = (c - b, b - e);
                }
            }
            for x in 0..4 {
                let mut columns = [[0.0; VECTOR]; 4];
                for i in 0..VECTOR {
                    let [a, b, c, e] = [rows[x][i], rows[4 + x][i], rows[8 + x][i], rows[12 + x][i]];
                    (columns[0][i], columns[1][i], columns[2][i], columns[3][i]) = (a - c, b + c, c - b, b - e);
                }
                for (y, column) in columns.iter().enumerate() {
                    turned[(4 * y + x) * plane + at..][..VECTOR].copy_from_slice(column);
                }
            }
        }
    }

    /// `A^T m A` of the same: from a tile's 16 products, `plane` numbers apart, to its 2x2 pixels, one after another, plus a
    /// bias for each channel (whole vectors of them), then a ReLU if asked for.
    pub fn from_tile(products: &[f32], plane: usize, bias: &[f32], relu: bool, pixels: &mut [f32]) {
        let least = if relu { 0.0 } else { f32::NEG_INFINITY };
        for at in (0..bias.len() / VECTOR).map(|i| i * VECTOR) {
            let mut rows = [[0.0; VECTOR]; 8];
            for y in 0..4 {
                let m: [&[f32]; 4] = [0, 1, 2, 3].map(|x| &products[(4 * y + x) * plane + at..][..VECTOR]);
                for i in 0..VECTOR {
                    rows[2 * y][i] = m[0][i] + m[1][i] + m[2][i];
                    rows[2 * y + 1][i] = m[1][i] - m[2][i] - m[3][i];
                }
            }
            let bias_here = &bias[at..][..VECTOR];
            for x in 0..2 {
                let [mut above, mut below] = [[0.0; VECTOR]; 2];
                for i in 0..VECTOR {
                    let [a, b, c, e] = [rows[x][i], rows[2 + x][i], rows[4 + x][i], rows[6 + x][i]];
                    let (first, second) = (a + b + c + bias_here[i], b - c - e + bias_here[i]);
                    // not `max`, which would turn a NaN into a number
                    above[i] = if first < least { least } else { first };
                    below[i] = if second < least { least } else { second };
                }
                pixels[x * bias.len() + at..][..VECTOR].copy_from_slice(&above);
                pixels[(2 + x) * bias.len() + at..][..VECTOR].copy_from_slice(&below);
            }
        }
    }

    /// Turns a row of scores into weights that sum to `1 / factor`, and gives `factor`: `e^(scale (s - max))`, the last of the
    /// `count` scores counted `last` times. What follows them is of no worth, and becomes next to nothing.
    pub fn exponentials(row: &mut [f32], count: usize, scale: f32, last: f32) -> f32 {
        row[count..].fill(f32::NEG_INFINITY);
        let larger = |a: f32, b: f32| if b > a { b } else { a };
        let max = fold::<32>([row, row], f32::NEG_INFINITY, |max, v, _| larger(max, v), larger);
        map_row(row, |v| exp_of_negative((v - max) * scale));
        let once = fold::<32>([row, row], 0.0, |sum, v, _| sum + v, |a, b| a + b);
        let sum = once + row[count - 1] * (last - 1.0);
        row[count - 1] *= last;
        1.0 / sum
    }

    /// Rows of words of two bf16 numbers, `width` to a row, as two rows of numbers each: the low halves, then the high ones.
    pub fn widen_rows(words: &[f32], width: usize, numbers: &mut [f32]) {
        for (words, rows) in words.chunks_exact(width).zip(numbers.chunks_exact_mut(2 * width)) {
            let (low, high) = rows.split_at_mut(width);
            for ((word, low), high) in words.iter().zip(low).zip(high) {
                *low = f32::from_bits(word.to_bits() << 16);
                *high = f32::from_bits(word.to_bits() & 0xffff_0000);
            }
        }
    }

    /// Of each two words the low halves in a word, and the high ones.
    pub fn split_pairs(words: &[f32], low: &mut [f32], high: &mut [f32]) {
        for (([a, b], low), high) in words.as_chunks::<2>().0.iter().zip(low).zip(high) {
            let (a, b) = (a.to_bits(), b.to_bits());
            *low = f32::from_bits(a & 0xffff | b << 16);
            *high = f32::from_bits(a >> 16 | b & 0xffff_0000);
        }
    }

    /// `to = from * factor`.
    pub fn scaled(from: &[f32], factor: f32, to: &mut [f32]) {
        combine(to, from, |_, x| x * factor);
    }

    /// Gradient of the softmax of a scaled row: `g = scale p (g - sum_j p_j g_j)`, where `p` is `weights * factor`.
    pub fn softmax_backward(weights: &[f32], factor: f32, scale: f32, g: &mut [f32]) {
        let d = factor * fold::<64>([weights, g], 0.0, |sum, w, g| w.mul_add(g, sum), |a, b| a + b);
        let scale = factor * scale;
        combine(g, weights, |g, w| w * (g - d) * scale);
    }

    /// Layer normalisation of rows of `gamma.len()` numbers: `y = (x - mean) / sqrt(var + 1e-6) gamma + beta`.
    pub fn layer_norm(x: &[f32], gamma: &[f32], beta: &[f32], y: &mut [f32]) {
        let n = gamma.len();
        for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
            let (mean, inverse) = moments(x);
            for (((y, x), g), b) in y.iter_mut().zip(x).zip(gamma).zip(beta) {
                *y = ((x - mean) * inverse).mul_add(*g, *b);
            }
        }
    }

    /// Gradient of [`layer_norm`] with respect to its input, in place of the gradient of its output.
    pub fn layer_norm_backward(x: &[f32], gamma: &[f32], g: &mut [f32]) {
        let n = gamma.len();
        for (x, g) in x.chunks_exact(n).zip(g.chunks_exact_mut(n)) {
            let (mean, inverse) = moments(x);
            for (g, gamma) in g.iter_mut().zip(gamma) {
                *g *= gamma;
            }
            let mean_g = sum(g) / n as f32;
            let dot = fold::<64>([x, g], 0.0, |sum, x, g| (x - mean).mul_add(g, sum), |a, b| a + b);
            let slope = dot * inverse * inverse / n as f32;
            for (g, x) in g.iter_mut().zip(x) {
                *g = inverse * (*g - mean_g - (x - mean) * slope);
            }
        }
    }
}

/// Folds two rows of one length: `each` takes what was folded so far and a number of either row, `join` two results. `LANES`,
/// some vectors of them, are folded by themselves, and then they: lane after lane would take as long as many a row.
#[inline(always)]
fn fold<const LANES: usize>(
    [a, b]: [&[f32]; 2],
    start: f32,
    each: impl Fn(f32, f32, f32) -> f32,
    join: impl Fn(f32, f32) -> f32,
) -> f32 {
    let mut lanes = [start; LANES];
    let (mut x_groups, mut y_groups) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in (&mut x_groups).zip(&mut y_groups) {
        for ((lane, x), y) in lanes.iter_mut().zip(x).zip(y) {
            *lane = each(*lane, *x, *y);
        }
    }
    let (mut xs, mut ys) = (x_groups.remainder().chunks_exact(VECTOR), y_groups.remainder().chunks_exact(VECTOR));
    for (x, y) in (&mut xs).zip(&mut ys) {
        for ((lane, x), y) in lanes[..VECTOR].iter_mut().zip(x).zip(y) {
            *lane = each(*lane, *x, *y);
        }
    }
    let rest = xs.remainder().iter().zip(ys.remainder()).fold(start, |rest, (x, y)| each(rest, *x, *y));
    let vectors = lanes.as_chunks::<VECTOR>().0.iter().copied();
    let one = vectors.reduce(|a, b| std::array::from_fn(|i| join(a[i], b[i]))).unwrap_or([start; VECTOR]);
    join(joined(one, &join), rest)
}

/// Folds a vector, halves of it onto each other.
#[inline(always)]
fn joined(lanes: [f32; VECTOR], join: impl Fn(f32, f32) -> f32) -> f32 {
    let eight: [f32; 8] = std::array::from_fn(|i| join(lanes[i], lanes[i + 8]));
    let four: [f32; 4] = std::array::from_fn(|i| join(eight[i], eight[i + 4]));
    join(join(four[0], four[2]), join(four[1], four[3]))
}

#[inline(always)]
fn sum(x: &[f32]) -> f32 {
    fold::<64>([x, x], 0.0, |sum, x, _| sum + x, |a, b| a + b)
}

/// Mean and `1 / sqrt(variance + 1e-6)` of a row (Hiera's epsilon).
#[inline(always)]
fn moments(x: &[f32]) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum(x) / n;
    let squares = fold::<64>([x, x], 0.0, |sum, x, _| (x - mean).mul_add(x - mean, sum), |a, b| a + b);
    (mean, 1.0 / (squares / n + 1e-6).sqrt())
}

/// Rounds to bf16, ties to even, and puts each pair of numbers into a word, the first one in its low half. Among the
/// numbers of a row of odd length the last one stands alone. (Subnormal numbers may become zero.)
pub fn halve_rows(x: &[f32], columns: usize, words: &mut [f32]) {
    for (x, words) in x.chunks_exact(columns).zip(words.chunks_exact_mut(columns.div_ceil(2))) {
        #[cfg(target_arch = "x86_64")]
        if avx512_bf16::detected() {
            // SAFETY: the features have been detected; both are slices, of which the second one holds a word for each pair.
            unsafe { avx512_bf16::halve(x.as_ptr(), x.len(), words.as_mut_ptr()) };
            continue;
        }
        for (word, pair) in words.iter_mut().zip(x.chunks(2)) {
            *word = halved(pair[0], pair.get(1).copied().unwrap_or(0.0));
        }
    }
}

/// The same for one row in its own place: its words stand where its first half stood.
pub fn halve_in_place(row: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if avx512_bf16::detected() {
        let (numbers, words) = (row.len(), row.as_mut_ptr());
        // SAFETY: the features have been detected; both pointers are one, to the whole row; a word is written after the
        // numbers at and before its place were read.
        unsafe { avx512_bf16::halve(words, numbers, words) };
        return;
    }
    for i in 0..row.len().div_ceil(2) {
        row[i] = halved(row[2 * i], row.get(2 * i + 1).copied().unwrap_or(0.0));
    }
}

/// Puts two rows of numbers, rounded to bf16, into one row of words, the first row's in the low halves.
pub fn halve_pair(first: &[f32], second: &[f32], words: &mut [f32]) {
    let n = first.len().min(second.len()).min(words.len());
    halve_pairs([1, n], [(first, n), (second, n)], (words, n));
}

/// The same for several rows of `columns` numbers: `rows` of either kind, as many numbers apart as stands beside them, to
/// rows of `width` words, of which `columns` are written.
pub fn halve_pairs([rows, columns]: [usize; 2], from: [(&[f32], usize); 2], (words, width): (&mut [f32], usize)) {
    #[cfg(target_arch = "x86_64")]
    let fast = avx512_bf16::detected();
    for r in 0..rows {
        let [first, second] = from.map(|(x, stride)| &x[r * stride..][..columns]);
        let words = &mut words[r * width..][..columns];
        #[cfg(target_arch = "x86_64")]
        if fast {
            // SAFETY: the features have been detected; all three are `columns` numbers long.
            unsafe { avx512_bf16::halve_pair(first.as_ptr(), second.as_ptr(), columns, words.as_mut_ptr()) };
            continue;
        }
        for ((word, a), b) in words.iter_mut().zip(first).zip(second) {
            *word = halved(*a, *b);
        }
    }
}

/// Writes eight columns side by side, from place `at` on in rows of `width` numbers.
pub fn transpose_into(columns: [&[f32]; 8], at: usize, width: usize, rows: &mut [f32]) {
    let n = columns[0].len();
    let columns = columns.map(|c| &c[..n]);
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        while done + 8 <= n {
            let to = &mut rows[done * width + at..][..7 * width + 8];
            // SAFETY: the feature has been detected; eight numbers stand in each column from `done` on, and in each of eight
            // rows from the slice's begin on.
            unsafe { avx::transpose(columns.map(|c| c[done..].as_ptr()), to.as_mut_ptr(), width) };
            done += 8;
        }
    }
    for p in done..n {
        let row = &mut rows[p * width + at..][..8];
        for (to, column) in row.iter_mut().zip(&columns) {
            *to = column[p];
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    use std::arch::x86_64::*;

    /// Eight columns of eight numbers become rows, each `width` numbers after the one before.
    ///
    /// # Safety
    /// As many numbers can be read and written.
    #[target_feature(enable = "avx")]
    pub unsafe fn transpose(columns: [*const f32; 8], rows: *mut f32, width: usize) {
        // SAFETY: the caller's promise.
        let x: [__m256; 8] = unsafe {
            let c = columns;
            [0, 1, 2, 3, 4, 5, 6, 7].map(|i: usize| _mm256_loadu_ps(c[i]))
        };
        // Turns 2x2 numbers, 2x2 pairs of them, and then halves of four.
        let pairs = |i: usize| (_mm256_unpacklo_ps(x[i], x[i + 1]), _mm256_unpackhi_ps(x[i], x[i + 1]));
        let fours = |i: usize| {
            let ((a, b), (c, d)) = (pairs(i), pairs(i + 2));
            [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xee>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xee>(b, d),
            ]
        };
        let (left, right) = (fours(0), fours(4));
        for i in 0..4 {
            // SAFETY: the caller's promise.
            unsafe {
                _mm256_storeu_ps(rows.add(i * width), _mm256_permute2f128_ps::<0x20>(left[i], right[i]));
                _mm256_storeu_ps(rows.add((i + 4) * width), _mm256_permute2f128_ps::<0x31>(left[i], right[i]));
            }
        }
    }
}

/// Rounding by the processor's own instructions, which take subnormal numbers for zeros.
#[cfg(target_arch = "x86_64")]
mod avx512_bf16 {
    use std::arch::x86_64::*;

    /// Whether this machine has them.
    pub fn detected() -> bool {
        is_x86_feature_detected!("avx512bf16")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512f")
    }

    /// `n` numbers to `n` halves.
    ///
    /// # Safety
    /// `n` numbers can be read and a word for each pair of them written. Words may be written over numbers from the first one on.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub unsafe fn halve(x: *const f32, n: usize, words: *mut f32) {
        let mut at = 0;
        // SAFETY: each step reads its numbers, all of which are there, before it writes their words, and no word lies behind
        // the numbers read so far. (Masked stores would need no steps of several sizes, but are slow on many a machine.)
        unsafe {
            while at + 32 <= n {
                let (low, high) = (_mm512_loadu_ps(x.add(at)), _mm512_loadu_ps(x.add(at + 16)));
                let halves = std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_ps(words.add(at / 2), halves);
                at += 32;
            }
            while at + 8 <= n {
                let halves = std::mem::transmute::<__m128bh, __m128>(_mm256_cvtneps_pbh(_mm256_loadu_ps(x.add(at))));
                _mm_storeu_ps(words.add(at / 2), halves);
                at += 8;
            }
            while at < n {
                let second = if at + 1 < n { *x.add(at + 1) } else { 0.0 };
                *words.add(at / 2) = super::halved(*x.add(at), second);
                at += 2;
            }
        }
    }

    /// `n` numbers of either row to `n` words.
    ///
    /// # Safety
    /// As many can be read and written.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub unsafe fn halve_pair(a: *const f32, b: *const f32, n: usize, words: *mut f32) {
        let order: [u16; 32] = std::array::from_fn(|i| (i / 2 + i % 2 * 16) as u16);
        let short: [u16; 16] = std::array::from_fn(|i| (i / 2 + i % 2 * 8) as u16);
        let mut at = 0;
        // SAFETY: arrays of 512 and 256 bits; each step reads and writes within the `n` that the caller promises.
        unsafe {
            let (order, short) = (_mm512_loadu_si512(order.as_ptr().cast()), _mm256_loadu_si256(short.as_ptr().cast()));
            while at + 16 <= n {
                let (low, high) = (_mm512_loadu_ps(a.add(at)), _mm512_loadu_ps(b.add(at)));
                let halves = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_ps(words.add(at), _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, halves)));
                at += 16;
            }
            while at + 8 <= n {
                let (low, high) = (_mm256_loadu_ps(a.add(at)), _mm256_loadu_ps(b.add(at)));
                let halves = std::mem::transmute::<__m256bh, __m256i>(_mm256_cvtne2ps_pbh(high, low));
                _mm256_storeu_ps(words.add(at), _mm256_castsi256_ps(_mm256_permutexvar_epi16(short, halves)));
                at += 8;
            }
            while at < n {
                *words.add(at) = super::halved(*a.add(at), *b.add(at));
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(from: f32, to: f32) -> impl Iterator<Item = f32> {
        (0..=20_000).map(move |i| from + (to - from) * i as f32 / 20_000.0)
    }

    /// Abramowitz and Stegun 7.1.5 (series) and 7.1.14 (continued fraction), in double precision.
    fn erf_f64(x: f64) -> f64 {
        if x.abs() < 3.0 {
            let (mut term, mut sum) = (x, x);
            for n in 1..200 {
                term *= -x * x / n as f64;
                sum += term / (2 * n + 1) as f64;
            }
            sum * 2.0 / std::f64::consts::PI.sqrt()
        } else {
            let mut f = x.abs();
            for n in (1..100).rev() {
                f = x.abs() + n as f64 / 2.0 / f;
            }
            x.signum() * (1.0 - (-x * x).exp() / f / std::f64::consts::PI.sqrt())
        }
    }

    #[test]
    fn elementary_functions_are_within_rounding() {
        for x in grid(-87.0, 88.0) {
            let want = (x as f64).exp();
            assert!((exp(x) as f64 / want - 1.0).abs() < 3e-7, "exp {x}");
        }
        for x in grid(-86.5, 0.0) {
            let error = (exp_of_negative(x) as f64 / (x as f64).exp() - 1.0).abs();
            assert!(error < 1.5e-7 + 2e-8 * f64::from(x.abs()), "exp_of_negative {x}: {error}");
        }
        for x in grid(1.0, 2.0) {
            assert!((ln(x) as f64 - (x as f64).ln()).abs() < 1.2e-7, "ln {x}");
        }
        for x in grid(-6.0, 6.0) {
            let (v, w) = (x as f64, erf_f64(x as f64 / std::f64::consts::SQRT_2));
            assert!((tails(x).0 as f64 - (1.0 - w.abs())).abs() < 1.5e-7, "tails {x}");
            assert!((gelu(x) as f64 - 0.5 * v * (1.0 + w)).abs() < 4e-7 * (1.0 + v.abs()), "gelu {x}");
            let slope = 0.5 * (1.0 + w) + v * (-0.5 * v * v).exp() / (2.0 * std::f64::consts::PI).sqrt();
            assert!((gelu_slope(x) as f64 - slope).abs() < 3e-7, "slope {x}");
            assert!((softplus(x) as f64 - v.exp().ln_1p()).abs() < 5e-7, "softplus {x}");
        }
    }

    #[test]
    fn halves_are_rounded_as_half_rounds() {
        let mut x: Vec<f32> = grid(-3.0, 5.0).chain([f32::INFINITY, -0.0, 1e-40, f32::MAX]).collect();
        x.push(f32::from_bits(0x3f80_8000)); // a tie, to even
        x.push(f32::from_bits(0x3f81_8000)); // and up
        x.push(f32::NAN);
        let wanted: Vec<u16> = x.iter().map(|v| half::bf16::from_f32(*v).to_bits()).collect();
        for columns in [1, 2, 3, 8, x.len()] {
            let whole = x.len() / columns * columns;
            let mut words = vec![0.0; whole / columns * columns.div_ceil(2)];
            halve_rows(&x[..whole], columns, &mut words);
            for (i, wanted) in wanted[..whole].iter().enumerate() {
                let word = words[i / columns * columns.div_ceil(2) + i % columns / 2].to_bits();
                let found = if i % columns % 2 == 0 { word as u16 } else { (word >> 16) as u16 };
                let zero = half::bf16::from_bits(*wanted).to_f32().is_subnormal() && found & 0x7fff == 0;
                assert!(found == *wanted || zero, "{}: {found} for {wanted}", x[i]);
            }
        }
        for length in [1_usize, 2, 31, 32, 33, 70] {
            let mut wanted = vec![0.0; length.div_ceil(2)];
            halve_rows(&x[..length], length, &mut wanted);
            let mut row = x[..length].to_vec();
            halve_in_place(&mut row);
            let bits = |words: &[f32]| words.iter().map(|w| w.to_bits()).collect::<Vec<_>>();
            assert_eq!(bits(&row[..wanted.len()]), bits(&wanted), "in place");
        }
        let mut words = vec![0.0; 3];
        halve_pair(&[1.0, 2.0, 3.0], &[-1.0, 0.5, f32::NAN], &mut words);
        let bits = |v: f32| u32::from(half::bf16::from_f32(v).to_bits());
        let wanted = [(1.0, -1.0), (2.0, 0.5), (3.0, f32::NAN)].map(|(a, b)| bits(a) | bits(b) << 16);
        assert_eq!(words.iter().map(|w| w.to_bits()).collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn columns_of_any_length_become_rows() {
        for n in [1, 7, 8, 9, 36, 41] {
            let columns: Vec<f32> = (0..8 * n).map(|v| v as f32).collect();
            let (at, width) = (3, 13);
            let mut rows = vec![-1.0; n * width];
            transpose_into(std::array::from_fn(|i| &columns[i * n..][..n]), at, width, &mut rows);
            for (i, v) in rows.iter().enumerate() {
                let wanted = match (i % width).checked_sub(at) {
                    Some(column) if column < 8 => columns[column * n + i / width],
                    _ => -1.0,
                };
                assert_eq!(*v, wanted, "{n}, number {i}");
            }
        }
    }

    #[test]
    fn weights_of_a_row_are_a_softmax_and_its_gradient() {
        for (count, room, last) in [(1, 1, 1.0), (5, 16, 3.0), (37, 48, 1.0), (64, 64, 2.0), (70, 75, 9.0)] {
            let scores: Vec<f32> = (0..room).map(|i| (i * 7919 % 100) as f32 / 10.0 - 4.0).collect();
            let e: Vec<f64> = (0..count)
                .map(|i| (0.5 * f64::from(scores[i])).exp() * if i + 1 == count { f64::from(last) } else { 1.0 })
                .collect();
            let total: f64 = e.iter().sum();
            let mut row = scores.clone();
            let factor = exponentials(&mut row, count, 0.5, last);
            for (i, v) in row.iter().enumerate() {
                let wanted = e.get(i).map_or(0.0, |e| e / total);
                assert!((f64::from(v * factor) - wanted).abs() < 1e-6, "{count} of {room}: {i}");
            }
            let g: Vec<f32> = scores.iter().rev().copied().collect();
            let mean: f64 = e.iter().zip(&g).map(|(e, g)| e / total * f64::from(*g)).sum();
            let mut gradient = g.clone();
            softmax_backward(&row, factor, 0.5, &mut gradient);
            for (i, v) in gradient.iter().enumerate() {
                let wanted = e.get(i).map_or(0.0, |e| 0.5 * e / total * (f64::from(g[i]) - mean));
                assert!((f64::from(*v) - wanted).abs() < 2e-6, "{count} of {room}: gradient {i}");
            }
        }
    }

    #[test]
    fn the_largest_of_four_is_the_first_among_equals() {
        let nan = f32::NAN;
        let four = [
            [1.0, 2.0, nan, 0.0, -1.0],
            [3.0, 2.0, 1.0, nan, -0.5],
            [2.0, 1.0, 9.0, nan, -2.0],
            [3.0, 2.5, nan, 5.0, -0.5],
        ];
        let (mut largest, mut which) = ([0.0; 5], [9; 5]);
        largest_of_four(four.each_ref().map(|row| row.as_slice()), &mut largest, &mut which);
        assert_eq!(which, [1, 3, 0, 1, 1]);
        assert_eq!((largest[0], largest[1], largest[4]), (3.0, 2.5, -0.5));
        assert!(largest[2].is_nan() && largest[3].is_nan());
    }

    #[test]
    fn nan_stays_nan() {
        for f in [exp, exp_of_negative, gelu, gelu_slope, sigmoid, softplus] {
            assert!(f(f32::NAN).is_nan());
        }
        let mut row = vec![1.0; 70];
        row[40] = f32::NAN;
        let factor = exponentials(&mut row, 70, 1.0, 1.0);
        assert!(factor.is_nan());
        let mut y = [f32::NAN];
        relu_rows(Rows { y: &mut y, stride: 1, columns: 1 });
        assert!(y[0].is_nan());
    }
}
