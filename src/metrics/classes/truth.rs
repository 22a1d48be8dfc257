//! A prediction against what is true of an image's pixels.

use super::error::ClassError;
use super::options::ClassOptions;
use super::pair::{ClassPairScores, score_classes, score_planes};
use super::scan::IGNORED;
use crate::data::classes::class::ClassKind;
use crate::data::pixels::Grey;
use crate::data::truth::Truth;

/// What is predicted of several classes.
#[derive(Clone, Debug, PartialEq)]
pub enum ClassPrediction {
    /// Of classes that exclude each other: an index map.
    Index(Grey),
    /// Of classes that may overlap: the mask of each, all of one size.
    Labels(Vec<Grey>),
}

impl ClassPrediction {
    /// Of which kind of classes.
    pub fn kind(&self) -> ClassKind {
        match self {
            Self::Index(_) => ClassKind::Exclusive,
            Self::Labels(_) => ClassKind::Overlapping,
        }
    }
}

/// Scores a prediction, as [`score_classes`] or [`score_labels`](super::pair::score_labels) does.
///
/// # Errors
/// As these; and when one is an index map and the other one masks.
pub fn score_truth(
    truth: &Truth,
    prediction: &ClassPrediction,
    options: &ClassOptions,
) -> Result<ClassPairScores, ClassError> {
    let (width, height) = truth.size();
    match (truth, prediction) {
        (Truth::Index(map), ClassPrediction::Index(predicted)) => {
            score_classes(&predicted.data, &map.data, width, height, options)
        }
        (Truth::Mask(mask), ClassPrediction::Labels(predicted)) => {
            score_planes(&planes(predicted), &[&mask.data], &[], (width, height), options)
        }
        (Truth::MaskAndIgnored(map), ClassPrediction::Labels(predicted)) => {
            let [mask, ignored] = [1, IGNORED].map(|value| white(map, value));
            score_planes(&planes(predicted), &[&mask], &[&ignored], (width, height), options)
        }
        (Truth::Labels { masks, ignored }, ClassPrediction::Labels(predicted)) => {
            let ignored: Vec<&[u8]> = ignored.iter().map(|ignored| &ignored.data[..]).collect();
            score_planes(&planes(predicted), &planes(masks), &ignored, (width, height), options)
        }
        (Truth::Index(_), other) => Err(ClassError::Kinds { masks: ClassKind::Exclusive, prediction: other.kind() }),
        (_, other) => Err(ClassError::Kinds { masks: ClassKind::Overlapping, prediction: other.kind() }),
    }
}

/// White where an index map has this value.
fn white(map: &Grey, value: u8) -> Vec<u8> {
    map.data.iter().map(|index| if *index == value { u8::MAX } else { 0 }).collect()
}

fn planes(masks: &[Grey]) -> Vec<&[u8]> {
    masks.iter().map(|mask| &mask.data[..]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::classes::pair::score_labels;

    fn grey(data: &[u8]) -> Grey {
        Grey { width: data.len(), height: 1, data: data.to_vec() }
    }

    /// An ignored pixel counts nowhere, and white in the prediction is 1 in the map.
    #[test]
    fn one_class_of_an_index_map() {
        let truth = Truth::MaskAndIgnored(grey(&[0, 1, 255, 1]));
        let labels = ClassPrediction::Labels(vec![grey(&[0, 255, 255, 0])]);
        let options = ClassOptions::new(1);
        let scores = score_truth(&truth, &labels, &options).expect("scores");
        let expected = score_labels(&[0, 255, 255, 0], &[0, 255, 0, 255], &[0, 0, 255, 0], 4, 1, &options);
        assert_eq!(scores, expected.expect("scores"));
        let soft = score_truth(&Truth::Mask(grey(&[0, 200, 9, 255])), &labels, &options).expect("scores");
        let expected = score_labels(&[0, 255, 255, 0], &[0, 255, 0, 255], &[], 4, 1, &options);
        assert_eq!(soft, expected.expect("scores"));
    }

    #[test]
    fn kinds_that_differ_are_refused() {
        let index = ClassPrediction::Index(grey(&[0, 1]));
        let labels = Truth::Labels { masks: vec![grey(&[0, 255]); 2], ignored: None };
        let error = score_truth(&labels, &index, &ClassOptions::new(2)).expect_err("an index map").to_string();
        assert_eq!(
            error,
            "the masks are of classes that are overlapping, the prediction of classes that are exclusive"
        );
        let other = ClassPrediction::Labels(vec![grey(&[0, 255]); 2]);
        assert!(score_truth(&Truth::Index(grey(&[0, 1])), &other, &ClassOptions::new(2)).is_err());
    }
}
