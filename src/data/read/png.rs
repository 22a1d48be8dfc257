//! PNG. The `png` crate decodes; what Pillow forgives is put right in the bytes before.

use std::io::Cursor;

use png::text_metadata::{ITXtChunk, ZTXtChunk};
use png::{BitDepth, ColorType, DecodeOptions, Info, Limits, Transformations};

use super::decoded::Decoded;
use super::orientation::{of_exif, of_xmp};
use super::packed::{unpack_bits, widen_grey};
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};
use crate::data::pixels::MAX_PIXELS;

/// The longest text that is unpacked, as in Pillow (`MAX_TEXT_CHUNK`).
const MAX_TEXT_BYTES: usize = 1 << 20;

pub(crate) fn decode(mut bytes: Vec<u8>) -> Result<Decoded, Problem> {
    forgive(&mut bytes)?;
    // the checksum of the unpacked pixels, which `png` passes over unless told otherwise
    let mut options = DecodeOptions::default();
    options.set_ignore_adler32(false);
    let mut decoder = png::Decoder::new_with_options(Cursor::new(&bytes), options);
    // 16-bit RGBA, and room for what comes with it
    decoder.set_limits(Limits { bytes: MAX_PIXELS * 8 + (64 << 20) });
    decoder.set_transformations(Transformations::IDENTITY);
    let header = decoder.read_header_info().map_err(Problem::of)?;
    let (width, height) = (header.width as usize, header.height as usize);
    check_size(width, height, usize::MAX)?;
    let mut reader = decoder.read_info().map_err(Problem::of)?;
    let length = reader.output_buffer_size().ok_or(Problem::TooLarge { width, height })?;
    let mut data = vec![0; length];
    reader.next_frame(&mut data).map_err(Problem::of)?;
    // EXIF and XMP may stand behind the pixels, where damage costs the picture nothing
    let _ = reader.finish();

    let info = reader.info();
    let bits = info.bit_depth as u8;
    let samples = samples(info, width, data);
    Ok(Decoded {
        stored: Stored { width, height, samples },
        channels: info.color_type.samples() as u8,
        bits,
        lossy: false,
        orientation: orientation(info),
        more_frames: info.animation_control().is_some_and(|control| control.num_frames > 1),
    })
}

/// Pillow's mode for each colour type and depth.
fn samples(info: &Info<'_>, width: usize, data: Vec<u8>) -> Samples {
    let high_bytes = |data: &[u8]| data.as_chunks::<2>().0.iter().map(|&[high, _]| high).collect();
    match (info.color_type, info.bit_depth) {
        (ColorType::Grayscale, BitDepth::Sixteen) => {
            Samples::Grey16(data.as_chunks::<2>().0.iter().map(|&pair| u16::from_be_bytes(pair)).collect())
        }
        (ColorType::Grayscale, BitDepth::Eight) => Samples::Grey(data),
        (ColorType::Grayscale, depth) => {
            let grey = widen_grey(unpack_bits(&data, width, depth as u8), depth as u8);
            if depth == BitDepth::One { Samples::Bilevel(grey) } else { Samples::Grey(grey) }
        }
        (ColorType::Indexed, depth) => {
            let indices = unpack_bits(&data, width, depth as u8);
            let colours = info.palette.as_deref().unwrap_or_default().as_chunks::<3>().0.to_vec();
            Samples::Palette { indices, colours }
        }
        (ColorType::GrayscaleAlpha, BitDepth::Sixteen) => Samples::GreyAlpha(high_bytes(&data)),
        (ColorType::GrayscaleAlpha, _) => Samples::GreyAlpha(data),
        (ColorType::Rgb, BitDepth::Sixteen) => Samples::Rgb(high_bytes(&data)),
        (ColorType::Rgb, _) => Samples::Rgb(data),
        (ColorType::Rgba, BitDepth::Sixteen) => Samples::Rgba(high_bytes(&data)),
        (ColorType::Rgba, _) => Samples::Rgba(data),
    }
}

