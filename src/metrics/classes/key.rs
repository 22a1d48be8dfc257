//! The score by which a run chooses its best model.

use std::sync::LazyLock;

use super::all::METRICS;
use super::metric::Scores;
use super::summary::ClassSummary;
use crate::choice::{Choice, text_of_choice};
use crate::data::classes::class::ClassKind;

/// A score of all classes together, by which one model is better than another. There is one for each number of
/// [`ClassSummary::means`], of the same name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassKey {
    name: &'static str,
    lower_is_better: bool,
    needs_outlines: bool,
    kind: Option<ClassKind>,
}

impl ClassKey {
    /// The mean IoU over all classes.
    pub const MEAN_IOU: Self = Self { name: "mIoU", lower_is_better: false, needs_outlines: false, kind: None };

    /// The mean IoU over all classes but class 0, the background.
    pub const FOREGROUND_MEAN_IOU: Self =
        Self { name: "foreground_mIoU", kind: Some(ClassKind::Exclusive), ..Self::MEAN_IOU };

    /// The score that is chosen by where nothing else is said: the mean IoU, without the background where there is one.
    pub const fn default_of(kind: ClassKind) -> Self {
        match kind {
            ClassKind::Exclusive => Self::FOREGROUND_MEAN_IOU,
            ClassKind::Overlapping => Self::MEAN_IOU,
        }
    }

    /// Its name.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// Whether less is better.
    pub const fn lower_is_better(self) -> bool {
        self.lower_is_better
    }

    /// Whether outlines must be compared for it ([`ClassOptions::outlines`](super::options::ClassOptions::outlines)).
    pub const fn needs_outlines(self) -> bool {
        self.needs_outlines
    }

    /// The only kind of classes that has this score, if not both have it.
    pub const fn kind(self) -> Option<ClassKind> {
        self.kind
    }

    /// The score; NaN where the summary has none.
    pub fn of(self, summary: &ClassSummary) -> f64 {
        summary.get(self.name).unwrap_or(f64::NAN)
    }

    /// Whether a score is better than another. NaN is the worst.
    pub fn is_better(self, score: f64, than: f64) -> bool {
        let (score, than) = if self.lower_is_better { (-score, -than) } else { (score, than) };
        score > than || (than.is_nan() && !score.is_nan())
    }
}

/// All keys, in the order of the table of metrics.
static KEYS: LazyLock<Vec<ClassKey>> = LazyLock::new(|| {
    let mut keys = Vec::new();
    for metric in METRICS {
        let (kind, needs_outlines) = (metric.kind, metric.of_masks().is_some());
        if let Scores::OfMatrix { key, .. } = metric.scores {
            keys.push(ClassKey { name: key, lower_is_better: false, needs_outlines, kind });
        }
        for score in metric.class_scores() {
            let Some(means) = score.mean else { continue };
            let key = ClassKey { name: means.all, lower_is_better: score.lower_is_better, needs_outlines, kind };
            keys.push(key);
            // only exclusive classes have a background
            if kind != Some(ClassKind::Overlapping) {
                keys.push(ClassKey { name: means.foreground, kind: Some(ClassKind::Exclusive), ..key });
            }
        }
    }
    keys
});

impl Choice for ClassKey {
    const WHAT: &'static str = "score of classes";

    fn all() -> &'static [Self] {
        &KEYS
    }

    fn name(self) -> &'static str {
        self.name
    }
}

text_of_choice!(ClassKey);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classes::options::ClassOptions;
    use crate::metrics::classes::pair::{score_classes, score_labels};

    /// The keys of a kind are the means of its summaries, in any order.
    #[test]
    fn each_key_is_a_score() {
        let options = ClassOptions::new(2);
        let exclusive = score_classes(&[0, 1], &[0, 1], 2, 1, &options).expect("a pair");
        let overlapping = score_labels(&[0, 255, 0, 255], &[0, 255, 255, 255], &[], 2, 1, &options).expect("a pair");
        for scores in [exclusive, overlapping] {
            let summary = ClassSummary::of_image(&scores);
            let of_kind = |key: &&ClassKey| key.kind().is_none_or(|kind| kind == summary.kind());
            let keys: Vec<&str> = ClassKey::all().iter().filter(of_kind).map(|key| key.name()).collect();
            let means: Vec<&str> = summary.means().iter().map(|(name, _)| *name).collect();
            assert_eq!(keys, means, "{:?}", summary.kind());
            assert!(ClassKey::default_of(summary.kind()).of(&summary).is_finite());
        }
    }

    #[test]
    fn names_lead_to_keys() {
        for key in ClassKey::all() {
            assert_eq!(key.name().parse(), Ok(*key));
        }
        assert_eq!("foreground_miou".parse(), Ok(ClassKey::FOREGROUND_MEAN_IOU));
        assert_eq!("mIoU".parse(), Ok(ClassKey::MEAN_IOU));
        let message = "IoU".parse::<ClassKey>().expect_err("a score of each class").to_string();
        assert!(message.starts_with("score of classes: there is no `IoU`; choose one of aAcc, mIoU"), "{message}");
    }

    #[test]
    fn better_knows_its_direction() {
        let distance: ClassKey = "foreground_mHD95".parse().expect("a key");
        assert!(distance.lower_is_better() && distance.needs_outlines());
        assert!(distance.is_better(1.0, 2.0) && !distance.is_better(2.0, 1.0) && !distance.is_better(1.0, 1.0));
        let iou = ClassKey::MEAN_IOU;
        assert!(iou.is_better(0.6, 0.5) && !iou.is_better(0.5, 0.6) && !iou.needs_outlines());
        for key in [distance, iou] {
            assert!(
                key.is_better(0.0, f64::NAN) && !key.is_better(f64::NAN, 0.0) && !key.is_better(f64::NAN, f64::NAN)
            );
        }
    }
}
