//! Every pair of a set in parallel, and what is wrong with any of them.

use rayon::prelude::*;

use super::evaluation_error::{EvaluationError, RefusedPair, SizesOfPair};
use crate::data::error::{BadFiles, DataError};

/// Why a pair has no scores.
pub(super) enum Unscored {
    /// Files that cannot be read.
    Data(Vec<DataError>),
    /// Predictions of another size than their mask.
    Sizes(Vec<SizesOfPair>),
    Metric(EvaluationError),
    Classes(RefusedPair),
}

impl From<DataError> for Unscored {
    fn from(error: DataError) -> Self {
        Self::Data(error.each())
    }
}

/// What `score` makes of each pair, by its number, on rayon's threads; calls `scored` after each pair. `predictions` is how many
/// predictions there are.
///
/// # Errors
/// All errors of the first kind that there are.
pub(super) fn each<T: Send>(
    pairs: usize,
    predictions: usize,
    score: impl Fn(usize) -> Result<T, Unscored> + Sync,
    scored: impl Fn() + Sync,
) -> Result<Vec<T>, EvaluationError> {
    // in order, so that neither the sums nor the errors reported depend on the threads
    let score = |pair: usize| {
        let found = score(pair);
        scored();
        found
    };
    let found: Vec<_> = (0..pairs).into_par_iter().map(score).collect();
    let mut scores = Vec::with_capacity(pairs);
    let (mut unreadable, mut differing, mut unscored, mut refused) = (Vec::new(), Vec::new(), None, Vec::new());
    for found in found {
        match found {
            Ok(found) => scores.push(found),
            Err(Unscored::Data(errors)) => unreadable.extend(errors),
            Err(Unscored::Sizes(differ)) => differing.extend(differ),
            Err(Unscored::Metric(error)) => unscored = unscored.or(Some(error)),
            Err(Unscored::Classes(pair)) => refused.push(pair),
        }
    }
    if !unreadable.is_empty() {
        return Err(DataError::Bad(BadFiles { of: pairs, errors: unreadable }).into());
    }
    if !differing.is_empty() {
        return Err(EvaluationError::SizesDiffer { pairs: differing, of: predictions });
    }
    if let Some(error) = unscored {
        return Err(error);
    }
    if !refused.is_empty() {
        return Err(EvaluationError::Classes { pairs: refused, of: pairs });
    }
    Ok(scores)
}
