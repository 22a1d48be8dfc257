//! What a threshold and a guess at the middle reach on generated scenes.

use sam2unet::data::{Dataset, Rgb, Synthetic, Truth};

/// Mean over images of the intersection over union of `predicted(image, truth)` and the truth.
fn mean_iou(scenes: &[(Rgb, Vec<bool>)], predicted: impl Fn(&Rgb, &[bool]) -> Vec<bool>) -> f64 {
    let ious = scenes.iter().map(|(image, truth)| iou(&predicted(image, truth), truth));
    ious.sum::<f64>() / scenes.len() as f64
}

/// Intersection over union of two masks.
pub fn iou(a: &[bool], b: &[bool]) -> f64 {
    assert_eq!(a.len(), b.len(), "masks of one size");
    let both = a.iter().zip(b).filter(|(a, b)| **a && **b).count();
    let either = a.iter().zip(b).filter(|(a, b)| **a || **b).count();
    if either == 0 { 1.0 } else { both as f64 / either as f64 }
}

/// Otsu's threshold of the grey image (the one that separates two classes of largest between-class variance), of the
/// two polarities the one that fits the truth better: more than a threshold could know.
pub fn otsu(image: &Rgb, truth: &[bool]) -> Vec<bool> {
    let grey = image.to_grey().data;
    let mut histogram = [0f64; 256];
    grey.iter().for_each(|&v| histogram[usize::from(v)] += 1.0);
    let count = grey.len() as f64;
    let total: f64 = histogram.iter().enumerate().map(|(v, n)| v as f64 * n).sum();
    let (mut below, mut sum, mut best) = (0.0, 0.0, (f64::MIN, 0));
    for (v, n) in histogram.iter().enumerate() {
        below += n;
        sum += v as f64 * n;
        let between = (total * below - count * sum).powi(2) / (below * (count - below));
        if between > best.0 {
            best = (between, v);
        }
    }
    let light: Vec<bool> = grey.iter().map(|&v| usize::from(v) > best.1).collect();
    let dark: Vec<bool> = light.iter().map(|v| !v).collect();
    if iou(&light, truth) >= iou(&dark, truth) { light } else { dark }
}

/// An ellipse in the middle with these half-axes, in parts of the side.
pub fn ellipse(image: &Rgb, half: [f64; 2]) -> Vec<bool> {
    let (width, height) = (image.width as f64, image.height as f64);
    let offset = |i: usize, length: f64, half: f64| ((i as f64 + 0.5) / length - 0.5) / half;
    (0..image.width * image.height)
        .map(|i| offset(i % image.width, width, half[0]).hypot(offset(i / image.width, height, half[1])) < 1.0)
        .collect()
}

/// Mean IoU of Otsu's threshold, and of the best of sixteen centred ellipses.
pub fn baselines(set: &Synthetic) -> [f64; 2] {
    let foreground = |mask: Truth| mask.into_mask().data.iter().map(|&v| v > 128).collect();
    let scenes: Vec<_> =
        (0..set.len()).map(|i| set.pair(i).map(|(image, mask)| (image, foreground(mask))).unwrap()).collect();
    let sizes = [0.2, 0.3, 0.4, 0.5];
    let guesses = sizes
        .into_iter()
        .flat_map(|across| sizes.map(|down| mean_iou(&scenes, |image, _| ellipse(image, [across, down]))));
    [mean_iou(&scenes, otsu), guesses.fold(0.0, f64::max)]
}
