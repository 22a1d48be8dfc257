//! Predictions are known by their files.

use crate::support::pictures::{detailed, jpeg_bytes, png_bytes};
use sam2unet::data::{Grey, is_prediction, read_grey, read_rgb, whole_prediction, write_png, write_prediction};
use std::fs;
use std::path::Path;

fn grey(width: usize, height: usize) -> Grey {
    detailed(width, height).to_grey()
}

/// The names of a PNG's chunks with their positions, read as the format is written down.
fn chunks(png: &[u8]) -> Vec<(String, usize)> {
    let (mut chunks, mut at) = (Vec::new(), 8);
    while at < png.len() {
        let length = u32::from_be_bytes(png[at..at + 4].try_into().unwrap()) as usize;
        chunks.push((String::from_utf8(png[at + 4..at + 8].to_vec()).unwrap(), at));
        at += length + 12;
    }
    chunks
}

#[test]
fn a_prediction_holds_the_text_chunk_and_the_same_pixels() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    write_png(&at("plain.png"), &grey(37, 20)).unwrap();
    write_prediction(&at("mask.png"), &grey(37, 20)).unwrap();
    write_prediction(&at("overlay.png"), &detailed(37, 20)).unwrap();
    assert_eq!(read_grey(&at("mask.png")).unwrap(), grey(37, 20));
    assert_eq!(read_rgb(&at("overlay.png")).unwrap(), detailed(37, 20));

    let [plain, mask] = ["plain.png", "mask.png"].map(|name| fs::read(at(name)).unwrap());
    let names: Vec<String> = chunks(&mask).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["IHDR", "tEXt", "IDAT", "IEND"]);
    let (start, end) = (chunks(&mask)[1].1, chunks(&mask)[2].1);
    assert_eq!(&mask[start + 8..end - 4], b"Software\0sam2unet");
    // nothing but this chunk differs
    assert_eq!([&mask[..start], &mask[end..]].concat(), plain);
    write_prediction(&at("again.png"), &grey(37, 20)).unwrap();
    assert_eq!(fs::read(at("again.png")).unwrap(), mask);

    for (name, expected) in [("plain.png", None), ("mask.png", Some((37, 20))), ("overlay.png", Some((37, 20)))] {
        assert_eq!(is_prediction(&at(name)).unwrap(), expected.is_some(), "{name}");
        assert_eq!(whole_prediction(&at(name)).unwrap(), expected, "{name}");
    }
}

/// The bytes of a PNG with one more chunk before its pixels, as Pillow or another program writes it.
fn with_chunk(name: &[u8; 4], data: &[u8]) -> Vec<u8> {
    let png = png_bytes(&grey(5, 4));
    let mut chunk = Vec::new();
    let mut encoder = png::Encoder::new(&mut chunk, 5, 4);
    encoder.set_color(png::ColorType::Grayscale);
    let mut writer = encoder.write_header().unwrap();
    writer.write_chunk(png::chunk::ChunkType(*name), data).unwrap();
    drop(writer);
    let start = chunks(&chunk)[1].1;
    let at = chunks(&png)[1].1;
    [&png[..at], &chunk[start..chunk.len() - 12], &png[at..]].concat()
}

#[test]
fn what_other_programs_wrote_is_no_prediction() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.png");
    let looks = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        (is_prediction(&path).unwrap(), whole_prediction(&path).unwrap())
    };
    assert_eq!(looks(&with_chunk(b"tEXt", b"Software\0sam2unet")), (true, Some((5, 4))));
    let others: [&[u8]; 12] = [
        b"",
        b"\x89PNG\r\n\x1a\n",
        b"no picture: Software\0sam2unet",
        &jpeg_bytes(&detailed(5, 4)),
        &png_bytes(&grey(5, 4)),
        &with_chunk(b"tEXt", b"Software\0sam2unet 2"),
        &with_chunk(b"tEXt", b"Software\0Adobe ImageReady"),
        &with_chunk(b"tEXt", b"software\0sam2unet"),
        &with_chunk(b"tEXt", b"Comment\0sam2unet"),
        &with_chunk(b"tEXt", b"Software"),
        &with_chunk(b"teXt", b"Software\0sam2unet"),
        // far behind the place where it is looked for, and too large to be read to its end
        &with_chunk(b"tEXt", &[b"Comment\0", &vec![b'x'; 1 << 20][..]].concat()),
    ];
    for (number, bytes) in others.iter().enumerate() {
        assert_eq!(looks(bytes), (false, None), "{number}");
    }
    // the checksum of the chunk is wrong
    let mut wrong = with_chunk(b"tEXt", b"Software\0sam2unet");
    let at = chunks(&wrong)[1].1;
    wrong[at + 10] ^= 1;
    assert_eq!(looks(&wrong), (false, None));
    assert!(is_prediction(Path::new("no/such/file.png")).is_err());
    assert!(whole_prediction(Path::new("no/such/file.png")).is_err());
}

#[test]
fn a_cut_or_damaged_prediction_is_one_but_not_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.png");
    write_prediction(&path, &grey(30, 20)).unwrap();
    let whole = fs::read(&path).unwrap();
    // the end of the mark's chunk
    let marked = chunks(&whole)[2].1;
    for cut in 0..whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        assert_eq!(is_prediction(&path).unwrap(), cut >= marked, "{cut}");
        assert_eq!(whole_prediction(&path).unwrap(), None, "{cut}");
    }
    for at in 0..whole.len() {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x10;
        fs::write(&path, &damaged).unwrap();
        assert_eq!(whole_prediction(&path).unwrap(), None, "{at}");
        assert_eq!(is_prediction(&path).unwrap(), at >= marked, "{at}");
    }
    // zeros where a disk lost blocks
    let mut zeros = whole.clone();
    zeros[marked + 20..].fill(0);
    fs::write(&path, &zeros).unwrap();
    assert_eq!(whole_prediction(&path).unwrap(), None);
    // without its pixels
    let pixels = chunks(&whole);
    fs::write(&path, [&whole[..pixels[2].1], &whole[pixels[3].1..]].concat()).unwrap();
    assert_eq!(whole_prediction(&path).unwrap(), None);
    // what comes behind the end does no harm
    fs::write(&path, [&whole[..], b"more"].concat()).unwrap();
    assert_eq!(whole_prediction(&path).unwrap(), Some((30, 20)));
}
