//! Numbers rounded to bf16, two to a 32-bit lane.
//!
//! A bf16 product reads pairs: two bf16 numbers that are neighbours in depth (the direction that a product sums over) share one
//! 32-bit lane, the first in its low half. Buffers are `f32` throughout, so a lane is an `f32` whose bits are such a pair; it is
//! never used as a number. Rounding is to nearest, ties to even; NaN stays NaN. Where the processor rounds by
//! itself, subnormal numbers become zeros.

use super::dispatch::vectorised;

/// Two numbers rounded to bf16 in one lane, the first one in its low half.
#[inline(always)]
fn pack_bf16(first: f32, second: f32) -> f32 {
    f32::from_bits(bf16_bits(first) >> 16 | bf16_bits(second) & 0xffff_0000)
}

/// A number rounded to bf16, ties to even, in the upper half of the result; the lower half is not cleared. NaN stays NaN.
#[inline(always)]
fn bf16_bits(x: f32) -> u32 {
    let bits = x.to_bits();
    let rounded = bits.wrapping_add(0x7fff + ((bits >> 16) & 1));
    if x.is_nan() { bits | 0x0040_0000 } else { rounded }
}

vectorised! {
    /// The opposite of [`round_bf16_pair`]: from each row of `width` lanes two rows of `width` numbers, first the numbers in the
    /// low halves, then those in the high halves.
    pub fn widen_bf16_rows(lanes: &[f32], width: usize, numbers: &mut [f32]) {
        for (lanes, rows) in lanes.chunks_exact(width).zip(numbers.chunks_exact_mut(2 * width)) {
            let (low, high) = rows.split_at_mut(width);
            for ((lane, low), high) in lanes.iter().zip(low).zip(high) {
                *low = f32::from_bits(lane.to_bits() << 16);
                *high = f32::from_bits(lane.to_bits() & 0xffff_0000);
            }
        }
    }

    /// Puts the numbers of two rows of lanes side by side: number `i` of either row goes into lane `i`, the first row's into the
    /// low half.
    pub fn interleave_bf16_rows(first: &[f32], second: &[f32], lanes: &mut [f32]) {
        for (([low, high], a), b) in lanes.as_chunks_mut::<2>().0.iter_mut().zip(first).zip(second) {
            let (a, b) = (a.to_bits(), b.to_bits());
            *low = f32::from_bits(a & 0xffff | b << 16);
            *high = f32::from_bits(a >> 16 | b & 0xffff_0000);
        }
    }

    /// The largest of four rows of lanes, number by number: among equals the first, and a NaN, once met, stays.
    pub fn largest_of_four_bf16(four: [&[f32]; 4], largest: &mut [f32]) {
        let n = largest.len();
        let [a, b, c, d] = four.map(|row| &row[..n]);
        let better = |best: f32, v: f32| if (v > best) | (v.is_nan() & !best.is_nan()) { v } else { best };
        for i in 0..n {
            let of = |mask: u32, shift: u32| {
                let number = |lane: f32| f32::from_bits((lane.to_bits() & mask) << shift);
                [b[i], c[i], d[i]].into_iter().fold(number(a[i]), |best, lane| better(best, number(lane))).to_bits()
            };
            largest[i] = f32::from_bits(of(0xffff, 16) >> 16 | of(0xffff_0000, 0));
        }
    }

    /// Takes the two numbers of a lane apart: of each two neighbouring lanes, the two low halves go into one lane of `low`, the
    /// two high halves into one of `high`.
    pub fn split_bf16_pairs(lanes: &[f32], low: &mut [f32], high: &mut [f32]) {
        for (([a, b], low), high) in lanes.as_chunks::<2>().0.iter().zip(low).zip(high) {
            let (a, b) = (a.to_bits(), b.to_bits());
            *low = f32::from_bits(a & 0xffff | b << 16);
            *high = f32::from_bits(a >> 16 | b & 0xffff_0000);
        }
    }
}

