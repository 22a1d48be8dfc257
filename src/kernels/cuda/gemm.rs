//! Matrix products by cuBLAS, in the order of the device's work. All matrices are row-major.

use super::error::GpuError;
use super::gpu::Gpu;
use crate::kernels::precision::Precision;
use cudarc::cublas::{result, sys};
use std::ffi::c_int;

/// Depth of a slab, at least, in single precision: the numbers that one call sums over. cuBLAS sums sequentially, and several
/// short sums lose fewer digits than one long sum.
const SLAB: usize = 192;
/// The most slabs of a product, each one call of cuBLAS.
const SEQUENCE: usize = 32;

/// How many slabs a product in single precision, which sums over `k` numbers, is best cut into.
pub fn slabs(k: usize) -> usize {
    (k / SLAB).max(1)
}

/// An operand of a product, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// Device address of its first number.
    pub address: u64,
    /// Numbers from one stored row to the next.
    pub ld: usize,
    /// Whether it is stored as its transpose: rows and columns swapped.
    pub transposed: bool,
    /// How its numbers are stored and multiplied.
    pub precision: Precision,
}

impl Matrix {
    /// What follows after the first `depth` of the numbers that a product sums over; `right` says that this is its second
    /// operand.
    pub fn after(self, depth: usize, right: bool) -> Self {
        let numbers = if self.transposed == right { depth } else { depth * self.ld };
        Self { address: self.address + (numbers * self.bytes()) as u64, ..self }
    }

    /// Bytes of a stored number.
    fn bytes(self) -> usize {
        if self.precision == Precision::Bf16 { 2 } else { 4 }
    }

    /// The same memory, read as the transpose of what is stored.
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// Where a product is written, row-major.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Device address of its first number.
    pub address: u64,
    /// Numbers from one row to the next.
    pub ld: usize,
    /// Whether it is rounded to bf16, as only a product of such operands may be.
    pub rounded: bool,
}

/// `y = a b + beta y`, where `a` is `(m, k)`, `b` is `(k, n)` and `y` is `(m, n)`; in single precision slab
/// by slab.
///
/// # Safety
/// The addresses are followed by as many numbers as the extents and leading dimensions say; `y` overlaps no operand.
pub unsafe fn gemm(
    gpu: &Gpu,
    [m, n, k]: [usize; 3],
    a: Matrix,
    b: Matrix,
    beta: f32,
    y: Target,
) -> Result<(), GpuError> {
    let calls = if a.precision == Precision::F32 { slabs(k).min(SEQUENCE) } else { 1 };
    // where there is nothing to sum up, one call yet writes `beta y`
    let slab = k.div_ceil(calls).max(1);
    for first in (0..k.max(1)).step_by(slab) {
        let (a, b) = (a.after(first, false), b.after(first, true));
        let (depth, beta) = (slab.min(k - first), if first == 0 { beta } else { 1.0 });
        // SAFETY: the caller's promise, for a part of the numbers that the product sums over.
        unsafe { gemm_batched(gpu, [m, n, depth], (a, 0), (b, 0), beta, (y, 0), 1) }?;
    }
    Ok(())
}

