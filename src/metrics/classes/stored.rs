//! The form in which the scores of an image with several classes are kept in files.

use serde::{Deserialize, Serialize};

use super::all::METRICS;
use super::matrix::ConfusionMatrix;
use super::metric::Numbers;
use super::pair::ClassPairScores;
use crate::data::classes::class::ClassKind;
use crate::metrics::confusion::Confusion;
use crate::metrics::exact::Exact;

/// [`ClassPairScores`] as they are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredClassPair {
    name: String,
    /// Of exclusive classes: class, predicted class, pixels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    cells: Option<Vec<(u8, u8, u64)>>,
    /// Of classes that may overlap: of each its true and false positives, its pixels, and all others.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    counts: Option<Vec<[u64; 4]>>,
    /// Of each class the numbers of each of [`metrics_of_masks`]; none of a class that is in neither map.
    of_masks: Vec<Vec<[Exact; 2]>>,
}

/// The metrics of which numbers are kept, by their first score.
pub(in crate::metrics) fn metrics_of_masks() -> Vec<&'static str> {
    let of_masks = METRICS.iter().filter(|metric| metric.of_masks().is_some());
    of_masks.filter_map(|metric| metric.class_scores().first()).map(|score| score.key).collect()
}

/// Whether an image can have so many pixels together.
fn fits(mut pixels: impl Iterator<Item = u64>) -> bool {
    let sum = pixels.try_fold(0_u64, |sum, pixels| sum.checked_add(pixels));
    sum.is_some_and(|sum| sum <= i32::MAX as u64)
}

impl StoredClassPair {
    pub fn of(name: &str, scores: &ClassPairScores) -> Self {
        let ClassPairScores { kind, cells, counts, of_masks } = scores;
        let of_class =
            |counts: &Confusion| [counts.true_positive, counts.false_positive, counts.foreground, counts.background];
        let numbers = |of_metrics: &Vec<Option<Numbers>>| {
            of_metrics.iter().flatten().map(|numbers| numbers.map(Exact)).collect::<Vec<_>>()
        };
        // those of exclusive classes follow from the cells
        let exclusive = *kind == ClassKind::Exclusive;
        Self {
            name: name.to_owned(),
            cells: exclusive.then(|| cells.clone()),
            counts: (!exclusive).then(|| counts.iter().map(of_class).collect()),
            of_masks: of_masks.iter().map(numbers).collect(),
        }
    }

