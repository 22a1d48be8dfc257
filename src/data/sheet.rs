//! A sheet of images with their labels drawn over them, to look over at a glance.

use super::class_picture::{IGNORED_COLOUR, class_overlay, with_legend};
use super::classes::class::{Class, ClassKind, Classes};
use super::classes::values::IGNORED;
use super::dataset::Dataset;
use super::mask::FOREGROUND_ABOVE;
use super::picture::overlay;
use super::pixels::Rgb;
use super::resize::Filter;
use super::text::{draw_text, text_size};
use super::truth::Truth;

/// Pixels of a tile's side.
const TILE: usize = 240;
/// Pixels between tiles, and around them.
const GAP: usize = 8;
/// Tiles in a row.
const COLUMNS: usize = 6;
/// How much larger than its font a name is.
const SCALE: usize = 2;
const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [0; 3];
/// What a tile is filled with beside its image.
const GREY: [u8; 3] = [232; 3];

/// A sheet of up to `most` samples that are spread over a set: each with its labels drawn over it and its name below. Several classes
/// are drawn in their colours, and a legend names them; what is ignored is drawn, too. `usable` says which samples to choose from;
/// one that cannot be read any more is left out. Without any it is a white strip.
pub fn labelled_sheet(set: &dyn Dataset, usable: &[usize], most: usize) -> Rgb {
    let count = most.min(usable.len());
    let chosen = (0..count).map(|number| usable[number * usable.len() / count.max(1)]);
    let classes = set.classes();
    let (mut tiles, mut ignores) = (Vec::with_capacity(count), false);
    for index in chosen {
        if let Ok((image, truth)) = set.pair(index)
            && image.width > 0
            && image.height > 0
        {
            ignores |= has_ignored(&truth);
            tiles.push((tile(&image, &truth, classes), set.name(index)));
        }
    }
    let columns = tiles.len().clamp(1, COLUMNS);
    let (_, line) = text_size("", SCALE);
    let (right, down) = (TILE + GAP, TILE + GAP / 2 + line + GAP);
    let mut sheet = Rgb::filled(GAP + columns * right, GAP + tiles.len().div_ceil(columns) * down, WHITE);
    for (number, (picture, name)) in tiles.iter().enumerate() {
        let (x, y) = (GAP + number % columns * right, GAP + number / columns * down);
        for row in 0..TILE {
            let at = ((y + row) * sheet.width + x) * 3;
            sheet.data[at..at + TILE * 3].copy_from_slice(picture.row(row));
        }
        draw_text(&mut sheet, &shortened(name), (x, y + TILE + GAP / 2), SCALE, BLACK);
    }
    match classes {
        Some(classes) => with_legend(&sheet, &legend(classes, ignores)),
        None => sheet,
    }
}

/// An image with its labels, as large as fits into a tile.
fn tile(image: &Rgb, truth: &Truth, classes: Option<&Classes>) -> Rgb {
    let longer = image.width.max(image.height);
    let [width, height] = [image.width, image.height].map(|side| (side * TILE / longer).max(1));
    let image = image.resize(width, height, Filter::Bilinear);
    let drawn = match (truth, classes) {
        (truth, Some(classes)) => class_overlay(&image, &truth.resized(width, height), classes),
        (truth, None) => overlay(&image, &truth.clone().into_mask()),
    };
    let mut tile = Rgb::filled(TILE, TILE, GREY);
    let (left, top) = ((TILE - width) / 2, (TILE - height) / 2);
    for row in 0..height {
        let at = ((top + row) * TILE + left) * 3;
        tile.data[at..at + width * 3].copy_from_slice(drawn.row(row));
    }
    tile
}

fn has_ignored(truth: &Truth) -> bool {
    match truth {
        Truth::Mask(_) => false,
        Truth::MaskAndIgnored(map) | Truth::Index(map) => map.data.contains(&IGNORED),
        Truth::Labels { ignored, .. } => {
            ignored.as_ref().is_some_and(|ignored| ignored.data.iter().any(|level| *level > FOREGROUND_ABOVE))
        }
    }
}

/// The classes that are drawn: all but the background, and what is ignored.
fn legend(classes: &Classes, ignores: bool) -> Classes {
    let background = usize::from(classes.kind == ClassKind::Exclusive);
    let mut drawn = classes.list()[background..].to_vec();
    if ignores {
        drawn.push(Class { name: "(ignored)".to_string(), colour: IGNORED_COLOUR });
    }
    Classes::new(ClassKind::Overlapping, drawn).unwrap_or_else(|_| classes.clone())
}

/// A name as far as it fits under a tile: its end is what tells it from others.
fn shortened(name: &str) -> String {
    let letters = name.chars().count();
    // each letter is as wide as the others
    let [one, two] = ["x", "xx"].map(|text| text_size(text, SCALE).0);
    let fits = (TILE + two - 2 * one) / (two - one);
    match fits < letters {
        true => "..".chars().chain(name.chars().skip(letters + 2 - fits)).collect(),
        false => name.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::shapes::Shapes;

    #[test]
    fn a_long_name_keeps_its_end() {
        assert_eq!(shortened("ISIC_0000013"), "ISIC_0000013");
        let long = shortened("a-very-long-name-of-an-image_0000013");
        assert!(long.starts_with("..") && long.ends_with("image_0000013"), "{long}");
        assert!(text_size(&long, SCALE).0 <= TILE && text_size(&format!("{long}x"), SCALE).0 > TILE);
    }

    #[test]
    fn samples_are_spread_over_the_set_and_named() {
        let set = Shapes::new(1, 10, 64);
        let sheet = |usable: &[usize], most| labelled_sheet(&set, usable, most);
        let all: Vec<usize> = (0..10).collect();
        let down = TILE + GAP / 2 + 14 + GAP;
        let seven = sheet(&all, 7);
        assert_eq!(seven.width, GAP + COLUMNS * (TILE + GAP));
        // two rows, and the legend
        assert!(seven.height > GAP + 2 * down && seven.height < GAP + 3 * down);
        assert_eq!(sheet(&all, 2).width, GAP + 2 * (TILE + GAP));
        // of two the first and the sixth
        let (two, own) = (sheet(&all, 2), sheet(&[0, 5], 24));
        assert!(two == own && two != sheet(&[0, 1], 24));
        assert!(sheet(&[], 24).data[..3 * GAP].iter().all(|v| *v == 255));
    }
}
