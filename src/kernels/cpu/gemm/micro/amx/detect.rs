//! Whether this machine can run AMX's micro-kernel: it asks the processor and the system, then tries a product of known numbers.

use super::instructions::Tiles;
use super::tile::{KERNEL, has_avx512};
use crate::kernels::cpu::gemm::operand::{Destination, Initial, LeftOperand, PanelRows, Runs, WIDEST};
use std::arch::asm;
use std::arch::x86_64::*;
use std::sync::OnceLock;

/// Whether this machine has tiles, the system lets this process use them, and they compute what they should.
///
/// The first call asks the system for them, so call this only where AMX's micro-kernel is wanted. The system grants tiles to a
/// process as a whole, to threads that run already too, and keeps room for them in each signal's frame from then on.
pub fn available() -> bool {
    static FOUND: OnceLock<bool> = OnceLock::new();
    *FOUND.get_or_init(|| has_tiles() && may_use_tiles() && agrees_with_plain_numbers())
}

/// What the processor and the system's saved state say.
fn has_tiles() -> bool {
    // Bits of `EDX` of leaf 7.
    const AMX_BF16: u32 = 1 << 22;
    const AMX_TILE: u32 = 1 << 24;
    // Tile configuration and tile data in `XCR0`.
    const SAVED: u64 = 0b11 << 17;

    #[target_feature(enable = "xsave")]
    fn saved() -> u64 {
        // SAFETY: register 0 exists wherever the instruction does.
        unsafe { _xgetbv(0) }
    }
    if !has_avx512() || !is_x86_feature_detected!("xsave") || __cpuid(0).eax < 7 {
        return false;
    }
    let found = __cpuid_count(7, 0).edx;
    // SAFETY: the feature has just been detected, and AVX-512 counts as detected only if the system enabled `xgetbv`.
    found & AMX_BF16 != 0 && found & AMX_TILE != 0 && unsafe { saved() } & SAVED == SAVED
}

/// Asks Linux for the tiles' state, as it must be asked (`ARCH_REQ_XCOMP_PERM`); other systems are not known.
fn may_use_tiles() -> bool {
    const ARCH_PRCTL: isize = 158;
    const ARCH_REQ_XCOMP_PERM: usize = 0x1023;
    const TILE_DATA: usize = 18;
    if !cfg!(target_os = "linux") {
        return false;
    }
    let mut answer = ARCH_PRCTL;
    // SAFETY: the call takes two numbers and touches no memory of ours; the kernel overwrites `rcx` and `r11` alone.
    unsafe {
        asm!("syscall", inout("rax") answer, in("rdi") ARCH_REQ_XCOMP_PERM, in("rsi") TILE_DATA,
            out("rcx") _, out("r11") _, options(nostack));
    }
    answer == 0
}

/// One small product, of whole numbers that bf16 holds, with all that a tile can meet.
pub(super) fn agrees_with_plain_numbers() -> bool {
    let (rows, depth) = (21, 19);
    let number = |i: usize| (i * 37 % 17) as f32 - 8.0;
    let lane = |i: usize| f32::from_bits(number(2 * i).to_bits() >> 16 | number(2 * i + 1).to_bits() & 0xffff_0000);
    let a: Vec<f32> = (0..rows * depth).map(lane).collect();
    let panel: Vec<f32> = (0..depth * WIDEST).map(|i| lane(i + 5)).collect();
    let pointers: Vec<_> = a.chunks_exact(depth).map(<[f32]>::as_ptr).collect();
    let mut c: Vec<f32> = (0..rows * WIDEST).map(number).collect();
    {
        // SAFETY: the caller has found, or installed, what carries tiles out.
        let _tiles = unsafe { Tiles::on_this_thread() };
        let panel = PanelRows { first: panel.as_ptr(), ahead: panel.as_ptr() };
        let destination = Destination { first: c.as_mut_ptr(), stride: WIDEST, vectors: 2 };
        // SAFETY: tiles were found; there are `rows` rows of `depth` lanes, as many rows of a panel, and `rows` rows at the
        // destination.
        unsafe {
            (KERNEL.tile)(Runs::one(depth), LeftOperand::Rows(&pointers), panel, Initial::Destination, destination)
        };
    }
    let expected = |i: usize| {
        let products = (0..depth).flat_map(|p| {
            let (a, b) = ((i / WIDEST * depth + p) * 2, (p * WIDEST + i % WIDEST + 5) * 2);
            [number(a) * number(b), number(a + 1) * number(b + 1)]
        });
        number(i) + products.sum::<f32>()
    };
    c.iter().enumerate().all(|(i, c)| *c == expected(i))
}