    /// The image's name, and its scores of so many classes of this kind.
    ///
    /// # Errors
    /// When these are of no such image.
    pub fn scores(self, kind: ClassKind, classes: usize) -> Result<(String, ClassPairScores), String> {
        let Self { name, cells, counts, of_masks } = self;
        let absurd = |what: &str| Err(format!("{name} has {what}"));
        if !(1..=255).contains(&classes) || of_masks.len() != classes {
            return absurd(&format!("numbers of {} classes, where there are {classes}", of_masks.len()));
        }
        let (cells, counts) = match (kind, cells, counts) {
            (ClassKind::Exclusive, Some(cells), None) => {
                let known = |class: u8| usize::from(class) < classes;
                if !cells.iter().all(|(truth, prediction, _)| known(*truth) && known(*prediction)) {
                    return absurd("pixels of a class that there is not");
                }
                if !fits(cells.iter().map(|(.., pixels)| *pixels)) {
                    return absurd("too many pixels");
                }
                let mut matrix = ConfusionMatrix::new(classes);
                cells.iter().for_each(|(truth, prediction, pixels)| matrix.add(*truth, *prediction, *pixels));
                let counts = matrix.by_class();
                (cells, counts)
            }
            (ClassKind::Overlapping, None, Some(counts)) => {
                if counts.len() != classes {
                    return absurd(&format!("pixels of {} classes, where there are {classes}", counts.len()));
                }
                let is_possible = |[right, wrong, foreground, background]: &[u64; 4]| {
                    fits([*foreground, *background].into_iter()) && right <= foreground && wrong <= background
                };
                if !counts.iter().all(is_possible) {
                    return absurd("counts of pixels that contradict each other");
                }
                let of_class = |[true_positive, false_positive, foreground, background]: [u64; 4]| Confusion {
                    true_positive,
                    false_positive,
                    foreground,
                    background,
                };
                (Vec::new(), counts.into_iter().map(of_class).collect())
            }
            _ => return absurd(&format!("pixels of other classes than {kind} ones")),
        };
        let wanted = metrics_of_masks().len();
        if let Some(numbers) = of_masks.iter().find(|numbers| !numbers.is_empty() && numbers.len() != wanted) {
            return absurd(&format!("{} numbers of a class, where there are {wanted}", numbers.len()));
        }
        let numbers = |numbers: Vec<[Exact; 2]>| -> Vec<Option<Numbers>> {
            if numbers.is_empty() {
                return Vec::new();
            }
            let mut numbers = numbers.into_iter().map(|numbers| numbers.map(|Exact(number)| number));
            METRICS.iter().map(|metric| metric.of_masks().and_then(|_| numbers.next())).collect()
        };
        let of_masks = of_masks.into_iter().map(numbers).collect();
        Ok((name, ClassPairScores { kind, cells, counts, of_masks }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classes::options::ClassOptions;
    use crate::metrics::classes::pair::{score_classes, score_labels};

    fn exclusive() -> ClassPairScores {
        score_classes(&[0, 0, 1, 1, 1], &[0, 0, 0, 1, 255], 5, 1, &ClassOptions::new(3)).unwrap()
    }

    /// The distance of the second class is infinite.
    fn overlapping(options: ClassOptions) -> ClassPairScores {
        score_labels(&[255, 0, 0, 0], &[255, 0, 255, 0], &[], 2, 1, &options).unwrap()
    }

    #[test]
    fn scores_come_back() {
        let (all, counts) = (ClassOptions::new(2), ClassOptions { outlines: None, ..ClassOptions::new(2) });
        for scores in [exclusive(), overlapping(all), overlapping(counts)] {
            let text = serde_json::to_string(&StoredClassPair::of("b", &scores)).unwrap();
            let stored: StoredClassPair = serde_json::from_str(&text).unwrap();
            assert_eq!(text.contains("\"inf\""), scores == overlapping(all), "{text}");
            let found = stored.scores(scores.kind(), scores.classes());
            assert_eq!(found, Ok(("b".to_string(), scores)));
        }
        assert_eq!(metrics_of_masks(), ["HD95", "NSD", "BoundaryIoU"]);
    }

    #[test]
    fn what_no_image_has_is_refused() {
        let refused = |kind: ClassKind, classes: usize, change: &dyn Fn(&mut StoredClassPair)| {
            let mut stored = match kind {
                ClassKind::Exclusive => StoredClassPair::of("a", &exclusive()),
                ClassKind::Overlapping => StoredClassPair::of("a", &overlapping(ClassOptions::new(2))),
            };
            change(&mut stored);
            stored.scores(kind, classes).unwrap_err()
        };
        let cells = |cell: (u8, u8, u64)| move |stored: &mut StoredClassPair| stored.cells = Some(vec![cell]);
        let counts = |counts: [u64; 4]| move |stored: &mut StoredClassPair| stored.counts = Some(vec![[0; 4], counts]);
        let (exclusive, overlapping) = (ClassKind::Exclusive, ClassKind::Overlapping);
        for (message, expected) in [
            (refused(exclusive, 2, &|_| {}), "a has numbers of 3 classes, where there are 2"),
            (refused(exclusive, 3, &cells((0, 3, 1))), "a class that there is not"),
            (refused(exclusive, 3, &cells((0, 2, u64::MAX))), "too many pixels"),
            (refused(exclusive, 3, &|stored| stored.cells = None), "other classes than exclusive"),
            (refused(overlapping, 2, &counts([2, 0, 1, 9])), "contradict"),
            (refused(overlapping, 2, &counts([0, 10, 1, 9])), "contradict"),
            (refused(overlapping, 2, &counts([0, 0, u64::MAX, 1])), "contradict"),
            (refused(overlapping, 2, &|stored| stored.counts.as_mut().unwrap().truncate(1)), "pixels of 1 classes"),
            (refused(overlapping, 2, &|stored| stored.of_masks[0].truncate(2)), "2 numbers of a class"),
        ] {
            assert!(message.contains(expected), "{message}");
        }
    }
}
