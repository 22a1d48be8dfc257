//! COCO's run lengths: how many pixels are outside, inside, outside, ..., down the columns from left to right.
//!
//! In files they are a list of numbers, or that list as text: six bits a character from `0` on, of which the lowest
//! five are the number's and the sixth says that more follow; from the fourth number on it is the difference from the
//! number two before. They are kept as text here, which takes one or two bytes a number.
//!
//! Source: `rleToString` and `rleFrString` of <https://github.com/ppwwyyxx/cocoapi/blob/master/common/maskApi.c>

use super::canvas::Canvas;
use crate::data::pixels::{Grey, MAX_PIXELS};

/// The pixels of a region as run lengths.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runs {
    size: (usize, usize),
    text: Vec<u8>,
}

/// Why run lengths say nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RunsError {
    /// A character that the compressed form does not have.
    #[error("the compressed counts hold a character that they cannot hold (byte {0})")]
    Character(u8),
    /// The text ends within a number.
    #[error("the compressed counts end within a number")]
    Truncated,
    /// A number that no picture can hold.
    #[error("a count is {0}, which is no number of pixels")]
    Count(i64),
    /// The runs are not those of a picture of this size.
    #[error("the counts add up to {sum}, not to the {} pixels of {}x{}", size.0 * size.1, size.0, size.1)]
    Sum {
        /// What they add up to.
        sum: u64,
        /// Width and height.
        size: (usize, usize),
    },
}

impl Runs {
    /// Of run lengths in a picture of this width and height.
    ///
    /// # Errors
    ///
    /// When they do not add up to its pixels.
    pub fn of_counts(counts: &[u32], size: (usize, usize)) -> Result<Self, RunsError> {
        let mut text = RunsText::default();
        counts.iter().for_each(|count| text.push(i64::from(*count)));
        Self::of_text(text.bytes, size)
    }

    /// Of run lengths in COCO's compressed form.
    ///
    /// # Errors
    ///
    /// When the text is not of that form, or its numbers do not add up to the pixels of the picture.
    pub fn of_text(text: Vec<u8>, size: (usize, usize)) -> Result<Self, RunsError> {
        match total(&text)? {
            sum if sum == (size.0 * size.1) as u64 => Ok(Self { size, text }),
            sum => Err(RunsError::Sum { sum, size }),
        }
    }

    /// Of text that was checked before.
    pub(super) fn known(text: Vec<u8>, size: (usize, usize)) -> Self {
        Self { size, text }
    }

    /// Of the pixels of a mask that are not 0.
    pub fn of_mask(mask: &Grey) -> Self {
        let mut text = RunsText::default();
        let (mut inside, mut count) = (false, 0);
        for x in 0..mask.width {
            for y in 0..mask.height {
                if (mask.at(x, y) != [0]) != inside {
                    text.push(count);
                    (inside, count) = (!inside, 0);
                }
                count += 1;
            }
        }
        text.push(count);
        Self { size: mask.size(), text: text.bytes }
    }

    /// Width and height of the picture.
    pub fn size(&self) -> (usize, usize) {
        self.size
    }

    /// The compressed form.
    pub fn text(&self) -> &[u8] {
        &self.text
    }

    /// The run lengths; the first is outside.
    pub fn counts(&self) -> impl Iterator<Item = u32> {
        Counts::of(&self.text).map_while(Result::ok)
    }

    /// Paints the region, its first pixel at column `x` of row `y`.
    pub(super) fn fill(&self, (x, y): (i64, i64), canvas: &mut Canvas) {
        let height = self.size.1 as u64;
        let (mut at, mut inside) = (0u64, false);
        for count in self.counts() {
            let end = at + u64::from(count);
            while inside && at < end {
                let (column, row) = (at / height, at % height);
                let length = (height - row).min(end - at);
                canvas.column(x + column as i64, y + row as i64, y + (row + length) as i64);
                at += length;
            }
            (at, inside) = (end, !inside);
        }
    }
}

/// What run lengths in the compressed form add up to.
pub(super) fn total(text: &[u8]) -> Result<u64, RunsError> {
    Counts::of(text).try_fold(0u64, |sum, count| Ok(sum + u64::from(count?)))
}

/// Run lengths on their way into the compressed form.
#[derive(Debug, Default)]
pub(super) struct RunsText {
    pub(super) bytes: Vec<u8>,
    last: Past,
}

impl RunsText {
    /// Adds a number.
    pub(super) fn push(&mut self, count: i64) {
        let mut left = count - self.last.base();
        self.last.add(count);
        loop {
            let five = (left & 0x1f) as u8;
            left >>= 5;
            let more = if five & 0x10 != 0 { left != -1 } else { left != 0 };
            self.bytes.push(b'0' + five + if more { 0x20 } else { 0 });
            if !more {
                break;
            }
        }
    }
}

/// The last two numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Past {
    seen: usize,
    last: [i64; 2],
}

impl Past {
    /// What the next number is a difference from.
    fn base(self) -> i64 {
        if self.seen > 2 { self.last[0] } else { 0 }
    }

    fn add(&mut self, count: i64) {
        *self = Self { seen: self.seen + 1, last: [self.last[1], count] };
    }
}

/// The numbers of the compressed form.
struct Counts<'a> {
    text: std::slice::Iter<'a, u8>,
    last: Past,
}

impl<'a> Counts<'a> {
    fn of(text: &'a [u8]) -> Self {
        Self { text: text.iter(), last: Past::default() }
    }

    fn number(&mut self, first: u8) -> Result<u32, RunsError> {
        let (mut byte, mut value, mut shift) = (first, 0i64, 0);
        loop {
            let six = byte.checked_sub(b'0').filter(|six| *six < 64).ok_or(RunsError::Character(byte))?;
            value |= i64::from(six & 0x1f) << shift;
            shift += 5;
            if six & 0x20 == 0 {
                value |= if six & 0x10 != 0 { -1 << shift } else { 0 };
                break;
            }
            // 40 bits are more than any picture needs
            if shift >= 40 {
                return Err(RunsError::Count(value));
            }
            byte = *self.text.next().ok_or(RunsError::Truncated)?;
        }
        let count = value + self.last.base();
        if !(0..=MAX_PIXELS as i64).contains(&count) {
            return Err(RunsError::Count(count));
        }
        self.last.add(count);
        Ok(count as u32)
    }
}

impl Iterator for Counts<'_> {
    type Item = Result<u32, RunsError>;

    fn next(&mut self) -> Option<Self::Item> {
        let first = *self.text.next()?;
        Some(self.number(first))
    }
}
