//! JPEG: Pillow's pixels, and no picture where some of it is missing.

use super::refusals::refusal;
use crate::support::pictures::{awkward_files, awkward_folder, detailed, jpeg_bytes, largest_difference};
use crate::support::shared::shared;
use sam2unet::data::{DataError, read_grey, read_rgb};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;
use zune_jpeg::zune_core::options::DecoderOptions;

const END: [u8; 2] = [0xff, 0xd9];

fn jpegs(folder: &Path) -> Vec<PathBuf> {
    let mut files = awkward_files(folder);
    files.retain(|path| path.extension().is_some_and(|ending| ending == "jpg"));
    files
}

#[test]
fn golden_files_equal_pillow_to_the_pixel() {
    let Some(folder) = shared("golden/jpeg") else { return };
    let files = jpegs(&folder);
    assert_eq!(files.len(), 49);
    for path in files {
        let name = path.display();
        let expected = read_rgb(&path.with_extension("png")).unwrap();
        let (rgb, grey) = (read_rgb(&path).unwrap(), read_grey(&path).unwrap());
        assert_eq!(rgb.size(), expected.size(), "{name}");
        assert!(rgb == expected, "{name}: off by {}", largest_difference(&rgb.data, &expected.data));
        assert!(grey == expected.to_grey(), "{name} as grey");
    }
}

/// Where the pixels of a file begin: behind the header of its first scan.
fn pixels_of(bytes: &[u8]) -> usize {
    let scan = bytes.windows(2).position(|pair| pair == [0xff, 0xda]).unwrap();
    scan + 2 + usize::from(bytes[scan + 3])
}

/// Whether zune-jpeg reads these bytes, at its strictest.
fn zune_reads(bytes: &[u8]) -> bool {
    JpegDecoder::new_with_options(ZCursor::new(bytes), DecoderOptions::default().set_strict_mode(true)).decode().is_ok()
}

/// Also with an end behind it, so that only the pixels tell; but not of a progressive file: its details may end early.
#[test]
fn a_file_that_lacks_pixels_is_refused_wherever_it_is_cut() {
    let mut compared = 0;
    for path in jpegs(&awkward_folder()) {
        let name = path.file_name().unwrap().to_str().unwrap();
        let whole = fs::read(&path).unwrap();
        for left in (pixels_of(&whole) + 1..whole.len() - 3).step_by(1 + whole.len() / 100) {
            assert!(matches!(refusal(name, &whole[..left]), DataError::Decode { .. }), "{left} bytes of {name}");
            // between two scans the decoder takes what it has: so does libjpeg
            let between_scans = whole[left..].starts_with(&[0xff]) || whole[..left].ends_with(&[0xff]);
            let ended = [&whole[..left], &END].concat();
            if !between_scans && !name.contains("progressive") {
                assert!(
                    matches!(refusal(name, &ended), DataError::Decode { .. }),
                    "{left} bytes of {name}, and an end"
                );
                compared += 1;
            }
        }
    }
    assert!(compared > 100, "{compared}");
}

/// Holes and zeros in the pixels of all sequential files, the shared ones too. Of a progressive file zune-jpeg finds
/// bytes that are left over behind the first scan; we read it as Pillow does.
#[test]
fn damage_that_zune_jpeg_finds_is_found() {
    let mut files = jpegs(&awkward_folder());
    files.extend(shared("golden/jpeg").iter().flat_map(|folder| jpegs(folder)));
    files.retain(|path| !path.to_string_lossy().contains("progressive"));
    let (mut found, mut found_by_zune, mut damaged) = (0, 0, 0);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("damaged.jpg");
    for file in files {
        let whole = fs::read(&file).unwrap();
        let begin = pixels_of(&whole);
        for at in (begin..whole.len() - 2).step_by(1 + (whole.len() - begin) / 12) {
            let end = (at + 1 + at % 50).min(whole.len() - 2);
            let zeros = [&whole[..at], &vec![0; end - at][..], &whole[end..]].concat();
            for bytes in [[&whole[..at], &whole[end..]].concat(), zeros] {
                fs::write(&path, &bytes).unwrap();
                let (ours, zunes) = (read_rgb(&path).is_err(), !zune_reads(&bytes));
                assert!(ours || !zunes, "{}: byte {at} to {end}", file.display());
                damaged += 1;
                found += usize::from(ours);
                found_by_zune += usize::from(zunes);
            }
        }
    }
    assert!(found > 2 * found_by_zune && found > damaged / 4, "{found} and {found_by_zune} of {damaged}");
}

