//! Image files as Pillow sees them: `Image.open(path).convert("RGB")` and `.convert("L")`.
//!
//! - The format comes from the content (TGA, which has no signature, from the name).
//! - Alpha is dropped, not blended; a palette's colours are used; EXIF orientation is not applied; of an
//!   animation the first frame counts.
//! - Grey of 16 bits or more is clipped to 0..=255, not scaled (Pillow's `I;16` and `I` modes); colour of 16 bits
//!   keeps its high byte.
//! - CMYK JPEG is taken as inverted, the Adobe convention, whether or not Adobe wrote it.
//! - Lossy formats depend on the decoder: JPEG differs from libjpeg-turbo by up to 4 levels (in luma by 1 or 2).
//! - PGM and PPM with a largest value that is neither 255 nor 65535 may differ by 1.
//!
//! What Pillow refuses as truncated is refused here too. Not read, though Pillow reads them: TIFF with a palette,
//! with grey and alpha, or of 32 bits a channel.

use std::collections::BTreeMap;
use std::io::Cursor;
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits};
use zune_jpeg::JpegDecoder;
use zune_jpeg::errors::DecodeErrors;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::colorspace::ColorSpace;
use zune_jpeg::zune_core::options::DecoderOptions;

use super::error::DataError;
use super::pixels::{Grey, MAX_PIXELS, Pixels, Rgb};
use crate::choice::choice;

choice! {
    /// What is done with an orientation in a file's EXIF data.
    #[derive(Default)]
    pub enum ExifOrientation: "EXIF orientation" {
        /// Nothing, as Pillow's `Image.open` does.
        #[default]
        Ignore = "ignore",
        /// The picture is turned and mirrored as viewers show it.
        Apply = "apply",
    }
}

/// How a file is read, where Pillow's way is not always what is meant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// What is done with an orientation in EXIF data.
    pub exif_orientation: ExifOrientation,
    /// Whether grey pictures of 16 bits are divided by 257, not clipped.
    pub scale_16_bit: bool,
}

const EXIF_KEY: &str = "exif_orientation";
const SCALE_KEY: &str = "scale_16_bit";

impl ReadOptions {
    /// What a checkpoint says of them, so that predictions read images as training did: the options that are not the default.
    pub fn metadata(&self) -> Vec<(String, String)> {
        let mut entries = Vec::new();
        if self.exif_orientation != ExifOrientation::default() {
            entries.push((EXIF_KEY.to_string(), self.exif_orientation.to_string()));
        }
        if self.scale_16_bit {
            entries.push((SCALE_KEY.to_string(), true.to_string()));
        }
        entries
    }

    /// The options that a checkpoint's metadata tell, where it tells them.
    pub fn of_metadata(metadata: &BTreeMap<String, String>) -> Self {
        let orientation = metadata.get(EXIF_KEY).and_then(|name| name.parse().ok());
        Self {
            exif_orientation: orientation.unwrap_or_default(),
            scale_16_bit: metadata.get(SCALE_KEY).is_some_and(|value| value == "true"),
        }
    }
}

/// What is known of a file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FileFacts {
    /// Its format.
    pub format: &'static str,
    /// Channels in the file.
    pub channels: u8,
    /// Bits of a channel in the file.
    pub bits: u8,
    /// Whether the format is lossy.
    pub lossy: bool,
    /// The EXIF orientation, 2 to 8, if there is one.
    pub orientation: Option<u8>,
    /// What was clipped, of a grey picture of more than 8 bits.
    pub clipped: Option<Clipped>,
    /// Whether there are more frames or pages.
    pub more_frames: bool,
}

/// Pixels that were clipped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clipped {
    /// To white.
    pub white: u64,
    /// To black.
    pub black: u64,
}

const NO_FACTS: FileFacts =
    FileFacts { format: "", channels: 0, bits: 8, lossy: false, orientation: None, clipped: None, more_frames: false };

/// STUB
pub fn read_rgb_with(path: &Path, _: &ReadOptions) -> Result<(Rgb, FileFacts), DataError> {
    Ok((read_rgb(path)?, NO_FACTS))
}

/// STUB
pub fn read_grey_with(path: &Path, _: &ReadOptions) -> Result<(Grey, FileFacts), DataError> {
    Ok((read_grey(path)?, NO_FACTS))
}

