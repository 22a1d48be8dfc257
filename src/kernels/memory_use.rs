//! How much memory training may use to avoid recomputation.

use crate::choice::choice;

choice! {
    /// What an operation saves in the forward pass for the backward pass, which recomputes the rest.
    #[derive(Default)]
    pub enum MemoryUse: "memory" {
        /// A block saves its input only, and so does a convolution with a batch norm.
        Small = "small",
        /// A block also saves its attention's output and, if it does not pool, the projections: the backward pass recomputes the
        /// adapter and the first half of the MLP. A convolution with a batch norm also saves its output.
        #[default]
        Balanced = "balanced",
        /// A block of the last two stages, where it saves the most work for its memory, also saves the MLP's first product: the
        /// backward pass recomputes the adapter, norms and GELUs. (On a GPU the same as [`Balanced`](Self::Balanced).)
        Fast = "fast",
    }
}
