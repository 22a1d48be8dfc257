//! What an optimiser gathered, told to all ranks.

use std::collections::BTreeMap;

use bytemuck::{cast_slice, pod_collect_to_vec};

use super::ranks::Ranks;
use crate::train::learner::Learner;
use crate::train::prepare_error::PrepareError;

/// Puts rank 0's moments and step count into every rank's optimiser.
///
/// # Errors
/// When a rank failed or is lost, or a moment has another length than its weight.
pub(crate) fn tell_optimiser(ranks: &Ranks, learner: &mut dyn Learner) -> Result<(), PrepareError> {
    let (mut lengths, mut numbers) = (Vec::new(), Vec::new());
    if ranks.is_first() {
        learner.each_moment(&mut |name, first, second| {
            lengths.push((name.to_string(), first.len()));
            numbers.extend([first, second].concat());
        })?;
    }
    let known = ranks.is_first().then(|| (lengths, learner.optimiser_steps()));
    let (lengths, steps) = ranks.tell_value("the optimiser's state", known)?;
    let told = ranks.tell(ranks.is_first().then_some(cast_slice(&numbers)))?;
    if ranks.is_first() {
        return Ok(());
    }
    let numbers: Vec<f32> = pod_collect_to_vec(&told);
    let (mut moments, mut rest) = (BTreeMap::new(), &numbers[..]);
    for (name, length) in lengths {
        // a moment that is cut off is refused as one of another length
        let mut take = || {
            let (own, after) = rest.split_at(length.min(rest.len()));
            rest = after;
            own.to_vec()
        };
        moments.insert(name, (take(), take()));
    }
    Ok(learner.restore_optimiser(&mut |name| moments.remove(name), steps)?)
}