/// The file as RGB, 8 bits a channel, at its own size.
///
/// # Errors
///
/// When the file cannot be read, is no image, is truncated or corrupt, or holds more than [`MAX_PIXELS`].
pub fn read_rgb(path: &Path) -> Result<Rgb, DataError> {
    Ok(match decode(path)? {
        Decoded::Grey(grey) => grey.to_rgb(),
        Decoded::Rgb(rgb) => rgb,
    })
}

/// The file as luma, 8 bits, at its own size.
///
/// # Errors
///
/// As [`read_rgb`].
pub fn read_grey(path: &Path) -> Result<Grey, DataError> {
    Ok(match decode(path)? {
        Decoded::Grey(grey) => grey,
        Decoded::Rgb(rgb) => rgb.to_grey(),
    })
}

/// What a file holds once alpha, palette and depth are gone.
enum Decoded {
    Grey(Grey),
    Rgb(Rgb),
}

fn decode(path: &Path) -> Result<Decoded, DataError> {
    let bytes = std::fs::read(path).map_err(|source| DataError::ReadFile { path: path.to_owned(), source })?;
    let format = format_of(&bytes, path).ok_or_else(|| DataError::NotAnImage { path: path.to_owned() })?;
    match format {
        ImageFormat::Jpeg => decode_jpeg(&bytes, path),
        _ => decode_other(&bytes, format, path),
    }
}

fn format_of(bytes: &[u8], path: &Path) -> Option<ImageFormat> {
    image::guess_format(bytes).ok().filter(ImageFormat::reading_enabled).or_else(|| {
        let named_tga = path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("tga"));
        named_tga.then_some(ImageFormat::Tga)
    })
}

fn check_size(path: &Path, width: usize, height: usize) -> Result<(), DataError> {
    match width.checked_mul(height) {
        Some(0) => Err(undecodable(path, "it says that it has no pixels")),
        Some(pixels) if pixels <= MAX_PIXELS => Ok(()),
        _ => Err(DataError::TooLarge { path: path.to_owned(), width, height }),
    }
}

fn undecodable(path: &Path, reason: impl ToString) -> DataError {
    DataError::Decode { path: path.to_owned(), reason: reason.to_string() }
}

// ---------------------------------------------------------------------------------------------------- all but JPEG

fn decode_other(bytes: &[u8], format: ImageFormat, path: &Path) -> Result<Decoded, DataError> {
    let mut limits = Limits::no_limits();
    // the most that MAX_PIXELS can need: 16-bit RGBA
    limits.max_alloc = Some(MAX_PIXELS as u64 * 8);
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| undecodable(path, error))?;
    let (width, height) = decoder.dimensions();
    check_size(path, width as usize, height as usize)?;
    let colour = decoder.color_type();
    let picture = DynamicImage::from_decoder(decoder).map_err(|error| undecodable(path, error))?;
    let has_alpha_channel = !(format == ImageFormat::Png && bytes.get(PNG_COLOUR_TYPE) == Some(&0));
    flatten(picture, has_alpha_channel)
        .ok_or_else(|| undecodable(path, format!("pixels of type {colour:?} are not read")))
}

/// Where a PNG file keeps its colour type (0 is grey without an alpha channel): in the header chunk, which comes first.
const PNG_COLOUR_TYPE: usize = 25;

/// Pillow's choice of mode, and its `convert` from there. A decoded alpha may also come of one transparent colour;
/// `has_alpha_channel` tells.
fn flatten(picture: DynamicImage, has_alpha_channel: bool) -> Option<Decoded> {
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let grey = |data: Vec<u8>| Decoded::Grey(Grey { width, height, data });
    let rgb = |data: Vec<u8>| Decoded::Rgb(Rgb { width, height, data });
    Some(match picture {
        DynamicImage::ImageLuma8(picture) => grey(picture.into_raw()),
        DynamicImage::ImageLumaA8(picture) => grey(first_of_two(picture.as_raw(), |v| v)),
        DynamicImage::ImageLuma16(picture) => grey(picture.as_raw().iter().map(|&v| clipped(v)).collect()),
        // with an alpha channel Pillow reads it as RGBA of the high bytes, otherwise as grey of 16 bits
        DynamicImage::ImageLumaA16(picture) if has_alpha_channel => grey(first_of_two(picture.as_raw(), high_byte)),
        DynamicImage::ImageLumaA16(picture) => grey(first_of_two(picture.as_raw(), clipped)),
        DynamicImage::ImageRgb8(picture) => rgb(picture.into_raw()),
        DynamicImage::ImageRgba8(picture) => rgb(first_three(picture.as_raw(), |v| v)),
        DynamicImage::ImageRgb16(picture) => rgb(picture.as_raw().iter().map(|&v| high_byte(v)).collect()),
        DynamicImage::ImageRgba16(picture) => rgb(first_three(picture.as_raw(), high_byte)),
        _ => return None,
    })
}

