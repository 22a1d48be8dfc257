//! Files that were cut or changed: an error or a picture, never a panic.

use super::refusals::refusal;
use crate::support::pictures::{awkward_files, awkward_folder, detailed, jpeg_bytes, png_bytes};
use sam2unet::data::{DataError, Rgb, read_rgb};
use std::fs;
use tempfile::TempDir;

#[test]
fn a_truncated_file_is_refused_wherever_it_is_cut() {
    let picture = detailed(70, 50);
    for (name, whole) in [("cut.png", png_bytes(&picture)), ("cut.jpg", jpeg_bytes(&picture))] {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, &whole).unwrap();
        assert_eq!(read_rgb(&path).unwrap().size(), (70, 50));
        // the last bytes of a PNG are checksums and an empty chunk, which hold no pixel: as Pillow does without them
        for left in (20..whole.len() - 24).step_by(whole.len() / 40).chain([whole.len() - 24]) {
            let error = refusal(name, &whole[..left]);
            assert!(matches!(error, DataError::Decode { .. }), "{left} bytes of {name}: {error}");
        }
        assert!(name != "cut.jpg" || matches!(refusal(name, &whole[..whole.len() - 1]), DataError::Decode { .. }));
    }
}

/// As in Pillow: what follows the pixels may be missing, byte by byte, or be something else.
#[test]
fn a_png_whose_pixels_are_whole_is_read_whatever_follows_them() {
    let picture = detailed(70, 50);
    let whole = png_bytes(&picture);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.png");
    for left in whole.len() - 16..whole.len() {
        fs::write(&path, &whole[..left]).unwrap();
        assert!(read_rgb(&path).unwrap() == picture, "without the last {} bytes", whole.len() - left);
    }
    fs::write(&path, [&whole[..whole.len() - 12], b"not a chunk of any kind"].concat()).unwrap();
    assert!(read_rgb(&path).unwrap() == picture, "with other bytes behind");
}

/// A PNG whose pixels are stored, not compressed: one chunk of pixels, whose bytes are the picture's.
fn stored_png(picture: &Rgb) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, picture.width as u32, picture.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::NoCompression);
    encoder.set_filter(png::Filter::NoFilter);
    let mut writer = encoder.write_header().unwrap();
    writer.write_image_data(&picture.data).unwrap();
    writer.finish().unwrap();
    bytes
}

/// Nothing but a checksum can tell that such a byte is another.
#[test]
fn a_changed_pixel_of_a_png_that_is_not_compressed_is_refused() {
    let picture = detailed(70, 50);
    let whole = stored_png(&picture);
    let row = &picture.data[30 * 210..31 * 210];
    let at = whole.windows(210).position(|window| window == row).expect("the row as it is");
    for place in [at, at + 100, at + 209] {
        let mut damaged = whole.clone();
        damaged[place] ^= 1;
        let error = refusal("changed.png", &damaged);
        assert!(matches!(error, DataError::Decode { .. }), "{error}");
    }
    // the same bytes, whole
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("whole.png");
    fs::write(&path, &whole).unwrap();
    assert!(read_rgb(&path).unwrap() == picture);
}

/// As in Pillow: where the checksum of the unpacked pixels is cut, there is nothing to compare; a wrong one is damage.
#[test]
fn a_png_whose_last_checksum_is_cut_is_read_and_one_whose_is_wrong_is_refused() {
    let picture = detailed(70, 50);
    let whole = stored_png(&picture);
    // an empty chunk of 12 bytes and the checksum of the chunk of pixels stand behind
    let end = whole.len() - 16;
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("cut.png");
    for cut in 1..=4 {
        fs::write(&path, &whole[..end - cut]).unwrap();
        assert!(read_rgb(&path).is_ok_and(|read| read == picture), "without {cut} bytes");
    }
    let mut wrong = whole;
    wrong[end - 1] ^= 1;
    assert!(matches!(refusal("wrong.png", &wrong), DataError::Decode { .. }));
}

#[test]
fn a_truncated_tiff_is_refused_wherever_pixels_are_missing() {
    for path in awkward_files(&awkward_folder()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        // of fax Group 4 the rows after the end are white, as in libtiff; of two pages the first is read
        if !name.ends_with(".tif") || matches!(name, "one_bit.tif" | "pages.tif") {
            continue;
        }
        let whole = fs::read(&path).unwrap();
        for left in (9..whole.len() / 2).step_by(1 + whole.len() / 20) {
            let error = refusal(name, &whole[..left]);
            assert!(matches!(error, DataError::Decode { .. }), "{left} bytes of {name}: {error}");
        }
    }
}

#[test]
fn damage_anywhere_gives_an_error_or_a_picture_but_no_panic() {
    let folder = TempDir::new().unwrap();
    let picture = detailed(40, 30);
    let made = [("a.png", png_bytes(&picture)), ("a.jpg", jpeg_bytes(&picture))];
    let kept = awkward_files(&awkward_folder()).into_iter().map(|path| (path.clone(), fs::read(&path).unwrap()));
    let made = made.into_iter().map(|(name, bytes)| (name.into(), bytes, 150));
    for (name, whole, places) in made.chain(kept.map(|(name, bytes)| (name, bytes, 40))) {
        let path = folder.path().join(name.file_name().unwrap());
        for at in (0..whole.len()).step_by(1 + whole.len() / places) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x5a;
            fs::write(&path, &damaged).unwrap();
            if let Ok(picture) = read_rgb(&path) {
                assert_eq!(picture.data.len(), picture.width * picture.height * 3);
            }
        }
    }
}
