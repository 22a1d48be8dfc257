//! What is known of a picture and of a mask once they were read.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::classes::values::PixelValue;
use super::mask::FOREGROUND_ABOVE;
use super::pixels::Grey;
use super::read::facts::{FileFacts, MaskColours};
use super::truth::Truth;

/// What is known of a pair.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PairFacts {
    /// The image's file.
    pub image: PictureFacts,
    /// The files of its masks, in their order; none where shapes are painted.
    pub masks: Vec<PictureFacts>,
    /// Width and height of what is true of its pixels.
    pub size: (usize, usize),
    /// What that is.
    pub labels: LabelFacts,
}

/// What is true of a pair's pixels, counted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelFacts {
    /// The levels of each mask that says where one class is, in the order of the files.
    pub levels: Vec<MaskLevels>,
    /// Pixels of each class; empty for one class without a name. Where nobody knows the classes yet, up to the last one that is seen.
    pub classes: Vec<u64>,
    /// Pixels that are ignored.
    pub ignored: u64,
    /// Pixels of each value, where values mean classes.
    pub values: BTreeMap<PixelValue, u64>,
    /// The colours of each mask of one class, in the order of the files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub colours: Vec<Option<MaskColours>>,
}

impl LabelFacts {
    /// Of what was read: of so many classes, if they are known; `planes` are the files of masks, of those that are there.
    pub(crate) fn of(
        truth: &Truth,
        planes: &[Option<PathBuf>],
        classes: Option<usize>,
        values: BTreeMap<PixelValue, u64>,
    ) -> Self {
        let in_class = |level: &&u8| **level > FOREGROUND_ABOVE;
        match truth {
            Truth::Mask(mask) => Self { levels: vec![MaskLevels::of(mask)], values, ..Self::default() },
            Truth::MaskAndIgnored(map) => {
                let (counts, ignored) = counted(map);
                Self { classes: vec![counts[1]], ignored, values, ..Self::default() }
            }
            Truth::Index(map) => {
                let (mut counts, ignored) = counted(map);
                let seen = counts.iter().rposition(|pixels| *pixels > 0).map_or(0, |last| last + 1);
                counts.truncate(classes.unwrap_or(seen));
                Self { classes: counts, ignored, values, ..Self::default() }
            }
            Truth::Labels { masks, ignored } => {
                let is_in = |level: u8| level > FOREGROUND_ABOVE;
                let counts = |at: usize| ignored.as_ref().is_none_or(|ignored| !is_in(ignored.data[at]));
                let known = |mask: &Grey| {
                    mask.data.iter().enumerate().filter(|(at, level)| is_in(**level) && counts(*at)).count() as u64
                };
                let there = masks.iter().zip(planes).filter(|(_, file)| file.is_some());
                let levels = there.map(|(mask, _)| MaskLevels::of(mask)).collect();
                let all = ignored.as_ref().map_or(0, |mask| mask.data.iter().filter(in_class).count() as u64);
                Self { levels, classes: masks.iter().map(known).collect(), ignored: all, values, ..Self::default() }
            }
        }
    }
}

/// Pixels of each index, and those that are ignored.
fn counted(map: &Grey) -> (Vec<u64>, u64) {
    let mut counts = vec![0u64; 256];
    map.data.iter().for_each(|index| counts[usize::from(*index)] += 1);
    let ignored = counts.pop().unwrap_or(0);
    (counts, ignored)
}

/// A picture's size, and how its file stores it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PictureFacts {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Channels in the file.
    pub channels: u8,
    /// Bits of a channel in the file.
    pub bits: u8,
    /// The EXIF orientation that viewers apply and this reading did not, 2 to 8.
    pub orientation: Option<u8>,
    /// Pixels that were clipped to white, of a grey picture with more than 8 bits.
    pub clipped_white: u64,
    /// Pixels that were clipped to black.
    pub clipped_black: u64,
    /// Whether the file holds more pictures: frames or pages.
    pub more_frames: bool,
}

impl PictureFacts {
    /// Of a picture of this size.
    pub fn of(size: (usize, usize), facts: &FileFacts) -> Self {
        let (width, height) = size;
        let clipped = facts.clipped.map_or((0, 0), |clipped| (clipped.to_white as u64, clipped.to_black as u64));
        let (clipped_white, clipped_black) = clipped;
        let FileFacts { channels, bits, more_frames, .. } = *facts;
        let orientation = facts.orientation.filter(|_| !facts.turned);
        Self { width, height, channels, bits, orientation, clipped_white, clipped_black, more_frames }
    }
}

/// Levels as far as this from 0 or 255 are these, blurred by a lossy format.
const BLUR: u8 = 16;
/// More levels than these are not listed: such a mask is soft.
const MOST_LISTED: usize = 64;

