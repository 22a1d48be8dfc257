//! Parts of scores in files.

use std::fs;
use std::path::Path;

use serde::ser::Serializer;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::about::{AboutEvaluation, AboutSet};
use super::error::PartError;
use super::part::{EvaluationPart, SetPart, stretches};
use crate::metrics::classes::stored::{StoredClassPair, metrics_of_masks};
use crate::metrics::folders::ScoredImages;
use crate::metrics::stored::{StoredPair, metrics_of_maps};
use crate::shard::Shard;

/// The number of the form in which parts are kept, and the only one that is read: all parts of an evaluation are of one version.
pub const PART_FORMAT: u64 = 1;

/// A part as it is kept.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredPart {
    format: u64,
    /// Which part, of how many.
    shard: [usize; 2],
    about: AboutEvaluation,
    sets: Vec<StoredSet>,
}

/// What a part keeps of a set.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct StoredSet {
    about: AboutSet,
    /// Which metrics the numbers of each image are of.
    numbers_of: Vec<String>,
    images: StoredImages,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum StoredImages {
    OneClass(Vec<StoredPair>),
    Classes(Vec<StoredClassPair>),
}

impl Serialize for EvaluationPart {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let shard = [self.shard.index(), self.shard.of()];
        let sets = self.sets.iter().map(StoredSet::of).collect();
        StoredPart { format: PART_FORMAT, shard, about: self.about.clone(), sets }.serialize(to)
    }
}

impl EvaluationPart {
    /// Reads a part that was written to a file.
    ///
    /// # Errors
    /// When the file cannot be read, and as [`of_json`](Self::of_json).
    pub fn read(path: &Path) -> Result<Self, PartError> {
        match fs::read(path) {
            Ok(text) => Self::of_json(&text, path),
            Err(source) => Err(PartError::Read { path: path.to_owned(), source }),
        }
    }

    /// A part out of its JSON; `path` is what it is called in errors.
    ///
    /// # Errors
    /// When it is no part, one in another format, or one that cannot be.
    pub fn of_json(text: &[u8], path: &Path) -> Result<Self, PartError> {
        // first what it is: all else only that version knows
        #[derive(Deserialize)]
        struct Kind {
            #[serde(default)]
            format: Value,
            #[serde(default)]
            shard: Value,
        }
        let path = || path.to_owned();
        let damaged = |reason: String| PartError::Damaged { path: path(), reason };
        let unreadable = |error: serde_json::Error| damaged(format!("it is no JSON of a part: {error}"));
        let Kind { format, shard } = serde_json::from_slice(text).map_err(unreadable)?;
        match (format.as_u64(), shard) {
            (Some(PART_FORMAT), Value::Array(_)) => {}
            (Some(format), Value::Array(_)) => {
                return Err(PartError::Format { path: path(), format, known: PART_FORMAT });
            }
            _ => return Err(PartError::NoPart { path: path() }),
        }
        let stored: StoredPart = serde_json::from_slice(text).map_err(unreadable)?;
        stored.part().map_err(damaged)
    }
}

impl StoredPart {
    fn part(self) -> Result<EvaluationPart, String> {
        let Self { shard: [index, of], about, sets, .. } = self;
        let shard = Shard::new(index, of).map_err(|error| error.to_string())?;
        let pairs = sets.iter().map(|set| set.about.pairs);
        if pairs.clone().try_fold(0_usize, |sum, pairs| sum.checked_add(pairs)).is_none() {
            return Err("more pairs than there can be".to_string());
        }
        let wanted = stretches(shard, pairs);
        let sets: Vec<SetPart> = sets.into_iter().map(StoredSet::part).collect::<Result<_, _>>()?;
        for (set, wanted) in sets.iter().zip(wanted) {
            let (name, images, wanted) = (set.name(), set.images(), wanted.len());
            if images != wanted {
                return Err(format!("it has {images} images of {name}, where part {shard} has {wanted}"));
            }
        }
        Ok(EvaluationPart { shard, about, sets })
    }
}

impl StoredSet {
    fn of(set: &SetPart) -> Self {
        let (images, numbers_of) = match &set.images {
            ScoredImages::OneClass(images) => {
                let stored = images.iter().map(|(name, scores)| StoredPair::of(name, scores));
                (StoredImages::OneClass(stored.collect()), metrics_of_maps())
            }
            ScoredImages::Classes(_, images) => {
                let stored = images.iter().map(|(name, scores)| StoredClassPair::of(name, scores));
                (StoredImages::Classes(stored.collect()), metrics_of_masks())
            }
        };
        let numbers_of = numbers_of.into_iter().map(String::from).collect();
        Self { about: set.about.clone(), numbers_of, images }
    }

    fn part(self) -> Result<SetPart, String> {
        let Self { about, numbers_of, images } = self;
        let (images, known) = match (images, &about.classes) {
            (StoredImages::OneClass(images), None) => {
                let images = images.into_iter().map(StoredPair::scores).collect::<Result<_, _>>()?;
                (ScoredImages::OneClass(images), metrics_of_maps())
            }
            (StoredImages::Classes(images), Some(classes)) => {
                let scores = |image: StoredClassPair| image.scores(classes.kind, classes.count);
                let images = images.into_iter().map(scores).collect::<Result<_, _>>()?;
                (ScoredImages::Classes(classes.clone(), images), metrics_of_masks())
            }
            _ => return Err(format!("the images of {} are not of its classes", about.name)),
        };
        if numbers_of != known {
            let (found, known) = (numbers_of.join(", "), known.join(", "));
            return Err(format!("its numbers are of the metrics {found}, but this program has {known}"));
        }
        Ok(SetPart::of_images(about, images))
    }
}
