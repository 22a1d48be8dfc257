//! The validation at the end of an epoch: on one image after the other, shared out among ranks.

use std::sync::Arc;

use rayon::prelude::*;

use super::error::TrainError;
use super::events::Event;
use super::run::{Run, Scored};
use super::run_folder::log::Record;
use super::run_folder::state::Best;
use super::step::next_of;
use super::together::error::RanksError;
use super::validation::{ImageScores, ValidationScores, over, score_image, scores_of_bytes, scores_to_bytes};
use crate::data::classes::class::Classes;
use crate::data::dataset::Dataset;
use crate::data::flip::Flips;
use crate::data::loader::{BatchRequest, Loader};

/// Validation images scored at a time, in parallel, after the model saw them one by one: as many as so many bytes of logits are of,
/// but at most 16.
const SCORED_TOGETHER: usize = 16;
const LOGITS_HELD: usize = 256 << 20;

impl Run<'_> {
    /// Validates, logs it, and says whether the model is the best so far.
    pub(super) fn score_epoch(&mut self) -> Result<Scored, TrainError> {
        let (epoch, step) = (self.state.epoch + 1, self.state.step);
        let loss = self.state.epoch_loss / self.state.step_in_epoch as f64;
        let summary = match &self.sources.validation {
            None => None,
            Some(dataset) => {
                let dataset = dataset.clone();
                let validated = self.validate(&dataset);
                let summary = match self.ranks.settle(validated) {
                    Ok(Some(summary)) => summary,
                    Ok(None) => return Ok(Scored::Stopped),
                    Err(error) => {
                        // as in a step: the epoch's steps stay, its validation comes at the resume
                        self.write_checkpoint(false)?;
                        return Err(error);
                    }
                };
                self.log(&Record::Validation { epoch, validation: &summary })?;
                Some(summary)
            }
        };
        let score = summary.as_ref().map_or(loss, |summary| self.selection.score(summary));
        let better = |old: f64| if summary.is_some() { self.selection.is_better(score, old) } else { score < old };
        // where no validation image shows a class, there is no score, and the first model stays the best
        let score = match summary.is_some() && score.is_nan() && self.state.best.is_none() {
            true => self.selection.worst(),
            false => score,
        };
        let best = score.is_finite() && self.state.best.is_none_or(|old| better(old.score));
        let selection = self.selection;
        self.observer.event(&Event::Epoch { epoch, loss, validation: summary.as_ref(), selection, best });
        Ok(if best { Scored::Best(Best { epoch, step, score }) } else { Scored::NotBest })
    }

    /// Scores the maps that `predict` would save; `None` if it was stopped. Of `n` ranks each takes every `n`-th image.
    fn validate(&mut self, dataset: &Arc<dyn Dataset>) -> Result<Option<ValidationScores>, TrainError> {
        let (side, count) = (self.settings.size, dataset.len());
        let (rank, size) = (self.ranks.rank(), self.ranks.size());
        // one image at a time, as `predict` does: the same arithmetic, on the same device, gives the same map
        let own: Vec<usize> = (rank..count).step_by(size).collect();
        let request = |index: &usize| BatchRequest { side, samples: vec![(*index, Flips::default())] };
        let mut loader = Loader::new(dataset.clone(), own.iter().map(request).collect(), self.loader_threads());
        let classes = dataset.classes().map_or(1, Classes::len);
        let together = (LOGITS_HELD / (4 * classes * side * side)).clamp(1, SCORED_TOGETHER);
        let mut scores = Vec::with_capacity(own.len());
        let mut unscored = Vec::with_capacity(together);
        let rounds = count.div_ceil(size);
        for round in 0..rounds {
            let wishes = self.wishes(false)?;
            if wishes.stop {
                return Ok(None);
            }
            if wishes.save {
                // all steps of the epoch; a resume from here validates anew
                self.save(true)?;
            }
            if let Some(&index) = own.get(round) {
                unscored.push((index, self.learner.predict(&next_of(&mut loader)?.images, 1, side)?));
            }
            if unscored.len() == together || round + 1 == rounds {
                let selection = self.selection;
                let score =
                    |(index, logits): &(usize, Vec<f32>)| score_image(&**dataset, *index, logits, side, selection);
                let scored: Vec<_> = unscored.par_iter().map(score).collect();
                for score in scored {
                    scores.push(score?);
                }
                unscored.clear();
            }
            self.observer.event(&Event::Validating { done: ((round + 1) * size).min(count), of: count });
        }
        let scores = self.all_scores(scores, count)?;
        let summary = over(scores).map_err(|source| TrainError::ClassMetric { name: "the set".to_string(), source })?;
        Ok(Some(summary))
    }

    /// The scores of all ranks, in the order of the images.
    fn all_scores(&self, own: Vec<ImageScores>, count: usize) -> Result<Vec<ImageScores>, TrainError> {
        if !self.ranks.are_several() {
            return Ok(own);
        }
        let unreadable = |reason| RanksError::Told { what: "the scores", reason };
        let own = scores_to_bytes(&own).map_err(|error| unreadable(error.to_string()))?;
        let mut of_ranks = Vec::with_capacity(self.ranks.size());
        for bytes in self.ranks.gather_any(&own)? {
            of_ranks.push(scores_of_bytes(&bytes, self.sources.training.classes()).map_err(unreadable)?.into_iter());
        }
        Ok((0..count).filter_map(|index| of_ranks[index % self.ranks.size()].next()).collect())
    }
}
