//! JPEG, to the bit as Pillow has it: `libjpeg-turbo-rs` follows libjpeg-turbo's arithmetic. It refuses an entropy-coded
//! segment that ends early or holds a code that is none. What it lets pass (a file that is cut behind its pixels,
//! restarts in a wrong order, processes that are not read here) is found before, by [`segments`].
//!
//! Without the feature `jpeg-simd` no vector code of that crate runs.

mod segments;

use libjpeg_turbo_rs::{DecodeLimits, Decoder, Image, JpegError, PixelFormat};

use self::segments::{check, with_colours};
use super::decoded::Decoded;
use super::orientation::{of_exif, of_xmp};
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};
use crate::data::pixels::MAX_PIXELS;

/// The most scans of one file. A progressive picture has ten; each takes the time of a whole picture, however short
/// it is.
const MAX_SCANS: usize = 100;

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Problem> {
    check(bytes)?;
    let decoder = open(bytes)?;
    let image = pixels(&decoder)?;
    let exif = decoder.exif_data().and_then(of_exif);
    let (width, height, channels) = (image.width, image.height, channels(&decoder));
    let samples = match image.pixel_format {
        PixelFormat::Grayscale => Samples::Grey(image.data),
        PixelFormat::Cmyk => {
            let mut inks = image.data;
            // Pillow takes every CMYK JPEG as inverted
            inks.iter_mut().for_each(|ink| *ink = !*ink);
            Samples::Cmyk(inks)
        }
        _ => Samples::Rgb(image.data),
    };
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
    let Image { width, height, data, .. } = pixels(&decoder)?;
    Ok((width, height, data))
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
    let header = decoder.header();
    check_size(header.width.into(), header.height.into(), usize::MAX)?;
    if header.precision != 8 || header.is_lossless || decoder.is_arithmetic() {
        return Err(Problem::Undecodable("its JPEG frame is of a kind that is not read".to_owned()));
    }
    let format = match channels(&decoder) {
        1 => PixelFormat::Grayscale,
        3 => PixelFormat::Rgb,
        4 => PixelFormat::Cmyk,
        other => return Err(Problem::Undecodable(format!("JPEG of {other} channels is not read"))),
    };
    decoder.set_output_format(format);
    // what libjpeg does with a progressive file that ends before its last details
    decoder.set_block_smoothing(true);
    Ok(decoder)
}

fn channels(decoder: &Decoder<'_>) -> usize {
    decoder.header().components.len()
}

fn pixels(decoder: &Decoder<'_>) -> Result<Image, Problem> {
    decoder.decode_image().map_err(problem)
}

fn problem(error: JpegError) -> Problem {
    match error {
        JpegError::UnexpectedEof => Problem::Undecodable("the JPEG is truncated or damaged".to_owned()),
        other => Problem::of(other),
    }
}
