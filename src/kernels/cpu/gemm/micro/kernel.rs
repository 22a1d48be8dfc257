//! What a micro-kernel is: the sizes of its tiles and a function that computes one.

use super::tiled::TiledProduct;
use crate::kernels::cpu::gemm::operand::{Destination, Initial, LeftOperand, PanelRows, Runs, VECTORS};
use std::fmt;
use std::ops::Range;

/// What a micro-kernel's instruction set needs of a thread while tiles are computed. Dropping it gives that back.
#[cfg(target_arch = "x86_64")]
pub type ThreadState = super::amx::instructions::Tiles;
/// What a micro-kernel's instruction set needs of a thread while tiles are computed: nothing here.
#[cfg(not(target_arch = "x86_64"))]
pub type ThreadState = std::convert::Infallible;

/// The micro-kernel of one instruction set.
pub struct MicroKernel {
    /// Name of the instruction set.
    pub name: &'static str,
    /// Lanes of a vector.
    pub lanes: usize,
    /// Whether a lane of its operands is a pair of bf16 numbers, not one number of single precision.
    pub packs_pairs: bool,
    /// Rows of a tile, at most.
    pub most_rows: usize,
    /// Whether a full tile takes hardly longer than a smaller one. Then rows are cut into full tiles and a tail, else into
    /// tiles of equal height: a tile of a row or two would take as long as one of many rows.
    pub prefers_full_tiles: bool,
    /// Lanes of depth that are multiplied at once: slabs of the depth begin at multiples of it.
    pub depth_step: usize,
    /// Prepares this thread for tiles.
    ///
    /// # Safety
    /// This machine has the instruction set and lets the process use it; no other state is prepared on this thread.
    pub prepare: Option<unsafe fn() -> ThreadState>,
    /// Computes `destination = initial + left * panel`, summed over all runs.
    ///
    /// # Safety
    /// - This machine has the instruction set and lets the process use it, and the thread is [prepared](Self::prepare_thread).
    /// - The left operand has 1 to [`most_rows`](Self::most_rows) rows, with all lanes of all runs readable.
    /// - The panel holds as many rows of [`panel_width`](Self::panel_width) lanes as the runs have lanes.
    /// - A bias holds as many numbers as are written in a row.
    /// - Each row of the destination is initialised and writable for its `vectors` vectors, and nobody else uses it.
    pub tile: unsafe fn(Runs<'_>, LeftOperand<'_>, PanelRows, Initial, Destination),
    /// Computes whole products of rows that are [bf16 already](super::tiled), if the instruction set has a faster way for them.
    ///
    /// # Safety
    /// - This machine has the instruction set and lets the process use it, and the thread is [prepared](Self::prepare_thread).
    /// - Left operand, panels, bias, destination, residual and scratch are as long, and begin where [`TiledProduct`] says.
    pub tiled: Option<unsafe fn(TiledProduct<'_>)>,
}

impl MicroKernel {
    /// Lanes in a row of a panel: how many columns a panel has.
    pub fn panel_width(&self) -> usize {
        VECTORS * self.lanes
    }

    /// Prepares this thread for tiles, as long as the result lives.
    ///
    /// # Safety
    /// This machine has the instruction set and lets the process use it; no other state is prepared on this thread.
    pub unsafe fn prepare_thread(&self) -> Option<ThreadState> {
        // SAFETY: the caller's promise.
        self.prepare.map(|prepare| unsafe { prepare() })
    }

    /// Cuts `rows` rows into tiles.
    pub fn cut_rows(&self, rows: usize) -> impl Iterator<Item = Range<usize>> + use<> {
        let (height, tiles, full) = (self.most_rows, rows.div_ceil(self.most_rows), self.prefers_full_tiles);
        (0..tiles).map(move |t| match full {
            true => t * height..rows.min((t + 1) * height),
            false => t * rows / tiles..(t + 1) * rows / tiles,
        })
    }
}

impl fmt::Debug for MicroKernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
