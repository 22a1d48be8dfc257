//! What is marked in one image, whatever file says it, and how it is painted.

use super::canvas::Canvas;
use super::region::Region;
use crate::data::classes::values::IGNORED;
use crate::data::pixels::Grey;

/// The value of a pixel that belongs to a plane's class.
const INSIDE: u8 = 255;

/// What is marked in one image: shapes in the order in which they are painted.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawing {
    /// Pixels in a row of the image.
    pub width: usize,
    /// Rows of the image.
    pub height: usize,
    /// The shapes; a later one is painted over an earlier one.
    pub shapes: Vec<Shape>,
}

/// Some pixels, and what they are.
#[derive(Clone, Debug, PartialEq)]
pub struct Shape {
    /// What they are.
    pub mark: Mark,
    /// The pixels.
    pub region: Region,
}

/// What a pixel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// None of the classes.
    Background,
    /// The class of this number, from 0 to 253, counted without the background.
    Class(u8),
    /// To be ignored.
    Ignored,
}

impl Drawing {
    /// An index map: 0 is the background, the class `Class(k)` is `k + 1`, 255 is ignored. A later shape is painted
    /// over an earlier one.
    pub fn exclusive(&self) -> Grey {
        self.painted(|mark| match mark {
            Mark::Background => Some(0),
            Mark::Class(class) => Some(class.saturating_add(1)),
            Mark::Ignored => Some(IGNORED),
        })
    }

    /// The mask of one class, whatever other classes its pixels belong to: 255 inside, 0 outside. Background shapes
    /// clear what earlier shapes marked; the order of other shapes changes nothing.
    pub fn class(&self, class: u8) -> Grey {
        self.plane(Mark::Class(class))
    }

    /// Where pixels are ignored in every class: 255 there, 0 elsewhere. A later shape of a class changes nothing about
    /// that, as it says nothing of the other classes; a background shape does.
    pub fn ignored(&self) -> Grey {
        self.plane(Mark::Ignored)
    }

    fn plane(&self, wanted: Mark) -> Grey {
        self.painted(|mark| match mark {
            Mark::Background => Some(0),
            other => (other == wanted).then_some(INSIDE),
        })
    }

    /// The shapes in their order, with the value of each; those without one are left out.
    fn painted(&self, value: impl Fn(Mark) -> Option<u8>) -> Grey {
        let mut map = Grey::filled(self.width, self.height, [0]);
        for shape in &self.shapes {
            if let Some(value) = value(shape.mark) {
                shape.region.fill(&mut Canvas::new(&mut map, value));
            }
        }
        map
    }

    /// Puts larger shapes first, so that smaller ones are painted over them; shapes of equal area keep their order.
    pub(super) fn largest_first(&mut self) {
        let mut scratch = Grey::filled(self.width, self.height, [0]);
        self.shapes.sort_by_cached_key(|shape| {
            let mut canvas = Canvas::new(&mut scratch, INSIDE);
            shape.region.fill(&mut canvas);
            let area = canvas.changed();
            shape.region.fill(&mut Canvas::new(&mut scratch, 0));
            std::cmp::Reverse(area)
        });
    }
}
