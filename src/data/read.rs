//! One image file, as Pillow sees it: `Image.open(path).convert("RGB")` and `.convert("L")`. Pillow 13.0 is the
//! yardstick.
//!
//! Reading has two steps. [`read_stored`] gives the samples as the file stores them, in the terms of Pillow's modes
//! ([`Samples`](stored::Samples)): a palette's indices and 16-bit values are still there. Pillow's `convert` follows.
//!
//! # Formats
//!
//! The format comes from the content; TGA, which has no signature, from the name.
//!
//! - **PNG**: all depths, interlaced or not. As in Pillow the checksum of a chunk of pixels is not compared, and the
//!   last chunks may be missing; what is packed inside has a checksum of its own, which must be right where it is whole.
//! - **JPEG**: 8 bits, baseline and progressive, of 1, 3 or 4 components. Refused by name: arithmetic coding (which
//!   Pillow reads), 12 bits, lossless, hierarchical; CMYK of other samplings than 4:4:4, 4:2:2 and 4:2:0, chroma finer
//!   than luma, and sequential scans of two components of three. A truncated file is refused, as Pillow does, and so is
//!   one whose pixels end early or hold a wrong code, of which Pillow makes grey.
//! - **TIFF** and BigTIFF of both byte orders, in strips or tiles, chunky or planar: 1, 2, 4 and 8 bits of grey and
//!   palette; 12, 16 and 32 bits of grey, with and without a sign, and floating point of 16, 32 and 64 bits; RGB and
//!   CMYK of 8 and 16 bits; YCbCr and LAB of 8 bits. Compressed with LZW, Deflate, ZSTD, PackBits, Modified Huffman,
//!   fax Group 3 and 4, JPEG or WebP; predictors. Alpha and further channels are passed over. Not read: old-style JPEG,
//!   LZMA and LERC inside TIFF, 64-bit integers, colour in floating point. Camera RAW that looks like TIFF (DNG, NEF,
//!   ...) is refused: its first picture is a preview.
//! - **JPEG 2000** with the feature `jpeg2000`; without it, it is refused by name. Lossy files may differ by 1.
//! - **WebP**, **GIF**, **BMP**, **PNM** (but not PFM), **TGA**.
//!
//! Of an animation or of several pages the first counts ([`FileFacts::more_frames`] tells). Whatever else is known
//! (HEIC, AVIF, JPEG 2000, JPEG XL, camera RAW, DICOM, NIfTI, PSD, a web page, a Git LFS pointer, ...) is refused by
//! its name, with what to do: [`DataError::Unread`].
//!
//! # Pixels
//!
//! - Alpha is dropped, not blended; a palette's colours are used; colour profiles are not applied.
//! - Grey of 16 bits or more is clipped to 0..=255, not scaled (Pillow's modes `I;16`, `I` and `F`); floats are rounded
//!   towards zero. [`FileFacts::clipped`] counts what that loses, [`ReadOptions::scale_16_bit`] divides 16-bit grey by
//!   257. Colour of 16 bits keeps its high byte.
//! - EXIF's orientation (JPEG, PNG, WebP; where EXIF has no such tag, XMP's) is found and not applied, unless
//!   [`ReadOptions::exif_orientation`] says so. TIFF's own tag is always applied, as Pillow does since
//!   version 6.2.
//! - CMYK JPEG is taken as inverted, the Adobe convention, whether or not Adobe wrote it.
//! - JPEG has libjpeg-turbo's pixels, with the feature `jpeg-simd` and without.
//! - Big-endian TIFF with a sign or in floating point, compressed, and planar TIFF of 16 bits or LAB: Pillow mixes up
//!   bytes there; here they are read as what they say.
//! - LAB differs from Pillow's Little CMS by 1 at most.
//! - PGM and PPM with a largest value that is neither 255 nor 65535 may differ by 1.
//!
//! # Bounds
//!
//! A path must lead to a regular file (links are followed); a folder, a pipe or a device is refused before a byte is
//! read. A file has at most 2.9 GB, a picture at most [`MAX_PIXELS`](super::pixels::MAX_PIXELS), and a WebP no side
//! over 16384: all are checked before memory is taken. A TIFF has at most 1.4 GB of samples, and its strips or tiles are
//! at most 64 MiB larger than the picture; a text of PNG that is packed has at most 1 MiB.

