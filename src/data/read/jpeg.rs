//! JPEG by `zune-jpeg` itself: the `image` crate asks it to be lenient, and it then fills what a damaged file lacks
//! with grey and reports success.

use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::decoded::Decoded;
use super::orientation::{of_exif, of_xmp};
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Problem> {
    let frame = walk(bytes)?;
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(true));
    let strictly = decode_with(&mut decoder);
    // harmless, and not rare: libjpeg reports it as a warning only
    let result = match strictly {
        Err(JpegProblem::Stream(DecodeErrors::FormatStatic(reason)))
            if reason.contains("Extra bytes between headers") =>
        {
            decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(false));
            decode_with(&mut decoder)
        }
        other => other,
    };
    let stored = result.map_err(|problem| match problem {
        JpegProblem::Stream(error) => Problem::of(error),
        JpegProblem::Other(problem) => problem,
    })?;
    let exif = decoder.exif().and_then(|block| of_exif(block));
    Ok(Decoded {
        stored,
        channels: frame.channels,
        bits: 8,
        lossy: true,
        orientation: exif.or_else(|| decoder.xmp().and_then(|packet| of_xmp(packet))),
        more_frames: false,
    })
}

/// The colour in which a JPEG inside another file is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The components as they are.
    Components,
    /// YCbCr becomes RGB.
    Rgb,
}

/// A JPEG inside another file: its width, its height, and its pixels with `channels` channels.
pub(crate) fn decode_inner(bytes: &[u8], channels: usize, wanted: Wanted) -> Result<(usize, usize, Vec<u8>), Problem> {
    let frame = walk(bytes)?;
    if usize::from(frame.channels) != channels {
        let found = frame.channels;
        return Err(Problem::Undecodable(format!(
            "its JPEG parts have {found} channels where {channels} are expected"
        )));
    }
    if !matches!(channels, 1 | 3 | 4) {
        return Err(Problem::Undecodable(format!("JPEG parts of {channels} channels are not read")));
    }
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options(true));
    decoder.decode_headers().map_err(Problem::of)?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check_size(width, height, usize::MAX)?;
    let colour = match (decoder.input_colorspace(), wanted) {
        (Some(ColorSpace::YCbCr), Wanted::Rgb) => ColorSpace::RGB,
        (Some(as_it_is), _) => as_it_is,
        (None, _) => return Err(Problem::Undecodable("its JPEG parts have no colour space".to_owned())),
    };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colour));
    let mut data = vec![0; width * height * channels];
    decoder.decode_into(&mut data).map_err(Problem::of)?;
    Ok((width, height, data))
}

enum JpegProblem {
    Stream(DecodeErrors),
    Other(Problem),
}

fn options(strict: bool) -> DecoderOptions {
    DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX))
}

fn decode_with(decoder: &mut JpegDecoder<ZCursor<&[u8]>>) -> Result<Stored, JpegProblem> {
    decoder.decode_headers().map_err(JpegProblem::Stream)?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check_size(width, height, usize::MAX).map_err(JpegProblem::Other)?;

    // CMYK and YCCK to RGB as `zune-jpeg` does it equals Pillow's inversion and `convert` to the bit
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (colour, channels) = if is_grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colour));
    let mut data = vec![0; width * height * channels];
    decoder.decode_into(&mut data).map_err(JpegProblem::Stream)?;
    Ok(Stored { width, height, samples: if is_grey { Samples::Grey(data) } else { Samples::Rgb(data) } })
}

struct Frame {
    channels: u8,
}

/// Steps from marker to marker, to the end of the image. Segments are stepped over, since they may hold a thumbnail
/// with markers of its own. Names the processes that are not decoded; a file without an end is refused.
fn walk(bytes: &[u8]) -> Result<Frame, Problem> {
    const END_OF_IMAGE: u8 = 0xd9;
    let truncated = || Problem::Undecodable("the JPEG is truncated (no end-of-image marker)".to_owned());
    let mut channels = None;
    let mut at = 2;
    while let (Some(&first), Some(&marker)) = (bytes.get(at), bytes.get(at + 1)) {
        match (first, marker) {
            (0xff, END_OF_IMAGE) => return Ok(Frame { channels: channels.unwrap_or(3) }),
            // stuffing, fill bytes, restarts and a further start: no segment follows
            (0xff, 0x00 | 0x01 | 0xff | 0xd0..=0xd8) => at += 1,
            (0xff, _) => {
                let Some(length) = bytes.get(at + 2..at + 4).and_then(<[u8]>::first_chunk::<2>) else {
                    return Err(truncated());
                };
                // a frame header; in between lie Huffman tables (c4), extensions (c8) and conditioning (cc)
                if matches!(marker, 0xc0..=0xcf) && !matches!(marker, 0xc4 | 0xc8 | 0xcc) {
                    let &[bits, _, _, _, _, components] =
                        bytes.get(at + 4..at + 10).and_then(<[u8]>::first_chunk::<6>).ok_or_else(truncated)?;
                    refuse_process(marker, bits)?;
                    channels.get_or_insert(components);
                }
                at += 2 + usize::from(u16::from_be_bytes(*length));
            }
            _ => at += 1,
        }
    }
    Err(truncated())
}

fn refuse_process(marker: u8, bits: u8) -> Result<(), Problem> {
    let kind = match marker {
        0xc3 => "lossless JPEG",
        0xc5..=0xc7 => "hierarchical JPEG",
        0xc9..=0xcf => "JPEG with arithmetic coding",
        _ if bits != 8 => return Err(unread(&format!("JPEG of {bits} bits"))),
        _ => return Ok(()),
    };
    Err(unread(kind))
}

fn unread(kind: &str) -> Problem {
    Problem::Undecodable(format!("it is a {kind}, which is not read"))
}
