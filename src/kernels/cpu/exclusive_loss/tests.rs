//! The loss of exclusive classes against reference implementations straight from the formulas.

use super::*;
use crate::kernels::cpu::gemm::test_numbers::numbers;

const EXTENTS: [(usize, usize); 4] = [(40, 40), (5, 70), (50, 33), (100, 110)];
const NONE: f32 = 255.0;

/// Index maps of two images with ignored pixels and, in the second, without the last class.
fn index_maps(extent: Extent, classes: usize) -> Vec<f32> {
    let pixels = extent.area();
    let class = |i: usize| {
        let (image, at) = (i / pixels, i % pixels);
        let shown = classes - image;
        if at * 31 % 17 == 0 { NONE } else { ((at % extent.width / 9 + at / extent.width / 7) % shown) as f32 }
    };
    (0..2 * pixels).map(class).collect()
}

fn weights_of(extent: Extent, classes: usize, index: &[f32]) -> Vec<f32> {
    let mut weights = vec![f32::NAN; index.len()];
    let y = weights.chunks_exact_mut(extent.area());
    index.chunks_exact(extent.area()).zip(y).for_each(|(index, y)| image_weights(extent, classes, index, y));
    weights
}

/// The reference implementation: the weights of one image.
fn weights_twin(Extent { height, width }: Extent, index: &[f32]) -> Vec<f64> {
    let around = |at: usize, length: usize| at.saturating_sub(RADIUS)..(at + RADIUS + 1).min(length);
    let weight = |i: usize| {
        let window = around(i / width, height).flat_map(|y| around(i % width, width).map(move |x| y * width + x));
        let labelled: Vec<f32> = window.map(|i| index[i]).filter(|class| *class != NONE).collect();
        let own = labelled.iter().filter(|class| **class == index[i]).count();
        1.0 + 5.0 * (1.0 - own as f64 / labelled.len() as f64)
    };
    (0..index.len()).map(|i| if index[i] == NONE { 0.0 } else { weight(i) }).collect()
}

#[test]
fn weights_of_maps_of_any_size_agree_with_the_plain_twin() {
    for ((height, width), classes) in EXTENTS.into_iter().zip([2, 3, 7, 255]) {
        let extent = Extent { height, width };
        let index = index_maps(extent, classes);
        let got = weights_of(extent, classes, &index);
        let want = index.chunks_exact(extent.area()).flat_map(|index| weights_twin(extent, index));
        for (at, (got, want)) in got.iter().zip(want).enumerate() {
            assert_eq!(*got, want as f32, "{extent:?}, {classes} classes, number {at}");
        }
        // whatever says that a pixel is ignored
        for none in [classes as f32, -1.0, f32::NAN, f32::INFINITY] {
            let index: Vec<f32> = index.iter().map(|v| if *v == NONE { none } else { *v }).collect();
            assert_eq!(weights_of(extent, classes, &index), got, "{none}");
        }
    }
}

/// The reference implementation: the loss of one image with logits `(classes, pixels)`.
fn twin(x: &[f64], index: &[f32], weight: &[f32], class_weights: &[f32], weighted: bool) -> f64 {
    let (classes, pixels) = (class_weights.len(), index.len());
    let known: Vec<usize> = (0..pixels).filter(|i| index[*i] != NONE).collect();
    let p = |i: usize, class: usize| {
        let sum: f64 = (0..classes).map(|other| (x[other * pixels + i] - x[class * pixels + i]).exp()).sum();
        1.0 / sum
    };
    let w = |i: usize| f64::from(weight[i]);
    let (mut entropy, mut shares) = (0.0, 0.0);
    for &i in &known {
        let class = index[i] as usize;
        let u = f64::from(class_weights[class]) * if weighted { w(i) } else { 1.0 };
        entropy -= u * p(i, class).ln();
        shares += u;
    }
    let (mut iou, mut shown) = (0.0, 0.0);
    for (class, c) in class_weights.iter().enumerate() {
        let is = |i: usize| f64::from(u8::from(index[i] == class as f32));
        if known.iter().all(|i| is(*i) == 0.0) {
            continue;
        }
        let intersection: f64 = known.iter().map(|&i| w(i) * p(i, class) * is(i)).sum();
        let union = known.iter().map(|&i| w(i) * (p(i, class) + is(i))).sum::<f64>() - intersection;
        iou += f64::from(*c) * (1.0 - (intersection + 1.0) / (union + 1.0));
        shown += f64::from(*c);
    }
    ratio(entropy, shares) + ratio(iou, shown)
}

