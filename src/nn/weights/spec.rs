//! What a weight is called, how large it is and what it is for: plain data, no tensors.
//!
//! Names are those of the published SAM2-UNet checkpoints (`encoder.blocks.7.block.attn.qkv.weight`).

/// What a stored value is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Changed by the optimiser: adapters, RFB, decoder, heads.
    Trainable,
    /// Changed by training, not by the optimiser: a running mean or variance.
    Statistic,
    /// A running count of batches, an `i64` scalar (`num_batches_tracked`).
    Counter,
    /// Part of the frozen trunk: never changed.
    Frozen,
    /// Stored in published checkpoints and never used (`up4`'s numbers).
    Unused,
}

/// One value that a model stores: published name, shape (outermost dimension first) and role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WeightSpec {
    /// Published name, for example `rfb1.branch0.0.conv.weight`.
    pub name: String,
    /// Shape as PyTorch prints it; empty for a scalar.
    pub shape: Vec<usize>,
    /// What it is for.
    pub role: Role,
}

impl WeightSpec {
    /// How many numbers it holds.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it holds no number at all.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether it belongs to SAM2's image encoder, and so to a backbone file: everything under
    /// `encoder.` but the adapters (`prompt_learn`).
    pub fn in_trunk(&self) -> bool {
        self.role == Role::Frozen
    }
}

/// A stored value: real numbers, or a running count.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Row-major numbers, as many as the shape says.
    Real(Vec<f32>),
    /// A count of batches.
    Count(i64),
}

/// The list of values that a model stores, collected from its type without building it.
#[derive(Clone, Debug)]
pub struct SpecList {
    /// The values so far.
    pub specs: Vec<WeightSpec>,
    /// Classes of a model whose type leaves their number open (`usize`).
    pub classes: usize,
}

impl SpecList {
    /// Nothing yet, of a model for so many classes where its type leaves that open.
    pub fn new(classes: usize) -> Self {
        Self { specs: Vec::new(), classes }
    }

    /// Adds a value.
    pub fn push(&mut self, spec: WeightSpec) {
        self.specs.push(spec);
    }
}
