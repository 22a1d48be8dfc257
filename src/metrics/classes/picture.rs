//! The confusion matrix as a picture.

use super::matrix::ConfusionMatrix;
use super::set::shown_names;
use crate::data::pixels::Rgb;
use crate::data::text::{draw_text, has_letters, text_size};

const WHITE: [u8; 3] = [255; 3];
const BLACK: [u8; 3] = [0; 3];
/// Around the matrix, and between its cells.
const LINE: [u8; 3] = [190; 3];
/// A cell of all of a class's pixels; a cell of none is white.
const FULL: [u8; 3] = [8, 48, 107];
/// The cells of a class without pixels.
const ABSENT: [u8; 3] = [224; 3];
/// Around everything, and between its parts, in pixels.
const GAP: usize = 12;
/// What stands above.
const HEADING: &str = "rows: truth, columns: prediction, in % of the row";
/// The letters of a class's name that are shown.
const LONGEST: usize = 24;

/// Draws a confusion matrix: a row for each class of the masks, a column for each predicted class, cells shaded by
/// their share of the row's pixels, from white (none) to dark blue (all); rows without pixels are grey. `names` are
/// those of the classes; without them, and where the font lacks a letter, classes have numbers. Up to 40 classes have
/// their names and numbers written beside; up to 16 have the shares in per cent in the cells.
pub fn confusion_picture(matrix: &ConfusionMatrix, names: &[String]) -> Rgb {
    let layout = Layout::of(matrix.classes(), names);
    let (left, top, side) = (layout.left, layout.top, layout.cell);
    let mut picture = Rgb::filled(layout.width(), layout.height(), WHITE);
    draw_text(&mut picture, HEADING, (GAP, GAP), layout.scale, BLACK);
    fill(&mut picture, (left - 1, top - 1), matrix.classes() * side + 2 - layout.line, LINE);
    for (row, pixels) in matrix.rows().enumerate() {
        let all: u64 = pixels.iter().sum();
        for (column, &count) in pixels.iter().enumerate() {
            let share = if all == 0 { None } else { Some(count as f64 / all as f64) };
            let (x, y) = (left + column * side, top + row * side);
            fill(&mut picture, (x, y), side - layout.line, share.map_or(ABSENT, shade));
            if let (Some(share), true) = (share, layout.has_shares()) {
                let colour = if share > 0.5 { WHITE } else { BLACK };
                let text = if count == 0 { "0".to_string() } else { format!("{:.1}", 100.0 * share) };
                centred(&mut picture, &text, (x + (side - layout.line) / 2, y + side / 2), 1, colour);
            }
        }
    }
    for (class, name) in layout.names.iter().enumerate() {
        let middle = class * side + (side - layout.line) / 2;
        let (width, height) = text_size(name, layout.scale);
        draw_text(&mut picture, name, (left - GAP / 2 - width, top + middle - height / 2), layout.scale, BLACK);
        let number = class.to_string();
        let above = if text_size(name, layout.scale).0 + 4 <= side { name } else { &number };
        centred(&mut picture, above, (left + middle, top - GAP / 2 - height / 2), layout.scale, BLACK);
    }
    picture
}

/// Where everything stands, in pixels.
struct Layout {
    classes: usize,
    /// What stands beside the rows; empty where there is no room.
    names: Vec<String>,
    /// Pixels of a letter's pixel.
    scale: usize,
    /// From a cell to the next.
    cell: usize,
    /// Between cells.
    line: usize,
    /// The left upper corner of the first cell.
    left: usize,
    top: usize,
    /// The width of the line of text above.
    heading: usize,
}

impl Layout {
    fn of(classes: usize, names: &[String]) -> Self {
        let (cell, scale, line) = match classes {
            0..=16 => (48, 2, 1),
            17..=40 => (24, 1, 1),
            41..=100 => (8, 1, 0),
            _ => (4, 1, 0),
        };
        let shown: Vec<String> = if classes <= 40 { labels(classes, names) } else { Vec::new() };
        let widest = shown.iter().map(|name| text_size(name, scale).0).max().unwrap_or(0);
        let heading = text_size(HEADING, scale);
        let top = GAP + heading.1 + GAP + if shown.is_empty() { 0 } else { heading.1 + GAP / 2 };
        Self { classes, names: shown, scale, cell, line, left: GAP + widest + GAP / 2, top, heading: heading.0 }
    }

