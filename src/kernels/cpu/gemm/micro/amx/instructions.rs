//! AMX's instructions and the state that they work on: eight tiles of 16 rows of 16 lanes each.
//!
//! Rust has no stable intrinsics for them, so each instruction is a line of assembly. As `vdpbf16ps`, `tdpbf16ps` rounds sums
//! to nearest, reads subnormal numbers as zero and writes zero for them. It sums its 32 products by themselves and then adds
//! them to the destination, which may therefore hold the bias or the earlier sum from the start: no sum is long.

use std::arch::asm;
use std::marker::PhantomData;

/// Rows of one of the unit's tiles, and lanes of a row.
pub(super) const SIDE: usize = 16;

/// Tiles are set up on this thread while this lives. They are released when it is dropped, as the system saves and restores
/// 8 KiB more for a thread that has them in use.
///
/// # What keeps the tiles' contents between two blocks of assembly
///
/// A tile is loaded in one block of assembly and read in a later one. The language promises nothing about registers between
/// blocks; each block names the tile it writes as overwritten (`out("tmm0") _`), and this is why nothing else changes one:
///
/// - *The compiler.* LLVM gives a tile register only to a value of its type `x86_amx`. Such values come from AMX intrinsics
///   alone, of which this crate and stable Rust have none. So compiled Rust neither uses, spills nor clears tiles, whatever
///   features it is compiled for.
/// - *Calls.* To a called function tiles are scratch registers, as by the System V ABI. From the first load of a tile to the
///   last store, [`tile`](super::tile) and [`chained`](super::chained) call their own functions and, at most, the C library's
///   `memcpy` and `memset`, which move memory by general and vector registers. The tiles' configuration must last longer, as
///   long as this guard: whoever holds it calls functions of this crate and the allocator, and gives no work to the thread
///   pool. Were it to wait for the pool, the thread might meanwhile compute another product, whose guard would release the
///   tiles.
/// - *The system.* Linux saves and restores configuration and contents with the rest of a thread's registers at a switch of
///   context and around a signal's handler, for every process that was granted tiles ([`detect`](super::detect) asks for that
///   before any guard is made; see "Using XSTATE features in user space applications" in the kernel's documentation).
/// - *Threads.* Tiles belong to a thread, and so does the guard: it is neither `Send` nor `Sync`. A panic drops it.
pub struct Tiles(PhantomData<*const ()>);

#[repr(C, align(64))]
struct Configuration {
    palette: u8,
    start_row: u8,
    reserved: [u8; 14],
    bytes_of_a_row: [u16; 16],
    rows: [u8; 16],
}

/// All eight tiles alike.
static CONFIGURATION: Configuration = Configuration {
    palette: 1,
    start_row: 0,
    reserved: [0; 14],
    bytes_of_a_row: [64, 64, 64, 64, 64, 64, 64, 64, 0, 0, 0, 0, 0, 0, 0, 0],
    rows: [16, 16, 16, 16, 16, 16, 16, 16, 0, 0, 0, 0, 0, 0, 0, 0],
};

impl Tiles {
    /// Sets them up.
    ///
    /// # Safety
    /// The machine has them and the system has granted them ([`available`](super::detect::available)), or a test emulates
    /// them; no other guard lives on this thread.
    pub unsafe fn on_this_thread() -> Self {
        // SAFETY: the instruction, which the caller vouches for, reads 64 bytes. It zeroes all tiles.
        unsafe {
            asm!("ldtilecfg [{}]", in(reg) &CONFIGURATION,
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, readonly));
        }
        Self(PhantomData)
    }
}

impl Drop for Tiles {
    fn drop(&mut self) {
        // SAFETY: tiles were set up, so the instruction exists; it zeroes them.
        unsafe {
            asm!("tilerelease",
                out("tmm0") _, out("tmm1") _, out("tmm2") _, out("tmm3") _,
                out("tmm4") _, out("tmm5") _, out("tmm6") _, out("tmm7") _,
                options(nostack, preserves_flags, nomem));
        }
    }
}

// The macros below name tiles by their registers, `"tmm0"` to `"tmm7"`. To use one is unsafe: a [`Tiles`] must live on this
// thread, and what a tile is loaded from or stored to must be sixteen rows of sixteen lanes.

/// Reads a tile, its rows `$stride` bytes apart.
macro_rules! load_tile {
    ($tile:tt, $from:expr, $stride:expr) => {
        std::arch::asm!(concat!("tileloadd ", $tile, ", [{from} + {stride}*1]"),
            from = in(reg) $from, stride = in(reg) $stride, out($tile) _, options(nostack, preserves_flags, readonly))
    };
}
pub(super) use load_tile;

/// The same for a tile that is not read again soon: the first cache keeps what it holds instead.
macro_rules! load_passing_tile {
    ($tile:tt, $from:expr, $stride:expr) => {
        std::arch::asm!(concat!("tileloaddt1 ", $tile, ", [{from} + {stride}*1]"),
            from = in(reg) $from, stride = in(reg) $stride, out($tile) _, options(nostack, preserves_flags, readonly))
    };
}
pub(super) use load_passing_tile;

/// Writes a tile, its rows `$stride` bytes apart.
macro_rules! store_tile {
    ($tile:tt, $to:expr, $stride:expr) => {
        std::arch::asm!(concat!("tilestored [{to} + {stride}*1], ", $tile),
            to = in(reg) $to, stride = in(reg) $stride, options(nostack, preserves_flags))
    };
}
pub(super) use store_tile;

/// Sets a tile to zeros.
macro_rules! zero_tile {
    ($tile:tt) => {
        std::arch::asm!(concat!("tilezero ", $tile), out($tile) _, options(nostack, preserves_flags, nomem))
    };
}
pub(super) use zero_tile;

/// Adds the product of two tiles of bf16 pairs to a tile of sums.
macro_rules! multiply_tiles {
    ($sum:tt, $a:tt, $b:tt) => {
        std::arch::asm!(concat!("tdpbf16ps ", $sum, ", ", $a, ", ", $b),
            out($sum) _, options(nostack, preserves_flags, nomem))
    };
}
pub(super) use multiply_tiles;
