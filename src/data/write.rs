//! PNG files.

use std::io;
use std::path::Path;

use png::{BitDepth, ColorType, Compression, Encoder, Filter};

use super::error::DataError;
use super::pixels::Pixels;
use crate::files::write::write;

/// The text chunk of a predicted mask's or overlay's file, by which it is known as this crate's: keyword and text.
pub(super) const MARK: (&str, &str) = ("Software", "sam2unet");

/// Writes an 8-bit PNG, grey for one channel and RGB for three. The file appears whole or not at all: it is written
/// beside its place under a temporary name, then renamed; an existing one is replaced.
///
/// # Errors
///
/// When the file cannot be written: a missing or read-only folder, a full disk.
pub fn write_png<const C: usize>(path: &Path, picture: &Pixels<C>) -> Result<(), DataError> {
    write_with(path, picture, None)
}

/// As [`write_png`], with the text chunk `Software` = `sam2unet`, which [`is_prediction`](super::is_prediction) looks
/// for.
///
/// # Errors
///
/// As [`write_png`].
pub fn write_prediction<const C: usize>(path: &Path, picture: &Pixels<C>) -> Result<(), DataError> {
    write_with(path, picture, Some(MARK))
}

fn write_with<const C: usize>(path: &Path, picture: &Pixels<C>, text: Option<(&str, &str)>) -> Result<(), DataError> {
    const { assert!(C == 1 || C == 3, "a PNG holds one channel (grey) or three (RGB)") };
    encode(picture, text)
        .and_then(|png| write(path, png))
        .map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// The bytes of the file.
fn encode<const C: usize>(picture: &Pixels<C>, text: Option<(&str, &str)>) -> io::Result<Vec<u8>> {
    let side = |pixels: usize| u32::try_from(pixels).map_err(io::Error::other);
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, side(picture.width)?, side(picture.height)?);
    encoder.set_color(if C == 1 { ColorType::Grayscale } else { ColorType::Rgb });
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    if let Some((keyword, text)) = text {
        encoder.add_text_chunk(keyword.to_owned(), text.to_owned())?;
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.data)?;
    writer.finish()?;
    Ok(png)
}
