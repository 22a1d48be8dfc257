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

/// Independent partial results in a reduction: enough to fill the vector units, few enough to stay in registers.
const LANES: usize = 32;
/// Numbers worked on as one: a vector of AVX-512, two of AVX2.
const VECTOR: usize = 16;

/// `e^x`, within 2 units in the last place; not a number stays so.
#[inline(always)]
pub fn exp(x: f32) -> f32 {
    // Comparisons rather than `max`/`min`, which would turn a NaN into a number.
    let x = if x < -87.3 { -87.3 } else { x };
    let x = if x > 88.3 { 88.3 } else { x };
    // Adding 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
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
    // 2^n: the integer stands in the low bits of `shifted` (a cast of `n` would not be vectorised).
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

/// The error function, within 1.5e-7: up to 1 a polynomial of degree 6 for `erf(x) / x` in `x^2`, beyond it
/// `1 - e^-q(x)` with a polynomial `q` of degree 6 (both fitted to 1.2e-9; `erf` is 1 in single precision from 4 on).
#[inline(always)]
fn erf(x: f32) -> f32 {
    let a = x.abs();
    let s = a * a;
    let p = 7.889_1e-5;
    let p = s.mul_add(p, -8.020_835e-4);
    let p = s.mul_add(p, 5.189_535e-3);
    let p = s.mul_add(p, -2.685_444_4e-2);
    let p = s.mul_add(p, 1.128_36e-1);
    let p = s.mul_add(p, -3.761_262_6e-1);
    let near = a * s.mul_add(p, std::f32::consts::FRAC_2_SQRT_PI);
    let b = if a > 4.0 { 4.0 } else { a };
    let q = -1.855_798_2e-4;
    let q = b.mul_add(q, 2.939_662_7e-3);
    let q = b.mul_add(q, -2.180_553_4e-2);
    let q = b.mul_add(q, 1.030_378_04e-1);
    let q = b.mul_add(q, 6.382_252e-1);
    let q = b.mul_add(q, 1.127_040_3);
    let q = b.mul_add(q, 3.536_500_4e-4);
    let far = 1.0 - exp(-q);
    // A NaN takes the first branch, which keeps it.
    let size = if a > 1.0 { far } else { near };
    size.copysign(x)
}

/// `x Phi(x)`, the exact (erf) form of GELU.
#[inline(always)]
pub fn gelu(x: f32) -> f32 {
    0.5 * x * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2))
}

