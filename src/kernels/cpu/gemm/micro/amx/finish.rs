//! What becomes of a block of 32 x 32 sums: GELU, residual, rounding. Written so that a few rows at a time run beside products.

use std::arch::x86_64::*;

/// Flag: a GELU.
pub const GELU: u8 = 1;
/// Flag: a ReLU.
pub const RELU: u8 = 16;
/// Flag: a residual is added.
pub const ADD: u8 = 2;
/// Flag: results are rounded and written as a tile of the next product.
pub const TILES: u8 = 4;
/// Flag: results are rounded and written as rows. With neither, they are rows of single precision.
pub const HALVES: u8 = 32;
/// Flag, beside [`TILES`]: the sums themselves are kept too.
pub const SAVE: u8 = 8;

/// Numbers from a row of sums to the next.
pub const SUMS_ROW: usize = 32;

/// Sums that are stored, or about to be, and not yet finished.
#[derive(Clone, Copy)]
pub struct Pending {
    /// Rows of [`SUMS_ROW`] numbers.
    pub sums: *const f32,
    /// Where the first row goes.
    pub to: *mut f32,
    /// Numbers (or lanes) from a row to the next there.
    pub row: usize,
    /// What is added, laid out as the result.
    pub residual: *const f32,
    /// Where the first row's sums are kept, and the numbers from a row to the next there.
    pub saved: (*mut f32, usize),
    /// Rows that exist.
    pub rows: usize,
    /// Whether only the first sixteen columns exist.
    pub half: bool,
}

impl Pending {
    /// Nothing to finish.
    pub const NOTHING: Self = Self {
        sums: std::ptr::null(),
        to: std::ptr::null_mut(),
        row: 0,
        residual: std::ptr::null(),
        saved: (std::ptr::null_mut(), 0),
        rows: 0,
        half: false,
    };
}

/// Finishes rows `from..to`.
///
/// # Safety
/// The machine has these features. Sums are stored, on a line's start; destination, residual and what keeps sums hold these
/// rows, tiles on a line's start.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512bf16")]
pub unsafe fn finish<const F: u8>(p: &Pending, from: usize, to: usize) {
    for r in from..to {
        // SAFETY: the caller's promise; a row is 32 numbers, or 16 where only half of them exist.
        unsafe {
            let sums = p.sums.add(r * SUMS_ROW);
            let (mut low, mut high) = (_mm512_load_ps(sums), _mm512_load_ps(sums.add(16)));
            if F & SAVE != 0 {
                let saved = p.saved.0.add(r * p.saved.1);
                _mm512_storeu_ps(saved, low);
                if !p.half {
                    _mm512_storeu_ps(saved.add(16), high);
                }
            }
            if F & GELU != 0 {
                (low, high) = (gelu(low), gelu(high));
            }
            let to = p.to.add(r * p.row);
            if F & HALVES != 0 {
                let lanes = round(low, high);
                match p.half {
                    false => _mm512_storeu_si512(to.cast(), lanes),
                    true => _mm256_storeu_si256(to.cast(), _mm512_castsi512_si256(lanes)),
                }
                continue;
            }
            if F & TILES != 0 {
                if p.half {
                    high = _mm512_setzero_ps();
                }
                _mm512_store_si512(to.cast(), round(low, high));
                continue;
            }
            if F & RELU != 0 {
                // (the second operand is the result where either is no number)
                let zero = _mm512_setzero_ps();
                (low, high) = (_mm512_max_ps(zero, low), _mm512_max_ps(zero, high));
            }
            if F & ADD != 0 {
                low = _mm512_add_ps(low, _mm512_loadu_ps(p.residual.add(r * p.row)));
            }
            _mm512_storeu_ps(to, low);
            if !p.half {
                if F & ADD != 0 {
                    high = _mm512_add_ps(high, _mm512_loadu_ps(p.residual.add(r * p.row + 16)));
                }
                _mm512_storeu_ps(to.add(16), high);
            }
        }
    }
}

/// Two vectors as 32 bf16 numbers, the first one's before the second one's.
#[inline]
#[target_feature(enable = "avx512f,avx512bf16")]
fn round(low: __m512, high: __m512) -> __m512i {
    // SAFETY: as many bits, any of which are numbers.
    unsafe { std::mem::transmute::<__m512bh, __m512i>(_mm512_cvtne2ps_pbh(high, low)) }
}

