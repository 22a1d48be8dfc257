//! The loop of a micro-kernel on a vector unit: sums of a few rows times a few vectors, held in registers, grow by a
//! multiply-add for each lane of depth.

/// Defines a module's micro-kernel (`KERNEL`) from its vector arithmetic: `LANES`, `splat`, `load`, `store`, `multiply_add`
/// and `add`.
///
/// `rows` lists the heights of tiles, which are compiled one by one, up to `most_rows`. The loop is compiled for the
/// `features`; `detected` asks for these very features.
macro_rules! micro_kernel {
    (
        name: $name:literal, packs_pairs: $packs_pairs:literal, most_rows: $most_rows:literal, rows: [$($rows:literal)*]
        $(, features: [$($feature:tt)+])?
    ) => {
        use super::kernel::MicroKernel;
        use super::prefetch::{prefetch, prefetch_to_write};
        use crate::kernels::cpu::gemm::operand::{Destination, Initial, LeftOperand, PanelRows, Runs, VECTORS};

        /// This instruction set's micro-kernel.
        pub static KERNEL: MicroKernel = MicroKernel {
            name: $name,
            lanes: LANES,
            packs_pairs: $packs_pairs,
            most_rows: $most_rows,
            prefers_full_tiles: false,
            depth_step: 1,
            prepare: None,
            tile,
            tiled: None,
        };

        $(
            /// Whether this machine has every feature that the micro-kernel is compiled for.
            pub fn detected() -> bool {
                $(is_x86_feature_detected!($feature))&&+
            }
        )?

        /// See [`MicroKernel::tile`].
        ///
        /// # Safety
        /// As for [`MicroKernel::tile`].
        unsafe fn tile(
            runs: Runs<'_>,
            left: LeftOperand<'_>,
            panel: PanelRows,
            initial: Initial,
            destination: Destination,
        ) {
            let (rows, vectors) = (left.rows(), destination.vectors);
            // SAFETY: the caller's promise; `rows` and `vectors` are those of the arm.
            unsafe {
                match (rows, vectors) {
                    $(
                        ($rows, 1) => tile_of::<$rows, 1>(runs, left, panel, initial, destination),
                        ($rows, 2) => tile_of::<$rows, 2>(runs, left, panel, initial, destination),
                    )*
                    _ => unreachable!("a tile of {rows} rows and {vectors} vectors"),
                }
            }
        }

        /// A tile of `R` rows of `N` vectors.
        ///
        /// # Safety
        /// As [`MicroKernel::tile`].
        // Plain loops on purpose: a closure would not be compiled for the same instruction set, and the sums
        // would leave the registers.
        #[allow(clippy::needless_range_loop)]
        $($(#[target_feature(enable = $feature)])+)?
        unsafe fn tile_of<const R: usize, const N: usize>(
            Runs { run, shifts }: Runs<'_>,
            left: LeftOperand<'_>,
            PanelRows { first: mut panel, mut ahead }: PanelRows,
            initial: Initial,
            Destination { first: c, stride, .. }: Destination,
        ) {
            // SAFETY: the caller's promise, see `MicroKernel::tile`: there are `R` rows with the lanes of all runs, the
            // panel advances by its width as often as there are lanes, `N` vectors can be read and written at the
            // destination. Places are counted with `wrapping` steps, as a run's base and its end may lie beside the lanes.
            unsafe {
                // Fetched while the sums are made, not when they wait for it.
                for i in 0..R {
                    for j in 0..N {
                        prefetch_to_write(c.wrapping_add(i * stride + j * LANES));
                    }
                }
                let mut sums = [[splat(0.0); N]; R];
                let mut b = [splat(0.0); N];
                match left {
                    LeftOperand::Rows(pointers) => {
                        let pointers = &pointers[..R];
                        for r in 0..shifts.len() {
                            let mut rows = [std::ptr::null::<f32>(); R];
                            for i in 0..R {
                                rows[i] = pointers[i].wrapping_offset(shifts[r]);
                            }
                            for p in 0..run {
                                for j in 0..N {
                                    b[j] = load(panel.add(j * LANES));
                                }
                                panel = panel.add(VECTORS * LANES);
                                prefetch(ahead);
                                ahead = ahead.wrapping_add(LANES);
                                for i in 0..R {
                                    let a = splat(*rows[i].add(p));
                                    for j in 0..N {
                                        sums[i][j] = multiply_add(a, b[j], sums[i][j]);
                                    }
                                }
                            }
                        }
                    }
                    LeftOperand::Columns { first, stride, .. } => {
                        for r in 0..shifts.len() {
                            let mut at = first.wrapping_offset(shifts[r]);
                            for _ in 0..run {
                                for j in 0..N {
                                    b[j] = load(panel.add(j * LANES));
                                }
                                panel = panel.add(VECTORS * LANES);
                                prefetch(ahead);
                                ahead = ahead.wrapping_add(LANES);
                                for i in 0..R {
                                    let a = splat(*at.add(i));
                                    for j in 0..N {
                                        sums[i][j] = multiply_add(a, b[j], sums[i][j]);
                                    }
                                }
                                at = at.wrapping_add(stride);
                            }
                        }
                    }
                }
                // Added last, not first: a sum of sums is rounded less than one long sum.
                match initial {
                    Initial::Zero => {}
                    Initial::Bias(bias) => {
                        for i in 0..R {
                            for j in 0..N {
                                sums[i][j] = add(load(bias.add(j * LANES)), sums[i][j]);
                            }
                        }
                    }
                    Initial::Destination => {
                        for i in 0..R {
                            for j in 0..N {
                                sums[i][j] = add(load(c.add(i * stride + j * LANES)), sums[i][j]);
                            }
                        }
                    }
                }
                for i in 0..R {
                    for j in 0..N {
                        store(c.add(i * stride + j * LANES), sums[i][j]);
                    }
                }
            }
        }
    };
}
pub(super) use micro_kernel;
