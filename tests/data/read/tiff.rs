//! Small TIFFs that ask for much, and parts that do not fit their picture: errors, at once and in little memory.

use super::refusals::refusal;
use crate::support::pictures::{detailed, jpeg_bytes};
use crate::support::tiff::{Field, long, short, tiff_bytes};
use sam2unet::data::{DataError, read_grey, read_rgb};
use std::fs;
use std::time::Instant;
use tempfile::TempDir;

fn refused(fields: &[Field], strip: &[u8]) -> String {
    let error = refusal("a.tif", &tiff_bytes(fields, strip));
    assert!(matches!(error, DataError::Decode { .. }), "{error}");
    error.to_string()
}

/// Of LZW, whose chunks are unpacked into memory that is taken before.
fn tiled(width: u32, height: u32, tile: (u32, u32), samples: &[Field]) -> Vec<Field> {
    let mut fields = vec![long(256, &[width]), long(257, &[height]), short(259, &[5]), short(262, &[1])];
    fields.extend([long(322, &[tile.0]), long(323, &[tile.1]), long(324, &[8]), long(325, &[16])]);
    fields.extend_from_slice(samples);
    fields
}

#[test]
fn tiles_much_larger_than_their_picture_are_refused_before_memory_is_taken() {
    let grey = [short(258, &[8]), short(277, &[1])];
    let text = refused(&tiled(178_956_970, 1, (178_956_976, 8192), &grey), &[0; 16]);
    assert!(text.contains("178956976x8192 are much larger than the picture of 178956970x1"), "{text}");
    let many = [short(258, &[64; 32]), short(277, &[32]), short(339, &[3; 32])];
    let text = refused(&tiled(1, 1, (8192, 8192), &many), &[0; 16]);
    assert!(text.contains("8192x8192 are much larger than the picture of 1x1"), "{text}");
}

/// It has fewer pixels than the limit of pixels: to scale it down to that limit would not help.
#[test]
fn a_picture_of_too_many_bytes_is_told_in_bytes() {
    let fields = [long(256, &[10_000]), long(257, &[10_000]), short(262, &[1]), short(277, &[32])];
    let text = refused(&[&fields[..], &[short(258, &[64; 32]), short(339, &[3; 32])]].concat(), &[0; 16]);
    assert!(text.contains("10000x10000 pixels of 32 channels of 64 bits") && text.contains("bytes"), "{text}");
}

#[test]
fn a_kind_that_is_not_read_is_named_before_its_parts_are_decoded() {
    let fields = [long(256, &[4]), long(257, &[2]), short(259, &[8]), short(262, &[2]), short(277, &[3])];
    let floats = [short(258, &[32, 32, 32]), short(339, &[3, 3, 3])];
    let text = refused(&[&fields[..], &floats].concat(), b"no Deflate at all");
    assert!(text.contains("32-bit float RGB"), "{text}");
}

fn of_jpeg(width: u32, height: u32) -> Vec<Field> {
    let size = [long(256, &[width]), long(257, &[height]), short(258, &[8, 8, 8])];
    [&size[..], &[short(259, &[7]), short(262, &[6]), short(277, &[3])]].concat()
}

#[test]
fn a_damaged_jpeg_inside_a_tiff_is_refused() {
    let picture = detailed(64, 64);
    let jpeg = jpeg_bytes(&picture);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("whole.tif");
    fs::write(&path, tiff_bytes(&of_jpeg(64, 64), &jpeg)).unwrap();
    assert_eq!(read_rgb(&path).unwrap().size(), (64, 64));
    // ones, which are the beginning of no code
    let mut damaged = jpeg;
    let middle = damaged.len() * 2 / 3;
    damaged[middle..middle + 64].copy_from_slice(&[0xff, 0].repeat(32));
    refused(&of_jpeg(64, 64), &damaged);
}

/// A small picture must not make the decoder unpack a large one.
#[test]
fn a_jpeg_inside_a_tiff_that_is_larger_than_its_place_is_refused() {
    let text = refused(&of_jpeg(20, 20), &jpeg_bytes(&detailed(70, 20)));
    assert!(text.contains("larger"), "{text}");
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("filled.tif");
    fs::write(&path, tiff_bytes(&of_jpeg(20, 20), &jpeg_bytes(&detailed(32, 32)))).unwrap();
    assert_eq!(read_rgb(&path).unwrap().size(), (20, 20), "whole blocks");
}

#[test]
fn coarser_chroma_with_a_fourth_channel_is_refused() {
    let fields = [long(256, &[4]), long(257, &[2]), short(258, &[8; 4]), short(262, &[6]), short(277, &[4])];
    let text = refused(&[&fields[..], &[short(259, &[1]), short(530, &[2, 2])]].concat(), &[7; 64]);
    assert!(text.contains("chroma"), "{text}");
}

#[test]
fn many_strips_that_each_claim_the_whole_file_take_no_time() {
    const ROWS: usize = 40_000;
    let fields = [
        long(256, &[8]),
        long(257, &[ROWS as u32]),
        short(258, &[8]),
        // PackBits, of bytes whose bits are reversed: each strip's bytes are copied
        short(259, &[32773]),
        short(262, &[1]),
        short(266, &[2]),
        short(277, &[1]),
        long(278, &[1]),
        long(273, &[8; ROWS]),
        long(279, &[u32::MAX; ROWS]),
    ];
    // seven literal bytes and one more, 0b0000_0001 reversed
    let mut strip = vec![0b1110_0000, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80];
    strip.resize(2 << 20, 0);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("strips.tif");
    fs::write(&path, tiff_bytes(&fields, &strip)).unwrap();
    let start = Instant::now();
    assert!(read_grey(&path).unwrap().data == vec![1; 8 * ROWS]);
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
}
