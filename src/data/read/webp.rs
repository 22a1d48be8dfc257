//! WebP.

use std::io::Cursor;

use image_webp::WebPDecoder;

use super::decoded::Decoded;
use super::orientation::{of_exif, of_xmp};
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};

/// The longest side of a WebP's pictures. The canvas in the header may claim 2^24, which libwebp refuses too.
pub(crate) const LONGEST_SIDE: usize = 16_384;

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Problem> {
    let mut decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(Problem::of)?;
    // a chunk of metadata is part of the file
    decoder.set_memory_limit(bytes.len());
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height, LONGEST_SIDE)?;
    let length = decoder.output_buffer_size().ok_or(Problem::TooLarge { width, height })?;
    let mut data = vec![0; length];
    decoder.read_image(&mut data).map_err(Problem::of)?;
    let has_alpha = decoder.has_alpha();
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.as_deref().and_then(of_exif);
    let xmp = || decoder.xmp_metadata().ok().flatten().as_deref().and_then(of_xmp);
    let orientation = orientation.or_else(xmp);
    Ok(Decoded {
        stored: Stored { width, height, samples: if has_alpha { Samples::Rgba(data) } else { Samples::Rgb(data) } },
        channels: if has_alpha { 4 } else { 3 },
        bits: 8,
        lossy: decoder.is_lossy(),
        orientation,
        more_frames: decoder.is_animated() && decoder.num_frames() > 1,
    })
}
