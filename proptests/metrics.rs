//! What holds for the scores of every prediction and mask.

use proptest::collection::vec;
use proptest::prelude::*;
use rayon::prelude::*;
use sam2unet::metrics::{PairScores, Summary, score_pair};

/// A prediction and its mask, (H, W).
#[derive(Clone, Debug)]
struct Pair {
    width: usize,
    prediction: Vec<u8>,
    mask: Vec<u8>,
}

impl Pair {
    fn height(&self) -> usize {
        self.mask.len() / self.width
    }

    fn scores(&self) -> PairScores {
        score_pair(&self.prediction, &self.mask, self.width, self.height()).expect("a valid pair")
    }

    fn summary(&self) -> Summary {
        Summary::from(&self.scores())
    }

    fn map(&self, width: usize, place: impl Fn(usize, usize) -> usize) -> Self {
        let height = self.mask.len() / width;
        let places = || (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let moved = |levels: &[u8]| places().map(|(y, x)| levels[place(y, x)]).collect();
        Self { width, prediction: moved(&self.prediction), mask: moved(&self.mask) }
    }

    fn turned(&self) -> Self {
        self.map(self.width, |y, x| self.mask.len() - 1 - (y * self.width + x))
    }

    fn mirrored(&self) -> Self {
        self.map(self.width, |y, x| y * self.width + self.width - 1 - x)
    }

    fn transposed(&self) -> Self {
        self.map(self.height(), |y, x| x * self.width + y)
    }
}

/// Soft, coarse, binary and constant predictions; noisy and rectangular masks, empty and full ones among them.
///
/// At least two pixels: E of a single one, divided by N - 1, is 1 / epsilon.
fn pairs() -> impl Strategy<Value = Pair> {
    let sides = (1..24_usize, 1..24_usize).prop_filter("two pixels", |(width, height)| width * height > 1);
    sides.prop_flat_map(|(width, height)| {
        let pixels = width * height;
        let prediction = prop_oneof![
            3 => vec(any::<u8>(), pixels),
            2 => vec(prop_oneof![Just(0), Just(85), Just(170), Just(255)], pixels),
            2 => vec(prop_oneof![Just(0), Just(255)], pixels),
            1 => any::<u8>().prop_map(move |level| vec![level; pixels]),
        ];
        let block = (0..width, 0..height, 0..=width, 0..=height).prop_map(move |(x, y, w, h)| {
            let inside = |k: usize| (x..x + w).contains(&(k % width)) && (y..y + h).contains(&(k / width));
            (0..pixels).map(|k| if inside(k) { 255 } else { 0 }).collect::<Vec<u8>>()
        });
        let mask = prop_oneof![
            3 => block,
            2 => vec(any::<u8>(), pixels),
            1 => vec(prop_oneof![Just(0), Just(255)], pixels),
            1 => prop_oneof![Just(0), Just(255)].prop_map(move |level| vec![level; pixels]),
        ];
        (prediction, mask).prop_map(move |(prediction, mask)| Pair { width, prediction, mask })
    })
}

fn get(summary: &Summary, key: &str) -> f64 {
    summary.get(key).unwrap_or_else(|| panic!("no score {key}"))
}

fn binary(mask: &[u8]) -> Vec<u8> {
    mask.iter().map(|&level| if level > 128 { 255 } else { 0 }).collect()
}

/// Masks of 0 and 255 with both in them.
fn two_sided_masks() -> impl Strategy<Value = Vec<u8>> {
    let masks = pairs().prop_map(|pair| binary(&pair.mask));
    masks.prop_filter("both sides", |mask| mask.contains(&0) && mask.contains(&255))
}

proptest! {
    #[test]
    fn a_perfect_prediction_scores_one(mask in two_sided_masks()) {
        let pixels = mask.len();
        let summary = Pair { width: pixels, prediction: mask.clone(), mask }.summary();
        let of_one_map = ["sample_bidice", "sample_biiou", "overall_bidice", "overall_biiou", "mirrorIoU", "mirrorF"];
        for key in ["Smeasure", "wFmeasure", "adpFm", "maxFm", "maxDice", "maxIoU"].into_iter().chain(of_one_map) {
            // S keeps a denominator of some N^-3 from zero by adding an epsilon: of no consequence but for tiny objects
            let tolerance = if key == "Smeasure" { 1e-8 } else { 1e-9 };
            prop_assert!((get(&summary, key) - 1.0).abs() < tolerance, "{key} is {}", get(&summary, key));
        }
        prop_assert_eq!(get(&summary, "MAE"), 0.0);
        prop_assert_eq!(get(&summary, "mirrorMAE"), 0.0);
        // E divides by one less than the number of pixels
        let perfect = pixels as f64 / (pixels - 1) as f64;
        prop_assert!((get(&summary, "maxEm") - perfect).abs() < 1e-9);
        prop_assert!((get(&summary, "adpEm") - perfect).abs() < 1e-9);
    }

    #[test]
    fn scores_lie_between_zero_and_one(pair in pairs()) {
        let pixels = pair.mask.len() as f64;
        let summary = pair.summary();
        for (key, value) in summary.all() {
            let highest = if key.ends_with("Em") { pixels / (pixels - 1.0 + f64::EPSILON) } else { 1.0 };
            prop_assert!((0.0..=highest + 1e-9).contains(&value), "{key} is {value}");
        }
        for (mean, max) in [("meanFm", "maxFm"), ("meanEm", "maxEm"), ("meanDice", "maxDice"), ("meanIoU", "maxIoU")] {
            prop_assert!(get(&summary, mean) <= get(&summary, max) + 1e-9, "{mean}");
        }
    }

    /// Dice and IoU of one binary map say the same.
    #[test]
    fn dice_follows_from_iou(pair in pairs()) {
        let summary = pair.summary();
        for (dice, iou) in [("sample_bidice", "sample_biiou"), ("overall_bidice", "overall_biiou")] {
            let iou = get(&summary, iou);
            prop_assert!((get(&summary, dice) - 2.0 * iou / (1.0 + iou)).abs() < 1e-12);
        }
    }

    /// Prediction and mask both inverted: the same errors.
    #[test]
    fn absolute_error_of_the_complement(pair in pairs()) {
        let inverted = |levels: &[u8]| levels.iter().map(|level| 255 - level).collect::<Vec<u8>>();
        let own = Pair { mask: binary(&pair.mask), ..pair };
        let complement = Pair { prediction: inverted(&own.prediction), mask: inverted(&own.mask), ..own.clone() };
        let (own, complement) = (own.summary(), complement.summary());
        prop_assert!((get(&own, "MAE") - get(&complement, "MAE")).abs() < 1e-9);
        // in single precision
        prop_assert!((get(&own, "mirrorMAE") - get(&complement, "mirrorMAE")).abs() < 1e-6);
    }

    /// Scores that know no positions do not change under flips. (S does: its regions meet beside the centroid's pixel,
    /// not in it. Weighted F does: of equally near pixels it takes the left upper one. Adaptive scores may, where a
    /// level lies on the threshold to the last bit.)
    #[test]
    fn flips_change_no_score_of_counts(pair in pairs()) {
        let own = pair.summary();
        for flipped in [pair.mirrored(), pair.turned()] {
            let summary = flipped.summary();
            for (key, value) in own.all() {
                if !key.starts_with("adp") && !["Smeasure", "wFmeasure"].contains(&key) {
                    prop_assert!((get(&summary, key) - value).abs() < 1e-9, "{key}");
                }
            }
        }
    }

    /// S treats rows and columns alike. (Shown for predictions of two levels: where a region has a single level between
    /// 0 and 1, the last bit of its mean decides.)
    #[test]
    fn transposition_keeps_s(pair in pairs(), level in any::<u8>()) {
        let prediction = pair.prediction.iter().map(|&own| if own > level { 255 } else { 0 }).collect();
        let pair = Pair { prediction, ..pair };
        let (own, transposed) = (pair.summary(), pair.transposed().summary());
        prop_assert!((get(&own, "Smeasure") - get(&transposed, "Smeasure")).abs() < 1e-9);
    }

    /// Where all of the mask is foreground or background, S is the mean and knows no positions.
    #[test]
    fn flips_keep_s_of_one_sided_masks(pair in pairs(), foreground in any::<bool>()) {
        let mask = vec![if foreground { 255 } else { 0 }; pair.mask.len()];
        let pair = Pair { mask, ..pair };
        prop_assert!((get(&pair.summary(), "Smeasure") - get(&pair.mirrored().summary(), "Smeasure")).abs() < 1e-9);
    }

    /// However the pairs are spread over threads, the set's scores have the same bits; over their order, they have the
    /// same value.
    #[test]
    fn a_summary_does_not_depend_on_threads(pairs in vec(pairs(), 1..12), chunk in 1..5_usize) {
        let one_by_one: Vec<PairScores> = pairs.iter().map(Pair::scores).collect();
        let in_parallel: Vec<PairScores> = pairs.par_iter().map(Pair::scores).collect();
        let in_chunks: Vec<PairScores> =
            pairs.par_chunks(chunk).flat_map_iter(|chunk| chunk.iter().map(Pair::scores)).collect();
        let summary = Summary::of(&one_by_one);
        prop_assert_eq!(&Summary::of(&in_parallel), &summary);
        prop_assert_eq!(&Summary::of(&in_chunks), &summary);
        let backwards = Summary::over(one_by_one.iter().rev());
        for (key, value) in summary.values() {
            prop_assert!((get(&backwards, key) - value).abs() < 1e-9, "{key}");
        }
    }

    /// The mean of the pairs' own scores, for every score that is defined so.
    #[test]
    fn a_summary_is_the_mean_of_its_pairs(pairs in vec(pairs(), 1..8)) {
        let scores: Vec<PairScores> = pairs.iter().map(Pair::scores).collect();
        let summary = Summary::of(&scores);
        for (key, value) in summary.values() {
            let own = scores.iter().map(|scores| get(&Summary::from(scores), key));
            let mean = own.sum::<f64>() / scores.len() as f64;
            if key.starts_with("max") {
                // the maximum of the mean is at most the mean of the maxima
                prop_assert!(value <= mean + 1e-9, "{key}");
            } else if !key.starts_with("overall") {
                prop_assert!((value - mean).abs() < 1e-9, "{key}");
            }
        }
    }
}
