//! What holds for the scores of several classes, whatever the maps.

use proptest::collection::vec;
use proptest::prelude::*;
use rayon::prelude::*;
use sam2unet::metrics::classes::{
    ClassKey, ClassKind, ClassOptions, ClassPairScores, ClassSummary, IGNORED, score_classes, score_labels,
};

/// A prediction and its mask, (H, W), of some classes.
#[derive(Clone, Debug)]
struct Pair {
    classes: usize,
    width: usize,
    prediction: Vec<u8>,
    mask: Vec<u8>,
}

impl Pair {
    fn scores(&self) -> ClassPairScores {
        let height = self.mask.len() / self.width;
        let options = ClassOptions::new(self.classes);
        score_classes(&self.prediction, &self.mask, self.width, height, &options).expect("a valid pair")
    }

    fn summary(&self) -> ClassSummary {
        ClassSummary::of_image(&self.scores())
    }
}

/// Maps of blocks and of noise, with ignored pixels; a class may be nowhere.
fn pairs(classes: usize) -> impl Strategy<Value = Pair> {
    (1..20_usize, 1..20_usize).prop_flat_map(move |(width, height)| {
        let class = 0..classes as u8;
        let noise = vec(class.clone(), width * height);
        let block = (0..width, 0..height, 0..=width, 0..=height, class.clone(), class);
        let block = block.prop_map(move |(x, y, w, h, inside, outside)| {
            let is_in = |at: usize| (x..x + w).contains(&(at % width)) && (y..y + h).contains(&(at / width));
            (0..width * height).map(|at| if is_in(at) { inside } else { outside }).collect::<Vec<u8>>()
        });
        let map = prop_oneof![1 => noise, 3 => block].boxed();
        let ignored = vec(prop::bool::weighted(0.1), width * height);
        (map.clone(), map, ignored).prop_map(move |(prediction, mut mask, ignored)| {
            mask.iter_mut().zip(ignored).filter(|(_, ignored)| *ignored).for_each(|(value, _)| *value = IGNORED);
            Pair { classes, width, prediction, mask }
        })
    })
}

/// Sets of images of the same classes.
fn sets() -> impl Strategy<Value = Vec<Pair>> {
    (1..6_usize).prop_flat_map(|classes| vec(pairs(classes), 1..6))
}

fn scores(set: &[Pair]) -> Vec<ClassPairScores> {
    set.iter().map(Pair::scores).collect()
}

fn summary(set: &[Pair]) -> ClassSummary {
    ClassSummary::of(&scores(set)).expect("images of the same classes")
}

const OF_CLASS: [&str; 10] =
    ["IoU", "Dice", "Precision", "Recall", "image.IoU", "image.Dice", "HD95", "HD95_infinite", "NSD", "BoundaryIoU"];

fn of_class(summary: &ClassSummary, key: &str) -> Vec<f64> {
    summary.of_class(key).unwrap_or_else(|| panic!("no score {key}")).to_vec()
}

/// The same to the bit, NaN included.
fn bits(summary: &ClassSummary) -> String {
    format!("{summary:?}")
}

