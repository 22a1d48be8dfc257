//! Micro-kernels for tests: also those that this machine would not choose, or has to emulate.

use super::micro::isa;
use super::micro::kernel::MicroKernel;
#[cfg(target_arch = "x86_64")]
use super::micro::{amx, avx512_bf16};
use super::packed::Packed;

type Kernel = &'static MicroKernel;

/// Every micro-kernel for bf16 that this machine can run, and AMX's also where its instructions must be emulated.
pub(super) fn bf16_kernels() -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = isa::bf16().into_iter().collect();
    #[cfg(target_arch = "x86_64")]
    {
        let lacks = |kernels: &[Kernel], wanted: Kernel| !kernels.iter().any(|kernel| kernel.name == wanted.name);
        if avx512_bf16::detected() && lacks(&kernels, &avx512_bf16::KERNEL) {
            kernels.push(&avx512_bf16::KERNEL);
        }
        #[cfg(target_os = "linux")]
        if amx::tile::has_avx512() && lacks(&kernels, &amx::tile::KERNEL) {
            amx::emulated::install();
            kernels.push(&amx::tile::KERNEL);
        }
    }
    if kernels.is_empty() {
        println!("no bf16 products on this machine");
    }
    kernels
}

/// Those of them that take a left operand in tiles.
pub(super) fn tiled_kernels() -> Vec<Kernel> {
    bf16_kernels().into_iter().filter(|kernel| kernel.tiled.is_some()).collect()
}

/// [`Packed::from_runs`] for each of these.
pub fn tiled_factors(matrix: &[f32], run: usize, runs: usize) -> Vec<Packed> {
    let packed = |kernel| {
        let mut packed = Packed::empty_for(kernel, true);
        packed.set_runs(matrix, run, runs);
        packed
    };
    tiled_kernels().into_iter().map(packed).collect()
}
