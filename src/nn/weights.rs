//! What a weight is called, how large it is and what it is for: plain data, no tensors.
//!
//! Names are those of the published SAM2-UNet checkpoints (`encoder.blocks.7.block.attn.qkv.weight`).

use crate::kernels::encoded::Encoded;

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

/// Where a model under construction gets its weights from: a file, or an initialisation.
pub trait WeightSource {
    /// The numbers for `spec`, row-major, exactly `spec.len()` of them (a count for [`Role::Counter`]).
    ///
    /// # Errors
    /// When the source does not hold it, or holds another shape.
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError>;

    /// The same numbers where they stand, for one who can use them from there; `None` where the source has them otherwise.
    ///
    /// # Errors
    /// As [`value`](Self::value).
    fn encoded(&mut self, spec: &WeightSpec) -> Result<Option<Encoded<'_>>, SourceError> {
        let _ = spec;
        Ok(None)
    }
}

/// Why a [`WeightSource`] gave no value.
#[derive(Debug, thiserror::Error)]
#[error("{name}: {reason}")]
pub struct SourceError {
    /// The weight that was asked for.
    pub name: String,
    /// Why there is no such value.
    pub reason: String,
}
