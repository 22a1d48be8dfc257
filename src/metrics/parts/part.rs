//! A part of the scores of sets.

use std::ops::Range;

use super::about::{AboutEvaluation, AboutSet, PartOptions};
use crate::data::warning::Warning;
use crate::metrics::evaluation_error::EvaluationError;
use crate::metrics::folders::{PairedFolders, ScoredImages, ScoredStretch};
use crate::shard::Shard;

/// A part of the scores of sets: those of the part's stretch of all pairs, set after set. Serialises as what
/// [`read`](Self::read) reads.
#[derive(Clone, Debug)]
pub struct EvaluationPart {
    pub(super) shard: Shard,
    pub(super) about: AboutEvaluation,
    pub(super) sets: Vec<SetPart>,
}

/// What a part holds of a set; it may be nothing.
#[derive(Clone, Debug)]
pub struct SetPart {
    pub(super) about: AboutSet,
    pub(super) images: ScoredImages,
    about_predictions: Vec<Warning>,
    about_masks: Vec<Warning>,
}

impl EvaluationPart {
    /// Reads and scores the part's pairs of these sets, as [`PairedFolders::score`]; calls `scored` after each pair.
    ///
    /// # Errors
    /// As [`PairedFolders::score`].
    pub fn score(
        sets: &[PairedFolders],
        shard: Shard,
        options: &PartOptions,
        scored: impl Fn() + Sync,
    ) -> Result<Self, EvaluationError> {
        let pairs = sets.iter().map(PairedFolders::pairs);
        let score = |(set, stretch): (&PairedFolders, Range<usize>)| {
            let ScoredStretch { images, about_predictions, about_masks } =
                set.score_stretch(stretch, options.outlines, &scored)?;
            let about = AboutSet::of(set, &images, options.outlines);
            Ok(SetPart { about, images, about_predictions, about_masks })
        };
        let sets = sets.iter().zip(stretches(shard, pairs)).map(score).collect::<Result<_, EvaluationError>>()?;
        Ok(Self { shard, about: AboutEvaluation::of(options), sets })
    }

    /// Which part it is.
    pub fn shard(&self) -> Shard {
        self.shard
    }

    /// Of each set what it holds, in the order of the sets.
    pub fn sets(&self) -> &[SetPart] {
        &self.sets
    }

    /// How many images it holds the scores of.
    pub fn images(&self) -> usize {
        self.sets.iter().map(SetPart::images).sum()
    }

    /// How many pairs all parts have together.
    pub fn pairs(&self) -> usize {
        self.sets.iter().map(|set| set.about.pairs).sum()
    }
}

impl SetPart {
    /// Of what was read.
    pub(super) fn of_images(about: AboutSet, images: ScoredImages) -> Self {
        Self { about, images, about_predictions: Vec::new(), about_masks: Vec::new() }
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.about.name
    }

    /// How many images it holds the scores of.
    pub fn images(&self) -> usize {
        match &self.images {
            ScoredImages::OneClass(images) => images.len(),
            ScoredImages::Classes(_, images) => images.len(),
        }
    }

    /// What is worth knowing of how the predictions were read; nothing of a part that was read from a file.
    pub fn about_predictions(&self) -> &[Warning] {
        &self.about_predictions
    }

    /// What is likely wrong with the masks, and what is worth knowing of how they were read; nothing of a part that was read from a
    /// file.
    pub fn about_masks(&self) -> &[Warning] {
        &self.about_masks
    }
}

/// The part's stretch of each set, of so many pairs each.
pub(super) fn stretches(shard: Shard, pairs: impl Iterator<Item = usize> + Clone) -> Vec<Range<usize>> {
    let all = shard.stretch(pairs.clone().sum());
    let mut first = 0;
    let of_set = |pairs: usize| {
        let within = |at: usize| at.saturating_sub(first).min(pairs);
        let stretch = within(all.start)..within(all.end);
        first += pairs;
        stretch
    };
    pairs.map(of_set).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_goes_over_the_ends_of_sets() {
        let of = |index: usize, of: usize| stretches(Shard::new(index, of).unwrap(), [3, 0, 4].into_iter());
        assert_eq!(of(1, 2), [0..3, 0..0, 0..0]);
        assert_eq!(of(2, 2), [3..3, 0..0, 0..4]);
        assert_eq!(of(2, 3), [2..3, 0..0, 0..1]);
        assert_eq!(of(1, 9), [0..0, 0..0, 0..0]);
    }
}
