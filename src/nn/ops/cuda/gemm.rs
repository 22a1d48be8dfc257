//! Matrix products by cuBLAS, in the order of dfdx's work. All matrices are row-major.

use super::launch::Stream;
use cudarc::cublas::{result, sys};
use dfdx::prelude::*;
use std::ffi::c_int;

/// How the factors of a product are stored and multiplied. Sums are always single precision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Single precision throughout.
    F32,
    /// Single precision stored, 10 bits of mantissa multiplied (NVIDIA's TF32).
    Tf32,
    /// bf16 stored and multiplied.
    Bf16,
}

/// A factor of a product, as it lies in memory.
#[derive(Clone, Copy, Debug)]
pub struct Matrix {
    /// Of its first number.
    pub address: u64,
    /// Numbers from one stored row to the next.
    pub ld: usize,
    /// Whether it is stored as its transpose: rows and columns swapped.
    pub transposed: bool,
    /// What its numbers are.
    pub kind: Kind,
}

impl Matrix {
    /// A single precision matrix, rows of `ld` numbers.
    pub fn f32(address: u64, ld: usize) -> Self {
        Self { address, ld, transposed: false, kind: Kind::F32 }
    }

    /// The same memory, read as the transpose of what is stored.
    pub fn t(self) -> Self {
        Self { transposed: !self.transposed, ..self }
    }
}

/// `y = a b + beta y`, where `a` is `(m, k)`, `b` is `(k, n)` and `y`, given by address and leading dimension, `(m, n)`.
///
/// # Safety
/// The addresses are followed by as many numbers as the extents and leading dimensions say; `y` overlaps no factor.
pub unsafe fn gemm(
    stream: &Stream,
    [m, n, k]: [usize; 3],
    a: Matrix,
    b: Matrix,
    beta: f32,
    y: (u64, usize),
) -> Result<(), CudaError> {
    // SAFETY: the caller's promise, for one product.
    unsafe { gemm_batched(stream, [m, n, k], (a, 0), (b, 0), beta, (y.0, y.1, 0), 1) }
}

/// `count` products like [`gemm`]'s; a stride is the numbers from one product's matrix to the next's, 0 for one matrix
/// shared by all.
///
/// # Safety
/// As [`gemm`], for each product; no two results overlap.
pub unsafe fn gemm_batched(
    stream: &Stream,
    [m, n, k]: [usize; 3],
    (a, stride_a): (Matrix, usize),
    (b, stride_b): (Matrix, usize),
    beta: f32,
    (y, ld, stride_y): (u64, usize, usize),
    count: usize,
) -> Result<(), CudaError> {
    if m == 0 || n == 0 || count == 0 {
        return Ok(());
    }
    assert_eq!(a.kind, b.kind, "factors of one kind");
    let (stored, compute) = match a.kind {
        Kind::F32 => (sys::cudaDataType::CUDA_R_32F, sys::cublasComputeType_t::CUBLAS_COMPUTE_32F),
        Kind::Tf32 => (sys::cudaDataType::CUDA_R_32F, sys::cublasComputeType_t::CUBLAS_COMPUTE_32F_FAST_TF32),
        Kind::Bf16 => (sys::cudaDataType::CUDA_R_16BF, sys::cublasComputeType_t::CUBLAS_COMPUTE_32F),
    };
    let operation = |matrix: Matrix| match matrix.transposed {
        true => sys::cublasOperation_t::CUBLAS_OP_T,
        false => sys::cublasOperation_t::CUBLAS_OP_N,
    };
    let alpha = 1.0f32;
    stream.device().bind_to_thread()?;
    // cuBLAS stores columns: it sees every matrix transposed, so the factors swap.
    // SAFETY: the caller's promise on the addresses; `alpha` and `beta` outlive the call, which reads them at once.
    unsafe {
        result::gemm_strided_batched_ex(
            *stream.blas().handle(),
            operation(b),
            operation(a),
            int(n),
            int(m),
            int(k),
            std::ptr::from_ref(&alpha).cast(),
            b.address as *const _,
            stored,
            int(b.ld),
            stride_b as _,
            a.address as *const _,
            stored,
            int(a.ld),
            stride_a as _,
            std::ptr::from_ref(&beta).cast(),
            y as *mut _,
            sys::cudaDataType::CUDA_R_32F,
            int(ld),
            stride_y as _,
            int(count),
            compute,
            sys::cublasGemmAlgo_t::CUBLAS_GEMM_DEFAULT,
        )
    }?;
    Ok(())
}

fn int(n: usize) -> c_int {
    c_int::try_from(n).unwrap_or_else(|_| panic!("{n} is more than cuBLAS can count"))
}
