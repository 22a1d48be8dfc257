//! The scores of sets with several classes as JSON.

use std::collections::{BTreeMap, HashSet};

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::scan::IGNORED;
use super::set::ClassSetScores;
use super::summary::{ClassSummary, ClassValue};
use crate::data::classes::class::ClassKind;

/// The scores of sets, to be serialised. Numbers that do not exist are `null`.
///
/// A set is an object: `classes`, the names of the classes, or their number where they have no names; `ignore`, the
/// value of ignored pixels, of exclusive classes; `all`, the scores of the set; and the same for each image, under its
/// stem (with ` (image)` behind a stem that is one of these three words). The only set stands alone unless it is
/// `named`; several stand under their names.
///
/// Scores are: `confusion`, rows `[truth][prediction]` of pixels, of exclusive classes, or `counts`, by class true and
/// false positives, false and true negatives, of classes that overlap; each score of
/// [`class_titles`](super::all::class_titles) as an array over the classes; each number of [`ClassSummary::means`]. A
/// name with a dot lies within an object: `image.Dice` is `Dice` in `image`.
#[derive(Clone, Copy, Debug)]
pub struct ClassJson<'a> {
    /// The sets, in order.
    pub sets: &'a [ClassSetScores],
    /// Whether each set stands under its name. Always so for several sets.
    pub named: bool,
}

impl Serialize for ClassJson<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.sets {
            [only] if !self.named => OfSet(only).serialize(serializer),
            sets => serializer.collect_map(sets.iter().map(|set| (set.name(), OfSet(set)))),
        }
    }
}

/// What a set's object holds besides images.
const WORDS: [&str; 3] = ["classes", "ignore", "all"];

/// One set's object.
struct OfSet<'a>(&'a ClassSetScores);

impl Serialize for OfSet<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(set) = self;
        let mut map = serializer.serialize_map(None)?;
        match set.classes() {
            [] => map.serialize_entry(WORDS[0], &set.summary().classes())?,
            names => map.serialize_entry(WORDS[0], names)?,
        }
        if set.summary().kind() == ClassKind::Exclusive {
            map.serialize_entry(WORDS[1], &IGNORED)?;
        }
        map.serialize_entry(WORDS[2], set.summary())?;
        let stems: HashSet<&str> = set.images().iter().map(|(stem, _)| &stem[..]).collect();
        for (stem, scores) in set.images() {
            let mut key = stem.clone();
            if WORDS.contains(&&key[..]) {
                key.push_str(" (image)");
                while stems.contains(&key[..]) {
                    key.push('_');
                }
            }
            map.serialize_entry(&key, &ClassSummary::of_image(scores))?;
        }
        map.end()
    }
}

impl Serialize for ClassSummary {
    /// Its scores, as described with [`ClassJson`].
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        match self.confusion() {
            Some(matrix) => map.serialize_entry("confusion", matrix)?,
            None => map.serialize_entry("counts", &self.counts())?,
        }
        let mut objects: BTreeMap<&str, BTreeMap<&str, Values<'_>>> = BTreeMap::new();
        let of_classes = self.values().iter().filter_map(|value| match value {
            ClassValue::OfClass(score, values) if score.is_count() => Some((score.key, Values::Counts(values))),
            ClassValue::OfClass(score, values) => Some((score.key, Values::Scores(values))),
            ClassValue::OfSet(..) => None,
        });
        for (key, values) in self.means().into_iter().map(|(key, mean)| (key, Values::One(mean))).chain(of_classes) {
            match key.split_once('.') {
                Some((object, key)) => {
                    objects.entry(object).or_default().insert(key, values);
                }
                None => map.serialize_entry(key, &values)?,
            }
        }
        for (key, object) in objects {
            map.serialize_entry(key, &object)?;
        }
        map.end()
    }
}

/// A score's values; what is not finite becomes `null`.
enum Values<'a> {
    One(f64),
    Scores(&'a [f64]),
    /// Whole numbers.
    Counts(&'a [f64]),
}

impl Serialize for Values<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let finite = |value: f64| value.is_finite().then_some(value);
        match self {
            Self::One(value) => finite(*value).serialize(serializer),
            Self::Scores(values) => serializer.collect_seq(values.iter().map(|value| finite(*value))),
            Self::Counts(values) => serializer.collect_seq(values.iter().map(|value| *value as u64)),
        }
    }
}