pub(crate) mod facts;
pub(crate) mod stored;

mod colour;
mod decoded;
mod file;
mod gif;
mod jpeg;
#[cfg(feature = "jpeg2000")]
mod jpeg2000;
mod kind;
mod orientation;
mod packed;
mod plain;
mod png;
mod problem;
mod tiff;
mod webp;

use std::path::Path;

use self::decoded::Decoded;
use self::facts::{ExifOrientation, FileFacts, MaskColours, ReadOptions};
use self::kind::{Format, Kind};
use self::problem::Problem;
use self::stored::Stored;
use super::error::DataError;
use super::pixels::{Grey, Rgb};

/// The file as RGB, 8 bits a channel, at its own size, read as Pillow does.
///
/// # Errors
///
/// As [`read_rgb_with`].
pub fn read_rgb(path: &Path) -> Result<Rgb, DataError> {
    Ok(read_rgb_with(path, &ReadOptions::default())?.0)
}

/// The file as luma, 8 bits, at its own size, read as Pillow does.
///
/// # Errors
///
/// As [`read_rgb_with`].
pub fn read_grey(path: &Path) -> Result<Grey, DataError> {
    Ok(read_grey_with(path, &ReadOptions::default())?.0)
}

/// The file as RGB, 8 bits a channel, at its own size (turned, where the options or TIFF say so), and what is known of
/// it.
///
/// # Errors
///
/// When the path leads to no regular file, when the file cannot be read, is empty, is no image, is of a kind that is
/// not read, is truncated or corrupt, or holds more than [`MAX_PIXELS`](super::pixels::MAX_PIXELS).
pub fn read_rgb_with(path: &Path, options: &ReadOptions) -> Result<(Rgb, FileFacts), DataError> {
    let (stored, facts) = read_stored(path, options)?;
    Ok((stored.into_rgb(options.scale_16_bit), facts))
}

/// The file as luma, 8 bits, at its own size (turned, where the options or TIFF say so), and what is known of it.
///
/// # Errors
///
/// As [`read_rgb_with`].
pub fn read_grey_with(path: &Path, options: &ReadOptions) -> Result<(Grey, FileFacts), DataError> {
    let (stored, facts) = read_stored(path, options)?;
    Ok((stored.into_grey(options.scale_16_bit), facts))
}

/// As [`read_grey_with`], and the colours that a mask of one class should not have.
///
/// # Errors
///
/// As [`read_rgb_with`].
pub(crate) fn read_mask_with(
    path: &Path,
    options: &ReadOptions,
) -> Result<(Grey, FileFacts, Option<MaskColours>), DataError> {
    let (stored, facts) = read_stored(path, options)?;
    let colours = match facts.lossy {
        false => stored.is_coloured(0, usize::MAX).then_some(MaskColours::Exact),
        true => stored.is_coloured(CHROMA_NOISE, COLOURED_OF).then_some(MaskColours::Blurred),
    };
    Ok((stored.into_grey(options.scale_16_bit), facts, colours))
}

/// Red, green and blue of a grey that a lossy format has made are at most so far apart.
const CHROMA_NOISE: u8 = 32;
/// A picture in a lossy format has colours if at least one of so many pixels has.
const COLOURED_OF: usize = 1000;

