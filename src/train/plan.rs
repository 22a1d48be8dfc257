//! What a run will do, step by step: which samples, at which side, mirrored how. A function of the
//! settings, the number of images and the position, so that a resumed run does the same.

use super::run_folder::state::State;
use super::settings::settings::Settings;
use crate::data::example::{epoch_order, flips};
use crate::data::flip::Flips;
use crate::data::loader::BatchRequest;
use crate::data::multi_scale::MultiScale;
use crate::data::random::Draws;

/// Keeps the draws of sides apart from other uses of an equal seed.
const SIDES_STREAM: u64 = 0x7369_6465;

/// A run's length, in steps and epochs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Training images.
    pub images: usize,
    /// Batches in an epoch, the last one perhaps short.
    pub batches_per_epoch: u64,
    /// Optimiser steps in an epoch.
    pub steps_per_epoch: u64,
    /// Epochs that the cosine of the learning rate spans.
    pub horizon: u64,
    /// Optimiser steps of the whole run.
    pub steps: u64,
}

/// One optimiser step: the batches whose gradients it adds up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Its batches.
    pub batches: Vec<BatchRequest>,
}

impl Step {
    /// How many images it sees.
    pub fn images(&self) -> usize {
        self.batches.iter().map(|batch| batch.samples.len()).sum()
    }

    /// A batch's share of it, so that the step's gradient is that of the mean over its images, whatever its batches.
    pub fn share(&self, batch: &BatchRequest) -> f64 {
        batch.samples.len() as f64 / self.images() as f64
    }
}

impl Plan {
    /// The plan for `images` training images.
    pub fn new(settings: &Settings, images: usize) -> Self {
        let batches = images.div_ceil(settings.batch_size.max(1)).max(1) as u64;
        let groups = batches.div_ceil((settings.accumulate as u64).max(1));
        let updates = if settings.multi_scale == MultiScale::Both { 2 } else { 1 };
        let steps_per_epoch = groups.saturating_mul(updates);
        let horizon = match (settings.epochs, settings.steps) {
            (Some(epochs), _) => epochs,
            (None, steps) => steps.unwrap_or(1).div_ceil(steps_per_epoch),
        };
        let steps = horizon.saturating_mul(steps_per_epoch);
        let steps = settings.steps.map_or(steps, |most| most.min(steps));
        Self { images, batches_per_epoch: batches, steps_per_epoch, horizon, steps }
    }

    /// Whether a position is one of this plan; if not, what does not fit.
    pub(super) fn check(&self, state: &State) -> Result<(), String> {
        if state.images != self.images {
            return Err(format!(
                "the run was on {} images, now there are {}: an exact resume needs the same images",
                state.images, self.images
            ));
        }
        let (whole, part) = (state.epoch.checked_mul(self.steps_per_epoch), state.step_in_epoch);
        if part > self.steps_per_epoch || whole.and_then(|whole| whole.checked_add(part)) != Some(state.step) {
            return Err(format!(
                "step {} is not step {part} of epoch {} with {} steps an epoch: were settings changed in config.toml?",
                state.step,
                state.epoch.saturating_add(1),
                self.steps_per_epoch
            ));
        }
        Ok(())
    }

