//! What `torch.save` writes: a zip archive since PyTorch 1.6, a chain of pickles before.

pub(super) mod archive;
pub(super) mod contents;
pub(super) mod entries;
pub(super) mod legacy;
pub(super) mod write;
