//! Tiles of up to 6 rows of 16 columns in single precision, for AVX2 with FMA.

use super::fma::micro_kernel;
use std::arch::x86_64::{
    _mm256_add_ps as add, _mm256_fmadd_ps as multiply_add, _mm256_loadu_ps as load, _mm256_set1_ps as splat,
    _mm256_storeu_ps as store,
};

const LANES: usize = 8;

micro_kernel! {
    name: "AVX2", packs_pairs: false, most_rows: 6, rows: [1 2 3 4 5 6],
    features: ["avx2" "fma"]
}
