//! Predictions as pictures: the map that is saved, what a person looks at, and PNG files.

use std::io::{self, Write};
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::error::DataError;
use super::pixels::{Grey, Pixels, Rgb};
use super::resize::Filter;

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

/// What [`overlay`] paints with.
const TINT: [u8; 3] = [0, 215, 255];
/// Masks are foreground above this value, as PySODMetrics takes them.
pub const FOREGROUND_ABOVE: u8 = 128;

/// The image with the mask (foreground where it is above 128) tinted and its contour drawn.
///
/// The two should have one size; where they differ the mask is resized to the image's.
pub fn overlay(image: &Rgb, mask: &Grey) -> Rgb {
    let resized = (image.size() != mask.size()).then(|| mask.resize(image.width, image.height, Filter::Bilinear));
    let mask = resized.as_ref().unwrap_or(mask);
    let (width, height) = image.size();
    let inside = |x: usize, y: usize| mask.data[y * width + x] > FOREGROUND_ABOVE;
    // about two pixels of contour on a screen, whatever the image's size
    let reach = (width.max(height) / 400).max(1);
    let mut out = image.clone();
    for y in 0..height {
        for x in (0..width).filter(|&x| inside(x, y)) {
            let (left, right) = (x.saturating_sub(reach), (x + reach).min(width - 1));
            let (top, bottom) = (y.saturating_sub(reach), (y + reach).min(height - 1));
            let on_contour = !(inside(left, y) && inside(right, y) && inside(x, top) && inside(x, bottom));
            let colour = if on_contour { TINT } else { tinted(image.at(x, y)) };
            out.set(x, y, colour);
        }
    }
    out
}

/// Two fifths of the tint over a pixel.
fn tinted(pixel: [u8; 3]) -> [u8; 3] {
    std::array::from_fn(|c| ((3 * u16::from(pixel[c]) + 2 * u16::from(TINT[c])) / 5) as u8)
}

/// One sample on a [`contact_sheet`].
#[derive(Clone, Debug)]
pub struct SheetRow {
    /// The image.
    pub image: Rgb,
    /// What the model says, as [`saved_mask`] gives it.
    pub prediction: Grey,
    /// The mask.
    pub truth: Grey,
}

/// A sheet to look over at a glance: a row for each sample with its image, prediction and truth, every tile
/// `tile` x `tile` pixels, on white with narrow gutters. Without rows it is a white strip.
pub fn contact_sheet(rows: &[SheetRow], tile: usize) -> Rgb {
    let gutter = (tile / 32).max(2);
    let (width, height) = (3 * tile + 4 * gutter, rows.len() * (tile + gutter) + gutter);
    let mut sheet = Rgb::filled(width, height, [255; 3]);
    for (row, SheetRow { image, prediction, truth }) in rows.iter().enumerate() {
        let tiles = [image.clone(), prediction.to_rgb(), truth.to_rgb()];
        for (column, picture) in tiles.iter().enumerate() {
            let picture = picture.resize(tile, tile, Filter::Bilinear);
            let left = (gutter + column * (tile + gutter)) * 3;
            for y in 0..tile {
                let to = (gutter + row * (tile + gutter) + y) * width * 3 + left;
                sheet.data[to..to + tile * 3].copy_from_slice(picture.row(y));
            }
        }
    }
    sheet
}

/// Writes an 8-bit PNG, grey for one channel and RGB for three. The file appears whole or not at all: it is written
/// beside its place under a temporary name, then renamed; an existing one is replaced.
///
/// # Errors
///
/// When the file cannot be written: a missing or read-only folder, a full disk.
pub fn write_png<const C: usize>(path: &Path, picture: &Pixels<C>) -> Result<(), DataError> {
    const { assert!(C == 1 || C == 3, "a PNG holds one channel (grey) or three (RGB)") };
    encode_and_rename(path, picture).map_err(|source| DataError::Write { path: path.to_owned(), source })
}

fn encode_and_rename<const C: usize>(path: &Path, picture: &Pixels<C>) -> io::Result<()> {
    let colour = if C == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let side = |pixels: usize| u32::try_from(pixels).map_err(io::Error::other);
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&picture.data, side(picture.width)?, side(picture.height)?, colour)
        .map_err(io::Error::other)?;

    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = temporary().tempfile_in(folder)?;
    file.write_all(&png)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// A hidden name; on Unix with the permissions that any new file gets (a temporary file is private by default).
fn temporary() -> tempfile::Builder<'static, 'static> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".").suffix(".part");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        builder.permissions(std::fs::Permissions::from_mode(0o666));
    }
    builder
}
