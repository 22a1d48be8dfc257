//! Labelme's masks: a PNG in the JSON, as base64.

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};

use super::flaw::Flaw;
use super::region::{Region, checked};
use super::runs::Runs;
use crate::data::pixels::{Grey, MAX_PIXELS};

/// The region of a mask: a PNG, whose pixels that are not 0 count, between two points.
///
/// As Labelme has it: the points are rounded, halves to even. Where they are whole, they are the first and the last
/// pixel, and what the PNG holds beyond the last is left out. Otherwise the PNG tells the size.
pub(super) fn region(base64: &str, points: &[[f64; 2]]) -> Result<Region, Flaw> {
    let &[first, last] = points else {
        return Err(Flaw::Points { shape: "mask", needs: "two points", found: points.len() });
    };
    for coordinate in first.into_iter().chain(last) {
        checked(coordinate)?;
    }
    let mask = decode(&bytes(base64)?)?;
    let whole = first.iter().chain(&last).all(|at| at.fract() == 0.0);
    let [[x, y], [end_x, end_y]] = [first, last].map(|point| point.map(|at| at.round_ties_even() as i64));
    let mask = if whole { part(mask, (end_x - x + 1, end_y - y + 1))? } else { mask };
    Ok(Region::runs_at(Runs::of_mask(&mask), (x, y)))
}

/// The upper left part of a mask.
fn part(mask: Grey, (width, height): (i64, i64)) -> Result<Grey, Flaw> {
    let fits = |wanted: i64, there: usize| usize::try_from(wanted).ok().filter(|wanted| (1..=there).contains(wanted));
    let (Some(width), Some(height)) = (fits(width, mask.width), fits(height, mask.height)) else {
        let reason = format!(
            "it has {}x{} pixels, but its two points are {width}x{height} pixels apart",
            mask.width, mask.height
        );
        return Err(Flaw::Mask(reason));
    };
    let data = (0..height).flat_map(|y| mask.row(y)[..width].to_vec()).collect();
    Ok(Grey { width, height, data })
}

/// The pixels of a grey PNG: 255 where they are not 0.
fn decode(png: &[u8]) -> Result<Grey, Flaw> {
    let wrong = |reason: &dyn std::fmt::Display| Flaw::Mask(reason.to_string());
    let mut limits = Limits::no_limits();
    limits.max_alloc = Some(MAX_PIXELS as u64 * 4);
    let mut reader = ImageReader::with_format(Cursor::new(png), ImageFormat::Png);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| wrong(&error))?;
    let (width, height) = decoder.dimensions();
    if u64::from(width) * u64::from(height) > MAX_PIXELS as u64 {
        return Err(wrong(&format!("it says that it is {width}x{height} pixels, more than {MAX_PIXELS}")));
    }
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| wrong(&error))?;
    let inside = |set: bool| if set { 255 } else { 0 };
    let data = match picture {
        DynamicImage::ImageLuma8(grey) => grey.as_raw().iter().map(|value| inside(*value != 0)).collect(),
        DynamicImage::ImageLuma16(grey) => grey.as_raw().iter().map(|value| inside(*value != 0)).collect(),
        _ => return Err(wrong(&"it is no grey PNG")),
    };
    Ok(Grey { width: width as usize, height: height as usize, data })
}

/// The bytes that base64 stands for; white space counts nothing.
fn bytes(base64: &str) -> Result<Vec<u8>, Flaw> {
    let mut bytes = Vec::with_capacity(base64.len() / 4 * 3);
    let (mut bits, mut count) = (0u32, 0);
    for byte in base64.bytes().filter(|byte| !byte.is_ascii_whitespace()).take_while(|byte| *byte != b'=') {
        let six = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return Err(Flaw::Mask(format!("it is no base64 (byte {byte})"))),
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_read_with_and_without_padding() {
        for (text, wanted) in [("", &b""[..]), ("TQ==", b"M"), ("TWE=", b"Ma"), ("TWFu", b"Man"), ("TW\nE", b"Ma")] {
            assert_eq!(bytes(text).unwrap(), wanted);
        }
        assert!(bytes("T*==").is_err());
    }
}
