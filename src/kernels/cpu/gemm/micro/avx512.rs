//! Tiles of up to 12 rows of 32 columns in single precision, for AVX-512.

use super::fma::micro_kernel;
use std::arch::x86_64::{
    _mm512_add_ps as add, _mm512_fmadd_ps as multiply_add, _mm512_loadu_ps as load, _mm512_set1_ps as splat,
    _mm512_storeu_ps as store,
};

const LANES: usize = 16;

micro_kernel! {
    name: "AVX-512", packs_pairs: false, most_rows: 12, rows: [1 2 3 4 5 6 7 8 9 10 11 12],
    features: ["avx512f" "avx2" "fma"]
}
