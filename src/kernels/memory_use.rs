//! How much memory training may take to save arithmetic.

/// What an operation keeps from its forward for its backward pass; what it does not keep is computed again (recompute).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryUse {
    /// A block keeps its input only, and so does a convolution with a batch norm.
    Small,
    /// A block also keeps its attention's output and, where it does not pool, the projections: the backward pass computes again
    /// the adapter and the first half of the MLP. A convolution with a batch norm also keeps its output.
    #[default]
    Balanced,
    /// A block of the last two stages also keeps the MLP's first product, where it takes the least room for its work: the
    /// backward pass computes again the adapter, norms and GELUs. (On a GPU the same as [`Balanced`](Self::Balanced).)
    Fast,
}
