//! What is likely wrong with the classes of a set, or of two.

use std::path::PathBuf;

use super::annotations::notes::NoteKind;
use super::classes::class::{Class, ClassKind, Classes};
use super::classes::values::{IGNORED, PixelValue};
use super::folder::Folder;
use super::labels::reader::LabelReader;
use super::pair_facts::PairFacts;
use super::warning::{Warning, WarningCode};
use crate::choice::Choice;

/// What is likely wrong with the classes of a set that was read.
pub(super) fn class_warnings(set: &Folder, pairs: &[Option<PairFacts>]) -> Vec<Warning> {
    let (found, of) = (set.found(), set.pairs().len());
    let mut warnings = vec![
        Warning::about(WarningCode::Unlabelled, found.unlabelled.clone(), of, ""),
        Warning::about(WarningCode::NotListed, found.not_listed.clone(), of, ""),
        Warning::counted(WarningCode::OtherClasses, found.other_classes.len(), found.other_classes.join(", ")),
    ];
    for note in set.reader().annotated().map_or(&[][..], |annotated| annotated.notes().all()) {
        // told of the pixels (`class-never-seen`) and of the images (`images-unlabelled`) already
        if let NoteKind::Unused | NoteKind::WithoutFile = note.kind {
            continue;
        }
        let code = WarningCode::of_name(note.kind.name()).ok();
        warnings.extend(code.map(|code| Warning::counted(code, note.count, note.to_string())));
    }
    let read = || set.pairs().iter().zip(pairs).filter_map(|(pair, facts)| Some((pair, facts.as_ref()?)));
    let all_ignored = |facts: &PairFacts| {
        let pixels = (facts.size.0 * facts.size.1) as u64;
        facts.labels.ignored > 0 && facts.labels.ignored == pixels
    };
    let ignored: Vec<PathBuf> =
        read().filter(|(_, facts)| all_ignored(facts)).map(|(pair, _)| pair.image.clone()).collect();
    warnings.push(Warning::about(WarningCode::AllIgnored, ignored, of, ""));
    let zero_or_ignored = |facts: &PairFacts| {
        let [zero, white] = [0, IGNORED].map(|value| PixelValue::Number(i64::from(value)));
        facts.labels.values.keys().all(|value| *value == zero || *value == white)
    };
    if let LabelReader::Values { table, .. } = set.reader()
        && table.takes_indices()
        && read().all(|(_, facts)| zero_or_ignored(facts))
        && read().any(|(_, facts)| facts.labels.ignored > 0)
    {
        let masks = read().map(|(pair, _)| pair.shown().to_owned()).collect();
        warnings.push(Warning::about(WarningCode::MasksZeroIgnored, masks, of, ""));
    }
    warnings.into_iter().flatten().collect()
}

/// Pixels of each class over a set.
pub fn pixels_of_classes(pairs: &[Option<PairFacts>]) -> Vec<u64> {
    let mut pixels: Vec<u64> = Vec::new();
    for facts in pairs.iter().flatten() {
        let classes = &facts.labels.classes;
        pixels.resize(pixels.len().max(classes.len()), 0);
        pixels.iter_mut().zip(classes).for_each(|(sum, pixels)| *sum += pixels);
    }
    pixels
}

/// Classes that no pixel of the training set is of: whether the validation set shows them or not.
pub fn missing_class_warnings(classes: &Classes, training: &[u64], validation: Option<&[u64]>) -> Vec<Warning> {
    let seen = |pixels: &[u64], class: usize| pixels.get(class).is_some_and(|pixels| *pixels > 0);
    let named = |wanted: &dyn Fn(usize) -> bool| {
        let all = classes.list().iter().enumerate();
        let name = |(number, class): (usize, &Class)| match classes.kind {
            ClassKind::Exclusive => format!("{} (class {number})", class.name),
            ClassKind::Overlapping => class.name.clone(),
        };
        all.filter(|(class, _)| !seen(training, *class) && wanted(*class)).map(name).collect::<Vec<_>>()
    };
    let in_validation = |class: usize| validation.is_some_and(|pixels| seen(pixels, class));
    let (never, only_there) = (named(&|class| !in_validation(class)), named(&in_validation));
    let found = [
        Warning::counted(WarningCode::ClassNeverSeen, never.len(), never.join(", ")),
        Warning::counted(WarningCode::ClassOnlyInValidation, only_there.len(), only_there.join(", ")),
    ];
    found.into_iter().flatten().collect()
}
