//! A step of the optimiser: this process's part of its batches, and what all processes make of theirs.

use std::ops::Range;
use std::rc::Rc;
use std::time::{Duration, Instant};

use super::error::TrainError;
use super::learner::{BatchSender, LearnError};
use super::plan::Step;
use super::run::{Run, Unread};
use super::together::cut::Cut;
use super::together::error::RanksError;
use super::together::sum::Seen;
use super::together::tree::{Sums, leaves};
use super::together::whole::SplitBatch;
use crate::data::loader::{Batch, BatchRequest, Loader};
use crate::nn::whole_batch::as_part_of;

/// A device that lags behind the host is asked for its losses after as many steps, or when the oldest of them was begun so
/// long ago; another after each.
const STEPS_UNREAD: usize = 16;
const TIME_UNREAD: Duration = Duration::from_secs(1);

/// How a step is made.
#[derive(Clone, Copy)]
enum Way {
    /// Of one batch by one process: nothing has to be put together.
    One,
    /// Each rank has whole batches of it.
    Batches,
    /// Each rank has a part of each batch.
    Parts,
}

impl Run<'_> {
    /// How a step is made.
    fn way(&self, step: &Step) -> Way {
        match (self.ranks.are_several(), step.batches.len()) {
            (true, _) if self.settings.split_batch => Way::Parts,
            (false, 1) => Way::One,
            _ => Way::Batches,
        }
    }

    /// What this rank reads of a step.
    pub(super) fn own_requests(&self, step: &Step) -> Vec<BatchRequest> {
        let (rank, ranks) = (self.ranks.rank(), self.ranks.size());
        let part = |batch: &BatchRequest| BatchRequest {
            samples: batch.samples[Cut::new(batch.samples.len(), rank, ranks).computed()].to_vec(),
            ..*batch
        };
        match self.way(step) {
            Way::Parts => step.batches.iter().map(part).collect(),
            Way::One | Way::Batches => step.batches[self.own_batches(step)].to_vec(),
        }
    }

    /// This rank's batches of a step.
    fn own_batches(&self, step: &Step) -> Range<usize> {
        leaves(self.ranks.rank(), self.ranks.size(), step.batches.len())
    }

    /// One optimiser step, whose batches are in memory one after the other. It is made whole or not at all, as it is
    /// saved whole or not at all.
    pub(super) fn step(&mut self, step: &Step, loader: &mut Loader, rate: f64) -> Result<(), TrainError> {
        if self.unread.is_empty() {
            self.unread_since = Instant::now();
        }
        let way = self.way(step);
        let is_sent = matches!(way, Way::Batches) && self.learner.sender().is_some();
        let learnt = match way {
            Way::One => self.learn_one(loader),
            Way::Batches if is_sent => self.learn_and_send(step, loader),
            Way::Batches => self.learn_batches(step, loader),
            Way::Parts => self.learn_parts(step, loader),
        };
        // what one rank lacks, no rank goes on without
        let seen = match self.ranks.together(self.state.step, learnt) {
            Ok(seen) => seen,
            Err(error) => {
                self.learner.abandon_step();
                if matches!(error, TrainError::Data(_) | TrainError::Ranks(RanksError::Failed { .. })) {
                    // a file went away: what was learnt in the steps before should not go with it
                    self.write_checkpoint(false)?;
                }
                return Err(error);
            }
        };
        let sizes = self.learner.sizes();
        let seen = match way {
            Way::One => None,
            Way::Batches => Some(seen.gathered(self.ranks, step.batches.len(), sizes.statistics)?),
            Way::Parts => Some(seen.added_up(self.ranks)?),
        };
        match &seen {
            None => self.learner.update(rate)?,
            Some(Seen { statistics, .. }) => {
                let gradient = match is_sent {
                    true => self.sum_in_parts.total(),
                    false => self.sum.total(self.ranks, sizes.gradient)?,
                };
                self.learner.update_with(gradient, statistics, rate)?;
            }
        }
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        let made = Unread { number: self.state.step, step: step.clone(), rate };
        match seen {
            Some(Seen { losses, .. }) => self.log_steps(vec![made], losses),
            None => {
                self.unread.push(made);
                let due = self.unread.len() >= STEPS_UNREAD || self.unread_since.elapsed() >= TIME_UNREAD;
                if due || !self.learner.is_asynchronous() { self.read_losses() } else { Ok(()) }
            }
        }
    }

    /// The only batch of a step, whose gradient stays where it was computed.
    fn learn_one(&mut self, loader: &mut Loader) -> Result<Seen, TrainError> {
        self.learner.accumulate(&next_of(loader)?, 1.0, self.settings.loss)?;
        Ok(Seen::default())
    }

    /// This rank's batches of a step: adds up their gradients in `sum`.
    fn learn_batches(&mut self, step: &Step, loader: &mut Loader) -> Result<Seen, TrainError> {
        self.sum.begin(step.batches.len());
        let mut seen = Seen::default();
        for index in self.own_batches(step) {
            let (batch, request) = (next_of(loader)?, &step.batches[index]);
            self.learner.accumulate(&batch, step.share(request) as f32, self.settings.loss)?;
            let mut gradient = self.sum.buffer();
            self.learner.take_batch(&mut gradient, &mut seen.statistics)?;
            self.sum.push(index, gradient);
        }
        seen.losses = self.learner.losses()?;
        Ok(seen)
    }

    /// The same where the device works beside the host: each batch is on its way to the host while the next one is computed, and of the
    /// last one each part is added up over all ranks while the rest of it is computed.
    fn learn_and_send(&mut self, step: &Step, loader: &mut Loader) -> Result<Seen, TrainError> {
        let parts = self.learner.sender().map(|sender| sender.parts()).unwrap_or_default();
        self.sum_in_parts.begin(step.batches.len(), parts);
        let mut seen = Seen::default();
        let sent = self.send_batches(step, loader, &mut seen);
        let last = self.ranks.settle(sent)?;
        for part in 0..self.sum_in_parts.count() {
            let received = last.map_or(Ok(()), |index| self.receive_part(index, part));
            // between this and the end of the exchange nothing can fail on one rank only
            self.ranks.together(self.state.step, received)?;
            self.sum_in_parts.complete(part, self.ranks)?;
        }
        seen.losses = self.learner.losses()?;
        Ok(seen)
    }

    /// Computes this rank's batches of a step and sends them; adds up those before the last one. Of that, which it gives the index of,
    /// what batch norms saw is received.
    fn send_batches(&mut self, step: &Step, loader: &mut Loader, seen: &mut Seen) -> Result<Option<usize>, TrainError> {
        let mut before = None;
        for index in self.own_batches(step) {
            let (batch, request) = (next_of(loader)?, &step.batches[index]);
            self.learner.accumulate(&batch, step.share(request) as f32, self.settings.loss)?;
            self.sender()?.send_batch()?;
            // the device has the next one to do while the host waits for this one
            if let Some(before) = before.replace(index) {
                self.sender()?.receive_statistics(&mut seen.statistics)?;
                (0..self.sum_in_parts.count()).try_for_each(|part| self.receive_part(before, part))?;
            }
        }
        if before.is_some() {
            self.sender()?.receive_statistics(&mut seen.statistics)?;
        }
        Ok(before)
    }

    /// Receives a part of a batch's gradient and adds it to this rank's others.
    fn receive_part(&mut self, batch: usize, part: usize) -> Result<(), TrainError> {
        let mut gradient = self.sum_in_parts.of(part).buffer();
        self.sender()?.receive_part(&mut gradient)?;
        self.sum_in_parts.of(part).push(batch, gradient);
        Ok(())
    }

    /// What sends batches.
    fn sender(&mut self) -> Result<&mut dyn BatchSender, LearnError> {
        self.learner.sender().ok_or_else(|| LearnError::Batch("this device sends no batches".to_string()))
    }

    /// This rank's images of each batch of a step: puts the sum of their gradients into `sum`.
    fn learn_parts(&mut self, step: &Step, loader: &mut Loader) -> Result<Seen, TrainError> {
        self.sum.begin(self.ranks.size());
        let mut seen = Seen::default();
        let (mut sum, mut shares) = (Sums::new(step.batches.len()), Vec::new());
        for (index, request) in step.batches.iter().enumerate() {
            let whole = SplitBatch::new(self.ranks.group().clone(), request.samples.len());
            let own = whole.cut().share();
            shares.push(f64::from(own));
            // within the pass they wait for each other: nobody begins it before all have their images
            let batch = self.ranks.together(self.state.step, next_of(loader))?;
            let (learner, loss) = (&mut *self.learner, self.settings.loss);
            let scale = step.share(request) as f32 * own;
            if let Err(error) = as_part_of(Rc::new(whole), || learner.accumulate(&batch, scale, loss)) {
                self.ranks.group().abort(&error.to_string(), 1);
            }
            let mut gradient = if sum.nodes().is_empty() { self.sum.buffer() } else { sum.buffer() };
            self.learner.take_batch(&mut gradient, &mut seen.statistics)?;
            sum.push(index, gradient);
        }
        if let Some(gradient) = sum.into_root() {
            self.sum.push(self.ranks.rank(), gradient);
        }
        let losses = self.learner.losses()?.into_iter().zip(shares);
        seen.losses = losses.map(|(loss, share)| loss * share).collect();
        Ok(seen)
    }
}

/// The next batch that was asked for.
pub(super) fn next_of(loader: &mut Loader) -> Result<Batch, TrainError> {
    let batch = loader.next().ok_or_else(|| LearnError::Batch("the loader ended early".to_string()))?;
    Ok(batch?)
}
