//! What is no image that is read: the message names what it is, and what to do.

use crate::support::pictures::{detailed, jpeg_bytes, png_bytes};
use crate::support::tiff::{Field, long, short, tiff_bytes};
use sam2unet::data::{DataError, MAX_PIXELS, read_grey, read_rgb};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

pub fn refusal(file_name: &str, content: &[u8]) -> DataError {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join(file_name);
    fs::write(&path, content).unwrap();
    let (as_rgb, as_grey) = (read_rgb(&path).unwrap_err(), read_grey(&path).unwrap_err());
    assert_eq!(as_rgb.to_string(), as_grey.to_string());
    assert!(as_rgb.to_string().contains(file_name), "the file is not named: {as_rgb}");
    as_rgb
}

#[test]
fn a_file_that_is_no_image_is_refused_by_name() {
    assert!(matches!(refusal("empty.png", b""), DataError::EmptyFile { .. }));
    assert!(matches!(refusal("text.png", b"these are words, not pixels"), DataError::NotAnImage { .. }));
    assert!(matches!(refusal("words.tga", b"these are words, not pixels"), DataError::Decode { .. }));
    let gone = read_rgb(Path::new("no/such/file.png")).unwrap_err();
    assert!(matches!(gone, DataError::ReadFile { .. }) && gone.to_string().contains("file.png"), "{gone}");
}

/// A head of `length` bytes with `signature` at `offset`.
fn head(offset: usize, signature: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x20; 512];
    bytes[..8].fill(0x80);
    bytes[offset..offset + signature.len()].copy_from_slice(signature);
    bytes
}

#[test]
fn known_kinds_that_are_not_read_are_named_with_a_way_out() {
    let kinds: &[(Vec<u8>, &str, &str)] = &[
        (head(0, b"\0\0\0\x18ftypheic\0\0\0\0mif1heic"), "HEIC (an iPhone photo)", "JPEG or PNG"),
        (head(0, b"\0\0\0\x18ftypavif\0\0\0\0avifmif1"), "AVIF", "JPEG or PNG"),
        (head(0, b"\0\0\0\x18ftypcrx \0\0\0\x01crx isom"), "RAW", "develop"),
        (head(0, b"\0\0\0\x18ftypisom\0\0\x02\0isomavc1"), "video", "frames"),
        (head(0, b"\xff\x0a"), "JPEG XL", "JPEG or PNG"),
        (head(0, b"\0\0\0\x0cJXL \r\n\x87\n"), "JPEG XL", "JPEG or PNG"),
        (head(0, b"\xff\xd8\xff\xf7"), "JPEG-LS", "PNG"),
        (head(0, b"II*\0\x10\0\0\0CR\x02\0"), "RAW", "develop"),
        (head(0, b"FUJIFILMCCD-RAW 0201"), "RAW", "develop"),
        (head(0, b"IIU\0"), "RAW", "develop"),
        (head(128, b"DICM"), "DICOM", "slices"),
        (head(344, b"n+1\0"), "NIfTI", "slices"),
        (head(0, b"\x1f\x8b\x08"), "gzip", "unpack"),
        (head(0, b"8BPS\0\x01"), "PSD (Photoshop)", "PNG"),
        (head(0, b"gimp xcf v011"), "XCF (GIMP)", "PNG"),
        (head(0, b"%PDF-1.7"), "PDF", "pages"),
        (head(0, b"\x93NUMPY\x01\0"), "NumPy", "fromarray"),
        (head(0, b"\x89HDF\r\n\x1a\n"), "HDF5", "PNG"),
        (head(0, b"\x76\x2f\x31\x01"), "OpenEXR", "PNG"),
        (head(0, b"PK\x03\x04"), "ZIP", "unpack"),
        (head(0, b"\0\0\x01\0\x01\0"), "ICO", "PNG"),
        (head(0, b"\0\x05\x16\x07\0\x02\0\0"), "macOS", "delete"),
        (b"<!DOCTYPE html>\n<html><body>404</body></html>".to_vec(), "web page (HTML)", "download"),
        (b"\xef\xbb\xbf  <HTML><head></head></html>".to_vec(), "web page (HTML)", "download"),
        (b"<?xml version=\"1.0\"?>\n<svg width=\"3\"></svg>".to_vec(), "SVG", "PNG"),
        (b"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>".to_vec(), "XML", "download"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n".to_vec(),
            "Git LFS pointer",
            "git lfs pull",
        ),
    ];
    for (bytes, name, advice) in kinds {
        let error = refusal("photo.JPG", bytes);
        let text = error.to_string();
        assert!(matches!(error, DataError::Unread { .. }), "{text}");
        assert!(text.contains(name) && text.contains("which is not read; ") && text.contains(advice), "{text}");
    }
    let text = refusal("IMG_1.JPG", &kinds[0].0).to_string();
    assert!(text.ends_with("is HEIC (an iPhone photo), which is not read; save it as JPEG or PNG"), "{text}");
}

