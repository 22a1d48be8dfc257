//! Each score of several classes against its formula, written out pixel by pixel.

use crate::support::random::Random;
use sam2unet::metrics::Spacing;
use sam2unet::metrics::classes::{
    ClassOptions, ClassPairScores, ClassSummary, OutlineOptions, score_classes, score_labels,
};

/// The mask and the prediction of one class, and which of their pixels count; (H, W).
#[derive(Clone)]
struct Plain {
    width: usize,
    truth: Vec<bool>,
    prediction: Vec<bool>,
    known: Vec<bool>,
}

/// Of one class in one image.
struct PlainScores {
    /// True and false positives, false and true negatives.
    counts: [f64; 4],
    hd95: f64,
    nsd: f64,
    /// Of the rims.
    both: f64,
    either: f64,
}

impl Plain {
    fn height(&self) -> usize {
        self.truth.len() / self.width
    }

    /// Pixels of a map with a pixel outside of it within `reach`, of four neighbours or of eight.
    fn outline(&self, map: &[bool], reach: i64, corners: bool) -> Vec<(i64, i64)> {
        let (width, height) = (self.width as i64, self.height() as i64);
        let is_in = |y: i64, x: i64| {
            let at = y * width + x;
            (0..height).contains(&y) && (0..width).contains(&x) && map[at as usize] && self.known[at as usize]
        };
        let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x)));
        let near = || (-reach..=reach).flat_map(|down| (-reach..=reach).map(move |right| (down, right)));
        let open = |y: i64, x: i64| {
            near().any(|(down, right)| (corners || down.abs() + right.abs() <= reach) && !is_in(y + down, x + right))
        };
        places.filter(|&(y, x)| is_in(y, x) && open(y, x)).collect()
    }

    fn scores(&self, options: &OutlineOptions) -> PlainScores {
        let mut counts = [0.0; 4];
        for at in (0..self.truth.len()).filter(|&at| self.known[at]) {
            let place = match (self.truth[at], self.prediction[at]) {
                (true, true) => 0,
                (false, true) => 1,
                (true, false) => 2,
                (false, false) => 3,
            };
            counts[place] += 1.0;
        }
        let edges = [&self.truth, &self.prediction].map(|map| self.outline(map, 1, false));
        let to = |from: &[(i64, i64)], to: &[(i64, i64)]| -> Vec<f64> {
            let distance = |a: (i64, i64), b: (i64, i64)| {
                let down = (a.0 - b.0) as f64 * options.spacing.row();
                let right = (a.1 - b.1) as f64 * options.spacing.column();
                (down * down + right * right).sqrt()
            };
            let nearest = |a: &(i64, i64)| to.iter().map(|b| distance(*a, *b)).fold(f64::INFINITY, f64::min);
            from.iter().map(nearest).collect()
        };
        let distances = [to(&edges[0], &edges[1]), to(&edges[1], &edges[0])];
        let [truth, prediction] = distances.clone().map(percentile_95);
        let hd95 = match (edges[0].is_empty(), edges[1].is_empty()) {
            (true, true) => f64::NAN,
            (false, false) => truth.max(prediction),
            _ => f64::INFINITY,
        };
        let all = distances.concat();
        let near = all.iter().filter(|distance| **distance as f32 <= options.nsd_tolerance as f32).count();
        let diagonal = ((self.width * self.width + self.height() * self.height()) as f64).sqrt();
        let wide = ((0.02 * diagonal).round_ties_even() as i64).max(1);
        let rims = [&self.truth, &self.prediction].map(|map| self.outline(map, wide, true));
        let both = rims[0].iter().filter(|place| rims[1].contains(place)).count() as f64;
        PlainScores {
            counts,
            hd95,
            nsd: near as f64 / all.len() as f64,
            both,
            either: (rims[0].len() + rims[1].len()) as f64 - both,
        }
    }
}

