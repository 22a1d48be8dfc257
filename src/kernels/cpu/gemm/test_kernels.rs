//! Micro-kernels for tests: also those that this machine would not choose, or has to emulate.

#[cfg(all(target_arch = "x86_64", target_os = "linux"))]
use super::micro::amx::{emulated, tile};
#[cfg(target_arch = "x86_64")]
use super::micro::avx512_bf16;
use super::micro::isa;
use super::micro::kernel::MicroKernel;
use super::packed::Packed;
use std::io::Write;

type Kernel = &'static MicroKernel;

/// Every micro-kernel for bf16 that this machine can run, none on some, and AMX's also where its instructions must be emulated.
pub(super) fn bf16_kernels() -> Vec<Kernel> {
    let mut kernels: Vec<Kernel> = isa::bf16().into_iter().collect();
    #[cfg(target_arch = "x86_64")]
    {
        let lacks = |kernels: &[Kernel], wanted: Kernel| !kernels.iter().any(|kernel| kernel.name == wanted.name);
        if avx512_bf16::detected() && lacks(&kernels, &avx512_bf16::KERNEL) {
            kernels.push(&avx512_bf16::KERNEL);
        }
        #[cfg(target_os = "linux")]
        if tile::has_avx512() && lacks(&kernels, &tile::KERNEL) {
            emulated::install();
            kernels.push(&tile::KERNEL);
        }
    }
    kernels
}

/// Those of them that take a left operand in tiles.
pub(super) fn tiled_kernels() -> Vec<Kernel> {
    let kernels: Vec<Kernel> = bf16_kernels().into_iter().filter(|kernel| kernel.tiled.is_some()).collect();
    if kernels.is_empty() {
        // not what the test harness keeps to itself while tests pass
        let _ = writeln!(std::io::stderr(), "SKIPPED: AMX is emulated with AVX-512 BF16 only");
    }
    kernels
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
