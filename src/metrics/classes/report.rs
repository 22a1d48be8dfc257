//! The scores of several classes as a table for people.

use super::mean::Mean;
use super::metric::ClassScore;
use super::set::{ClassSetScores, shown_names};
use super::summary::{ClassSummary, ClassValue};
use crate::data::classes::class::ClassKind;
use crate::metrics::aligned::aligned;

/// Tables of the sets' scores, one after the other: a row for each class, and the means over the classes that have a
/// score. `pixels` are the masks'; `-` stands where there is no score.
pub fn class_table(sets: &[ClassSetScores]) -> String {
    sets.iter().map(of_set).collect::<Vec<_>>().join("\n")
}

fn of_set(set: &ClassSetScores) -> String {
    let summary = set.summary();
    let names = shown_names(summary.classes(), set.classes());
    let columns: Vec<(&ClassScore, &[f64])> = summary.values().iter().filter_map(column).collect();

    let headings = columns.iter().filter_map(|(score, _)| score.column).map(|(heading, _)| heading);
    let mut rows = vec![["class", "pixels"].into_iter().chain(headings).map(String::from).collect::<Vec<_>>()];
    for ((class, name), pixels) in names.iter().enumerate().zip(summary.pixels()) {
        let scores = columns.iter().map(|(score, values)| shown(score, values[class]));
        rows.push([name.clone(), pixels.to_string()].into_iter().chain(scores).collect());
    }
    let mut add_means = |name: String, from: usize| {
        let means = columns.iter().map(|(score, values)| shown(score, Mean::of(values[from..].iter().copied())));
        rows.push([name, String::new()].into_iter().chain(means).collect());
    };
    add_means("mean".to_string(), 0);
    if summary.kind() == ClassKind::Exclusive && names.len() > 1 {
        add_means(format!("mean without {}", names[0]), 1);
    }
    let plural = if summary.images() == 1 { "" } else { "s" };
    format!("{}: {} image{plural}\n{}{}", set.name(), summary.images(), aligned(&rows), notes(summary, &names))
}

/// A score that is shown as a column, and its values.
fn column(value: &ClassValue) -> Option<(&ClassScore, &[f64])> {
    match value {
        ClassValue::OfClass(score, values) => score.column.map(|_| (*score, &values[..])),
        ClassValue::OfSet(..) => None,
    }
}

fn shown(score: &ClassScore, value: f64) -> String {
    let decimals = score.column.map_or(4, |(_, decimals)| decimals);
    if value.is_finite() { format!("{value:.decimals$}") } else { "-".to_string() }
}

/// What has no column: numbers of all classes together, means over images, and images that a mean leaves out.
fn notes(summary: &ClassSummary, names: &[String]) -> String {
    let number = |key: &str| summary.get(key).filter(|value| value.is_finite());
    let mut notes = String::new();
    if let Some(right) = number("aAcc") {
        notes += &format!("pixels of the right class (aAcc): {right:.4}\n");
    }
    if let (Some(dice), Some(iou)) = (number("image.mDice"), number("image.mIoU")) {
        notes += &format!("as means over images: Dice {dice:.4}, IoU {iou:.4}");
        if let (Some(dice), Some(iou)) = (number("image.foreground_mDice"), number("image.foreground_mIoU")) {
            notes += &format!("; without {}: Dice {dice:.4}, IoU {iou:.4}", names[0]);
        }
        notes.push('\n');
    }
    let infinite = names.iter().zip(summary.of_class("HD95_infinite").unwrap_or_default());
    let infinite: Vec<_> =
        infinite.filter(|(_, images)| **images > 0.0).map(|(name, images)| format!("{name} {images}")).collect();
    if !infinite.is_empty() {
        notes += &format!(
            "HD95 leaves out images where only one of mask and prediction has the class: {}\n",
            infinite.join(", ")
        );
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classes::options::ClassOptions;
    use crate::metrics::classes::pair::{ClassPairScores, score_classes, score_labels};

    fn set(name: &str, classes: &[&str], images: Vec<ClassPairScores>) -> ClassSetScores {
        let images = images.into_iter().enumerate().map(|(number, scores)| (number.to_string(), scores)).collect();
        let classes = classes.iter().map(ToString::to_string).collect();
        ClassSetScores::new(name, classes, images).expect("a set")
    }

    #[test]
    fn a_table_has_a_row_for_each_class_and_the_means() {
        let options = ClassOptions::new(3);
        let first = score_classes(&[0, 0, 1, 1, 1], &[0, 0, 0, 1, 255], 5, 1, &options).expect("a pair");
        let second = score_classes(&[0, 1], &[0, 0], 2, 1, &options).expect("a pair");
        let named = set("first", &["background", "cat", "dog"], vec![first.clone(), second]);
        let numbered = set("second", &[], vec![first]);
        assert_eq!(
            class_table(&[named, numbered]),
            "first: 2 images\n\
             class                    pixels     IoU    Dice  Precision  Recall  HD95     NSD  boundary IoU\n\
             background                    5  0.6000  0.7500     1.0000  0.6000  0.92  1.0000        0.6000\n\
             cat                           1  0.3333  0.5000     0.3333  1.0000  0.95  0.5000        0.3333\n\
             dog                           0       -       -          -       -     -       -             -\n\
             mean                             0.4667  0.6250     0.6667  0.8000  0.94  0.7500        0.4667\n\
             mean without background          0.3333  0.5000     0.3333  1.0000  0.95  0.5000        0.3333\n\
             pixels of the right class (aAcc): 0.6667\n\
             as means over images: Dice 0.5333, IoU 0.4167; without background: Dice 0.3333, IoU 0.2500\n\
             HD95 leaves out images where only one of mask and prediction has the class: cat 1\n\
             \n\
             second: 1 image\n\
             class           pixels     IoU    Dice  Precision  Recall  HD95     NSD  boundary IoU\n\
             0                    3  0.6667  0.8000     1.0000  0.6667  0.90  1.0000        0.6667\n\
             1                    1  0.5000  0.6667     0.5000  1.0000  0.95  1.0000        0.5000\n\
             2                    0       -       -          -       -     -       -             -\n\
             mean                    0.5833  0.7333     0.7500  0.8333  0.92  1.0000        0.5833\n\
             mean without 0          0.5000  0.6667     0.5000  1.0000  0.95  1.0000        0.5000\n\
             pixels of the right class (aAcc): 0.7500\n\
             as means over images: Dice 0.7333, IoU 0.5833; without 0: Dice 0.6667, IoU 0.5000\n"
        );
    }

    #[test]
    fn labels_have_no_background() {
        let scores =
            score_labels(&[255, 0, 0, 0], &[255, 0, 255, 0], &[], 2, 1, &ClassOptions::new(2)).expect("a pair");
        let table = class_table(&[set("labels", &["cat", "dog"], vec![scores])]);
        assert!(!table.contains("without") && !table.contains("aAcc"), "{table}");
        assert!(table.contains("mean           0.5000"), "{table}");
    }
}