/// The samples as the file stores them, turned upright where the options or TIFF say so. For masks, of which the
/// indices or values themselves count.
///
/// # Errors
///
/// As [`read_rgb_with`].
pub(crate) fn read_stored(path: &Path, options: &ReadOptions) -> Result<(Stored, FileFacts), DataError> {
    let (kind, bytes) = file::read(path)?;
    let format = match kind {
        Kind::Read(format) => format,
        Kind::Unread(unread) => return Err(named(path, Problem::Unread(unread))),
        Kind::Unknown => return Err(DataError::NotAnImage { path: path.to_owned() }),
    };
    let decoded = decode(format, bytes).map_err(|problem| named(path, problem))?;
    let Decoded { stored, channels, bits, lossy, orientation, more_frames } = decoded;
    // a file may say that it stands upright (1), or nonsense
    let orientation = orientation.filter(|value| (2..=8).contains(value));
    let applies = format == Format::Tiff || options.exif_orientation == ExifOrientation::Apply;
    let stored = match orientation {
        Some(orientation) if applies => stored.turned(orientation),
        _ => stored,
    };
    let facts = FileFacts {
        format: format.name(),
        channels,
        bits,
        lossy,
        orientation,
        turned: applies && orientation.is_some(),
        clipped: stored.clipped(options.scale_16_bit),
        more_frames,
    };
    Ok((stored, facts))
}

fn decode(format: Format, bytes: Vec<u8>) -> Result<Decoded, Problem> {
    match format {
        Format::Bmp => plain::decode_bmp(&bytes),
        Format::Gif => gif::decode(&bytes),
        Format::Jpeg => jpeg::decode(&bytes),
        #[cfg(feature = "jpeg2000")]
        Format::Jpeg2000 => jpeg2000::decode(&bytes),
        Format::Png => png::decode(bytes),
        Format::Pnm => plain::decode_pnm(&bytes),
        Format::Tga => plain::decode_tga(&bytes),
        Format::Tiff => tiff::decode(&bytes),
        Format::WebP => webp::decode(&bytes),
    }
}

fn named(path: &Path, problem: Problem) -> DataError {
    let path = path.to_owned();
    match problem {
        Problem::Undecodable(reason) => DataError::Decode { path, reason },
        Problem::TooLarge { width, height } => DataError::TooLarge { path, width, height },
        Problem::Unread(unread) => DataError::Unread { path, kind: unread.name, advice: unread.advice },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::read::stored::Samples;

    fn stored(name: &str) -> Samples {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images").join(name);
        read_stored(&path, &ReadOptions::default()).unwrap().0.samples
    }

    /// Masks of several classes keep the number of a class as an index or as a value of 16 bits.
    #[test]
    fn indices_and_values_are_as_the_file_stores_them() {
        let Samples::Palette { indices: of_gif, .. } = stored("palette.gif") else { panic!("no palette") };
        assert!(of_gif.iter().all(|&index| index < 16) && of_gif.contains(&0));
        for name in ["palette_alpha.png", "palette_transparent.png", "palette.tif", "palette.bmp", "four_bits.bmp"] {
            let Samples::Palette { indices, colours } = stored(name) else { panic!("{name} has no palette") };
            assert!(indices.iter().all(|&index| usize::from(index) < colours.len()), "{name}");
            assert!(indices == of_gif, "{name} holds the same indices");
        }
        for name in ["grey16.png", "grey16_be.tif", "grey16.pgm", "grey16_transparent.png", "interlaced16.png"] {
            let Samples::Grey16(values) = stored(name) else { panic!("{name} is not of 16 bits") };
            assert!((0..24 * 16).all(|i| usize::from(values[i]) == 7 * (i % 24) + 41 * (i / 24)), "{name}");
        }
        assert!(
            matches!(stored("one_bit.tif"), Samples::Bilevel(_))
                && matches!(stored("float32_le.tif"), Samples::Float(_))
        );
        assert!(matches!(stored("signed32.tif"), Samples::Int32(_)) && matches!(stored("cmyk.tif"), Samples::Cmyk(_)));
    }
}
