//! From a model's logits to the classes of pixels, at an image's size.

use super::values::IGNORED;
use crate::data::mask::Bilinear;
use crate::data::pixels::Grey;

/// For each pixel the number of the class with the largest logit: logits `(classes, side, side)` are resized bilinearly
/// (`align_corners=False`), each class by itself; then the first of the largest counts. NaN is never the largest.
///
/// # Panics
///
/// When `logits` does not hold `classes * side * side` values, or there are no classes or more than 255.
pub fn predicted_index(logits: &[f32], classes: usize, side: usize, width: usize, height: usize) -> Grey {
    assert!((1..=usize::from(IGNORED)).contains(&classes), "{classes} classes");
    assert_eq!(logits.len(), classes * side * side, "logits of {classes} square maps of side {side}");
    let resize = Bilinear::new((side, side), (width, height));
    let (mut best, mut row) = (vec![0.0; width], vec![0.0; width]);
    let mut data = Vec::with_capacity(width * height);
    for y in 0..height {
        let start = data.len();
        data.resize(start + width, 0);
        best.fill(f32::NEG_INFINITY);
        for (map, class) in logits.chunks_exact(side * side).zip(0..) {
            resize.row(map, y, &mut row);
            for ((value, best), index) in row.iter().zip(&mut best).zip(&mut data[start..]) {
                if *value > *best {
                    (*best, *index) = (*value, class);
                }
            }
        }
    }
    Grey { width, height, data }
}

/// For each class a mask, 255 where its probability is above a half, that is, where its resized logit is above 0, and 0 elsewhere.
///
/// # Panics
///
/// As [`predicted_index`], but there is no bound on the number of classes.
pub fn predicted_labels(logits: &[f32], classes: usize, side: usize, width: usize, height: usize) -> Vec<Grey> {
    assert_eq!(logits.len(), classes * side * side, "logits of {classes} square maps of side {side}");
    let resize = Bilinear::new((side, side), (width, height));
    let mut row = vec![0.0; width];
    let mut mask = |map: &[f32]| {
        let mut data = Vec::with_capacity(width * height);
        for y in 0..height {
            resize.row(map, y, &mut row);
            data.extend(row.iter().map(|value| if *value > 0.0 { 255 } else { 0 }));
        }
        Grey { width, height, data }
    };
    logits.chunks_exact((side * side).max(1)).map(&mut mask).collect()
}
