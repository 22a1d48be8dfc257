//! Elementary functions of one number, written so that the compiler vectorises them.

/// 1.5 * 2^23: what is added to it is rounded to the nearest integer.
const ROUND: f32 = 12_582_912.0;

/// `e^x`, within 2 units in the last place; NaN stays NaN.
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
/// weights, and 2e-8 of `x` far from it; NaN stays NaN.
#[inline(always)]
pub(super) fn exp_of_negative(x: f32) -> f32 {
    let x = if x < -86.6 { -86.6 } else { x };
    let shifted = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    power_of_two(shifted, x.mul_add(std::f32::consts::LOG2_E, ROUND - shifted))
}

/// `2^(n + r)` for a whole number `n`, taken from the bits of `n +` [`ROUND`], and `|r| <= 1/2`.
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
    // The integer is in the low bits of `shifted` (a cast of `n` would not be vectorised).
    p * f32::from_bits(shifted.to_bits().wrapping_add(127) << 23)
}

/// Natural logarithm of a positive normal number, within 2 units in the last place away from 1.
#[inline(always)]
pub fn ln(x: f32) -> f32 {
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
pub(super) fn tails(x: f32) -> (f32, f32) {
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
