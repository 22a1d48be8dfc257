//! One prediction against its mask, with several classes.

use super::all::METRICS;
use super::bounds::Bounds;
use super::error::ClassError;
use super::masks::ClassMasks;
use super::matrix::ConfusionMatrix;
use super::metric::{ClassPair, Numbers};
use super::options::{ClassOptions, OutlineOptions};
use super::scan::{IGNORED, Scan};
use crate::data::classes::class::ClassKind;
use crate::data::mask::FOREGROUND_ABOVE;
use crate::metrics::confusion::Confusion;
use crate::metrics::pair::{MetricError, pixels_of};

/// What the scores of a set need of one image: counts and a few numbers of each class, not the maps.
#[derive(Clone, Debug, PartialEq)]
pub struct ClassPairScores {
    pub(super) kind: ClassKind,
    /// Classes and how they were predicted, where there are pixels; of exclusive classes.
    pub(super) cells: Vec<(u8, u8, u64)>,
    /// For each class, its pixels and all others.
    pub(super) counts: Vec<Confusion>,
    /// For each class, for each metric of the table, the numbers that needed the pixels' positions, if it has any;
    /// nothing for a class that is in neither map, and where outlines are not compared.
    pub(super) of_masks: Vec<Vec<Option<Numbers>>>,
}

/// Scores an index map against another, both (H, W), row after row: a value is a class, below `options.classes`, and
/// 255 in the mask is a pixel that is ignored, whatever the prediction says there.
///
/// # Errors
/// When the options are not in their range, the maps are not of the size, or a map has a value that is no class.
pub fn score_classes(
    prediction: &[u8],
    mask: &[u8],
    width: usize,
    height: usize,
    options: &ClassOptions,
) -> Result<ClassPairScores, ClassError> {
    options.check()?;
    let pixels = pixels_of(width, height)?;
    if prediction.len() != pixels || mask.len() != pixels {
        return Err(MetricError::Length { width, height, prediction: prediction.len(), mask: mask.len() }.into());
    }
    let scan = Scan::of(mask, prediction, width);
    scan.check(options.classes)?;
    let mut matrix = ConfusionMatrix::new(options.classes);
    let cells: Vec<_> = scan.pixels().collect();
    cells.iter().for_each(|&(truth, prediction, pixels)| matrix.add(truth, prediction, pixels));
    let counts = matrix.by_class();
    let of_masks = numbers(&counts, options, |class, options| {
        let truth = |at: usize| usize::from(mask[at]) == class;
        let prediction = |at: usize| usize::from(prediction[at]) == class && mask[at] != IGNORED;
        ClassMasks::new(scan.bounds(class), (width, height), truth, prediction, options)
    });
    Ok(ClassPairScores { kind: ClassKind::Exclusive, cells, counts, of_masks })
}

/// Scores masks of classes that may overlap, (K, H, W), class after class and row after row: a pixel is of the class
/// above 128, in the masks and in the prediction. A pixel counts nowhere, or for that class, where `ignored` is above
/// 128: (H, W) for all classes, (K, H, W) for each, or empty where nothing is ignored.
///
/// # Errors
/// When the options are not in their range, or the masks are not of the size.
pub fn score_labels(
    prediction: &[u8],
    masks: &[u8],
    ignored: &[u8],
    width: usize,
    height: usize,
    options: &ClassOptions,
) -> Result<ClassPairScores, ClassError> {
    options.check()?;
    let (pixels, classes) = (pixels_of(width, height)?, options.classes);
    let all = pixels.checked_mul(classes).ok_or(MetricError::Size { width, height })?;
    if prediction.len() != all || masks.len() != all || ![0, pixels, all].contains(&ignored.len()) {
        let (truth, prediction, ignored) = (masks.len(), prediction.len(), ignored.len());
        return Err(ClassError::Masks { classes, width, height, truth, prediction, ignored });
    }
    let [prediction, masks]: [Vec<&[u8]>; 2] = [prediction, masks].map(|planes| planes.chunks(pixels).collect());
    let ignored: Vec<&[u8]> = ignored.chunks(pixels).collect();
    score_planes(&prediction, &masks, &ignored, (width, height), options)
}

