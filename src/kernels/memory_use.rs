//! How much memory training may use to avoid recomputation.

/// What an operation saves in the forward pass for the backward pass, which recomputes the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum MemoryUse {
    /// A block saves its input only, and so does a convolution with a batch norm.
    Small,
    /// A block also saves its attention's output and, if it does not pool, the projections: the backward pass recomputes the
    /// adapter and the first half of the MLP. A convolution with a batch norm also saves its output.
    #[default]
    Balanced,
    /// A block of the last two stages, where it saves the most work for its memory, also saves the MLP's first product: the
    /// backward pass recomputes the adapter, norms and GELUs. (On a GPU the same as [`Balanced`](Self::Balanced).)
    Fast,
}
