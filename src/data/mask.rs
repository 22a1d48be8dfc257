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

/// PyTorch's `interpolate(mode="bilinear", align_corners=False)`: no antialiasing, half-pixel centres, edges repeated.
pub(crate) struct Bilinear {
    /// Pixels in a row of the source.
    stride: usize,
    columns: Vec<(usize, usize, f32)>,
    rows: Vec<(usize, usize, f32)>,
}

impl Bilinear {
    /// From one size (width, height) to another.
    pub(crate) fn new(from: (usize, usize), to: (usize, usize)) -> Self {
        Self { stride: from.0, columns: positions(from.0, to.0), rows: positions(from.1, to.1) }
    }

    /// Writes the row `y` of the resized map into `out`, which has its width.
    pub(crate) fn row(&self, map: &[f32], y: usize, out: &mut [f32]) {
        let (top, bottom, down) = self.rows[y];
        let (top, bottom) = (&map[top * self.stride..][..self.stride], &map[bottom * self.stride..][..self.stride]);
        for (out, &(left, right, along)) in out.iter_mut().zip(&self.columns) {
            let upper = top[left] * (1.0 - along) + top[right] * along;
            let lower = bottom[left] * (1.0 - along) + bottom[right] * along;
            *out = upper * (1.0 - down) + lower * down;
        }
    }
}

/// A square map at another size.
fn resize_bilinear(map: &[f32], side: usize, width: usize, height: usize) -> Vec<f32> {
    let mut out = vec![0.0; width * height];
    if side == 0 {
        return out;
    }
    let resize = Bilinear::new((side, side), (width, height));
    out.chunks_exact_mut(width.max(1)).enumerate().for_each(|(y, row)| resize.row(map, y, row));
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
