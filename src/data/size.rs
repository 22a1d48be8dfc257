//! A picture's size, without its pixels where the header is enough.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use zune_jpeg::JpegDecoder;

use super::error::DataError;
use super::pixels::MAX_PIXELS;
use super::read::facts::{ExifOrientation, ReadOptions};
use super::read::read_grey_with;

/// Width and height that [`read_grey_with`] and [`read_rgb_with`](super::read_rgb_with) give the picture. Of PNG and
/// JPEG only the header is read, unless an EXIF orientation is applied, which may turn the picture; other files are
/// read whole.
///
/// # Errors
///
/// As [`read_grey_with`], but for damage that lies behind the header.
pub fn picture_size(path: &Path, options: &ReadOptions) -> Result<(usize, usize), DataError> {
    match size_in_header(path) {
        Some((width, height)) if width == height || options.exif_orientation == ExifOrientation::Ignore => {
            Ok((width, height))
        }
        _ => Ok(read_grey_with(path, options)?.0.size()),
    }
}

/// The size that the header of a PNG or a JPEG tells; `None` for other files and for what is not sane.
fn size_in_header(path: &Path) -> Option<(usize, usize)> {
    // a pipe may never have a writer
    if !path.metadata().ok()?.is_file() {
        return None;
    }
    let mut file = BufReader::new(File::open(path).ok()?);
    let (width, height) = match file.fill_buf().ok()? {
        [0x89, b'P', b'N', b'G', ..] => {
            let mut decoder = png::Decoder::new(file);
            let header = decoder.read_header_info().ok()?;
            (header.width as usize, header.height as usize)
        }
        [0xff, 0xd8, 0xff, ..] => {
            let mut decoder = JpegDecoder::new(file);
            decoder.decode_headers().ok()?;
            decoder.dimensions()?
        }
        _ => return None,
    };
    let pixels = width.checked_mul(height)?;
    (1..=MAX_PIXELS).contains(&pixels).then_some((width, height))
}