    /// The steps of `epoch` (from 0), in order.
    pub fn epoch(&self, settings: &Settings, epoch: u64) -> Vec<Step> {
        let seed = settings.seed;
        let order = epoch_order(seed, epoch, self.images, settings.shuffle);
        let flips = |index| if settings.augment { flips(seed, epoch, index) } else { Flips::default() };
        let samples: Vec<_> = order.into_iter().map(|index| (index, flips(index))).collect();
        let batches: Vec<_> = samples.chunks(settings.batch_size.max(1)).enumerate().collect();
        let at = |side: &dyn Fn(usize) -> usize, group: &[(usize, &[(usize, Flips)])]| Step {
            batches: group
                .iter()
                .map(|&(batch, samples)| BatchRequest { side: side(batch), samples: samples.to_vec() })
                .collect(),
        };
        let (side, larger) = (settings.size, settings.larger_side());
        let drawn = |batch: usize| {
            let large = Draws::new(&[SIDES_STREAM, seed, epoch, batch as u64]).chance(0.5);
            if large { larger } else { side }
        };
        batches
            .chunks(settings.accumulate.max(1))
            .flat_map(|group| match settings.multi_scale {
                MultiScale::Off => vec![at(&|_| side, group)],
                MultiScale::Random => vec![at(&drawn, group)],
                MultiScale::Both => vec![at(&|_| side, group), at(&|_| larger, group)],
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn steps_alone_set_the_horizon() {
        let of = |epochs, steps| {
            let plan = Plan::new(&Settings { epochs, steps, batch_size: 4, ..Settings::default() }, 10);
            (plan.steps_per_epoch, plan.horizon, plan.steps)
        };
        assert_eq!(of(None, Some(7)), (3, 3, 7));
        assert_eq!(of(None, Some(6)), (3, 2, 6));
        assert_eq!(of(Some(5), None), (3, 5, 15));
        assert_eq!(of(Some(5), Some(7)), (3, 5, 7));
        assert_eq!(of(Some(2), Some(7)), (3, 2, 6));
    }

    /// A position from a damaged file asks for a plan of any number of images.
    #[test]
    fn no_number_of_images_or_steps_is_too_large_to_refuse() {
        let settings = Settings {
            batch_size: 1,
            multi_scale: MultiScale::Both,
            steps: Some(5),
            epochs: None,
            ..Settings::default()
        };
        for images in [0, 1, 1 << 63, usize::MAX] {
            let plan = Plan::new(&settings, images);
            assert!(plan.steps_per_epoch > 0 && plan.steps <= 5, "{plan:?}");
            for number in [0, 1, 1 << 63, u64::MAX] {
                let state = State::new(images, String::new(), None);
                let state = State { step: number, epoch: number, step_in_epoch: number, ..state };
                assert_eq!(plan.check(&state).is_ok(), number == 0);
            }
        }
    }

    #[test]
    fn an_epoch_sees_every_image_once_and_keeps_the_short_batch() {
        for (multi_scale, sides) in
            [(MultiScale::Off, &[352][..]), (MultiScale::Random, &[352, 448]), (MultiScale::Both, &[352, 448])]
        {
            let settings =
                Settings { batch_size: 4, accumulate: 2, multi_scale, epochs: Some(4), ..Settings::default() };
            let plan = Plan::new(&settings, 22);
            let steps = plan.epoch(&settings, 3);
            assert_eq!(steps.len() as u64, plan.steps_per_epoch);
            let batches: Vec<_> = steps.iter().flat_map(|step| &step.batches).collect();
            let mut seen: Vec<_> = batches.iter().map(|batch| batch.side).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen, sides);
            let mut times = [0; 22];
            batches.iter().flat_map(|batch| &batch.samples).for_each(|(index, _)| times[*index] += 1);
            assert!(times.iter().all(|&n| n == if multi_scale == MultiScale::Both { 2 } else { 1 }));
            assert_eq!(batches.last().unwrap().samples.len(), 2);
            assert_eq!(steps, plan.epoch(&settings, 3));
            assert_ne!(steps, plan.epoch(&settings, 4));
        }
    }

    #[test]
    fn without_shuffling_and_flips_an_epoch_is_the_files_in_order() {
        let settings =
            Settings { batch_size: 2, shuffle: false, augment: false, epochs: Some(2), ..Settings::default() };
        let steps = Plan::new(&settings, 3).epoch(&settings, 1);
        let samples: Vec<_> = steps.iter().flat_map(|step| &step.batches[0].samples).copied().collect();
        assert_eq!(samples, [(0, Flips::default()), (1, Flips::default()), (2, Flips::default())]);
    }
}
