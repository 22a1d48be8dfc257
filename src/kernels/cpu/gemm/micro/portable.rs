//! Tiles of up to 4 rows of 8 columns in single precision, for any machine: vectors are plain arrays, of which the compiler
//! makes what it can.

use super::fma::micro_kernel;

const LANES: usize = 4;
type Vector = [f32; LANES];

#[inline(always)]
fn splat(x: f32) -> Vector {
    [x; LANES]
}

#[inline(always)]
unsafe fn load(from: *const f32) -> Vector {
    // SAFETY: the caller can read a vector; an array has no stricter alignment than its numbers.
    unsafe { from.cast::<Vector>().read() }
}

#[inline(always)]
unsafe fn store(to: *mut f32, v: Vector) {
    // SAFETY: the caller can write a vector.
    unsafe { to.cast::<Vector>().write(v) }
}

/// Rounded once only where the machine always has the instruction: elsewhere that is a slow call.
#[inline(always)]
fn multiply_add(a: Vector, b: Vector, c: Vector) -> Vector {
    let one = |i| if cfg!(target_arch = "aarch64") { f32::mul_add(a[i], b[i], c[i]) } else { a[i] * b[i] + c[i] };
    std::array::from_fn(one)
}

#[inline(always)]
fn add(a: Vector, b: Vector) -> Vector {
    std::array::from_fn(|i| a[i] + b[i])
}

micro_kernel! { name: "portable", packs_pairs: false, most_rows: 4, rows: [1 2 3 4] }