fn clipped(value: u16) -> u8 {
    value.min(255) as u8
}

fn high_byte(value: u16) -> u8 {
    (value >> 8) as u8
}

fn first_of_two<T: Copy>(values: &[T], depth: impl Fn(T) -> u8) -> Vec<u8> {
    values.as_chunks::<2>().0.iter().map(|&[value, _]| depth(value)).collect()
}

fn first_three<T: Copy>(values: &[T], depth: impl Fn(T) -> u8) -> Vec<u8> {
    values.as_chunks::<4>().0.iter().flat_map(|&[r, g, b, _]| [depth(r), depth(g), depth(b)]).collect()
}

// ------------------------------------------------------------------------------------------------------------ JPEG

/// JPEG by `zune-jpeg` itself: the `image` crate asks it to be lenient, and it then fills what a damaged file lacks
/// with grey and reports success.
fn decode_jpeg(bytes: &[u8], path: &Path) -> Result<Decoded, DataError> {
    if !ends_jpeg(bytes) {
        return Err(undecodable(path, "the JPEG is truncated (no end-of-image marker)"));
    }
    let strictly = decode_jpeg_as(bytes, path, true);
    match strictly {
        // harmless, and not rare: libjpeg reports it as a warning only
        Err(JpegError::Stream(DecodeErrors::FormatStatic(reason)))
            if reason.contains("Extra bytes between headers") =>
        {
            decode_jpeg_as(bytes, path, false)
        }
        other => other,
    }
    .map_err(|error| match error {
        JpegError::Stream(error) => undecodable(path, error),
        JpegError::Size(error) => error,
    })
}

enum JpegError {
    Stream(DecodeErrors),
    Size(DataError),
}

fn decode_jpeg_as(bytes: &[u8], path: &Path, strict: bool) -> Result<Decoded, JpegError> {
    let options = DecoderOptions::default()
        .set_strict_mode(strict)
        .set_max_width(usize::from(u16::MAX))
        .set_max_height(usize::from(u16::MAX));
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(JpegError::Stream)?;
    let (width, height) = decoder.dimensions().unwrap_or((0, 0));
    check_size(path, width, height).map_err(JpegError::Size)?;

    // CMYK and YCCK to RGB as `zune-jpeg` does it equals Pillow's inversion and `convert` to the bit
    let is_grey = decoder.input_colorspace() == Some(ColorSpace::Luma);
    let (colour, channels) = if is_grey { (ColorSpace::Luma, 1) } else { (ColorSpace::RGB, 3) };
    decoder.set_options(decoder.options().jpeg_set_out_colorspace(colour));
    let mut data = vec![0; width * height * channels];
    decoder.decode_into(&mut data).map_err(JpegError::Stream)?;
    Ok(if is_grey {
        Decoded::Grey(Pixels { width, height, data })
    } else {
        Decoded::Rgb(Pixels { width, height, data })
    })
}

/// Whether the markers lead to an end of image. Marker segments are stepped over, since they may hold a thumbnail
/// with an end of its own.
fn ends_jpeg(bytes: &[u8]) -> bool {
    const END_OF_IMAGE: u8 = 0xd9;
    let mut at = 2;
    while let (Some(&first), Some(&marker)) = (bytes.get(at), bytes.get(at + 1)) {
        match (first, marker) {
            (0xff, END_OF_IMAGE) => return true,
            // stuffing, fill bytes, restarts and a further start: no segment follows
            (0xff, 0x00 | 0x01 | 0xff | 0xd0..=0xd8) => at += 1,
            (0xff, _) => match bytes.get(at + 2..at + 4) {
                Some(&[high, low]) => at += 2 + usize::from(u16::from_be_bytes([high, low])),
                _ => return false,
            },
            _ => at += 1,
        }
    }
    false
}