/// Of the chunk `eXIf`, otherwise of the text chunks in which ImageMagick keeps EXIF and others XMP.
fn orientation(info: &Info<'_>) -> Option<u8> {
    const RAW_PROFILES: [&str; 2] = ["Raw profile type exif", "Raw profile type APP1"];
    const XMP: &str = "XML:com.adobe.xmp";
    let is_profile = |keyword: &str| RAW_PROFILES.iter().any(|name| keyword.eq_ignore_ascii_case(name));
    let in_profile = |text: &str| {
        // a blank line, the profile's name, its length, then its bytes as hexadecimal digits
        let digits: Vec<u8> = text.lines().skip(3).flat_map(str::bytes).filter(u8::is_ascii_hexdigit).collect();
        let byte = |pair: &[u8; 2]| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok());
        let block: Vec<u8> = digits.as_chunks::<2>().0.iter().filter_map(byte).collect();
        of_exif(&block)
    };
    let exif = || info.exif_metadata.as_deref().and_then(of_exif);
    let plain = || {
        let mut profiles = info.uncompressed_latin1_text.iter().filter(|chunk| is_profile(&chunk.keyword));
        profiles.find_map(|chunk| in_profile(&chunk.text))
    };
    let packed = || {
        let mut profiles = info.compressed_latin1_text.iter().filter(|chunk| is_profile(&chunk.keyword));
        profiles.find_map(|chunk| in_profile(&unpacked_latin1(chunk)?))
    };
    let xmp = || of_xmp(unpacked_utf8(info.utf8_text.iter().find(|chunk| chunk.keyword == XMP)?)?.as_bytes());
    exif().or_else(plain).or_else(packed).or_else(xmp)
}

/// None where it is damaged or longer than [`MAX_TEXT_BYTES`].
fn unpacked_latin1(chunk: &ZTXtChunk) -> Option<String> {
    let mut chunk = chunk.clone();
    chunk.decompress_text_with_limit(MAX_TEXT_BYTES).ok()?;
    chunk.get_text().ok()
}

/// As [`unpacked_latin1`].
fn unpacked_utf8(chunk: &ITXtChunk) -> Option<String> {
    let mut chunk = chunk.clone();
    chunk.decompress_text_with_limit(MAX_TEXT_BYTES).ok()?;
    chunk.get_text().ok()
}

/// Puts right what Pillow never looks at: the checksums of the chunks with pixels (what is packed in them has another),
/// and all that follows them, so that a file without its last chunk is whole. A chunk before the pixels
/// with a wrong checksum is an error where the picture depends on it; otherwise `png` passes over it.
fn forgive(bytes: &mut Vec<u8>) -> Result<(), Problem> {
    const END: &[u8] = b"\0\0\0\0IEND\xae\x42\x60\x82";
    let mut at = 8;
    let mut after_pixels = false;
    while let Some(header) = bytes.get(at..at + 8).and_then(<[u8]>::first_chunk::<8>).copied() {
        let [l0, l1, l2, l3, name @ ..] = header;
        let length = u32::from_be_bytes([l0, l1, l2, l3]) as usize;
        let (start, end) = (at + 4, at + 8 + length);
        let is_pixels = &name == b"IDAT";
        if after_pixels && !is_pixels {
            break;
        }
        let Some(covered) = bytes.get(start..end) else {
            if is_pixels {
                // cut: what is there may hold all pixels, and lack their checksum alone
                let kept = (bytes.len() - (at + 8)) as u32;
                bytes[at..start].copy_from_slice(&kept.to_be_bytes());
                let sum = crc32fast::hash(&bytes[start..]).to_be_bytes();
                bytes.extend(sum);
                bytes.extend_from_slice(END);
            }
            return Ok(());
        };
        let sum = crc32fast::hash(covered).to_be_bytes();
        let stored = bytes.get(end..end + 4);
        if is_pixels {
            after_pixels = true;
            let kept = stored.map_or(bytes.len() - end, <[u8]>::len);
            if stored != Some(&sum[..]) {
                bytes.splice(end..end + kept, sum);
            }
        } else if name[0].is_ascii_uppercase() && stored.is_some_and(|stored| stored != sum) {
            let name = String::from_utf8_lossy(&name).into_owned();
            return Err(Problem::Undecodable(format!("the PNG is damaged (wrong checksum of its chunk {name})")));
        }
        at = end + 4;
    }
    if after_pixels {
        let rest_is_whole = bytes.get(at..at + 8).is_some_and(|rest| rest.ends_with(b"IEND"));
        if !rest_is_whole && !bytes[at..].windows(4).any(|name| name == b"IEND") {
            bytes.truncate(at);
            bytes.extend_from_slice(END);
        }
    }
    Ok(())
}
