//! Training at two sides.

use crate::choice::choice;

/// The second scale of multi-scale training, of the first (paper, section 4.1).
pub const LARGER_SCALE: f64 = 1.25;

choice! {
    /// How multi-scale training draws its sides.
    #[derive(Default)]
    pub enum MultiScale: "multi_scale" {
        /// One side.
        #[default]
        Off = "off",
        /// Each batch at the side or at 1.25 times the side, drawn from seed, epoch and batch.
        Random = "random",
        /// Each batch at both, an update each.
        Both = "both",
    }
}
