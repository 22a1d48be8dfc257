//! TIFF. The crate `tiff` reads the tags (BigTIFF too), and a crate for each compression decodes the chunks. What lies
//! between is here, since `tiff` itself gives pixels of few of the kinds that Pillow opens: which mode the tags mean,
//! predictors, and strips and tiles put together.

mod chunk;
mod fax;
mod layout;

use half::f16;

use self::chunk::Chunk;
use self::layout::{Extra, Layout, Meaning, Number, undecodable};
use super::colour::ycbcr_to_rgb_of_libtiff;
use super::decoded::Decoded;
use super::packed::{unpack_bits, widen_grey};
use super::problem::Problem;
use super::stored::{Samples, Stored};

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Problem> {
    let layout = Layout::of(bytes)?;
    if !is_read(&layout) {
        return Err(unread_samples(&layout));
    }
    let (planes, is_rgb) = planes(bytes, &layout)?;
    let data = interleaved(planes, &layout);
    let samples = samples(data, &layout, is_rgb);
    Ok(Decoded {
        stored: Stored { width: layout.width, height: layout.height, samples },
        channels: layout.channels as u8,
        bits: layout.bits,
        lossy: matches!(layout.compression, 7 | 50001),
        orientation: layout.orientation,
        more_frames: layout.more_pages,
    })
}

/// The whole picture, one buffer for each plane of chunks; and whether YCbCr became RGB on the way.
fn planes(bytes: &[u8], layout: &Layout) -> Result<(Vec<Vec<u8>>, bool), Problem> {
    let Layout { width, height, chunk_width, chunk_height, .. } = *layout;
    let (across, down) = (width.div_ceil(chunk_width), height.div_ceil(chunk_height));
    let row_bytes = layout.row_bytes(width);
    let mut is_rgb = false;
    let mut planes = Vec::with_capacity(layout.planes());
    for plane in 0..layout.planes() {
        let mut data = vec![0; row_bytes * height];
        for index in 0..across * down {
            let (left, top) = (index % across * chunk_width, index / across * chunk_height);
            let rows = chunk_height.min(height - top);
            // a tile at the edge is as large as all others, the last strip is not
            let size = (chunk_width, if layout.tiled { chunk_height } else { rows });
            let Chunk { data: chunk, is_rgb: chunk_is_rgb } =
                chunk::decode(bytes, layout, plane * across * down + index, size)?;
            is_rgb |= chunk_is_rgb;
            let start = layout.row_bytes(left);
            let kept = row_bytes.min(start + layout.row_bytes(chunk_width)) - start;
            for (y, row) in chunk.chunks_exact(layout.row_bytes(chunk_width)).take(rows).enumerate() {
                data[(top + y) * row_bytes + start..][..kept].copy_from_slice(&row[..kept]);
            }
        }
        planes.push(data);
    }
    Ok((planes, is_rgb))
}

/// Planes of one channel each to groups of all channels. Only whole bytes are kept so: [`Layout::of`] refuses the rest.
fn interleaved(mut planes: Vec<Vec<u8>>, layout: &Layout) -> Vec<u8> {
    if planes.len() == 1 {
        return planes.pop().unwrap_or_default();
    }
    let bytes = usize::from(layout.bits / 8).max(1);
    let pixels = layout.width * layout.height;
    let mut data = Vec::with_capacity(pixels * bytes * planes.len());
    for pixel in 0..pixels {
        for plane in &planes {
            data.extend_from_slice(&plane[pixel * bytes..][..bytes]);
        }
    }
    data
}

/// Whether there is a mode for these tags: asked before any chunk is decoded.
fn is_read(layout: &Layout) -> bool {
    let grey = matches!(layout.meaning, Meaning::BlackIsZero | Meaning::WhiteIsZero);
    let upright = layout.meaning != Meaning::WhiteIsZero;
    match (layout.number, layout.bits) {
        (Number::Unsigned, 1 | 2 | 4) => layout.channels == 1 && (grey || layout.meaning == Meaning::Palette),
        (Number::Unsigned | Number::Signed, 8) => true,
        (Number::Unsigned, 12) => grey && layout.channels == 1,
        (Number::Unsigned, 16) => grey || matches!(layout.meaning, Meaning::Rgb | Meaning::Cmyk),
        (Number::Signed, 16) | (Number::Signed | Number::Unsigned, 32) => grey && upright,
        (Number::Float, 16 | 32 | 64) => grey,
        _ => false,
    }
}

/// Pillow's mode for these tags, and near kinds in the spirit of it; of what [`is_read`].
fn samples(data: Vec<u8>, layout: &Layout, is_rgb: bool) -> Samples {
    let grey = matches!(layout.meaning, Meaning::BlackIsZero | Meaning::WhiteIsZero);
    match layout.bits {
        1 | 2 | 4 => few_bits(data, layout),
        8 => bytes(data, layout, is_rgb),
        bits if grey => grey_samples(&first_channels(data, layout.channels, 1, usize::from(bits / 8).max(1)), layout),
        _ => {
            let high = data.as_chunks::<2>().0.iter().map(|&[_, high]| high).collect();
            bytes(high, layout, is_rgb)
        }
    }
}

fn unread_samples(layout: &Layout) -> Problem {
    let number = match layout.number {
        Number::Unsigned => "integer",
        Number::Signed => "signed integer",
        Number::Float => "float",
    };
    let colour = match layout.meaning {
        Meaning::WhiteIsZero | Meaning::BlackIsZero => "grey",
        Meaning::Palette => "palette",
        Meaning::Rgb => "RGB",
        Meaning::Cmyk => "CMYK",
        Meaning::YCbCr => "YCbCr",
        Meaning::Lab => "LAB",
    };
    undecodable(format!("{}-bit {number} {colour} of {} channels is not read", layout.bits, layout.channels))
}

