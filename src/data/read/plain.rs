//! BMP, PNM and TGA, by the `image` crate.

use std::io::Cursor;

use image::codecs::bmp::BmpDecoder;
use image::codecs::pnm::PnmDecoder;
use image::codecs::tga::TgaDecoder;
use image::{DynamicImage, ImageDecoder, Limits};

use super::decoded::Decoded;
use super::packed::unpack_bits;
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};
use crate::data::pixels::MAX_PIXELS;

pub(crate) fn decode_pnm(bytes: &[u8]) -> Result<Decoded, Problem> {
    decode(PnmDecoder::new(Cursor::new(bytes)).map_err(Problem::of)?)
}

pub(crate) fn decode_tga(bytes: &[u8]) -> Result<Decoded, Problem> {
    decode(TgaDecoder::new(Cursor::new(bytes)).map_err(Problem::of)?)
}

pub(crate) fn decode_bmp(bytes: &[u8]) -> Result<Decoded, Problem> {
    let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(Problem::of)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height, usize::MAX)?;
    match (decoder.get_palette().map(<[_]>::to_vec), Packing::of(bytes)) {
        (Some(colours), Some(packing)) => {
            let indices = packing.indices(bytes, width, height)?;
            Ok(Decoded {
                stored: Stored { width, height, samples: Samples::Palette { indices, colours } },
                channels: 1,
                bits: packing.bits,
                lossy: false,
                orientation: None,
                more_frames: false,
            })
        }
        _ => decode(decoder),
    }
}

/// How a BMP keeps the indices of a palette, where they are not run-length coded. The `image` crate gives indices of 8 bits
/// only.
struct Packing {
    /// 1, 2, 4 or 8.
    bits: u8,
    offset: usize,
    top_down: bool,
}

impl Packing {
    fn of(bytes: &[u8]) -> Option<Self> {
        let two = |at: usize| Some(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        let four = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
        // OS/2's header of 12 bytes knows no compression, and rows from the bottom up only
        let (bits, compression, top_down) = match four(14)? {
            12 => (two(24)?, 0, false),
            _ => (two(28)?, four(30)?, four(22)? >> 31 == 1),
        };
        let bits = u8::try_from(bits).ok().filter(|bits| matches!(bits, 1 | 2 | 4 | 8))?;
        (compression == 0).then_some(Self { bits, offset: four(10)? as usize, top_down })
    }

    fn indices(&self, bytes: &[u8], width: usize, height: usize) -> Result<Vec<u8>, Problem> {
        let row_bits = width * usize::from(self.bits);
        // rows fill whole words of 4 bytes
        let stride = row_bits.div_ceil(32) * 4;
        let end = self.offset.saturating_add(stride * height);
        let Some(data) = bytes.get(self.offset..end) else {
            return Err(Problem::Undecodable("the BMP is truncated".to_owned()));
        };
        let row = |y: usize| &data[y * stride..][..row_bits.div_ceil(8)];
        let from_top = |y: usize| if self.top_down { y } else { height - 1 - y };
        Ok((0..height).flat_map(|y| unpack_bits(row(from_top(y)), width, self.bits)).collect())
    }
}

fn decode(mut decoder: impl ImageDecoder) -> Result<Decoded, Problem> {
    let mut limits = Limits::no_limits();
    // the most that MAX_PIXELS can need: 16-bit RGBA
    limits.max_alloc = Some(MAX_PIXELS as u64 * 8);
    decoder.set_limits(limits).map_err(Problem::of)?;
    let (width, height) = decoder.dimensions();
    let (width, height) = (width as usize, height as usize);
    check_size(width, height, usize::MAX)?;
    let colour = decoder.color_type();
    let picture = DynamicImage::from_decoder(decoder).map_err(Problem::of)?;
    let high_bytes = |values: &[u16]| values.iter().map(|&value| (value >> 8) as u8).collect();
    let samples = match picture {
        DynamicImage::ImageLuma8(picture) => Samples::Grey(picture.into_raw()),
        DynamicImage::ImageLumaA8(picture) => Samples::GreyAlpha(picture.into_raw()),
        DynamicImage::ImageLuma16(picture) => Samples::Grey16(picture.into_raw()),
        DynamicImage::ImageLumaA16(picture) => Samples::GreyAlpha(high_bytes(picture.as_raw())),
        DynamicImage::ImageRgb8(picture) => Samples::Rgb(picture.into_raw()),
        DynamicImage::ImageRgba8(picture) => Samples::Rgba(picture.into_raw()),
        DynamicImage::ImageRgb16(picture) => Samples::Rgb(high_bytes(picture.as_raw())),
        DynamicImage::ImageRgba16(picture) => Samples::Rgba(high_bytes(picture.as_raw())),
        _ => return Err(Problem::Undecodable("it holds colour in floating point, which is not read".to_owned())),
    };
    let channels = colour.channel_count();
    Ok(Decoded {
        stored: Stored { width, height, samples },
        channels,
        bits: (colour.bits_per_pixel() / u16::from(channels.max(1))) as u8,
        lossy: false,
        orientation: None,
        more_frames: false,
    })
}