fn changed(bytes: &[u8], at: usize, to: &[u8]) -> Vec<u8> {
    [&bytes[..at], to, &bytes[at + to.len()..]].concat()
}

fn place(bytes: &[u8], marker: u8) -> usize {
    bytes.windows(2).position(|pair| pair == [0xff, marker]).unwrap()
}

#[test]
fn tables_and_headers_that_cannot_be_are_refused() {
    let whole = jpeg_bytes(&detailed(40, 30));
    let (codes, steps, frame, scan) =
        (place(&whole, 0xc4), place(&whole, 0xdb), place(&whole, 0xc0), pixels_of(&whole));
    for (bytes, words) in [
        // more codes of one bit than there are
        (changed(&whole, codes + 5, &[9]), "Huffman table is wrong"),
        (changed(&whole, codes + 4, &[0x44]), "Huffman table is wrong"),
        (changed(&whole, steps + 3, &[66]), "quantisation table is wrong"),
        (changed(&whole, frame + 3, &[18]), "frame header is wrong"),
        (changed(&whole, scan - 10, &[11]), "scan header is wrong"),
        (changed(&whole, frame + 1, &[0xf5]), "marker ff f5"),
    ] {
        let text = refusal("damaged.jpg", &bytes).to_string();
        assert!(text.contains(words) && text.contains("replace the file"), "{words}: {text}");
    }
}

#[test]
fn restarts_out_of_order_are_refused() {
    let whole = fs::read(awkward_folder().join("restarts.jpg")).unwrap();
    let first = place(&whole, 0xd0);
    for number in [0xd1, 0xd2, 0xd7] {
        let text = refusal("restarts.jpg", &changed(&whole, first + 1, &[number])).to_string();
        assert!(text.contains("restarts are not in order"), "{text}");
    }
}

/// The decoder has other pixels than libjpeg for these, or panics.
#[test]
fn inks_of_odd_sampling_are_refused() {
    let whole = fs::read(awkward_folder().join("cmyk.jpg")).unwrap();
    let frame = place(&whole, 0xc0);
    for (component, sampling) in [(0, 0x12), (0, 0x23), (1, 0x34), (2, 0x12), (3, 0x21)] {
        let text = refusal("inks.jpg", &changed(&whole, frame + 11 + 3 * component, &[sampling])).to_string();
        assert!(text.contains("inks"), "{text}");
    }
}

#[test]
fn a_short_file_cannot_say_that_it_is_a_large_picture() {
    for name in ["turned.jpg", "progressive.jpg", "cmyk.jpg"] {
        let whole = fs::read(awkward_folder().join(name)).unwrap();
        let frame = place(&whole, if name == "progressive.jpg" { 0xc2 } else { 0xc0 });
        let start = Instant::now();
        // 13000 x 13000, within the limit of pixels
        let text = refusal(name, &changed(&whole, frame + 5, &[0x32, 0xc8, 0x32, 0xc8])).to_string();
        assert!(text.contains("truncated or damaged"), "{text}");
        assert!(start.elapsed().as_millis() < 500, "{:?}", start.elapsed());
    }
}

/// A cut progressive file with an end is one whose details are coarser: libjpeg smooths them, and so do we.
#[test]
fn scans_that_are_missing_make_a_coarser_picture() {
    let whole = fs::read(awkward_folder().join("progressive.jpg")).unwrap();
    let scans: Vec<usize> = (0..whole.len() - 1)
        .filter(|&at| whole[at..].starts_with(&[0xff, 0xda]) || whole[at..].starts_with(&[0xff, 0xc4]))
        .collect();
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("coarse.jpg");
    let exact = read_rgb(&awkward_folder().join("progressive.jpg")).unwrap();
    let mut differ = 0;
    for &cut in &scans[scans.len() / 2..] {
        fs::write(&path, [&whole[..cut], &END].concat()).unwrap();
        let coarse = read_rgb(&path).unwrap();
        assert_eq!(coarse.size(), exact.size());
        differ += usize::from(coarse != exact);
    }
    assert!(differ > 0);
}