fn percentile_95(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let at = 0.95 * (values.len().max(1) - 1) as f64;
    let value = |rank: f64| values.get(rank as usize).copied().unwrap_or(f64::NAN);
    let (low, high) = (value(at.floor()), value(at.ceil()));
    if low == high { low } else { low + (high - low) * at.fract() }
}

fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let finite: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    finite.iter().sum::<f64>() / finite.len() as f64
}

#[track_caller]
fn close(found: f64, expected: f64, what: &str) {
    let same = (found.is_nan() && expected.is_nan()) || (found - expected).abs() <= 1e-9 * expected.abs().max(1.0);
    assert!(same, "{what} is {found}, expected {expected}");
}

/// All scores of a set whose images are these, for each class.
#[track_caller]
fn check(summary: &ClassSummary, images: &[Vec<Plain>], options: &OutlineOptions, what: &str) {
    let classes = summary.classes();
    let mut ious = Vec::new();
    for class in 0..classes {
        let scores: Vec<PlainScores> = images.iter().map(|image| image[class].scores(options)).collect();
        let sums: [f64; 4] = std::array::from_fn(|place| scores.iter().map(|image| image.counts[place]).sum());
        let iou = |[hit, wrong, missed, _]: [f64; 4]| hit / (hit + wrong + missed);
        let dice = |[hit, wrong, missed, _]: [f64; 4]| 2.0 * hit / (2.0 * hit + wrong + missed);
        let [hit, wrong, missed, right] = sums;
        let expected = [
            ("IoU", iou(sums)),
            ("Dice", dice(sums)),
            ("Precision", hit / (hit + wrong)),
            ("Recall", hit / (hit + missed)),
            ("image.IoU", mean(scores.iter().map(|image| iou(image.counts)))),
            ("image.Dice", mean(scores.iter().map(|image| dice(image.counts)))),
            ("HD95", mean(scores.iter().map(|image| image.hd95))),
            ("HD95_infinite", scores.iter().filter(|image| image.hd95.is_infinite()).count() as f64),
            ("NSD", mean(scores.iter().map(|image| image.nsd))),
            ("BoundaryIoU", {
                let sum = |of: fn(&PlainScores) -> f64| scores.iter().map(of).sum::<f64>();
                sum(|image| image.both) / sum(|image| image.either)
            }),
        ];
        for (key, expected) in expected {
            close(summary.of_class(key).expect(key)[class], expected, &format!("{what}, class {class}: {key}"));
        }
        if let Some(accuracy) = summary.of_class("Acc") {
            close(accuracy[class], (hit + right) / sums.iter().sum::<f64>(), &format!("{what}, class {class}: Acc"));
        }
        ious.push(iou(sums));
    }
    close(summary.get("mIoU").expect("a mean"), mean(ious.iter().copied()), &format!("{what}: mIoU"));
    if let Some(foreground) = summary.get("foreground_mIoU") {
        close(foreground, mean(ious.iter().skip(1).copied()), &format!("{what}: foreground_mIoU"));
    }
}

fn below(random: &mut Random, end: usize) -> usize {
    random.draw() as usize % end
}

/// A map of a few rectangles of values below `values`, with some noise.
fn rectangles(random: &mut Random, width: usize, height: usize, values: usize) -> Vec<u8> {
    let mut map = vec![0; width * height];
    for _ in 0..=below(random, 5) {
        let (left, top) = (below(random, width), below(random, height));
        let (right, bottom) = (left + below(random, width - left) + 1, top + below(random, height - top) + 1);
        let value = below(random, values) as u8;
        for y in top..bottom {
            map[y * width + left..y * width + right].fill(value);
        }
    }
    for _ in 0..below(random, 6) {
        let at = below(random, map.len());
        map[at] = below(random, values) as u8;
    }
    map
}

/// Pixels and a tolerance of 2; rows and columns of other distances.
fn outline_options(number: usize) -> OutlineOptions {
    match number % 3 {
        0 => OutlineOptions::default(),
        1 => OutlineOptions { spacing: Spacing::new(0.5, 0.75).expect("a spacing"), nsd_tolerance: 1.0 },
        _ => OutlineOptions { spacing: Spacing::new(0.1, 0.1).expect("a spacing"), nsd_tolerance: 0.3 },
    }
}

