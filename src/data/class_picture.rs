//! Classes as pictures for people: each in its colour, with a legend.

use super::classes::class::Classes;
use super::mask::FOREGROUND_ABOVE;
use super::pixels::{Grey, Rgb};
use super::text::{draw_text, has_letters, text_size};
use super::truth::Truth;

/// What is ignored, and any value that is no class: PASCAL VOC's colour for it.
pub(super) const IGNORED_COLOUR: [u8; 3] = [224, 224, 192];
const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [0; 3];

/// The class of each pixel in its colour; where classes overlap, the mean of their colours. Where there are no classes, the mask.
pub fn paint(truth: &Truth, classes: Option<&Classes>) -> Rgb {
    let Some(classes) = classes else { return truth.clone().into_mask().to_rgb() };
    let (width, height) = truth.size();
    let mut picture = Rgb::filled(width, height, [0; 3]);
    for y in 0..height {
        for x in 0..width {
            picture.set(x, y, colour_at(truth, classes, y * width + x).unwrap_or([0; 3]));
        }
    }
    picture
}

/// The image with its classes drawn over it, each in its colour: their outlines whole, what is inside as a tint. The background of
/// classes that exclude each other is left as it is. What has another size than the image is resized to it, to the nearest pixel.
pub fn class_overlay(image: &Rgb, truth: &Truth, classes: &Classes) -> Rgb {
    let (width, height) = image.size();
    let resized = (truth.size() != image.size()).then(|| truth.resized(width, height));
    let truth = resized.as_ref().unwrap_or(truth);
    let is_background = |at: usize| matches!(truth, Truth::Index(map) if map.data[at] == 0);
    let colours: Vec<Option<[u8; 3]>> =
        (0..width * height).map(|at| if is_background(at) { None } else { colour_at(truth, classes, at) }).collect();
    // about two pixels of contour on a screen, whatever the image's size
    let reach = (width.max(height) / 400).max(1);
    let mut out = image.clone();
    for y in 0..height {
        for x in 0..width {
            let Some(colour) = colours[y * width + x] else { continue };
            let (left, right) = (x.saturating_sub(reach), (x + reach).min(width - 1));
            let (top, bottom) = (y.saturating_sub(reach), (y + reach).min(height - 1));
            let around = [(left, y), (right, y), (x, top), (x, bottom)];
            let on_contour = around.iter().any(|(x, y)| colours[y * width + x] != Some(colour));
            let under = image.at(x, y);
            let tinted = std::array::from_fn(|c| ((3 * u16::from(under[c]) + 2 * u16::from(colour[c])) / 5) as u8);
            out.set(x, y, if on_contour { colour } else { tinted });
        }
    }
    out
}

/// The colour of a pixel; `None` where it is of no class.
fn colour_at(truth: &Truth, classes: &Classes, at: usize) -> Option<[u8; 3]> {
    let colour = |class: usize| classes.list().get(class).map_or(IGNORED_COLOUR, |class| class.colour);
    match truth {
        Truth::Index(map) => Some(colour(usize::from(map.data[at]))),
        Truth::Mask(mask) => (mask.data[at] > FOREGROUND_ABOVE).then(|| colour(0)),
        Truth::MaskAndIgnored(map) => match map.data[at] {
            0 => None,
            1 => Some(colour(0)),
            _ => Some(IGNORED_COLOUR),
        },
        Truth::Labels { masks, ignored } => {
            let is_in = |mask: &Grey| mask.data[at] > FOREGROUND_ABOVE;
            if ignored.as_ref().is_some_and(is_in) {
                return Some(IGNORED_COLOUR);
            }
            let shown = masks.iter().enumerate().filter(|(_, mask)| is_in(mask)).map(|(class, _)| colour(class));
            let (sum, count) = shown.fold(([0usize; 3], 0), |(sum, count), colour| {
                (std::array::from_fn(|c| sum[c] + usize::from(colour[c])), count + 1)
            });
            (count > 0).then(|| sum.map(|sum| (sum / count) as u8))
        }
    }
}

/// Where a legend's entries stand under a picture.
struct Legend {
    /// How large letters are.
    scale: usize,
    /// Between entries.
    gap: usize,
    /// Of a line of text.
    line: usize,
    /// What is written behind each class's box, and where that begins.
    entries: Vec<(String, (usize, usize))>,
    /// Of the picture and its legend: width and height.
    size: (usize, usize),
}

impl Legend {
    fn under((width, height): (usize, usize), classes: &Classes) -> Self {
        let scale = (width / 220).clamp(1, 6);
        let (gap, (_, line)) = (4 * scale, text_size("", scale));
        let width = width.max(8 * gap);
        // row by row
        let (mut x, mut y, mut entries) = (gap, height + gap, Vec::with_capacity(classes.len()));
        for (number, class) in classes.list().iter().enumerate() {
            let name = if has_letters(&class.name) { class.name.clone() } else { number.to_string() };
            let needs = line + gap + text_size(&name, scale).0 + 2 * gap;
            if x > gap && x + needs > width {
                (x, y) = (gap, y + line + gap);
            }
            entries.push((name, (x, y)));
            x += needs;
        }
        Self { scale, gap, line, entries, size: (width, y + line + gap) }
    }
}

/// Width and height of a picture of this size with a [legend](with_legend).
pub fn size_with_legend(size: (usize, usize), classes: &Classes) -> (usize, usize) {
    Legend::under(size, classes).size
}

/// Puts a legend under a picture, as wide as it is: a box in each class's colour, and its name.
pub fn with_legend(picture: &Rgb, classes: &Classes) -> Rgb {
    let Legend { scale, gap, line, entries, size: (width, height) } = Legend::under(picture.size(), classes);
    let mut out = Rgb::filled(width, height, WHITE);
    for y in 0..picture.height {
        let row = picture.row(y);
        out.data[y * width * 3..][..row.len()].copy_from_slice(row);
    }
    for ((name, (x, y)), class) in entries.iter().zip(classes.list()) {
        let (x, y) = (*x, *y);
        for down in 0..line {
            for right in 0..line {
                let edge = down == 0 || right == 0 || down + 1 == line || right + 1 == line;
                if x + right < width {
                    out.set(x + right, y + down, if edge { BLACK } else { class.colour });
                }
            }
        }
        draw_text(&mut out, name, (x + line + gap, y), scale, BLACK);
    }
    out
}
