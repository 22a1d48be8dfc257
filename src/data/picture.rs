//! Predictions as pictures for people: masks over images, sheets of samples.

use super::mask::FOREGROUND_ABOVE;
use super::pixels::{Grey, Rgb};
use super::resize::Filter;

/// What [`overlay`] paints with.
const TINT: [u8; 3] = [0, 215, 255];
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
    /// What the model says: [`saved_mask`](super::saved_mask), or classes in their colours.
    pub prediction: Rgb,
    /// What is true.
    pub truth: Rgb,
}

/// A sheet to look over at a glance: a row for each sample with its image, prediction and truth, every tile
/// `tile` x `tile` pixels, on white with narrow gutters. Without rows it is a white strip.
pub fn contact_sheet(rows: &[SheetRow], tile: usize) -> Rgb {
    let gutter = (tile / 32).max(2);
    let (width, height) = (3 * tile + 4 * gutter, rows.len() * (tile + gutter) + gutter);
    let mut sheet = Rgb::filled(width, height, [255; 3]);
    for (row, SheetRow { image, prediction, truth }) in rows.iter().enumerate() {
        for (column, picture) in [image, prediction, truth].into_iter().enumerate() {
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
