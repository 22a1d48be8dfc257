//! What a mask says, and the map that is saved for a prediction.

use super::pixels::Grey;

/// Masks are foreground above this value, as PySODMetrics takes them.
pub const FOREGROUND_ABOVE: u8 = 128;

/// The map to save for a prediction, at the image's size: logits resized bilinearly (`align_corners=False`), the
/// sigmoid `p` of them, and `floor(255 p)`.
///
/// `logits` is `(side, side)`. With `stretch`, the published script's min-max normalisation comes before the last step:
/// `(p - min) / (max - min + 1e-8)`. Everything in single precision, as PyTorch and NumPy compute it. A logit that is
/// not a number gives 0.
///
/// # Panics
///
/// When `logits` does not hold `side * side` values.
pub fn saved_mask(logits: &[f32], side: usize, width: usize, height: usize, stretch: bool) -> Grey {
    assert_eq!(logits.len(), side * side, "logits of a square map of side {side}");
    let mut map = resize_bilinear(logits, side, width, height);
    for value in &mut map {
        *value = 1.0 / (1.0 + (-*value).exp());
    }
    if stretch {
        let low = map.iter().copied().fold(f32::INFINITY, f32::min);
        let high = map.iter().copied().fold(f32::NEG_INFINITY, f32::max);
        for value in &mut map {
            *value = (*value - low) / (high - low + 1e-8);
        }
    }
    // `as` truncates, saturates, and turns NaN into 0
    Grey { width, height, data: map.iter().map(|p| (p * 255.0) as u8).collect() }
}

/// PyTorch's `interpolate(mode="bilinear", align_corners=False)` of a square map: no antialiasing, half-pixel centres,
/// edges repeated.
fn resize_bilinear(map: &[f32], side: usize, width: usize, height: usize) -> Vec<f32> {
    if side == 0 {
        return vec![0.0; width * height];
    }
    let columns = positions(side, width);
    let mut out = Vec::with_capacity(width * height);
    for (top, bottom, down) in positions(side, height) {
        let (top, bottom) = (&map[top * side..][..side], &map[bottom * side..][..side]);
        out.extend(columns.iter().map(|&(left, right, along)| {
            let upper = top[left] * (1.0 - along) + top[right] * along;
            let lower = bottom[left] * (1.0 - along) + bottom[right] * along;
            upper * (1.0 - down) + lower * down
        }));
    }
    out
}

/// For each output position: its two inputs, and the weight of the second.
fn positions(from: usize, to: usize) -> Vec<(usize, usize, f32)> {
    let scale = from as f32 / to as f32;
    (0..to)
        .map(|i| {
            let at = ((i as f32 + 0.5) * scale - 0.5).max(0.0);
            let first = (at as usize).min(from - 1);
            (first, (first + 1).min(from - 1), (at - first as f32).clamp(0.0, 1.0))
        })
        .collect()
}
