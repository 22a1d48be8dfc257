//! JPEG, to the bit as Pillow has it: `libjpeg-turbo-rs` follows libjpeg-turbo's arithmetic. It refuses an
//! entropy-coded segment that ends early or holds a code that is none. What it lets pass (a file that is cut behind its
//! pixels, restarts in a wrong order, processes that are not read here) is found before, by [`segments`].
//!
//! Without the feature `jpeg-simd` no vector code of that crate runs.

mod headers;
mod segments;
mod strips;

use libjpeg_turbo_rs::{ColorSpace, DecodeLimits, Decoder, JpegError, PixelFormat};

use self::segments::{check, with_colours};
use super::decoded::Decoded;
use super::orientation::{of_exif, of_xmp};
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};
use crate::data::pixels::MAX_PIXELS;

/// The most scans of one file. A progressive picture has ten; each takes the time of a whole picture, however short
/// it is.
const MAX_SCANS: usize = 100;

/// The most memory in bytes of a progressive picture, whose coefficients are all kept until its last scan: that of about
/// 89 megapixels in three components. Its scans may take almost no bytes, so the file's length bounds nothing.
const MAX_PROGRESSIVE_MEMORY: usize = 1 << 30;

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Problem> {
    check(bytes)?;
    let decoder = open(bytes)?;
    let mut data = pixels(&decoder, bytes)?;
    let channels = channels(&decoder);
    let samples = match channels {
        1 => Samples::Grey(data),
        3 => Samples::Rgb(data),
        _ => {
            // Pillow takes every CMYK JPEG as inverted
            data.iter_mut().for_each(|ink| *ink = !*ink);
            Samples::Cmyk(data)
        }
    };
    let (width, height) = size(&decoder);
    let exif = decoder.exif_data().and_then(of_exif);
    Ok(Decoded {
        stored: Stored { width, height, samples },
        channels: channels as u8,
        bits: 8,
        lossy: true,
        orientation: exif.or_else(|| decoder.xmp_data().and_then(of_xmp)),
        more_frames: false,
    })
}

/// The colour in which a JPEG inside another file is wanted. What the JPEG itself says of its colours does not count,
/// as in libtiff.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The components as they are.
    Components,
    /// YCbCr becomes RGB.
    Rgb,
}

/// A JPEG inside another file: its width, its height, and its pixels with `channels` channels.
pub(crate) fn decode_inner(bytes: &[u8], channels: usize, wanted: Wanted) -> Result<(usize, usize, Vec<u8>), Problem> {
    check(bytes)?;
    let bytes = with_colours(bytes, wanted == Wanted::Rgb);
    let decoder = open(&bytes)?;
    let found = self::channels(&decoder);
    if found != channels {
        return Err(Problem::Undecodable(format!(
            "its JPEG parts have {found} channels where {channels} are expected"
        )));
    }
    let (width, height) = size(&decoder);
    Ok((width, height, pixels(&decoder, &bytes)?))
}

/// A decoder that has read the headers, of a picture that is read: of a size within the limits, and of one of
/// Pillow's modes.
fn open(bytes: &[u8]) -> Result<Decoder<'_>, Problem> {
    let limits = DecodeLimits {
        max_width: usize::from(u16::MAX),
        max_height: usize::from(u16::MAX),
        max_pixels: MAX_PIXELS as u64,
        max_scans: MAX_SCANS,
        max_memory: None,
    };
    let mut decoder = Decoder::new_with_limits(bytes, limits).map_err(problem)?;
    let (width, height) = size(&decoder);
    check_size(width, height, usize::MAX)?;
    // each block of 8 x 8 pixels takes a bit at least: a short file cannot make the decoder take much memory or time
    if bytes.len() * 8 < width.div_ceil(8) * height.div_ceil(8) {
        return Err(problem(JpegError::UnexpectedEof));
    }
    let header = decoder.header();
    if header.precision != 8 || header.is_lossless || decoder.is_arithmetic() {
        return Err(Problem::Undecodable("its JPEG frame is of a kind that is not read".to_owned()));
    }
    let format = match channels(&decoder) {
        1 => PixelFormat::Grayscale,
        3 => PixelFormat::Rgb,
        4 => PixelFormat::Cmyk,
        other => return Err(Problem::Undecodable(format!("JPEG of {other} channels is not read"))),
    };
    if !is_sampled_as_decoded(&decoder) {
        return Err(Problem::Undecodable(
            "it is a JPEG of four inks with a rare sampling, which is not read".to_owned(),
        ));
    }
    if decoder.header().is_progressive {
        decoder.set_max_memory(MAX_PROGRESSIVE_MEMORY);
    }
    decoder.set_output_format(format);
    // what libjpeg does with a progressive file that ends before its last details
    decoder.set_block_smoothing(true);
    Ok(decoder)
}