/// Rounds rows of `columns` numbers to bf16, neighbours in a row sharing a lane: `columns.div_ceil(2)` lanes to a row. The last
/// number of a row of odd length has its lane alone, beside a zero.
pub fn round_bf16_rows(x: &[f32], columns: usize, lanes: &mut [f32]) {
    for (x, lanes) in x.chunks_exact(columns).zip(lanes.chunks_exact_mut(columns.div_ceil(2))) {
        #[cfg(target_arch = "x86_64")]
        if avx512_bf16::detected() {
            // SAFETY: the features have been detected; both are slices, of which the second one holds a lane for each pair.
            unsafe { avx512_bf16::round(x.as_ptr(), x.len(), lanes.as_mut_ptr()) };
            continue;
        }
        for (lane, pair) in lanes.iter_mut().zip(x.chunks(2)) {
            *lane = pack_bf16(pair[0], pair.get(1).copied().unwrap_or(0.0));
        }
    }
}

/// The same for one row, 32 numbers to 16 lanes that begin `step` lanes after the 16 before. Zeros follow the last number.
pub fn round_bf16_steps(row: &[f32], lanes: &mut [f32], step: usize) {
    let (whole, rest) = row.as_chunks::<32>();
    assert!(row.is_empty() || lanes.len() >= (row.len() - 1) / 32 * step + 16, "room for a row's lanes");
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if avx512_bf16::detected() {
        // SAFETY: the features have been detected; there is room for the lanes of all whole steps.
        unsafe { avx512_bf16::round_steps(row.as_ptr(), whole.len(), lanes.as_mut_ptr(), step) };
        done = whole.len();
    }
    let slow = whole.iter().map(|numbers| &numbers[..]).chain((!rest.is_empty()).then_some(rest));
    for (i, numbers) in slow.enumerate().skip(done) {
        let (used, rest) = lanes[i * step..][..16].split_at_mut(numbers.len().div_ceil(2));
        round_bf16_rows(numbers, numbers.len(), used);
        rest.fill(0.0);
    }
}

/// [`round_bf16_rows`] for one row, in place: its lanes overwrite the first half of it.
pub fn round_bf16_in_place(row: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    if avx512_bf16::detected() {
        let (numbers, lanes) = (row.len(), row.as_mut_ptr());
        // SAFETY: the features have been detected; both pointers are one, to the whole row; a lane is written after the
        // numbers at and before its place were read.
        unsafe { avx512_bf16::round(lanes, numbers, lanes) };
        return;
    }
    for i in 0..row.len().div_ceil(2) {
        row[i] = pack_bf16(row[2 * i], row.get(2 * i + 1).copied().unwrap_or(0.0));
    }
}

/// Rounds two rows to bf16, numbers at the same index sharing a lane: the first row's in the low halves.
pub fn round_bf16_pair(first: &[f32], second: &[f32], lanes: &mut [f32]) {
    let n = first.len().min(second.len()).min(lanes.len());
    round_bf16_pairs([1, n], [(first, n), (second, n)], (lanes, n));
}