/// The levels of a mask, 0 to 255.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MaskLevels {
    /// How many levels there are.
    pub distinct: usize,
    /// Pixels of each level, ascending; empty if there are more than 64.
    pub pixels: Vec<(u8, u64)>,
    /// Pixels above [`FOREGROUND_ABOVE`].
    pub foreground: u64,
    /// Pixels of the middle levels, which a mask of one class has at soft edges only: those further than 16 from 0 and from 255.
    pub middle: u64,
    /// The highest level.
    pub highest: u8,
}

impl MaskLevels {
    /// Counts the levels of a mask.
    pub fn of(mask: &Grey) -> Self {
        let mut counts = [0u64; 256];
        mask.data.iter().for_each(|level| counts[usize::from(*level)] += 1);
        let mut pixels: Vec<_> = (0..=255).zip(counts).filter(|(_, count)| *count > 0).collect();
        let (distinct, highest) = (pixels.len(), pixels.last().map_or(0, |(level, _)| *level));
        let foreground = counts[usize::from(FOREGROUND_ABOVE) + 1..].iter().sum();
        let middle = counts[usize::from(BLUR) + 1..usize::from(255 - BLUR)].iter().sum();
        if distinct > MOST_LISTED {
            pixels.clear();
        }
        Self { distinct, pixels, foreground, middle, highest }
    }

    /// What kind of mask these levels make, of so many pixels.
    pub(super) fn kind(&self, pixels: u64) -> MaskKind {
        let levels: Vec<u8> = self.pixels.iter().map(|(level, _)| *level).collect();
        match levels[..] {
            [0] => return MaskKind::Black,
            [255] => return MaskKind::White,
            [1] | [0, 1] => return MaskKind::ZeroOne,
            _ if self.foreground == 0 => return MaskKind::Dark,
            _ => {}
        }
        let in_the_middle = |level: u8| level > BLUR && level < 255 - BLUR;
        let middle = || self.pixels.iter().filter(|(level, _)| in_the_middle(*level));
        // an area of a level of its own, not the pixels of an edge
        let area = middle().any(|(_, count)| count.saturating_mul(AREA_OF) >= pixels);
        match (area && middle().count() <= MOST_CLASSES, levels.len()) {
            (true, 3..) => MaskKind::FewLevels,
            (_, 1 | 2) => MaskKind::Plain,
            _ if self.middle.saturating_mul(PHOTO_OF) >= pixels => MaskKind::Photo,
            _ => MaskKind::Plain,
        }
    }
}

/// Masks of more middle levels are taken for soft ones, not for several classes.
const MOST_CLASSES: usize = 14;
/// A level has an area of its own if it is at least one of so many pixels.
const AREA_OF: u64 = 200;
/// A picture is no mask if at least one of so many pixels is of a middle level.
const PHOTO_OF: u64 = 4;

/// What kind of mask it is, by its levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MaskKind {
    /// 0 only.
    Black,
    /// 255 only.
    White,
    /// 0 and 1.
    ZeroOne,
    /// Something, but no foreground.
    Dark,
    /// Background and foreground, with soft edges or without.
    Plain,
    /// Areas of a third level, or of a few more: several classes?
    FewLevels,
    /// Many levels, and few pixels near 0 and 255: a photo?
    Photo,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(levels: &[u8]) -> MaskKind {
        MaskLevels::of(&Grey { width: levels.len(), height: 1, data: levels.to_vec() }).kind(levels.len() as u64)
    }

    #[test]
    fn levels_tell_what_a_mask_is() {
        assert_eq!(kind(&[0, 0]), MaskKind::Black);
        assert_eq!(kind(&[255]), MaskKind::White);
        assert_eq!(kind(&[0, 1, 1]), MaskKind::ZeroOne);
        assert_eq!(kind(&[0, 1, 2]), MaskKind::Dark);
        assert_eq!(kind(&[0, 128]), MaskKind::Dark);
        assert_eq!(kind(&[0, 129]), MaskKind::Plain);
        assert_eq!(kind(&[0, 100, 255]), MaskKind::FewLevels);
        assert_eq!(kind(&(0..=255).collect::<Vec<_>>()), MaskKind::Photo);
        // a JPEG of a mask: 0 and 255, blurred, and a few pixels at edges
        let mut jpeg: Vec<u8> = (0..2000).map(|i| if i < 1000 { i as u8 % 7 } else { 249 + i as u8 % 7 }).collect();
        assert_eq!(kind(&jpeg), MaskKind::Plain);
        (40..60).for_each(|level| jpeg[usize::from(level)] = 4 * level);
        assert_eq!(kind(&jpeg), MaskKind::Plain);
        let soft = MaskLevels::of(&Grey { width: 256, height: 1, data: (0..=255).collect() });
        assert_eq!(soft, MaskLevels { distinct: 256, pixels: vec![], foreground: 127, middle: 222, highest: 255 });
    }
}