/// Coefficients of [`gelu`]'s parabolas.
#[repr(C, align(64))]
struct Tables([[f32; 16]; 3]);

static TABLES: Tables = Tables([
    [
        5.000_056_6e-1,
        5.010_931_5e-1,
        5.081_895e-1,
        5.184_684e-1,
        5.192_852e-1,
        4.958_565e-1,
        4.411_939e-1,
        3.607_304e-1,
        2.691_382e-1,
        1.827_245e-1,
        1.128_291_8e-1,
        6.340_252e-2,
        3.245_783e-2,
        1.515_643_9e-2,
        6.463_638e-3,
        -1.777_468_8e-2,
    ],
    [
        -3.996_706e-1,
        -4.126_378e-1,
        -4.468_401_7e-1,
        -4.770_296_2e-1,
        -4.795_263_7e-1,
        -4.429_204_2e-1,
        -3.721_834e-1,
        -2.837_373e-1,
        -1.963_214_3e-1,
        -1.234_740_9e-1,
        -7.071_907e-2,
        -3.695_097e-2,
        -1.764_191e-2,
        -7.707_445e-3,
        -3.084_97e-3,
        8.582_866e-3,
    ],
    [
        1.390_752_3e-2,
        5.338_546_6e-2,
        9.497_052e-2,
        1.171_950_6e-1,
        1.188_957_7e-1,
        1.045_865_5e-1,
        8.168_686e-2,
        5.736_989e-2,
        3.650_484e-2,
        2.114_786_2e-2,
        1.119_118_9e-2,
        5.422_625e-3,
        2.410_054e-3,
        9.837_957e-4,
        3.692_265e-4,
        -1.034_701_7e-3,
    ],
]);

/// GELU within 5e-5, for results that are rounded to bf16 or stand beside such: `max(x, 0) - a Q(a)` with `a = min(|x|, 4.3)`,
/// where the tail `Q` of the normal distribution is one of sixteen parabolas. NaN stays NaN.
#[inline]
#[target_feature(enable = "avx512f,avx512dq")]
fn gelu(x: __m512) -> __m512 {
    // SAFETY: sixteen numbers each, on a line's start.
    let [c0, c1, c2] = [0, 1, 2].map(|i| unsafe { _mm512_load_ps(TABLES.0[i].as_ptr()) });
    // the smaller magnitude, without a sign
    let a = _mm512_range_ps::<0b1010>(x, _mm512_set1_ps(4.3));
    // the nearest multiple of 0.28, its number in the low bits
    let i = _mm512_castps_si512(_mm512_fmadd_ps(a, _mm512_set1_ps(1.0 / 0.28), _mm512_set1_ps(12_582_912.0)));
    let q = _mm512_fmadd_ps(_mm512_permutexvar_ps(i, c2), a, _mm512_permutexvar_ps(i, c1));
    let q = _mm512_fmadd_ps(q, a, _mm512_permutexvar_ps(i, c0));
    // (the second operand of a maximum is the one that stays if either is NaN)
    _mm512_fnmadd_ps(a, q, _mm512_max_ps(_mm512_setzero_ps(), x))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::cpu::gemm::micro::amx::tile::has_avx512;
    use crate::kernels::cpu::vector::tests::erf_f64;

    #[test]
    fn gelu_is_within_its_bound_and_keeps_what_is_no_number() {
        if !has_avx512() {
            return;
        }
        let of = |x: [f32; 16]| -> [f32; 16] {
            // SAFETY: the features have been detected; as many bits.
            unsafe { std::mem::transmute::<__m512, [f32; 16]>(gelu(std::mem::transmute::<[f32; 16], __m512>(x))) }
        };
        for i in -6000..6000 {
            let x: [f32; 16] = std::array::from_fn(|j| (i * 16 + j as i32) as f32 * 1e-4);
            for (x, y) in x.into_iter().zip(of(x)) {
                let want = 0.5 * f64::from(x) * (1.0 + erf_f64(f64::from(x) / std::f64::consts::SQRT_2));
                assert!((f64::from(y) - want).abs() < 5e-5, "gelu({x}) = {want}, not {y}");
            }
        }
        assert!(of([f32::NAN; 16]).iter().all(|y| y.is_nan()));
        assert_eq!(of([f32::INFINITY; 16]), [f32::INFINITY; 16]);
        assert!(of([-1e30; 16]).iter().all(|y| y.abs() < 5e-5));
        assert_eq!(of([0.0; 16]), [0.0; 16]);
    }
}
