//! A picture's size, without its pixels where the header is enough.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

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
        [0xff, 0xd8, 0xff, ..] => of_jpeg(file)?,
        _ => return None,
    };
    let pixels = width.checked_mul(height)?;
    (1..=MAX_PIXELS).contains(&pixels).then_some((width, height))
}

/// The size in the frame header of a JPEG of a kind that is read.
fn of_jpeg(mut file: BufReader<File>) -> Option<(usize, usize)> {
    loop {
        while next(&mut file)? != [0xff] {}
        let mut code = 0xff;
        while code == 0xff {
            [code] = next(&mut file)?;
        }
        match code {
            // no segment follows
            0x00 | 0x01 | 0xd0..=0xd8 => continue,
            // pixels or the end; a kind that is not read, which the reader tells
            0xd9 | 0xda | 0xc3 | 0xc5..=0xc7 | 0xc9..=0xcb | 0xcd..=0xcf => return None,
            _ => {}
        }
        let length = u16::from_be_bytes(next(&mut file)?);
        if let 0xc0..=0xc2 = code {
            let [bits, height @ .., w1, w0] = next::<5>(&mut file)?;
            return (bits == 8).then_some((u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes(height).into()));
        }
        file.seek_relative(i64::from(length.checked_sub(2)?)).ok()?;
    }
}

fn next<const N: usize>(file: &mut impl Read) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    file.read_exact(&mut bytes).ok()?;
    Some(bytes)
}
