//! Tiles of up to 12 rows of 32 columns, their lanes pairs of bf16 numbers, for AVX-512 BF16.

use super::fma::micro_kernel;
use std::arch::x86_64::{
    __m512, __m512bh, _mm512_add_ps as add, _mm512_dpbf16_ps, _mm512_loadu_ps as load, _mm512_set1_ps as splat,
    _mm512_storeu_ps as store,
};

const LANES: usize = 16;

/// Two products in each lane, added to `c` in single precision.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn multiply_add(a: __m512, b: __m512, c: __m512) -> __m512 {
    // SAFETY: both types are 512 bits, any of which are numbers.
    let [a, b] = unsafe { std::mem::transmute::<[__m512; 2], [__m512bh; 2]>([a, b]) };
    _mm512_dpbf16_ps(c, a, b)
}

micro_kernel! {
    name: "AVX-512 BF16", packs_pairs: true, most_rows: 12, rows: [1 2 3 4 5 6 7 8 9 10 11 12],
    features: ["avx512f" "avx512bf16" "avx512bw" "avx2" "fma"]
}