/// The same of a plane for each class, of `width` x `height` pixels each; one plane of what is ignored, one for each class, or none.
pub(super) fn score_planes(
    prediction: &[&[u8]],
    masks: &[&[u8]],
    ignored: &[&[u8]],
    (width, height): (usize, usize),
    options: &ClassOptions,
) -> Result<ClassPairScores, ClassError> {
    options.check()?;
    let (pixels, classes) = (pixels_of(width, height)?, options.classes);
    let sum = |planes: &[&[u8]]| planes.iter().map(|plane| plane.len()).sum::<usize>();
    let whole = |planes: &[&[u8]]| planes.iter().all(|plane| plane.len() == pixels);
    let counts_fit = prediction.len() == classes && masks.len() == classes && [0, 1, classes].contains(&ignored.len());
    if !counts_fit || ![prediction, masks, ignored].into_iter().all(whole) {
        let (truth, prediction, ignored) = (sum(masks), sum(prediction), sum(ignored));
        return Err(ClassError::Masks { classes, width, height, truth, prediction, ignored });
    }
    let is_in = |level: u8| level > FOREGROUND_ABOVE;
    // whether a pixel of a class counts
    let known = |class: usize, at: usize| match ignored {
        [] => true,
        [all] => !is_in(all[at]),
        each => !is_in(each[class][at]),
    };
    let truth = |class: usize, at: usize| is_in(masks[class][at]) && known(class, at);
    let predicted = |class: usize, at: usize| is_in(prediction[class][at]) && known(class, at);
    let found: Vec<(Confusion, Bounds)> = (0..classes)
        .map(|class| {
            let (mut counts, mut bounds) = (Confusion::default(), Bounds::default());
            for y in 0..height {
                for x in 0..width {
                    let at = y * width + x;
                    let (truth, predicted) = (truth(class, at), predicted(class, at));
                    counts.true_positive += u64::from(truth && predicted);
                    counts.false_positive += u64::from(!truth && predicted);
                    counts.foreground += u64::from(truth);
                    counts.background += u64::from(!truth && known(class, at));
                    if truth || predicted {
                        bounds.include(y, x..x + 1);
                    }
                }
            }
            (counts, bounds)
        })
        .collect();
    let (counts, bounds): (Vec<_>, Vec<_>) = found.into_iter().unzip();
    let of_masks = numbers(&counts, options, |class, options| {
        let (truth, predicted) = (|at: usize| truth(class, at), |at: usize| predicted(class, at));
        ClassMasks::new(&bounds[class], (width, height), truth, predicted, options)
    });
    Ok(ClassPairScores { kind: ClassKind::Overlapping, cells: Vec::new(), counts, of_masks })
}

/// For each class that is there, for each metric of the table, its numbers.
fn numbers<'a>(
    counts: &[Confusion],
    options: &'a ClassOptions,
    masks: impl Fn(usize, &'a OutlineOptions) -> ClassMasks<'a>,
) -> Vec<Vec<Option<Numbers>>> {
    let of_class = |(class, counts): (usize, &Confusion)| {
        let is_there = counts.foreground + counts.false_positive > 0;
        let Some(options) = options.outlines.as_ref().filter(|_| is_there) else { return Vec::new() };
        let masks = masks(class, options);
        METRICS.iter().map(|metric| Some(metric.of_masks()?(&masks))).collect()
    };
    counts.iter().enumerate().map(of_class).collect()
}

impl ClassPairScores {
    /// Whether its classes exclude each other.
    pub fn kind(&self) -> ClassKind {
        self.kind
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.counts.len()
    }

    /// Adds its pixels to a confusion matrix of the same classes.
    pub(super) fn add_to(&self, matrix: &mut ConfusionMatrix) {
        self.cells.iter().for_each(|&(truth, prediction, pixels)| matrix.add(truth, prediction, pixels));
    }

    /// The pixels of a class, and all others.
    pub(super) fn counts(&self, class: usize) -> &Confusion {
        &self.counts[class]
    }

    /// A class, as the metric of that place in the table adds it to its sums.
    pub(super) fn pair(&self, class: usize, metric: usize) -> ClassPair<'_> {
        let of_masks = self.of_masks[class].get(metric).copied().flatten();
        ClassPair { counts: &self.counts[class], of_masks }
    }
}
