//! What reading tells beside the pixels, and what its options do.

use super::refusals::crc32;
use crate::support::pictures::{awkward_folder, detailed, png_bytes};
use sam2unet::data::{
    Clipped, ExifOrientation, FileFacts, Grey, ReadOptions, Rgb, read_grey, read_grey_with, read_rgb, read_rgb_with,
};
use std::fs;
use std::io::Write;
use tempfile::TempDir;

const APPLY: ReadOptions = ReadOptions { exif_orientation: ExifOrientation::Apply, scale_16_bit: false };
const SCALE: ReadOptions = ReadOptions { exif_orientation: ExifOrientation::Ignore, scale_16_bit: true };

fn grey_of(name: &str, options: &ReadOptions) -> (Grey, FileFacts) {
    read_grey_with(&awkward_folder().join(name), options).unwrap()
}

fn rgb_of(name: &str, options: &ReadOptions) -> (Rgb, FileFacts) {
    read_rgb_with(&awkward_folder().join(name), options).unwrap()
}

#[test]
fn format_channels_and_depth_are_those_of_the_content() {
    for (name, format, channels, bits, lossy) in [
        ("really_jpeg.png", "JPEG", 1, 8, true),
        ("cmyk.jpg", "JPEG", 4, 8, true),
        ("colour16_alpha.png", "PNG", 4, 16, false),
        ("grey2.png", "PNG", 1, 2, false),
        ("palette_alpha.png", "PNG", 1, 4, false),
        ("palette.gif", "GIF", 1, 8, false),
        ("one_bit.bmp", "BMP", 1, 1, false),
        ("four_bits.bmp", "BMP", 1, 4, false),
        ("alpha.tga", "TGA", 4, 8, false),
        ("alpha.webp", "WebP", 4, 8, false),
        ("grey16.pgm", "PNM", 1, 16, false),
        ("fax3.tif", "TIFF", 1, 1, false),
        ("grey_alpha.tif", "TIFF", 2, 8, false),
        ("float32_be.tif", "TIFF", 1, 32, false),
        ("rgb16_tiles_le.tif", "TIFF", 3, 16, false),
        ("ycbcr_jpeg.tif", "TIFF", 3, 8, true),
    ] {
        let facts = rgb_of(name, &ReadOptions::default()).1;
        let found = (facts.format, facts.channels, facts.bits, facts.lossy);
        assert_eq!(found, (format, channels, bits, lossy), "{name}");
        assert_eq!(facts, grey_of(name, &ReadOptions::default()).1, "{name}");
    }
}

#[test]
fn further_frames_and_pages_are_told() {
    for (name, more) in [
        ("animated.gif", true),
        ("animated.webp", true),
        ("animated.png", true),
        ("pages.tif", true),
        ("palette.gif", false),
        ("alpha.webp", false),
        ("interlaced.png", false),
        ("big.tif", false),
    ] {
        assert_eq!(rgb_of(name, &ReadOptions::default()).1.more_frames, more, "{name}");
    }
}

/// All four hold one picture; TIFF is turned always, the others when asked to.
#[test]
fn an_orientation_is_told_and_applied_when_asked_for() {
    let default = ReadOptions::default();
    let (turned, facts) = rgb_of("turned.tif", &default);
    assert_eq!((turned.size(), facts.orientation, facts.turned), ((16, 24), Some(6), true));
    assert_eq!(rgb_of("turned.tif", &APPLY).0, turned, "TIFF is turned once");
    for name in ["turned_exif.png", "turned_exif.webp", "turned.jpg"] {
        let (stored, facts) = rgb_of(name, &default);
        assert_eq!((stored.size(), facts.orientation, facts.turned), ((24, 16), Some(6), false), "{name}");
        let (applied, facts) = rgb_of(name, &APPLY);
        assert_eq!((applied.size(), facts.orientation, facts.turned), ((16, 24), Some(6), true), "{name}");
        assert!(name.ends_with("jpg") || applied == turned, "{name}");
        assert_eq!(grey_of(name, &APPLY).0.size(), (16, 24), "{name}");
    }
    let (_, upright) = rgb_of("alpha.webp", &APPLY);
    assert_eq!((upright.orientation, upright.turned), (None, false));
}

/// A chunk of a PNG, whole.
fn chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let covered = [&name[..], data].concat();
    [&(data.len() as u32).to_be_bytes()[..], &covered, &crc32(&covered).to_be_bytes()].concat()
}

fn exif(value: u8) -> Vec<u8> {
    let mut block = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\0\0\0\0\0\0\0\0".to_vec();
    block[18] = value;
    chunk(b"eXIf", &block)
}

fn xmp(value: u8) -> Vec<u8> {
    chunk(b"iTXt", format!("XML:com.adobe.xmp\0\0\0\0\0<x tiff:Orientation=\"{value}\"/>").as_bytes())
}

/// EXIF in a compressed text, as ImageMagick keeps it, and so many bytes more.
fn packed_exif(value: u8, more: usize) -> Vec<u8> {
    let digits: String = exif(value)[8..34].iter().map(|byte| format!("{byte:02x}")).collect();
    let text = format!("\nexif\n      26\n{digits}\n{}", " ".repeat(more));
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(text.as_bytes()).unwrap();
    chunk(b"zTXt", &[b"Raw profile type exif\0\0", &packer.finish().unwrap()[..]].concat())
}