/// GELU's derivative, `Phi(x) + x phi(x)`.
#[inline(always)]
pub fn gelu_slope(x: f32) -> f32 {
    const INV_SQRT_TAU: f32 = 0.398_942_3;
    let cdf = 0.5 * (1.0 + erf(x * std::f32::consts::FRAC_1_SQRT_2));
    (x * INV_SQRT_TAU).mul_add(exp(-0.5 * x * x), cdf)
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

/// `y = f(y)`, a whole vector at a time also where a row is short.
#[inline(always)]
fn map_row(y: &mut [f32], f: impl Fn(f32) -> f32) {
    let (vectors, rest) = y.as_chunks_mut::<VECTOR>();
    vectors.iter_mut().for_each(|y| *y = y.map(&f));
    rest.iter_mut().for_each(|y| *y = f(*y));
}

/// `y = f(y, x)`, likewise.
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

vectorised! {
    /// `y = max(y, 0)`.
    pub fn relu_rows(rows: Rows<'_>) {
        for row in rows.y.chunks_mut(rows.stride) {
            map_row(&mut row[..rows.columns], |y| if y < 0.0 { 0.0 } else { y });
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
            map_rows(&mut row[..rows.columns], residual, |y, r| y + r);
        }
    }

    /// `y = gelu(y) + residual`, laid out alike.
    pub fn gelu_add_rows(rows: Rows<'_>, residual: &[f32]) {
        for (row, residual) in rows.y.chunks_mut(rows.stride).zip(residual.chunks(rows.stride)) {
            map_rows(&mut row[..rows.columns], residual, |y, r| gelu(y) + r);
        }
    }

    /// Writes eight columns side by side, from place `at` on in rows of `width` numbers.
    pub fn transpose_into(columns: [&[f32]; 8], at: usize, width: usize, rows: &mut [f32]) {
        let n = columns[0].len();
        let columns = columns.map(|c| &c[..n]);
        let mut p = 0;
        while p + 8 <= n {
            let mut block = [[0.0; 8]; 8];
            for (i, column) in columns.iter().enumerate() {
                for (row, v) in block.iter_mut().zip(&column[p..p + 8]) {
                    row[i] = *v;
                }
            }
            for (i, row) in block.iter().enumerate() {
                rows[(p + i) * width + at..][..8].copy_from_slice(row);
            }
            p += 8;
        }
        for p in p..n {
            for (i, column) in columns.iter().enumerate() {
                rows[p * width + at + i] = column[p];
            }
        }
    }

    /// Rounds to bf16, ties to even, and puts each pair of numbers into a word, the first one in its low half. Among the
    /// numbers of a row of odd length the last one stands alone.
    pub fn halve_rows(x: &[f32], columns: usize, words: &mut [f32]) {
        let per_row = columns.div_ceil(2);
        for (x, words) in x.chunks_exact(columns).zip(words.chunks_exact_mut(per_row)) {
            let pairs = x.chunks_exact(2);
            let last = pairs.remainder();
            for (word, pair) in words.iter_mut().zip(pairs) {
                *word = f32::from_bits(bf16_bits(pair[0]) >> 16 | bf16_bits(pair[1]) & 0xffff_0000);
            }
            if let [x] = last {
                words[per_row - 1] = f32::from_bits(bf16_bits(*x) >> 16);
            }
        }
    }

    /// Puts two rows of numbers, rounded to bf16, into one row of words, the first row's in the low halves.
    pub fn halve_pair(first: &[f32], second: &[f32], words: &mut [f32]) {
        for ((word, a), b) in words.iter_mut().zip(first).zip(second) {
            *word = f32::from_bits(bf16_bits(*a) >> 16 | bf16_bits(*b) & 0xffff_0000);
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
        map_rows(y, x, |y, x| y + x);
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
    pub fn to_tile(pixels: [&[f32]; 16], plane: usize, turned: &mut [f32]) {
        let channels = pixels[0].len();
        let pixels = pixels.map(|p| &p[..channels]);
        for at in (0..channels / VECTOR).map(|i| i * VECTOR) {
            let mut d = [[0.0; VECTOR]; 16];
            for (d, pixel) in d.iter_mut().zip(&pixels) {
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

    /// `A^T m A` of the same: from a vector of channels of each of a tile's 16 products, `plane` numbers apart, to its
    /// 2x2 pixels, plus a bias, then a ReLU if asked for.
    pub fn from_tile(products: &[f32], plane: usize, bias: &[f32], relu: bool, pixels: &mut [[f32; 16]; 4]) {
        let mut rows = [[0.0; VECTOR]; 8];
        for y in 0..4 {
            let m: [&[f32]; 4] = [0, 1, 2, 3].map(|x| &products[(4 * y + x) * plane..][..VECTOR]);
            for i in 0..VECTOR {
                rows[2 * y][i] = m[0][i] + m[1][i] + m[2][i];
                rows[2 * y + 1][i] = m[1][i] - m[2][i] - m[3][i];
            }
        }
        let (bias, least) = (&bias[..VECTOR], if relu { 0.0 } else { f32::NEG_INFINITY });
        for x in 0..2 {
            for i in 0..VECTOR {
                let [a, b, c, e] = [rows[x][i], rows[2 + x][i], rows[4 + x][i], rows[6 + x][i]];
                let (above, below) = (a + b + c + bias[i], b - c - e + bias[i]);
                // not `max`, which would turn a NaN into a number
                pixels[x][i] = if above < least { least } else { above };
                pixels[2 + x][i] = if below < least { least } else { below };
            }
        }
    }

    /// Turns a row of scores into weights that sum to `1 / factor`, and gives `factor`:
    /// `e^(scale (s - max))`, the last one counted `last` times.
    pub fn exponentials(row: &mut [f32], scale: f32, last: f32) -> f32 {
        let mut top = [f32::NEG_INFINITY; LANES];
        let mut chunks = row.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (t, v) in top.iter_mut().zip(chunk) {
                *t = if *v > *t { *v } else { *t };
            }
        }
        let mut max = f32::NEG_INFINITY;
        for v in top.iter().chain(chunks.remainder()) {
            max = if *v > max { *v } else { max };
        }
        map_row(row, |v| exp((v - max) * scale));
        if let Some(v) = row.last_mut() {
            *v *= last;
        }
        1.0 / sum_lanes(row)
    }

    /// `y *= factor`.
    pub fn scale(y: &mut [f32], factor: f32) {
        map_row(y, |y| y * factor);
    }

    /// Gradient of the softmax of a scaled row: `g = scale p (g - sum_j p_j g_j)`.
    pub fn softmax_backward(p: &[f32], scale: f32, g: &mut [f32]) {
        let d = dot_lanes(p, g);
        map_rows(g, p, |g, p| p * (g - d) * scale);
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
            let mean_g = sum_lanes(g) / n as f32;
            let mut partial = [0.0; LANES];
            let (mut xs, mut gs) = (x.chunks_exact(LANES), g.chunks_exact(LANES));
            for (x, g) in (&mut xs).zip(&mut gs) {
                for ((p, x), g) in partial.iter_mut().zip(x).zip(g) {
                    *p = (x - mean).mul_add(*g, *p);
                }
            }
            let mut dot: f32 = partial.iter().sum();
            for (x, g) in xs.remainder().iter().zip(gs.remainder()) {
                dot += (x - mean) * g;
            }
            let slope = dot * inverse * inverse / n as f32;
            for (g, x) in g.iter_mut().zip(x) {
                *g = inverse * (*g - mean_g - (x - mean) * slope);
            }
        }
    }
}

#[inline(always)]
fn sum_lanes(x: &[f32]) -> f32 {
    let mut partial = [0.0; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (p, v) in partial.iter_mut().zip(chunk) {
            *p += v;
        }
    }
    partial.iter().sum::<f32>() + chunks.remainder().iter().sum::<f32>()
}

#[inline(always)]
fn dot_lanes(a: &[f32], b: &[f32]) -> f32 {
    let mut partial = [0.0; LANES];
    let (mut x, mut y) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    for (x, y) in (&mut x).zip(&mut y) {
        for ((p, x), y) in partial.iter_mut().zip(x).zip(y) {
            *p = x.mul_add(*y, *p);
        }
    }
    let rest: f32 = x.remainder().iter().zip(y.remainder()).map(|(x, y)| x * y).sum();
    partial.iter().sum::<f32>() + rest
}

/// Mean and `1 / sqrt(variance + 1e-6)` of a row (Hiera's epsilon).
#[inline(always)]
fn moments(x: &[f32]) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = sum_lanes(x) / n;
    let mut partial = [0.0f32; LANES];
    let mut chunks = x.chunks_exact(LANES);
    for chunk in &mut chunks {
        for (p, v) in partial.iter_mut().zip(chunk) {
            let d = v - mean;
            *p = d.mul_add(d, *p);
        }
    }
    let rest: f32 = chunks.remainder().iter().map(|v| (v - mean) * (v - mean)).sum();
    let variance = (partial.iter().sum::<f32>() + rest) / n;
    (mean, 1.0 / (variance + 1e-6).sqrt())
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
        for x in grid(1.0, 2.0) {
            assert!((ln(x) as f64 - (x as f64).ln()).abs() < 1.2e-7, "ln {x}");
        }
        for x in grid(-6.0, 6.0) {
            let (v, w) = (x as f64, erf_f64(x as f64 / std::f64::consts::SQRT_2));
            assert!((erf(x) as f64 - erf_f64(v)).abs() < 1.5e-7, "erf {x}");
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
                assert_eq!(found, *wanted, "{}", x[i]);
            }
        }
        let mut words = vec![0.0; 3];
        halve_pair(&[1.0, 2.0, 3.0], &[-1.0, 0.5, f32::NAN], &mut words);
        let bits = |v: f32| u32::from(half::bf16::from_f32(v).to_bits());
        let wanted = [(1.0, -1.0), (2.0, 0.5), (3.0, f32::NAN)].map(|(a, b)| bits(a) | bits(b) << 16);
        assert_eq!(words.iter().map(|w| w.to_bits()).collect::<Vec<_>>(), wanted);
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
        for f in [exp, gelu, gelu_slope, sigmoid, softplus] {
            assert!(f(f32::NAN).is_nan());
        }
        let mut row = vec![1.0; 70];
        row[40] = f32::NAN;
        let factor = exponentials(&mut row, 1.0, 1.0);
        assert!(factor.is_nan());
        let mut y = [f32::NAN];
        relu_rows(Rows { y: &mut y, stride: 1, columns: 1 });
        assert!(y[0].is_nan());
    }
}