#[cfg(not(feature = "jpeg2000"))]
#[test]
fn jpeg_2000_names_the_feature_that_reads_it() {
    for begin in [&b"\0\0\0\x0cjP  \r\n\x87\n"[..], b"\xff\x4f\xff\x51"] {
        let text = refusal("slide.jp2", &head(0, begin)).to_string();
        assert!(text.contains("JPEG 2000") && text.contains("feature `jpeg2000`"), "{text}");
    }
}

#[test]
fn processes_of_jpeg_that_are_not_decoded_are_named() {
    let jpeg = jpeg_bytes(&detailed(16, 16));
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    let with = |at: usize, value: u8| {
        let mut changed = jpeg.clone();
        changed[frame + at] = value;
        changed
    };
    for (bytes, name) in [
        (with(1, 0xc9), "arithmetic coding"),
        (with(1, 0xca), "arithmetic coding"),
        (with(1, 0xc3), "lossless JPEG"),
        (with(1, 0xc5), "hierarchical JPEG"),
        (with(4, 12), "JPEG of 12 bits"),
    ] {
        let text = refusal("odd.jpg", &bytes).to_string();
        assert!(text.contains(name) && text.contains("save it again as 8-bit PNG"), "{text}");
    }
}

/// A TIFF of 4 x 2 pixels with enough bytes for any kind of sample, and these tags besides.
fn tiff(fields: &[Field]) -> Vec<u8> {
    let base = [long(256, &[4]), long(257, &[2]), short(259, &[1]), short(262, &[1]), short(277, &[1])];
    let mut all: Vec<Field> = base.into_iter().filter(|field| fields.iter().all(|other| other.0 != field.0)).collect();
    all.extend_from_slice(fields);
    tiff_bytes(&all, &[7; 512])
}

#[test]
fn kinds_of_tiff_that_are_not_read_are_named_in_words() {
    let dng = (50706, 1, vec![1, 4, 0, 0]);
    for (fields, words) in [
        (
            vec![short(258, &[32, 32, 32]), short(262, &[2]), short(277, &[3]), short(339, &[3, 3, 3])],
            "32-bit float RGB",
        ),
        (vec![short(258, &[64])], "64-bit integer grey"),
        (vec![short(258, &[16]), short(339, &[5])], "complex"),
        (vec![short(258, &[7])], "7 bits"),
        (vec![short(258, &[8]), short(259, &[34925])], "LZMA"),
        (vec![short(258, &[8]), short(259, &[34887])], "LERC"),
        (vec![short(258, &[8]), short(259, &[6])], "old-style JPEG"),
        (vec![short(258, &[8]), short(259, &[12345])], "12345"),
        (vec![short(258, &[8]), short(262, &[5])], "1 channels"),
        (vec![short(258, &[8]), short(317, &[3]), short(259, &[8])], "damaged"),
    ] {
        let text = refusal("a.tif", &tiff(&fields)).to_string();
        assert!(text.contains(words), "{words}: {text}");
        assert!(!text.contains("Unknown(") && !text.contains("Unsupported"), "an internal name: {text}");
    }
    for fields in [vec![short(258, &[8]), dng], vec![short(258, &[8]), long(254, &[1]), long(330, &[8])]] {
        let text = refusal("a.dng", &tiff(&fields)).to_string();
        assert!(text.contains("camera's RAW file"), "{text}");
    }
    // the writer of these TIFFs is right: without a difference one is read
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("whole.tif");
    fs::write(&path, tiff(&[short(258, &[8])])).unwrap();
    assert_eq!(read_grey(&path).unwrap().data, [7; 8]);
}

#[test]
fn a_text_longer_than_its_tiff_is_refused() {
    let mut bytes = tiff(&[short(258, &[8]), (270, 2, vec![65; 8])]);
    let place = bytes.windows(4).position(|four| four == [14, 1, 2, 0]).unwrap();
    bytes[place + 4..place + 8].fill(0xff);
    assert!(refusal("a.tif", &bytes).to_string().contains("longer than the file"));
}