#[test]
fn losses_of_maps_of_any_size_agree_with_the_plain_twin() {
    for ((height, width), classes) in EXTENTS.into_iter().zip([2, 3, 7, 4]) {
        for (cross_entropy, weighs) in [
            (CrossEntropy::Weighted, false),
            (CrossEntropy::Plain, false),
            (CrossEntropy::Weighted, true),
            (CrossEntropy::Plain, true),
        ] {
            let extent = Extent { height, width };
            let what = format!("{extent:?} {cross_entropy:?}, class weights {weighs}");
            let (pixels, all) = (extent.area(), classes * extent.area());
            let index = index_maps(extent, classes);
            let weights = weights_of(extent, classes, &index);
            let x: Vec<f32> = numbers(2 * all, 1).iter().map(|v| 4.0 * v).collect();
            let class_weights: Vec<f32> =
                (0..classes).map(|class| if weighs { 0.5 * class as f32 } else { 1.0 }).collect();
            let whole: Vec<f64> = x.iter().map(|v| f64::from(*v)).collect();
            let weighted = cross_entropy == CrossEntropy::Weighted;
            let of_image = |image: usize, x: &[f64]| {
                let range = image * pixels..(image + 1) * pixels;
                twin(x, &index[range.clone()], &weights[range], &class_weights, weighted) / 2.0
            };
            let want: f64 = whole.chunks(all).enumerate().map(|(image, x)| of_image(image, x)).sum();
            let class_weights = weighs.then_some(&class_weights[..]);
            let output =
                Output { pixels, classes, weighted, logits: &x, index: &index, weights: &weights, class_weights };
            let got = output.forward();
            assert!((f64::from(got) - want).abs() < 1e-6 * want, "{what}: {got}, twin {want}");
            let mut gx = vec![0.25; x.len()];
            output.backward(2.0, &mut gx);
            for at in (0..x.len()).step_by(x.len() / 41) {
                let image = at / all;
                let mut moved = whole[image * all..(image + 1) * all].to_vec();
                let mut side = |step: f64| {
                    moved[at % all] = whole[at] + step;
                    of_image(image, &moved)
                };
                let slope = (side(1e-4) - side(-1e-4)) / 2e-4;
                let error = (f64::from(gx[at]) - 0.25 - 2.0 * slope).abs();
                assert!(error < 1e-7 + 1e-4 * slope.abs(), "{what}, number {at}: {error} of {slope}");
            }

            // what is ignored may be anything
            let ignored = |at: usize| weights[at / all * pixels + at % pixels] == 0.0;
            let spoilt: Vec<f32> =
                x.iter().enumerate().map(|(at, v)| if ignored(at) { f32::NAN } else { *v }).collect();
            let output = Output { logits: &spoilt, ..output };
            assert_eq!(output.forward().to_bits(), got.to_bits(), "{what}");
            let mut again = vec![0.25; x.len()];
            output.backward(2.0, &mut again);
            assert_eq!(again, gx, "{what}");
        }
    }
}

#[test]
fn an_image_that_teaches_nothing_has_no_loss_and_counts_in_the_mean() {
    let (extent, classes) = (Extent { height: 6, width: 5 }, 3);
    let x = numbers(2 * classes * 30, 1);
    let loss = |index: &[f32], class_weights: &[f32]| {
        let weights = weights_of(extent, classes, index);
        let logits = &x[..classes * index.len()];
        let class_weights = Some(class_weights);
        let output = Output { pixels: 30, classes, weighted: true, logits, index, weights: &weights, class_weights };
        let mut gx = vec![0.0; logits.len()];
        output.backward(2.0, &mut gx);
        (output.forward(), gx)
    };
    let shown: Vec<f32> = (0..30).map(|i| (i % 3) as f32).collect();
    let (alone, gradient) = loss(&shown, &[1.0, 2.0, 3.0]);
    assert!(alone > 0.0);
    // one whose pixels are all ignored, and one that shows only a class of weight 0
    for (other, class_weights) in [([NONE; 30], [1.0, 2.0, 3.0]), ([1.0; 30], [2.0, 0.0, 3.0])] {
        let both = [&shown[..], &other].concat();
        let (alone, gradient) =
            if class_weights[1] == 0.0 { loss(&shown, &class_weights) } else { (alone, gradient.clone()) };
        let (value, found) = loss(&both, &class_weights);
        assert_eq!(value, alone / 2.0);
        assert!(found[..90].iter().zip(&gradient).all(|(g, alone)| *g == alone / 2.0));
        assert_eq!(found[90..], [0.0; 90]);
        assert_eq!(loss(&other, &class_weights), (0.0, vec![0.0; 90]));
    }
}