proptest! {
    #[test]
    fn another_order_of_the_classes_is_another_order_of_the_scores(set in sets(), turn in 0..5_usize, mirror: bool) {
        let classes = set[0].classes;
        let new = |class: usize| if mirror { classes - 1 - (class + turn) % classes } else { (class + turn) % classes };
        let renamed = |map: &[u8]| -> Vec<u8> {
            map.iter().map(|value| if *value == IGNORED { IGNORED } else { new(usize::from(*value)) as u8 }).collect()
        };
        let moved: Vec<Pair> = set.iter()
            .map(|pair| Pair { prediction: renamed(&pair.prediction), mask: renamed(&pair.mask), ..pair.clone() })
            .collect();
        let (own, moved) = (summary(&set), summary(&moved));
        for key in OF_CLASS {
            let (own, moved) = (of_class(&own, key), of_class(&moved, key));
            for class in 0..classes {
                prop_assert_eq!(own[class].to_bits(), moved[new(class)].to_bits(), "{} of class {}", key, class);
            }
        }
        prop_assert_eq!(own.get("aAcc").map(f64::to_bits), moved.get("aAcc").map(f64::to_bits));
        let matrix = |summary: &ClassSummary| -> Vec<Vec<u64>> {
            summary.confusion().expect("exclusive classes").rows().map(<[u64]>::to_vec).collect()
        };
        let (own, moved) = (matrix(&own), matrix(&moved));
        for truth in 0..classes {
            for prediction in 0..classes {
                prop_assert_eq!(own[truth][prediction], moved[new(truth)][new(prediction)]);
            }
        }
    }

    #[test]
    fn what_is_predicted_where_pixels_are_ignored_changes_nothing(set in sets(), values in vec(any::<u8>(), 400)) {
        let changed: Vec<Pair> = set.iter()
            .map(|pair| {
                let mut prediction = pair.prediction.clone();
                for ((value, mask), other) in prediction.iter_mut().zip(&pair.mask).zip(&values) {
                    *value = if *mask == IGNORED { *other } else { *value };
                }
                Pair { prediction, ..pair.clone() }
            })
            .collect();
        prop_assert_eq!(bits(&summary(&set)), bits(&summary(&changed)));
    }

    /// (In larger images rims would be wider.)
    #[test]
    fn ignored_pixels_around_an_image_change_nothing(pair in pairs(4), frame in 1..4_usize) {
        let (width, height) = (pair.width + 2 * frame, pair.mask.len() / pair.width + 2 * frame);
        let framed = |map: &[u8]| -> Vec<u8> {
            let mut framed = vec![IGNORED; width * height];
            for (y, row) in map.chunks(pair.width).enumerate() {
                framed[(y + frame) * width + frame..][..pair.width].copy_from_slice(row);
            }
            framed
        };
        let framed = Pair { width, prediction: framed(&pair.prediction), mask: framed(&pair.mask), ..pair.clone() };
        let (own, framed) = (pair.summary(), framed.summary());
        prop_assert_eq!(own.confusion(), framed.confusion());
        for key in OF_CLASS {
            let bits = |summary| of_class(summary, key).into_iter().map(f64::to_bits).collect::<Vec<_>>();
            prop_assert_eq!(bits(&own), bits(&framed), "{}", key);
        }
    }

    #[test]
    fn a_perfect_prediction_scores_one_and_no_distance(set in sets()) {
        let perfect: Vec<Pair> =
            set.iter().map(|pair| Pair { prediction: pair.mask.clone(), ..pair.clone() }).collect();
        let summary = summary(&perfect);
        for (class, pixels) in summary.pixels().into_iter().enumerate() {
            for key in OF_CLASS {
                let score = of_class(&summary, key)[class];
                match key {
                    "HD95_infinite" => prop_assert_eq!(score, 0.0),
                    _ if pixels == 0 => prop_assert!(score.is_nan(), "{key} of an absent class is {score}"),
                    "HD95" => prop_assert_eq!(score, 0.0),
                    _ => prop_assert_eq!(score, 1.0, "{}", key),
                }
            }
        }
    }

    #[test]
    fn scores_lie_in_their_ranges(set in sets()) {
        let summary = summary(&set);
        let longest = set.iter().map(|pair| (pair.width as f64).hypot((pair.mask.len() / pair.width) as f64));
        let longest = longest.fold(0.0, f64::max);
        for key in OF_CLASS {
            let highest = match key {
                "HD95" => longest,
                "HD95_infinite" => set.len() as f64,
                _ => 1.0,
            };
            for score in of_class(&summary, key) {
                prop_assert!(score.is_nan() || (0.0..=highest).contains(&score), "{key} is {score}");
            }
        }
        for (iou, dice) in of_class(&summary, "IoU").into_iter().zip(of_class(&summary, "Dice")) {
            prop_assert!(iou.is_nan() && dice.is_nan() || (dice - 2.0 * iou / (1.0 + iou)).abs() < 1e-12);
        }
        for key in [ClassKey::MEAN_IOU, ClassKey::default_of(ClassKind::Exclusive)] {
            let score = key.of(&summary);
            prop_assert!(score.is_nan() || (0.0..=1.0).contains(&score), "{key} is {score}");
        }
    }

    /// Mask and prediction exchanged: precision is recall.
    #[test]
    fn exchanging_mask_and_prediction(pair in pairs(4)) {
        let mut own = pair;
        for (mask, value) in own.mask.iter_mut().zip(&own.prediction) {
            *mask = if *mask == IGNORED { *value } else { *mask };
        }
        let other = Pair { prediction: own.mask.clone(), mask: own.prediction.clone(), ..own.clone() };
        let (own, other) = (own.summary(), other.summary());
        for (key, exchanged) in [
            ("IoU", "IoU"), ("Dice", "Dice"), ("Precision", "Recall"), ("HD95", "HD95"), ("NSD", "NSD"),
            ("BoundaryIoU", "BoundaryIoU"), ("HD95_infinite", "HD95_infinite"),
        ] {
            for (own, other) in of_class(&own, key).into_iter().zip(of_class(&other, exchanged)) {
                prop_assert!(own.to_bits() == other.to_bits(), "{key}: {own}, {other}");
            }
        }
    }

    /// However images are spread over threads, the set's scores have the same bits.
    #[test]
    fn a_summary_does_not_depend_on_threads(set in sets(), threads in 1..4_usize) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let scored: Vec<ClassPairScores> = pool.install(|| set.par_iter().map(Pair::scores).collect());
        prop_assert_eq!(bits(&ClassSummary::of(&scored).expect("images")), bits(&summary(&set)));
    }

    /// Exclusive classes as a mask each: every score of a class is the same.
    #[test]
    fn labels_of_exclusive_classes_score_as_these(pair in pairs(3)) {
        let planes = |map: &[u8]| -> Vec<u8> {
            let plane = |class: u8| map.iter().map(move |value| if *value == class { 255 } else { 0 });
            (0..pair.classes as u8).flat_map(plane).collect()
        };
        let ignored: Vec<u8> = pair.mask.iter().map(|value| if *value == IGNORED { 255 } else { 0 }).collect();
        let (height, options) = (pair.mask.len() / pair.width, ClassOptions::new(pair.classes));
        let labels =
            score_labels(&planes(&pair.prediction), &planes(&pair.mask), &ignored, pair.width, height, &options);
        let labels = ClassSummary::of_image(&labels.expect("masks"));
        let own = pair.summary();
        prop_assert_eq!(own.counts(), labels.counts());
        for key in OF_CLASS {
            let bits = |summary| of_class(summary, key).into_iter().map(f64::to_bits).collect::<Vec<_>>();
            prop_assert_eq!(bits(&own), bits(&labels), "{}", key);
        }
    }
}
