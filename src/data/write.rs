//! PNG files.

use std::io;
use std::path::Path;

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};

use super::error::DataError;
use super::pixels::Pixels;
use crate::files::write::write;

/// Writes an 8-bit PNG, grey for one channel and RGB for three. The file appears whole or not at all: it is written
/// beside its place under a temporary name, then renamed; an existing one is replaced.
///
/// # Errors
///
/// When the file cannot be written: a missing or read-only folder, a full disk.
pub fn write_png<const C: usize>(path: &Path, picture: &Pixels<C>) -> Result<(), DataError> {
    const { assert!(C == 1 || C == 3, "a PNG holds one channel (grey) or three (RGB)") };
    encode(picture)
        .and_then(|png| write(path, png))
        .map_err(|source| DataError::Write { path: path.to_owned(), source })
}

/// The bytes of the file.
fn encode<const C: usize>(picture: &Pixels<C>) -> io::Result<Vec<u8>> {
    let colour = if C == 1 { ExtendedColorType::L8 } else { ExtendedColorType::Rgb8 };
    let side = |pixels: usize| u32::try_from(pixels).map_err(io::Error::other);
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(&picture.data, side(picture.width)?, side(picture.height)?, colour)
        .map_err(io::Error::other)?;
    Ok(png)
}
