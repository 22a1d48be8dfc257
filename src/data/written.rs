//! Which files this crate wrote as predictions, and whether they are whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use png::chunk::{IDAT, IEND};
use png::{DecodeOptions, Decoded, StreamingDecoder};

use super::classes::class::Classes;
use super::float_tiff::{is_float_prediction, is_tiff, whole_float_prediction};
use super::write::{CLASSES, MARK};

/// How much of a file is looked at for the mark, in bytes. It stands in the first hundred of those that this crate
/// writes.
const HEAD: u64 = 4096;
/// The same with the names of up to 255 classes.
const HEAD_WITH_CLASSES: u64 = 1 << 18;

/// Whether [`write_prediction`](super::write_prediction), or another function for predictions, wrote the file: it is a PNG with the
/// text chunk `Software` = `sam2unet` before its pixels, or a TIFF of [`write_floats`](super::write_floats). Only the beginning of the
/// file is read; what comes after the chunk may be damaged or missing.
///
/// # Errors
///
/// When the file cannot be read.
pub fn is_prediction(path: &Path) -> io::Result<bool> {
    let head = beginning(path, HEAD)?;
    Ok(if is_tiff(&head) { is_float_prediction(&head) } else { is_marked(&png_head(&head)) })
}

/// What the classes of a prediction of several classes are, as its file tells; `None` for every other file.
///
/// # Errors
///
/// When the file cannot be read.
pub fn classes_of_prediction(path: &Path) -> io::Result<Option<Classes>> {
    let decoder = png_head(&beginning(path, HEAD_WITH_CLASSES)?);
    let Some(info) = decoder.info().filter(|_| is_marked(&decoder)) else { return Ok(None) };
    let latin =
        info.uncompressed_latin1_text.iter().find(|chunk| chunk.keyword == CLASSES).map(|chunk| chunk.text.clone());
    let unicode = || info.utf8_text.iter().find(|chunk| chunk.keyword == CLASSES)?.get_text().ok();
    Ok(latin.or_else(unicode).and_then(|text| Classes::of_text(&text).ok()))
}

fn beginning(path: &Path, bytes: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    File::open(path)?.take(bytes).read_to_end(&mut head)?;
    Ok(head)
}

/// A PNG up to its pixels, or as far as it can be read.
fn png_head(head: &[u8]) -> StreamingDecoder {
    let (mut decoder, mut rest) = (StreamingDecoder::new(), head);
    while !rest.is_empty() {
        match decoder.update(rest, None) {
            Ok((_, Decoded::ChunkBegin(_, IDAT))) | Err(_) => break,
            Ok((taken, _)) => rest = &rest[taken..],
        }
    }
    decoder
}

/// Width and height of a file that [`write_prediction`](super::write_prediction), or another function for predictions, wrote, if it is
/// whole: all of its chunks are there, to the one that ends a PNG, and their checksums are right; of a TIFF, all of its pixels are.
/// `None` for every other file.
///
/// # Errors
///
/// When the file cannot be read.
pub fn whole_prediction(path: &Path) -> io::Result<Option<(usize, usize)>> {
    if is_tiff(&beginning(path, 4)?) {
        return whole_float_prediction(path);
    }
    let mut options = DecodeOptions::default();
    options.set_skip_ancillary_crc_failures(false);
    let mut decoder = StreamingDecoder::new_with_options(options);
    let mut file = BufReader::new(File::open(path)?);
    let mut has_pixels = false;
    loop {
        let bytes = file.fill_buf()?;
        let Ok((taken, seen)) = decoder.update(bytes, None) else { return Ok(None) };
        let at_end = bytes.is_empty();
        file.consume(taken);
        match seen {
            Decoded::ChunkBegin(_, IDAT) => has_pixels = true,
            Decoded::ChunkComplete(IEND) => break,
            _ if at_end => return Ok(None),
            _ => {}
        }
    }
    let size = decoder.info().map(|info| (info.width as usize, info.height as usize));
    Ok(size.filter(|_| has_pixels && is_marked(&decoder)))
}

fn is_marked(decoder: &StreamingDecoder) -> bool {
    let texts = decoder.info().map(|info| &info.uncompressed_latin1_text[..]).unwrap_or_default();
    texts.iter().any(|chunk| (&chunk.keyword[..], &chunk.text[..]) == MARK)
}