/// One channel of 1, 2 or 4 bits.
fn few_bits(data: Vec<u8>, layout: &Layout) -> Samples {
    let indices = unpack_bits(&data, layout.width, layout.bits);
    if layout.meaning == Meaning::Palette {
        return Samples::Palette { indices, colours: layout.colours.clone() };
    }
    let mut grey = widen_grey(indices, layout.bits);
    if layout.meaning == Meaning::WhiteIsZero {
        grey.iter_mut().for_each(|v| *v = !*v);
    }
    if layout.bits == 1 { Samples::Bilevel(grey) } else { Samples::Grey(grey) }
}

/// Channels of 8 bits, or the high bytes of 16.
fn bytes(data: Vec<u8>, layout: &Layout, is_rgb: bool) -> Samples {
    let colours = layout.meaning.channels();
    let kept = |kept: usize| first_channels(data, layout.channels, kept, 1);
    match layout.meaning {
        Meaning::BlackIsZero if layout.extra == Extra::Alpha => Samples::GreyAlpha(kept(2)),
        Meaning::BlackIsZero => Samples::Grey(kept(colours)),
        Meaning::WhiteIsZero => {
            let mut grey = kept(colours);
            grey.iter_mut().for_each(|v| *v = !*v);
            Samples::Grey(grey)
        }
        Meaning::Palette => Samples::Palette { indices: kept(colours), colours: layout.colours.clone() },
        Meaning::Rgb if layout.extra == Extra::Alpha => Samples::Rgba(kept(4)),
        Meaning::Rgb if layout.extra == Extra::Premultiplied => {
            let mut pixels = kept(4);
            pixels.as_chunks_mut::<4>().0.iter_mut().for_each(divide_by_alpha);
            Samples::Rgba(pixels)
        }
        Meaning::Rgb => Samples::Rgb(kept(colours)),
        Meaning::Cmyk => Samples::Cmyk(kept(colours)),
        Meaning::YCbCr if is_rgb => Samples::Rgb(kept(colours)),
        // Pillow lets libtiff make RGB of what is compressed
        Meaning::YCbCr if layout.compression != 1 => {
            let pixels = kept(colours);
            Samples::Rgb(pixels.as_chunks::<3>().0.iter().flat_map(|&pixel| ycbcr_to_rgb_of_libtiff(pixel)).collect())
        }
        Meaning::YCbCr => Samples::YCbCr(kept(colours)),
        Meaning::Lab => {
            let mut pixels = kept(colours);
            // a and b are signed
            pixels.as_chunks_mut::<3>().0.iter_mut().for_each(|[_, a, b]| (*a, *b) = (*a ^ 128, *b ^ 128));
            Samples::Lab(pixels)
        }
    }
}

/// As Pillow's `RGBa`: the colour is divided by alpha; where that is 0 there is none.
fn divide_by_alpha([colour @ .., alpha]: &mut [u8; 4]) {
    let divided = |v: u8| match *alpha {
        0 => 0,
        alpha => (255 * u32::from(v) / u32::from(alpha)).min(255) as u8,
    };
    colour.iter_mut().for_each(|v| *v = divided(*v));
}

/// Grey of 12 bits and more, one channel.
fn grey_samples(data: &[u8], layout: &Layout) -> Samples {
    match (layout.number, layout.bits) {
        (Number::Unsigned, 12) => Samples::Grey16(twelve_bits(data, layout.width)),
        (Number::Float, 16) => {
            Samples::Float(data.as_chunks::<2>().0.iter().map(|&pair| f16::from_le_bytes(pair).to_f32()).collect())
        }
        (Number::Float, 32) => {
            Samples::Float(data.as_chunks::<4>().0.iter().map(|&four| f32::from_le_bytes(four)).collect())
        }
        (Number::Float, _) => {
            Samples::Float(data.as_chunks::<8>().0.iter().map(|&eight| f64::from_le_bytes(eight) as f32).collect())
        }
        (Number::Signed, 16) => {
            Samples::Int32(data.as_chunks::<2>().0.iter().map(|&pair| i16::from_le_bytes(pair).into()).collect())
        }
        // Pillow does not invert these
        (_, 16) => Samples::Grey16(data.as_chunks::<2>().0.iter().map(|&pair| u16::from_le_bytes(pair)).collect()),
        // Pillow reads those without a sign as if they had one
        _ => Samples::Int32(data.as_chunks::<4>().0.iter().map(|&four| i32::from_le_bytes(four)).collect()),
    }
}

/// Two samples in three bytes, rows beginning at a byte.
fn twelve_bits(data: &[u8], width: usize) -> Vec<u16> {
    let row_bytes = (width * 12).div_ceil(8);
    let sample = |row: &[u8], x: usize| {
        let at = x * 3 / 2;
        let pair = u16::from_be_bytes([row[at], row[at + 1]]);
        if x.is_multiple_of(2) { pair >> 4 } else { pair & 0xfff }
    };
    data.chunks_exact(row_bytes).flat_map(|row| (0..width).map(move |x| sample(row, x))).collect()
}

/// The first `kept` of every `channels` samples of `bytes` bytes each.
fn first_channels(data: Vec<u8>, channels: usize, kept: usize, bytes: usize) -> Vec<u8> {
    if channels == kept {
        return data;
    }
    data.chunks_exact(channels * bytes).flat_map(|pixel| &pixel[..kept * bytes]).copied().collect()
}
