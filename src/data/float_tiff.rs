//! Maps of numbers as TIFF files of 32-bit floating point, which are known again as predictions.

use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::Path;

use tiff::decoder::Decoder;
use tiff::encoder::TiffEncoder;
use tiff::encoder::colortype::Gray32Float;
use tiff::tags::Tag;

use super::error::DataError;
use super::write::MARK;
use crate::files::write::write;

/// Among so many bytes lies the text of the tag `Software` in a file that this crate wrote: behind the header, before the pixels. A
/// file that lost its end, where the tags themselves stand, is known by it.
const HEAD: usize = 64;

/// Writes numbers, one a pixel, row by row, as a grey TIFF of 32-bit floating point with the tag `Software` = `sam2unet`, by which
/// [`is_prediction`](super::is_prediction) and [`whole_prediction`](super::whole_prediction) know it. The file appears whole or not at all;
/// an existing one is replaced.
///
/// # Errors
/// When the file cannot be written: a missing or read-only folder, a full disk, more numbers than such a file holds.
///
/// # Panics
/// When there are not `width * height` numbers.
pub fn write_floats(path: &Path, (width, height): (usize, usize), numbers: &[f32]) -> Result<(), DataError> {
    assert_eq!(numbers.len(), width * height, "numbers of a map of {width} x {height}");
    let encoded = encode(width, height, numbers);
    let written = encoded.and_then(|tiff| write(path, tiff));
    written.map_err(|source| DataError::Write { path: path.to_owned(), source })
}

fn encode(width: usize, height: usize, numbers: &[f32]) -> io::Result<Vec<u8>> {
    let side = |pixels: usize| u32::try_from(pixels).map_err(io::Error::other);
    let mut file = Cursor::new(Vec::new());
    let mut encoder = TiffEncoder::new(&mut file).map_err(io::Error::other)?;
    let mut image = encoder.new_image::<Gray32Float>(side(width)?, side(height)?).map_err(io::Error::other)?;
    // before the pixels, so that its text lies in the head
    image.encoder().write_tag(Tag::Software, MARK.1).map_err(io::Error::other)?;
    image.write_data(numbers).map_err(io::Error::other)?;
    Ok(file.into_inner())
}

/// Whether a file that begins so was written by [`write_floats`], whole or not.
pub(super) fn is_float_prediction(head: &[u8]) -> bool {
    let head = &head[..head.len().min(HEAD)];
    let is_mark = |bytes: &[u8]| bytes.strip_suffix(b"\0") == Some(MARK.1.as_bytes());
    is_tiff(head) && head.windows(MARK.1.len() + 1).any(is_mark)
}

/// Whether a file that begins so is a TIFF.
pub(super) fn is_tiff(head: &[u8]) -> bool {
    head.starts_with(b"II*\0") || head.starts_with(b"MM\0*")
}

/// Width and height of a file that [`write_floats`] wrote, if it is whole: its tags can be read, and all of its pixels are there.
pub(super) fn whole_float_prediction(path: &Path) -> io::Result<Option<(usize, usize)>> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let mut head = Vec::new();
    file.by_ref().take(HEAD as u64).read_to_end(&mut head)?;
    if !is_float_prediction(&head) {
        return Ok(None);
    }
    let size = || {
        let mut tags = Decoder::new(BufReader::new(File::open(path).ok()?)).ok()?;
        let (width, height) = tags.dimensions().ok()?;
        let mut numbers = |tag| tags.get_tag_u64_vec(tag).ok();
        let (offsets, lengths) = (numbers(Tag::StripOffsets)?, numbers(Tag::StripByteCounts)?);
        let ends = offsets.iter().zip(&lengths).map(|(offset, length)| offset.saturating_add(*length));
        let bytes = lengths.iter().fold(0, |all: u64, length| all.saturating_add(*length));
        let is_whole = offsets.len() == lengths.len()
            && bytes == 4 * u64::from(width) * u64::from(height)
            && ends.max().is_some_and(|end| end <= length);
        is_whole.then_some((width as usize, height as usize))
    };
    Ok(size())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read::facts::ReadOptions;
    use crate::data::read::read_stored;
    use crate::data::read::stored::Samples;
    use crate::data::written::{is_prediction, whole_prediction};

    #[test]
    fn numbers_are_read_again_and_known_as_ours() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.tiff");
        let numbers: Vec<f32> = (0..700).map(|n| n as f32 / 699.0).collect();
        write_floats(&path, (70, 10), &numbers).unwrap();
        let (stored, _) = read_stored(&path, &ReadOptions::default()).unwrap();
        assert!(matches!(stored.samples, Samples::Float(found) if found == numbers));
        assert!(is_prediction(&path).unwrap());
        assert_eq!(whole_prediction(&path).unwrap(), Some((70, 10)));
        // without its end it is still ours, but not whole
        let bytes = std::fs::read(&path).unwrap();
        for left in [48, 400, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..left]).unwrap();
            assert!(is_prediction(&path).unwrap(), "{left}");
            assert_eq!(whole_prediction(&path).unwrap(), None, "{left}");
        }
        for others in [&bytes[..12], b"II*\0 a note on sam2unet"] {
            std::fs::write(&path, others).unwrap();
            assert!(!is_prediction(&path).unwrap());
        }
    }
}
