//! Which PNG files this crate wrote as predictions, and whether they are whole.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use png::chunk::{IDAT, IEND};
use png::{DecodeOptions, Decoded, StreamingDecoder};

use super::write::MARK;

/// How much of a file is looked at for the mark, in bytes. It stands in the first hundred of those that this crate
/// writes.
const HEAD: u64 = 4096;

/// Whether [`write_prediction`](super::write_prediction) wrote the file: it is a PNG with the text chunk `Software` =
/// `sam2unet` before its pixels. Only the beginning of the file is read; what comes after the chunk may be damaged or
/// missing.
///
/// # Errors
///
/// When the file cannot be read.
pub fn is_prediction(path: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(path)?.take(HEAD).read_to_end(&mut head)?;
    let (mut decoder, mut rest) = (StreamingDecoder::new(), &head[..]);
    while !rest.is_empty() {
        match decoder.update(rest, None) {
            Ok((_, Decoded::ChunkBegin(_, IDAT))) | Err(_) => break,
            Ok((taken, _)) => rest = &rest[taken..],
        }
    }
    Ok(is_marked(&decoder))
}

/// Width and height of a file that [`write_prediction`](super::write_prediction) wrote, if it is whole: all of its
/// chunks are there, to the one that ends a PNG, and their checksums are right. `None` for every other file.
///
/// # Errors
///
/// When the file cannot be read.
pub fn whole_prediction(path: &Path) -> io::Result<Option<(usize, usize)>> {
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
