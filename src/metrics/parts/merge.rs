//! All parts of an evaluation put together.

use std::path::{Path, PathBuf};

use super::about::AboutSet;
use super::error::PartError;
use super::part::{EvaluationPart, SetPart};
use crate::metrics::folders::{ScoredFolders, ScoredImages, ScoredStretch};
use crate::metrics::task::Task;

/// The scores of sets, as one task would have computed them.
#[derive(Clone, Debug)]
pub struct MergedScores {
    /// The sets, in order. Of warnings there are only those that the scores tell.
    pub sets: Vec<ScoredFolders>,
    /// The task whose columns are shown.
    pub task: Option<Task>,
    /// Whether the only set stands under its name in JSON.
    pub named: bool,
}

/// So many of the parts that are missing are named.
const NAMED: usize = 10;

/// Puts all parts of an evaluation together, in whatever order they come, each with what it is called in errors.
///
/// # Errors
/// When a part is missing or there twice, and when they are parts of different evaluations.
pub fn merge(mut parts: Vec<(PathBuf, EvaluationPart)>) -> Result<MergedScores, PartError> {
    let Some((first, others)) = parts.split_first() else { return Err(PartError::Nothing) };
    others.iter().try_for_each(|other| check_same(first, other))?;
    let of = first.1.shard.of();
    parts.sort_by_key(|(_, part)| part.shard.index());
    if let Some([(path, part), (other, _)]) = parts.windows(2).find(|two| two[0].1.shard == two[1].1.shard) {
        return Err(PartError::Twice { shard: part.shard, path: path.clone(), other: other.clone() });
    }
    if parts.len() != of {
        let is_there = |index: usize| parts.binary_search_by_key(&index, |(_, part)| part.shard.index()).is_ok();
        let missing = (1..=of).filter(|index| !is_there(*index)).take(NAMED).collect();
        let (count, there) = (of - parts.len(), parts.into_iter().map(|(path, _)| path).collect());
        return Err(PartError::Missing { missing, count, of, there });
    }
    let mut parts = parts.into_iter().map(|(_, part)| part);
    let Some(EvaluationPart { about, mut sets, .. }) = parts.next() else { return Err(PartError::Nothing) };
    for part in parts {
        sets.iter_mut().zip(part.sets).for_each(|(set, more)| set.append(more));
    }
    let sets = sets.into_iter().map(SetPart::into_whole).collect::<Result<_, PartError>>()?;
    Ok(MergedScores { sets, task: about.task, named: about.named })
}

/// That two parts are of one evaluation.
fn check_same(first: &(PathBuf, EvaluationPart), other: &(PathBuf, EvaluationPart)) -> Result<(), PartError> {
    let ((path, part), (other, other_part)) = (first, other);
    if part.shard.of() != other_part.shard.of() {
        let (path, other) = (path.clone(), other.clone());
        return Err(PartError::OtherCount { path, shard: part.shard, other, other_shard: other_part.shard });
    }
    check_told(path, other, None, &part.about.told(), &other_part.about.told())?;
    let names = |part: &EvaluationPart| {
        let names: Vec<_> = part.sets.iter().map(SetPart::name).collect();
        vec![("the sets", names.join(", "))]
    };
    check_told(path, other, None, &names(part), &names(other_part))?;
    let abouts = part.sets.iter().zip(&other_part.sets).map(|(set, other)| (&set.about, &other.about));
    for (of, of_other) in abouts {
        check_told(path, other, Some(&of.name), &of.told(), &of_other.told())?;
    }
    Ok(())
}

/// That what is told of two parts is equal.
fn check_told(
    path: &Path,
    other: &Path,
    set: Option<&str>,
    told: &[(&str, String)],
    of_other: &[(&str, String)],
) -> Result<(), PartError> {
    match told.iter().zip(of_other).find(|(told, other)| told != other) {
        None => Ok(()),
        Some(((what, of), (_, of_other))) => Err(PartError::Foreign {
            path: path.to_owned(),
            other: other.to_owned(),
            what: set.map_or(what.to_string(), |set| format!("{what} (of {set})")),
            of: of.clone(),
            of_other: of_other.clone(),
        }),
    }
}

impl SetPart {
    /// Adds the images of the next part.
    fn append(&mut self, more: Self) {
        match (&mut self.images, more.images) {
            (ScoredImages::OneClass(images), ScoredImages::OneClass(more)) => images.extend(more),
            (ScoredImages::Classes(_, images), ScoredImages::Classes(_, more)) => images.extend(more),
            // the classes are compared before
            _ => unreachable!("parts of one evaluation are of the same classes"),
        }
    }

    fn into_whole(self) -> Result<ScoredFolders, PartError> {
        let Self { about: AboutSet { name, .. }, images, .. } = self;
        let stretch = ScoredStretch { images, about_predictions: Vec::new(), about_masks: Vec::new() };
        Ok(stretch.into_whole(&name)?)
    }
}