/// The same for `rows` pairs of rows of `columns` numbers. Either matrix comes with the distance from one of its rows to the
/// next; the result's rows are `width` lanes apart, of which the first `columns` are written.
pub fn round_bf16_pairs([rows, columns]: [usize; 2], from: [(&[f32], usize); 2], (lanes, width): (&mut [f32], usize)) {
    #[cfg(target_arch = "x86_64")]
    let fast = avx512_bf16::detected();
    for r in 0..rows {
        let [first, second] = from.map(|(x, stride)| &x[r * stride..][..columns]);
        let lanes = &mut lanes[r * width..][..columns];
        #[cfg(target_arch = "x86_64")]
        if fast {
            // SAFETY: the features have been detected; all three are `columns` numbers long.
            unsafe { avx512_bf16::round_pair(first.as_ptr(), second.as_ptr(), columns, lanes.as_mut_ptr()) };
            continue;
        }
        for ((lane, a), b) in lanes.iter_mut().zip(first).zip(second) {
            *lane = pack_bf16(*a, *b);
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

    /// Rounds `n` numbers into a lane for each pair of them.
    ///
    /// # Safety
    /// `n` numbers can be read and a lane for each pair of them written. Lanes may overwrite the numbers if both begin at the
    /// same address.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub unsafe fn round(x: *const f32, n: usize, lanes: *mut f32) {
        let mut at = 0;
        // SAFETY: each step reads its numbers, all of which are there, before it writes their lanes, and no lane lies behind
        // the numbers read so far. (Masked stores would need no steps of several sizes, but are slow on many a machine.)
        unsafe {
            while at + 32 <= n {
                let (low, high) = (_mm512_loadu_ps(x.add(at)), _mm512_loadu_ps(x.add(at + 16)));
                let rounded = std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_ps(lanes.add(at / 2), rounded);
                at += 32;
            }
            while at + 8 <= n {
                let rounded = std::mem::transmute::<__m128bh, __m128>(_mm256_cvtneps_pbh(_mm256_loadu_ps(x.add(at))));
                _mm_storeu_ps(lanes.add(at / 2), rounded);
                at += 8;
            }
            while at < n {
                let second = if at + 1 < n { *x.add(at + 1) } else { 0.0 };
                *lanes.add(at / 2) = super::pack_bf16(*x.add(at), second);
                at += 2;
            }
        }
    }

    /// Rounds `steps` times 32 numbers into 16 lanes each, `step` lanes after those before.
    ///
    /// # Safety
    /// So many numbers can be read and lanes written.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub unsafe fn round_steps(x: *const f32, steps: usize, lanes: *mut f32, step: usize) {
        for s in 0..steps {
            // SAFETY: the caller's promise.
            unsafe {
                let (low, high) = (_mm512_loadu_ps(x.add(s * 32)), _mm512_loadu_ps(x.add(s * 32 + 16)));
                let rounded = std::mem::transmute::<__m512bh, __m512>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_ps(lanes.add(s * step), rounded);
            }
        }
    }

    /// Rounds `n` numbers of either row into `n` lanes.
    ///
    /// # Safety
    /// As many can be read and written.
    #[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512bf16")]
    pub unsafe fn round_pair(a: *const f32, b: *const f32, n: usize, lanes: *mut f32) {
        let order: [u16; 32] = std::array::from_fn(|i| (i / 2 + i % 2 * 16) as u16);
        let short: [u16; 16] = std::array::from_fn(|i| (i / 2 + i % 2 * 8) as u16);
        let mut at = 0;
        // SAFETY: arrays of 512 and 256 bits; each step reads and writes within the `n` that the caller promises.
        unsafe {
            let (order, short) = (_mm512_loadu_si512(order.as_ptr().cast()), _mm256_loadu_si256(short.as_ptr().cast()));
            while at + 16 <= n {
                let (low, high) = (_mm512_loadu_ps(a.add(at)), _mm512_loadu_ps(b.add(at)));
                let rounded = std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low));
                _mm512_storeu_ps(lanes.add(at), _mm512_castsi512_ps(_mm512_permutexvar_epi16(order, rounded)));
                at += 16;
            }
            while at + 8 <= n {
                let (low, high) = (_mm256_loadu_ps(a.add(at)), _mm256_loadu_ps(b.add(at)));
                let rounded = std::mem::transmute::<__m256bh, __m256i>(_mm256_cvtne2ps_pbh(high, low));
                _mm256_storeu_ps(lanes.add(at), _mm256_castsi256_ps(_mm256_permutexvar_epi16(short, rounded)));
                at += 8;
            }
            while at < n {
                *lanes.add(at) = super::pack_bf16(*a.add(at), *b.add(at));
                at += 1;
            }
        }
    }
}