fn summary(images: &[ClassPairScores]) -> ClassSummary {
    ClassSummary::of(images).expect("images of the same classes")
}

/// A pixel, a row and a column, images without a known pixel among them.
#[test]
fn exclusive_classes_equal_the_plain_formulas() {
    let mut random = Random::new(11);
    for number in 0..60 {
        let classes = 1 + below(&mut random, 5);
        let outlines = outline_options(number);
        let options = ClassOptions { classes, outlines: Some(outlines) };
        let (mut plain, mut scored) = (Vec::new(), Vec::new());
        for image in 0..1 + below(&mut random, 4) {
            let longest = if number % 10 == 9 { 110 } else { 24 };
            let (width, height) = match (number % 6, image) {
                (0, 0) => (1, 1),
                (1, 0) => (1 + below(&mut random, 30), 1),
                (2, 0) => (1, 1 + below(&mut random, 30)),
                _ => (1 + below(&mut random, longest), 1 + below(&mut random, longest)),
            };
            let mut truth = rectangles(&mut random, width, height, classes);
            let mut prediction = rectangles(&mut random, width, height, classes);
            let ignored = rectangles(&mut random, width, height, 2 + number % 3);
            let all = number % 7 == 3 && image == 0;
            for (at, ignored) in ignored.iter().enumerate().filter(|(_, ignored)| all || **ignored == 1) {
                truth[at] = 255;
                // whatever it says there
                prediction[at] = prediction[at].wrapping_sub(*ignored);
            }
            let of_class = |class: usize| Plain {
                width,
                truth: truth.iter().map(|value| usize::from(*value) == class).collect(),
                prediction: prediction.iter().map(|value| usize::from(*value) == class).collect(),
                known: truth.iter().map(|value| *value != 255).collect(),
            };
            plain.push((0..classes).map(of_class).collect());
            scored.push(score_classes(&prediction, &truth, width, height, &options).expect("a pair"));
        }
        check(&summary(&scored), &plain, &outlines, &format!("set {number}"));
    }
}

#[test]
fn labels_equal_the_plain_formulas() {
    let mut random = Random::new(12);
    for number in 0..60 {
        let classes = 1 + below(&mut random, 4);
        let outlines = outline_options(number);
        let options = ClassOptions { classes, outlines: Some(outlines) };
        let (mut plain, mut scored) = (Vec::new(), Vec::new());
        for image in 0..1 + below(&mut random, 4) {
            let (width, height) = (1 + below(&mut random, 24), 1 + below(&mut random, 24));
            let mut planes = |of: usize| -> Vec<u8> {
                let plane = |_| rectangles(&mut random, width, height, 2);
                // any level above 128 is in
                (0..of).flat_map(plane).enumerate().map(|(at, value)| value * 129 + (at % 120) as u8).collect()
            };
            let (masks, prediction) = (planes(classes), planes(classes));
            // nothing is ignored, the same for all classes, or for each its own
            let of = [0, 1, classes][(number + image) % 3];
            let ignored = planes(of);
            let pixels = width * height;
            let of_class = |class: usize| {
                let is_in = |levels: &[u8]| levels[class * pixels..][..pixels].iter().map(|l| *l > 128).collect();
                let plane = if of == classes { class } else { 0 };
                let known = |at: usize| of == 0 || ignored[plane * pixels + at] <= 128;
                Plain {
                    width,
                    truth: is_in(&masks),
                    prediction: is_in(&prediction),
                    known: (0..pixels).map(known).collect(),
                }
            };
            plain.push((0..classes).map(of_class).collect());
            scored.push(score_labels(&prediction, &masks, &ignored, width, height, &options).expect("a pair"));
        }
        check(&summary(&scored), &plain, &outlines, &format!("set {number}"));
    }
}
