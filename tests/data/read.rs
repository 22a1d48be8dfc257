//! Image files as Pillow reads them, and bad files.

use crate::support::pictures::{detailed, jpeg_bytes, largest_difference, png_bytes};
use sam2unet::data::{DataError, MAX_PIXELS, read_grey, read_rgb};
use std::fs;
use std::path::Path;
use tempfile::TempDir;

#[test]
fn awkward_files_read_as_pillow_reads_them() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/images");
    let mut names: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.path().is_file() && entry.path().extension().unwrap() != "py")
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    let results = fs::read_dir(folder.join("expected")).unwrap().count();
    assert!(names.len() >= 24 && results == 2 * names.len(), "{results} of Pillow's results for {names:?}");
    for name in names {
        let expected = |mode| folder.join("expected").join(format!("{name}.{mode}.png"));
        let (rgb, grey) = (read_rgb(&folder.join(&name)).unwrap(), read_grey(&folder.join(&name)).unwrap());
        let (rgb_expected, grey_expected) = (read_rgb(&expected("rgb")).unwrap(), read_grey(&expected("l")).unwrap());
        assert_eq!(rgb.size(), rgb_expected.size(), "{name}");
        // another JPEG decoder: chroma is interpolated a little differently
        let is_jpeg = name.contains("jp");
        let (in_rgb, in_grey) = if is_jpeg { (8, 2) } else { (0, 0) };
        assert!(largest_difference(&rgb.data, &rgb_expected.data) <= in_rgb, "{name} as RGB");
        assert!(largest_difference(&grey.data, &grey_expected.data) <= in_grey, "{name} as grey");
    }
}

fn refusal(file_name: &str, content: &[u8]) -> DataError {
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
    assert!(matches!(refusal("empty.png", b""), DataError::NotAnImage { .. }));
    assert!(matches!(refusal("text.png", b"these are words, not pixels"), DataError::NotAnImage { .. }));
    assert!(matches!(refusal("words.tga", b"these are words, not pixels"), DataError::Decode { .. }));
    let gone = read_rgb(Path::new("no/such/file.png")).unwrap_err();
    assert!(matches!(gone, DataError::ReadFile { .. }) && gone.to_string().contains("file.png"), "{gone}");
}

#[test]
fn a_truncated_file_is_refused_wherever_it_is_cut() {
    let picture = detailed(70, 50);
    for (name, whole) in [("cut.png", png_bytes(&picture)), ("cut.jpg", jpeg_bytes(&picture))] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &whole).unwrap();
        assert_eq!(read_rgb(&path).unwrap().size(), (70, 50));
        // the last bytes of a PNG end an empty chunk, which holds no pixel
        for left in (20..whole.len() - 16).step_by(whole.len() / 40).chain([whole.len() - 17]) {
            let error = refusal(name, &whole[..left]);
            assert!(matches!(error, DataError::Decode { .. }), "{left} bytes of {name}: {error}");
        }
        assert!(name != "cut.jpg" || matches!(refusal(name, &whole[..whole.len() - 1]), DataError::Decode { .. }));
    }
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
}

fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0u32, |crc, &byte| {
        (0..8).fold(crc ^ u32::from(byte), |crc, _| if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 })
    })
}

#[test]
fn damage_anywhere_gives_an_error_or_a_picture_but_no_panic() {
    let picture = detailed(40, 30);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged");
    for whole in [png_bytes(&picture), jpeg_bytes(&picture)] {
        for at in (0..whole.len()).step_by(whole.len() / 150) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x5a;
            fs::write(&path, &damaged).unwrap();
            if let Ok(picture) = read_rgb(&path) {
                assert_eq!(picture.data.len(), picture.width * picture.height * 3);
            }
        }
    }
}