/// The orientation that is told of a PNG with these chunks before its pixels, and with these behind.
fn orientation_in_png(before: &[u8], behind: &[u8]) -> Option<u8> {
    let png = png_bytes(&detailed(5, 4));
    let (head, end) = (33, png.len() - 12);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    fs::write(&path, [&png[..head], before, &png[head..end], behind, &png[end..]].concat()).unwrap();
    let (_, facts) = read_rgb_with(&path, &APPLY).unwrap();
    assert_eq!(facts.turned, facts.orientation.is_some());
    facts.orientation
}

/// Pillow asks XMP only where EXIF has no such tag.
#[test]
fn xmp_turns_a_picture_only_where_exif_has_no_orientation() {
    assert_eq!(orientation_in_png(&xmp(6), &[]), Some(6));
    assert_eq!(orientation_in_png(&[exif(1), xmp(6)].concat(), &[]), None, "upright by EXIF");
    assert_eq!(orientation_in_png(&[exif(8), xmp(6)].concat(), &[]), Some(8));
    assert_eq!(orientation_in_png(&packed_exif(1, 0), &xmp(6)), None, "upright by EXIF in a text");
    assert_eq!((orientation_in_png(&exif(9), &[]), orientation_in_png(&exif(1), &[])), (None, None));
}

#[test]
fn metadata_behind_the_pixels_of_a_png_counts() {
    assert_eq!(orientation_in_png(&[], &exif(6)), Some(6));
    assert_eq!(orientation_in_png(&[], &xmp(3)), Some(3));
    let mut damaged = exif(6);
    *damaged.last_mut().unwrap() ^= 1;
    assert_eq!(orientation_in_png(&[], &damaged), None);
}

#[test]
fn a_text_of_more_than_a_mebibyte_is_not_unpacked() {
    assert_eq!(orientation_in_png(&packed_exif(6, 100_000), &[]), Some(6));
    assert_eq!(orientation_in_png(&packed_exif(6, 1 << 20), &[]), None);
}

/// The values of the file are `7 x + 41 y`.
#[test]
fn sixteen_bits_are_clipped_as_pillow_does_and_scaled_on_demand() {
    let value = |i: usize| 7 * (i % 24) + 41 * (i / 24);
    let over = (0..24 * 16).filter(|&i| value(i) > 255).count();
    for name in ["grey16.png", "grey16.tif", "grey16_be.tif", "grey16.pgm", "interlaced16.png"] {
        let (clipped, facts) = grey_of(name, &ReadOptions::default());
        assert_eq!(facts.clipped, Some(Clipped { to_white: over, to_black: 0 }), "{name}");
        assert!(clipped.data.iter().enumerate().all(|(i, &v)| usize::from(v) == value(i).min(255)), "{name}");
        let (scaled, facts) = grey_of(name, &SCALE);
        assert_eq!(facts.clipped, None, "{name}");
        assert!(scaled.data.iter().enumerate().all(|(i, &v)| usize::from(v) == (value(i) + 128) / 257), "{name}");
        assert_eq!(rgb_of(name, &SCALE).0, scaled.to_rgb(), "{name}");
    }
}

/// The values of the file are `7 x + 41 y - 200`.
#[test]
fn values_with_a_sign_are_clipped_to_black_too_and_never_scaled() {
    let value = |i: usize| (7 * (i % 24) + 41 * (i / 24)) as i32 - 200;
    let count = |lost: fn(i32) -> bool| (0..24 * 16).filter(|&i| lost(value(i))).count();
    let expected = Some(Clipped { to_white: count(|v| v > 255), to_black: count(|v| v < 0) });
    for name in ["signed32.tif", "signed16_le.tif", "signed16_be.tif"] {
        for options in [ReadOptions::default(), SCALE] {
            let (grey, facts) = grey_of(name, &options);
            assert_eq!(facts.clipped, expected, "{name}");
            assert!(grey.data.iter().enumerate().all(|(i, &v)| i32::from(v) == value(i).clamp(0, 255)), "{name}");
        }
    }
    // floats between 0 and 1 are lost to black as well
    let (_, facts) = grey_of("float32_le.tif", &ReadOptions::default());
    assert!(facts.clipped.is_some_and(|clipped| clipped.to_white > 0 && clipped.to_black > 0), "{facts:?}");
}

#[test]
fn nothing_is_clipped_where_nothing_is_lost() {
    for name in ["colour16.png", "grey16_alpha.png", "grey2.png", "palette.tif", "really_jpeg.png", "lab.tif"] {
        assert_eq!(rgb_of(name, &ReadOptions::default()).1.clipped, None, "{name}");
    }
}

#[test]
fn the_short_forms_read_with_default_options() {
    let path = awkward_folder().join("turned_exif.png");
    assert_eq!(read_rgb(&path).unwrap(), rgb_of("turned_exif.png", &ReadOptions::default()).0);
    assert_eq!(read_grey(&path).unwrap(), grey_of("turned_exif.png", &ReadOptions::default()).0);
    assert_eq!("APPLY".parse(), Ok(ExifOrientation::Apply));
}

#[cfg(feature = "jpeg2000")]
#[test]
fn jpeg_2000_tells_its_depth_and_that_its_wavelet_lost_nothing() {
    for (name, channels, bits) in
        [("rgb.jp2", 3, 8), ("rgba.j2k", 4, 8), ("grey_alpha.jp2", 2, 8), ("grey16.jp2", 1, 16)]
    {
        let path = awkward_folder().with_file_name("jpeg2000").join(name);
        let facts = read_rgb_with(&path, &ReadOptions::default()).unwrap().1;
        assert_eq!(
            (facts.format, facts.channels, facts.bits, facts.lossy),
            ("JPEG 2000", channels, bits, false),
            "{name}"
        );
    }
}
