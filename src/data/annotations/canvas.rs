//! Where shapes are painted.

use crate::data::pixels::Grey;

/// A picture in which pixels get one value. What lies outside the picture is left out.
pub(super) struct Canvas<'a> {
    picture: &'a mut Grey,
    value: u8,
    changed: usize,
}

impl<'a> Canvas<'a> {
    pub(super) fn new(picture: &'a mut Grey, value: u8) -> Self {
        Self { picture, value, changed: 0 }
    }

    /// Width and height.
    pub(super) fn size(&self) -> (usize, usize) {
        self.picture.size()
    }

    /// How many pixels had another value before.
    pub(super) fn changed(&self) -> usize {
        self.changed
    }

    /// The pixels `first` to `last` of a row, both included.
    pub(super) fn row(&mut self, y: i64, first: i64, last: i64) {
        let (width, height) = self.picture.size();
        let (Some(y), Some(end)) = (inside(y, height), usize::try_from(last.saturating_add(1)).ok()) else { return };
        let (first, end) = (first.max(0) as usize, end.min(width));
        if first >= end {
            return;
        }
        let pixels = &mut self.picture.data[y * width + first..y * width + end];
        self.changed += pixels.iter().filter(|pixel| **pixel != self.value).count();
        pixels.fill(self.value);
    }

    /// The pixels `first` to `end` of a column, `end` not included.
    pub(super) fn column(&mut self, x: i64, first: i64, end: i64) {
        let (width, height) = self.picture.size();
        let Some(x) = inside(x, width) else { return };
        let (first, end) = (first.clamp(0, height as i64) as usize, end.clamp(0, height as i64) as usize);
        for y in first..end {
            let pixel = &mut self.picture.data[y * width + x];
            self.changed += usize::from(*pixel != self.value);
            *pixel = self.value;
        }
    }
}

/// `at`, if it is one of so many.
fn inside(at: i64, count: usize) -> Option<usize> {
    usize::try_from(at).ok().filter(|at| *at < count)
}