#[test]
fn what_is_no_regular_file_is_refused_before_a_byte_is_read() {
    let folder = TempDir::new().unwrap();
    let inside = folder.path().join("x.png");
    fs::create_dir(&inside).unwrap();
    let text = read_rgb(&inside).unwrap_err().to_string();
    assert!(text.contains("is a folder; an image must be a regular file"), "{text}");
    #[cfg(unix)]
    {
        let text = read_grey(Path::new("/dev/zero")).unwrap_err().to_string();
        assert!(text.contains("/dev/zero is a device"), "{text}");
        // nobody will ever write into this pipe
        let pipe = folder.path().join("pipe.png");
        assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let text = read_rgb(&pipe).unwrap_err().to_string();
        assert!(text.contains("is a pipe (FIFO)"), "{text}");

        let (file, link) = (folder.path().join("a.png"), folder.path().join("link.png"));
        fs::write(&file, png_bytes(&detailed(5, 4))).unwrap();
        std::os::unix::fs::symlink(&file, &link).unwrap();
        assert_eq!(read_rgb(&link).unwrap(), read_rgb(&file).unwrap());
        fs::remove_file(&file).unwrap();
        assert!(matches!(read_rgb(&link).unwrap_err(), DataError::ReadFile { .. }));
    }
}

#[test]
fn a_file_of_absurd_length_is_refused_before_it_is_read() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("long.png");
    fs::write(&path, png_bytes(&detailed(5, 4))).unwrap();
    // a hole: takes no place on the disk
    fs::File::options().write(true).open(&path).unwrap().set_len(1 << 40).unwrap();
    let error = read_rgb(&path).unwrap_err();
    assert!(matches!(error, DataError::TooLong { bytes: 0x100_0000_0000, .. }), "{error}");
}

#[test]
fn a_header_that_promises_too_much_is_refused_without_taking_the_memory() {
    // a PNG header of 100000 x 100000 pixels and its checksum, then nothing
    let mut png = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\x01\x86\xa0\0\x01\x86\xa0\x08\x02\0\0\0".to_vec();
    png.extend(crc32(&png[12..29]).to_be_bytes());
    png.extend(b"\0\0\0\0IDAT\x35\xaf\x06\x1e");
    let error = refusal("huge.png", &png);
    assert!(matches!(error, DataError::TooLarge { width: 100_000, height: 100_000, .. }), "{error}");
    assert!(error.to_string().contains(&MAX_PIXELS.to_string()), "{error}");

    // a JPEG whose frame header is changed to 65500 x 65500
    let mut jpeg = jpeg_bytes(&detailed(16, 16));
    let frame = jpeg.windows(2).position(|pair| pair == [0xff, 0xc0]).unwrap();
    jpeg[frame + 5..frame + 9].copy_from_slice(&[0xff, 0xdc, 0xff, 0xdc]);
    assert!(matches!(refusal("huge.jpg", &jpeg), DataError::TooLarge { width: 65_500, .. }));

    let wide = tiff(&[long(256, &[1 << 20]), long(257, &[1 << 20]), short(258, &[8])]);
    assert!(matches!(refusal("huge.tif", &wide), DataError::TooLarge { width: 0x10_0000, .. }));

    let gif = b"GIF89a\xff\xff\xff\xff\x80\0\0\0\0\0\xff\xff\xff\x2c\0\0\0\0\x01\0\x01\0\0\x02\x02\x44\x01\0\x3b";
    assert!(matches!(refusal("huge.gif", gif), DataError::TooLarge { width: 65_535, .. }));
}

/// It has fewer pixels than the limit, but a side that no WebP has: libwebp refuses it, and so does Pillow.
#[test]
fn a_webp_with_a_side_beyond_its_format_is_refused_at_once() {
    let (width, height) = (23u32, 4_128_785u32);
    assert!((width as usize * height as usize) < MAX_PIXELS);
    let mut canvas = vec![0x02, 0, 0, 0];
    canvas.extend(&(width - 1).to_le_bytes()[..3]);
    canvas.extend(&(height - 1).to_le_bytes()[..3]);
    let chunk = |name: &[u8; 4], data: &[u8]| [&name[..], &(data.len() as u32).to_le_bytes(), data].concat();
    let frame = [&[0; 16][..], &chunk(b"VP8L", &[0x2f, 0, 0, 0, 0, 0x88, 0x88, 0x08])].concat();
    let body = [chunk(b"VP8X", &canvas), chunk(b"ANIM", &[0; 6]), chunk(b"ANMF", &frame)].concat();
    let riff = [b"RIFF", &(body.len() as u32 + 4).to_le_bytes()[..], b"WEBP", &body].concat();
    let start = std::time::Instant::now();
    let error = refusal("tall.webp", &riff);
    assert!(matches!(error, DataError::TooLarge { width: 23, height: 4_128_785, .. }), "{error}");
    assert!(error.to_string().contains("16384"), "{error}");
    assert!(start.elapsed().as_secs() < 2);
}

/// Pillow compares the checksums of all chunks before the pixels.
#[test]
fn a_wrong_checksum_of_the_header_is_named() {
    let mut png = png_bytes(&detailed(20, 10));
    png[29] ^= 1;
    assert!(refusal("a.png", &png).to_string().contains("wrong checksum of its chunk IHDR"));
}

pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}
