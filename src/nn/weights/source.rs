//! Where weights come from.

use super::spec::{Value, WeightSpec};
use crate::kernels::encoded::Encoded;

/// Where a model under construction gets its weights from: a file, or an initialisation.
pub trait WeightSource {
    /// The numbers for `spec`, row-major, exactly `spec.len()` of them (a count for [`Role::Counter`](super::spec::Role::Counter)).
    ///
    /// # Errors
    /// When the source does not hold it, or holds another shape.
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError>;

    /// The same numbers in the source's own encoding, without a copy; `None` if the source cannot lend them.
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
#[error("{name}{}{reason}", if name.is_empty() { "" } else { ": " })]
pub struct SourceError {
    /// The weight that was asked for; empty where the reason names it.
    pub name: String,
    /// Why there is no such value.
    pub reason: String,
}