    fn has_shares(&self) -> bool {
        self.classes <= 16
    }

    fn width(&self) -> usize {
        (self.left + self.classes * self.cell).max(GAP + self.heading) + GAP
    }

    fn height(&self) -> usize {
        self.top + self.classes * self.cell + GAP
    }
}

/// What stands beside each row: the class's number and its name, if it has one that can be written.
fn labels(classes: usize, names: &[String]) -> Vec<String> {
    let label = |(class, name): (usize, String)| {
        let is_named = class < names.len() && has_letters(&name);
        let shown: String = name.chars().take(LONGEST).collect();
        if is_named { format!("{shown} {class}") } else { class.to_string() }
    };
    shown_names(classes, names).into_iter().enumerate().map(label).collect()
}

/// From white to [`FULL`].
fn shade(share: f64) -> [u8; 3] {
    FULL.map(|full| (255.0 + share * (f64::from(full) - 255.0)).round() as u8)
}

/// A square whose left upper corner is given.
fn fill(picture: &mut Rgb, (left, top): (usize, usize), side: usize, colour: [u8; 3]) {
    for y in top..top + side {
        for x in left..left + side {
            picture.set(x, y, colour);
        }
    }
}

/// Text around a middle.
fn centred(picture: &mut Rgb, text: &str, (x, y): (usize, usize), scale: usize, colour: [u8; 3]) {
    let (width, height) = text_size(text, scale);
    draw_text(picture, text, (x.saturating_sub(width / 2), y.saturating_sub(height / 2)), scale, colour);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matrix(classes: usize) -> ConfusionMatrix {
        let mut matrix = ConfusionMatrix::new(classes);
        // the last class has no pixels
        for class in 0..classes.saturating_sub(1) {
            matrix.add(class as u8, class as u8, 3);
            matrix.add(class as u8, 0, 1);
        }
        matrix
    }

    /// The corner of a cell, where no text is.
    fn corner(picture: &Rgb, layout: &Layout, row: usize, column: usize) -> [u8; 3] {
        picture.at(layout.left + column * layout.cell, layout.top + row * layout.cell)
    }

    #[test]
    fn cells_are_shaded_by_their_share_of_the_row() {
        let names = ["background", "cat", "dog"].map(String::from);
        let picture = confusion_picture(&matrix(3), &names);
        let layout = Layout::of(3, &names);
        assert_eq!(picture.size(), (layout.width(), layout.height()));
        assert_eq!(corner(&picture, &layout, 0, 0), FULL);
        assert_eq!(corner(&picture, &layout, 1, 0), shade(0.25));
        assert_eq!(corner(&picture, &layout, 1, 1), shade(0.75));
        assert_eq!(corner(&picture, &layout, 1, 2), WHITE);
        assert_eq!(corner(&picture, &layout, 2, 2), ABSENT);
        // white letters on the darkest cell, black ones on the others
        let of_cell = |row: usize, column: usize, colour: [u8; 3]| {
            let (x, y) = (layout.left + column * layout.cell, layout.top + row * layout.cell);
            (y..y + layout.cell - 1).any(|y| (x..x + layout.cell - 1).any(|x| picture.at(x, y) == colour))
        };
        assert!(of_cell(0, 0, WHITE) && !of_cell(0, 0, BLACK) && of_cell(1, 0, BLACK) && !of_cell(2, 0, BLACK));
        assert_eq!((shade(0.0), shade(1.0)), (WHITE, FULL));
    }

    #[test]
    fn any_number_of_classes_is_drawn() {
        for classes in [1, 2, 16, 17, 40, 41, 100, 101, 255] {
            let picture = confusion_picture(&matrix(classes), &[]);
            assert!(picture.width <= 1100 && picture.height <= 1100, "{classes}: {picture:?}");
            let layout = Layout::of(classes, &[]);
            assert_eq!(corner(&picture, &layout, classes - 1, classes - 1), ABSENT);
        }
    }

    #[test]
    fn names_that_cannot_be_written_are_numbers() {
        let names = ["\u{732b}", "a name of more than twenty-four letters"].map(String::from);
        assert_eq!(labels(3, &names), ["0", "a name of more than twen 1", "2"]);
    }
}