/// Whether the second and third of four components are as fine as the others, or half as fine across, or so both ways.
/// The decoder gives other pixels than libjpeg for other samplings of four, and for some it panics.
fn is_sampled_as_decoded(decoder: &Decoder<'_>) -> bool {
    let sampling: Vec<(u8, u8)> =
        decoder.header().components.iter().map(|c| (c.horizontal_sampling, c.vertical_sampling)).collect();
    let [fine, coarse, third, fourth] = sampling[..] else { return true };
    (third, fourth) == (coarse, fine)
        && [(1, 1), (2, 1), (2, 2)].contains(&(fine.0 / coarse.0, fine.1 / coarse.1))
        && fine.0.is_multiple_of(coarse.0)
        && fine.1.is_multiple_of(coarse.1)
}

fn channels(decoder: &Decoder<'_>) -> usize {
    decoder.header().components.len()
}

fn size(decoder: &Decoder<'_>) -> (usize, usize) {
    (decoder.header().width.into(), decoder.header().height.into())
}

/// The pixels, in the format that [`open`] chose.
fn pixels(decoder: &Decoder<'_>, bytes: &[u8]) -> Result<Vec<u8>, Problem> {
    if decoder.jpeg_color_space() == ColorSpace::YCbCr
        && let Some(data) = strips::rgb(bytes).map_err(problem)?
    {
        return Ok(data);
    }
    Ok(decoder.decode_image().map_err(problem)?.data)
}

fn problem(error: JpegError) -> Problem {
    match error {
        JpegError::UnexpectedEof => Problem::Undecodable("the JPEG is truncated or damaged".to_owned()),
        JpegError::LimitExceeded { what: "estimated decode memory", .. } => {
            Problem::Undecodable("it is a progressive JPEG that takes more than 1 GiB of memory to decode".to_owned())
        }
        // the decoder calls it corrupt data
        JpegError::CorruptData(reason) if reason.contains("upsample factor") => {
            Problem::Undecodable("it is a JPEG with chroma finer than luma, which is not read".to_owned())
        }
        other => Problem::of(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The head of a progressive picture, one scan without codes, and bytes behind the end.
    fn progressive(side: u16, behind: usize) -> Vec<u8> {
        let [high, low] = side.to_be_bytes();
        let steps = [&[0xff, 0xdb, 0, 67, 0][..], &[1; 64]].concat();
        let frame = [0xff, 0xc2, 0, 17, 8, high, low, high, low, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
        let scan = [0xff, 0xda, 0, 12, 3, 1, 0, 2, 0, 3, 0, 0, 0, 0, 17, 0xff, 0xd9];
        [&[0xff, 0xd8][..], &steps, &frame, &scan, &vec![0; behind]].concat()
    }

    #[test]
    fn a_progressive_header_cannot_take_much_memory() {
        for (side, is_too_large) in [(10_000, true), (64, false)] {
            let Err(Problem::Undecodable(reason)) = decode(&progressive(side, 1 << 18)) else { panic!("{side}") };
            assert_eq!(reason.contains("1 GiB"), is_too_large, "{reason}");
        }
    }
}
