//! Weights that rank 0 reads and all build their model from.

use super::ranks::Ranks;
use crate::nn::weights::source::{SourceError, WeightSource};
use crate::nn::weights::spec::{Role, Value, WeightSpec};

/// A source of weights that all ranks have in common: rank 0 reads each from its own, and tells it to the others. So only rank 0 needs
/// weight files, and all begin with the same numbers.
///
/// All ranks ask for the same weights in the same order, as they build the same model.
pub(crate) struct ToldSource<'a> {
    ranks: &'a Ranks,
    /// Rank 0's.
    source: Option<&'a mut dyn WeightSource>,
}

impl<'a> ToldSource<'a> {
    /// What rank 0 does: tells what `source` holds.
    pub fn telling(ranks: &'a Ranks, source: &'a mut dyn WeightSource) -> Self {
        Self { ranks, source: Some(source) }
    }

    /// What the others do.
    pub fn told(ranks: &'a Ranks) -> Self {
        Self { ranks, source: None }
    }
}

impl WeightSource for ToldSource<'_> {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let lost = |reason: String| SourceError { name: spec.name.clone(), reason };
        let Some(source) = &mut self.source else {
            let bytes = self.ranks.tell(None).map_err(|error| lost(error.to_string()))?;
            return match spec.role {
                Role::Counter => {
                    let bytes = <[u8; 8]>::try_from(&bytes[..]);
                    let count = bytes.map_err(|_| lost("rank 0 told no count".to_string()))?;
                    Ok(Value::Count(i64::from_le_bytes(count)))
                }
                _ => Ok(Value::Real(bytemuck::pod_collect_to_vec(&bytes))),
            };
        };
        let value = source.value(spec)?;
        let told = match &value {
            Value::Real(numbers) => self.ranks.tell(Some(bytemuck::cast_slice(numbers))),
            Value::Count(count) => self.ranks.tell(Some(&count.to_le_bytes())),
        };
        told.map_err(|error| lost(error.to_string()))?;
        Ok(value)
    }
}
