//! Which micro-kernels this machine can run. Each instruction set is asked for once.

#[cfg(target_arch = "x86_64")]
use super::amx::{detect, tile};
use super::kernel::MicroKernel;
use super::portable;
#[cfg(target_arch = "x86_64")]
use super::{avx2, avx512, avx512_bf16};
use std::sync::OnceLock;

/// Every micro-kernel for single precision that this machine can run, the fastest one first.
pub fn single_precision() -> &'static [&'static MicroKernel] {
    static FOUND: OnceLock<Vec<&'static MicroKernel>> = OnceLock::new();
    FOUND.get_or_init(|| {
        let mut found = Vec::new();
        #[cfg(target_arch = "x86_64")]
        {
            if avx512::detected() {
                found.push(&avx512::KERNEL);
            }
            if avx2::detected() {
                found.push(&avx2::KERNEL);
            }
        }
        found.push(&portable::KERNEL);
        found
    })
}

/// The fastest micro-kernel for bf16, if this machine can run one that is faster than single precision.
///
/// On Linux the first call may ask the system for AMX's registers, which makes a thread's saved state larger for the rest of
/// the process. So this is called only where products in bf16 are wanted.
pub fn bf16() -> Option<&'static MicroKernel> {
    static FOUND: OnceLock<Option<&'static MicroKernel>> = OnceLock::new();
    *FOUND.get_or_init(|| {
        #[cfg(target_arch = "x86_64")]
        {
            if detect::available() {
                return Some(&tile::KERNEL);
            }
            // Twice as many products a second as in single precision on Zen 5, half as many on Emerald Rapids.
            if avx512_bf16::detected() && made_by_amd() {
                return Some(&avx512_bf16::KERNEL);
            }
        }
        None
    })
}

#[cfg(target_arch = "x86_64")]
fn made_by_amd() -> bool {
    let vendor = std::arch::x86_64::__cpuid(0);
    [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).as_flattened() == b"AuthenticAMD"
}
