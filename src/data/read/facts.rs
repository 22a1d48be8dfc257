//! What is known of a file that was read, besides its pixels, and how it is asked to be read.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::choice::choice;

choice! {
    /// What EXIF's tag `Orientation` does to an image. Cameras store how they were held there, and viewers turn the
    /// picture.
    #[derive(Default)]
    pub enum ExifOrientation: "EXIF orientation" {
        /// Pixels lie as they are stored, which is what `Image.open` of Pillow and `torchvision` give.
        #[default]
        Ignore = "ignore",
        /// Pixels are turned as viewers show them: Pillow's `ImageOps.exif_transpose`.
        Apply = "apply",
    }
}

/// How a file is read. The default reads as Pillow does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Whether EXIF's tag `Orientation` turns the picture.
    pub exif_orientation: ExifOrientation,
    /// Whether grey of 16 bits is divided by 257 (and rounded), so that 0..=65535 becomes 0..=255, instead of clipped
    /// at
    /// 255. Grey of 32 bits and in floating point has no range of its own and is clipped either way; colour of 16
    /// bits always keeps its high byte.
    pub scale_16_bit: bool,
}

const EXIF_KEY: &str = "exif_orientation";
const SCALE_KEY: &str = "scale_16_bit";

impl ReadOptions {
    /// What a checkpoint says of them, so that predictions read images as training did: the options that are not the default.
    pub fn metadata(&self) -> Vec<(String, String)> {
        let mut entries = Vec::new();
        if self.exif_orientation != ExifOrientation::default() {
            entries.push((EXIF_KEY.to_string(), self.exif_orientation.to_string()));
        }
        if self.scale_16_bit {
            entries.push((SCALE_KEY.to_string(), true.to_string()));
        }
        entries
    }

    /// The options that a checkpoint's metadata tell, where it tells them.
    pub fn of_metadata(metadata: &BTreeMap<String, String>) -> Self {
        let orientation = metadata.get(EXIF_KEY).and_then(|name| name.parse().ok());
        Self {
            exif_orientation: orientation.unwrap_or_default(),
            scale_16_bit: metadata.get(SCALE_KEY).is_some_and(|value| value == "true"),
        }
    }
}

/// What a file is, besides its pixels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// The format of the content, which may be another than the name says: `PNG`, `JPEG`, `TIFF` and so on.
    pub format: &'static str,
    /// Channels as stored, alpha included: 1 of a grey image or a palette, 2 of grey with alpha, 3 of colour, 4 of CMYK
    /// or colour with alpha.
    pub channels: u8,
    /// Bits of one channel as stored: 1, 2, 4, 8, 12, 16, 32 or 64; those of the index where there is a palette.
    pub bits: u8,
    /// Whether the file's compression changes values (JPEG, lossy WebP), which blurs the levels of a mask.
    pub lossy: bool,
    /// The orientation that the file carries, 2 to 8 as in EXIF, applied or not. `None`: it lies upright.
    pub orientation: Option<u8>,
    /// Whether the pixels were turned by [`orientation`](Self::orientation): TIFF's always are, all others' when
    /// [`ReadOptions::exif_orientation`] says so.
    pub turned: bool,
    /// What is lost where grey of 16 or 32 bits becomes 8 bits. `None`: nothing.
    pub clipped: Option<Clipped>,
    /// Whether the file holds further frames (an animation) or pages, of which only the first is read.
    pub more_frames: bool,
}

/// The colours of a mask that is read as grey: pixels whose red, green and blue are not equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum MaskColours {
    /// As they were drawn.
    Exact,
    /// Blurred by a lossy format.
    Blurred,
}

/// How many values of a grey image with more than 8 bits do not fit into 8.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clipped {
    /// Values over 255, which became 255.
    pub to_white: usize,
    /// Values below 0, which became 0; in floating point also those between 0 and 1, and values that are no number.
    pub to_black: usize,
}
