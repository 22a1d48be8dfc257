//! PNG files.

use std::io;
use std::path::Path;

use png::{BitDepth, ColorType, Compression, Encoder, Filter};

use super::classes::class::Classes;
use super::classes::palette::voc_palette;
use super::error::DataError;
use super::pixels::{Grey, Pixels};
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

/// The text chunk of the predictions of a model of several classes: their kind, names and colours, as in a checkpoint's metadata.
pub(super) const CLASSES: &str = "Classes";

/// Writes a mask of one of several classes, as [`write_prediction`] does, with what the classes are.
///
/// # Errors
///
/// As [`write_png`].
pub fn write_class_mask(path: &Path, mask: &Grey, classes: &Classes) -> Result<(), DataError> {
    let (_, told) = classes.metadata();
    let header = Header { texts: &[MARK, (CLASSES, &told)], palette: None };
    write_bytes(path, encode(mask, &header))
}

/// Writes an index map as a palette PNG of 8 bits, whose index is the class and whose colours are the classes' (and PASCAL VOC's
/// for what is ignored), with the text chunks of [`write_class_mask`].
///
/// # Errors
///
/// As [`write_png`].
pub fn write_index(path: &Path, map: &Grey, classes: &Classes) -> Result<(), DataError> {
    let (_, told) = classes.metadata();
    let mut palette = voc_palette();
    palette.iter_mut().zip(classes.list()).for_each(|(colour, class)| *colour = class.colour);
    let header = Header { texts: &[MARK, (CLASSES, &told)], palette: Some(palette.as_flattened()) };
    write_bytes(path, encode(map, &header))
}

/// What a file says beside its pixels.
#[derive(Default)]
struct Header<'a> {
    texts: &'a [(&'a str, &'a str)],
    /// Red, green and blue of each index.
    palette: Option<&'a [u8]>,
}

fn write_bytes(path: &Path, png: io::Result<Vec<u8>>) -> Result<(), DataError> {
    png.and_then(|png| write(path, png)).map_err(|source| DataError::Write { path: path.to_owned(), source })
}

fn write_with<const C: usize>(path: &Path, picture: &Pixels<C>, text: Option<(&str, &str)>) -> Result<(), DataError> {
    const { assert!(C == 1 || C == 3, "a PNG holds one channel (grey) or three (RGB)") };
    write_bytes(path, encode(picture, &Header { texts: text.as_slice(), palette: None }))
}

/// The bytes of the file.
fn encode<const C: usize>(picture: &Pixels<C>, header: &Header) -> io::Result<Vec<u8>> {
    let side = |pixels: usize| u32::try_from(pixels).map_err(io::Error::other);
    let mut png = Vec::new();
    let mut encoder = Encoder::new(&mut png, side(picture.width)?, side(picture.height)?);
    match header.palette {
        Some(colours) => {
            encoder.set_color(ColorType::Indexed);
            encoder.set_palette(colours);
        }
        None => encoder.set_color(if C == 1 { ColorType::Grayscale } else { ColorType::Rgb }),
    }
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Fast);
    encoder.set_filter(Filter::Adaptive);
    for (keyword, text) in header.texts {
        // names of any language need the chunk of UTF-8
        match text.is_ascii() {
            true => encoder.add_text_chunk((*keyword).to_owned(), (*text).to_owned())?,
            false => encoder.add_itxt_chunk((*keyword).to_owned(), (*text).to_owned())?,
        }
    }
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&picture.data)?;
    writer.finish()?;
    Ok(png)
}