/// `count` products like [`gemm`]'s; a stride is the numbers from one product's matrix to the next's, 0 for one matrix
/// shared by all.
///
/// # Safety
/// As [`gemm`], for each product; no two results overlap.
pub unsafe fn gemm_batched(
    gpu: &Gpu,
    [m, n, k]: [usize; 3],
    (a, stride_a): (Matrix, usize),
    (b, stride_b): (Matrix, usize),
    beta: f32,
    (y, stride_y): (Target, usize),
    count: usize,
) -> Result<(), GpuError> {
    if m == 0 || n == 0 || count == 0 {
        return Ok(());
    }
    assert_eq!(a.precision, b.precision, "operands of one precision");
    assert!(!y.rounded || a.precision == Precision::Bf16, "a rounded product of rounded operands");
    let written = if y.rounded { sys::cudaDataType::CUDA_R_16BF } else { sys::cudaDataType::CUDA_R_32F };
    // sums are single precision, whatever the operands
    let (stored, compute) = match a.precision {
        Precision::F32 => (sys::cudaDataType::CUDA_R_32F, sys::cublasComputeType_t::CUBLAS_COMPUTE_32F),
        Precision::Tf32 => (sys::cudaDataType::CUDA_R_32F, sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32),
        Precision::Bf16 => (sys::cudaDataType::CUDA_R_16BF, sys::cublasComputeType_t::CUBLAS_COMPUTE_32F),
    };
    let [m, n, k, count] = [int(m)?, int(n)?, int(k)?, int(count)?];
    let [lda, ldb, ldy] = [int(a.ld)?, int(b.ld)?, int(y.ld)?];
    let operation = |matrix: Matrix| match matrix.transposed {
        true => sys::cublasOperation_t::CUBLAS_OP_T,
        false => sys::cublasOperation_t::CUBLAS_OP_N,
    };
    let alpha = 1.0f32;
    gpu.device().bind_to_thread()?;
    let blas = gpu.blas();
    // cuBLAS is column-major: it takes every matrix as its transpose, so the operands swap.
    // SAFETY: the caller's promise on the addresses; `alpha` and `beta` outlive the call, which reads them at once.
    unsafe {
        result::gemm_strided_batched_ex(
            *blas.handle(),
            operation(b),
            operation(a),
            n,
            m,
            k,
            std::ptr::from_ref(&alpha).cast(),
            b.address as *const _,
            stored,
            ldb,
            stride_b as _,
            a.address as *const _,
            stored,
            lda,
            stride_a as _,
            std::ptr::from_ref(&beta).cast(),
            y.address as *mut _,
            written,
            ldy,
            stride_y as _,
            count,
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }?;
    Ok(())
}

/// An extent as cuBLAS counts it; a larger one is refused as a size that the kernels do not know.
fn int(n: usize) -> Result<c_int, GpuError> {
    c_int::try_from(n).map_err(|_| GpuError::UNSUPPORTED_SIZE)
}

#[cfg(test)]
mod tests {
    use super::super::open::tested_gpu;
    use super::*;
    use crate::kernels::device::Device;
    use cudarc::driver::DevicePtr;
    use half::bf16;

    const M: usize = 37;
    const N: usize = 21;

    fn numbers(n: usize, seed: u64) -> Vec<f32> {
        (0..n as u64).map(|i| ((i + seed) * 2_654_435_761 % 1009) as f32 / 1009.0 - 0.5).collect()
    }

    /// The largest error of `count` products in this precision and layout, in parts of the largest number.
    fn error(gpu: &Gpu, precision: Precision, rounded: bool, [ta, tb]: [bool; 2], beta: f32, count: usize) -> f64 {
        // three slabs in single precision, the last of fewer numbers; one call makes several products
        let depth = if count == 1 { 3 * SLAB + 1 } else { 50 };
        // rows longer than needed, results further apart
        let [(ra, ca), (rb, cb)] = [if ta { (depth, M) } else { (M, depth) }, if tb { (N, depth) } else { (depth, N) }];
        let [lda, ldb, ldy] = [ca + 3, cb + 5, N + 2];
        let (a, b) = (numbers(count * ra * lda, 1), numbers(count * rb * ldb, 2));
        let widen = |x: Vec<u16>| x.into_iter().map(|bits| bf16::from_bits(bits).to_f32()).collect::<Vec<f32>>();
        let mut old = numbers(count * M * ldy, 3);
        let device = gpu.device();
        let y = device.htod_sync_copy(&old).unwrap();
        let narrow = |x: &[f32]| x.iter().map(|v| bf16::from_f32(*v).to_bits()).collect::<Vec<u16>>();
        let narrow_y = device.htod_sync_copy(&narrow(&old)).unwrap();
        let (wide_a, wide_b) = (device.htod_sync_copy(&a).unwrap(), device.htod_sync_copy(&b).unwrap());
        let (narrow_a, narrow_b) =
            (device.htod_sync_copy(&narrow(&a)).unwrap(), device.htod_sync_copy(&narrow(&b)).unwrap());
        let [address_a, address_b] = match precision {
            Precision::Bf16 => [*narrow_a.device_ptr(), *narrow_b.device_ptr()],
            _ => [*wide_a.device_ptr(), *wide_b.device_ptr()],
        };
        let matrix = |address, ld, transposed| Matrix { address, ld, transposed, precision };
        let (fa, fb) = (matrix(address_a, lda, ta), matrix(address_b, ldb, tb));
        let address = if rounded { *narrow_y.device_ptr() } else { *y.device_ptr() };
        let target = (Target { address, ld: ldy, rounded }, M * ldy);
        let found = match count {
            // SAFETY: the three buffers were made for these extents, and are three.
            1 => unsafe { gemm(gpu, [M, N, depth], fa, fb, beta, target.0) },
            // SAFETY: as above.
            _ => unsafe { gemm_batched(gpu, [M, N, depth], (fa, ra * lda), (fb, rb * ldb), beta, target, count) },
        };
        found.unwrap();
        let found = match rounded {
            true => {
                old = widen(narrow(&old));
                widen(device.dtoh_sync_copy(&narrow_y).unwrap())
            }
            false => device.dtoh_sync_copy(&y).unwrap(),
        };
        let (mut largest, mut worst) = (0f64, 0f64);
        for (place, found) in found.iter().enumerate() {
            let (p, i, j) = (place / ldy / M, place / ldy % M, place % ldy);
            if j >= N {
                assert_eq!(*found, old[place], "numbers between the rows stay");
                continue;
            }
            let at = |x: &[f32], rows: usize, ld: usize, r: usize, c: usize| f64::from(x[(p * rows + r) * ld + c]);
            let product = |k: usize| {
                let left = if ta { at(&a, ra, lda, k, i) } else { at(&a, ra, lda, i, k) };
                let right = if tb { at(&b, rb, ldb, j, k) } else { at(&b, rb, ldb, k, j) };
                left * right
            };
            let wanted = (0..depth).map(product).sum::<f64>() + f64::from(beta * old[place]);
            largest = largest.max(wanted.abs());
            worst = worst.max((f64::from(*found) - wanted).abs());
        }
        worst / largest
    }

    #[test]
    fn an_extent_beyond_what_cublas_counts_is_an_error() {
        assert_eq!(int(i32::MAX as usize).unwrap(), i32::MAX);
        assert!(int(1 << 31).unwrap_err().to_string().contains("do not know this size"));
    }

    #[test]
    fn products_of_every_layout_and_precision() {
        let Some(gpu) = tested_gpu() else {
            return;
        };
        for transposed in [[false, false], [false, true], [true, false], [true, true]] {
            for (beta, count) in [(0.0, 1), (1.0, 3)] {
                let exact = error(&gpu, Precision::F32, false, transposed, beta, count);
                assert!(exact < 1e-6, "{transposed:?}: {exact:e}");
                if !gpu.supports(Precision::Bf16) {
                    continue;
                }
                let tf32 = error(&gpu, Precision::Tf32, false, transposed, beta, count);
                assert!(tf32 < 2e-3, "{transposed:?}: {tf32:e}");
                let bf16 = error(&gpu, Precision::Bf16, false, transposed, beta, count);
                assert!(bf16 > 1e-5 && bf16 < 1e-2, "{transposed:?}: {bf16:e}");
                let rounded = error(&gpu, Precision::Bf16, true, transposed, beta, count);
                assert!(rounded > bf16 && rounded < 1.5e-2, "{transposed:?}: {rounded:e}");
            }
        }
    }
}
