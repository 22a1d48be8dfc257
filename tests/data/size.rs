//! The size of a picture without its pixels.

use crate::support::pictures::{detailed, jpeg_bytes, png_bytes, turned_png};
use image::{DynamicImage, ImageFormat};
use sam2unet::data::{DataError, ExifOrientation, ReadOptions, picture_size, read_grey_with};
use std::fs;
use std::io::Cursor;

#[test]
fn it_is_the_size_of_the_picture_that_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x");
    let picture = detailed(31, 20);
    let as_image = DynamicImage::from(image::RgbImage::from_raw(31, 20, picture.data.clone()).unwrap());
    let encoded = |format| {
        let mut bytes = Cursor::new(Vec::new());
        as_image.write_to(&mut bytes, format).unwrap();
        bytes.into_inner()
    };
    let files = [
        png_bytes(&picture),
        png_bytes(&picture.to_grey()),
        jpeg_bytes(&picture),
        encoded(ImageFormat::Bmp),
        encoded(ImageFormat::Pnm),
        turned_png(&picture),
        // square
        png_bytes(&detailed(9, 9)),
    ];
    for (number, bytes) in files.iter().enumerate() {
        fs::write(&path, bytes).unwrap();
        for exif_orientation in [ExifOrientation::Ignore, ExifOrientation::Apply] {
            let options = ReadOptions { exif_orientation, ..ReadOptions::default() };
            let read = read_grey_with(&path, &options).unwrap().0.size();
            assert_eq!(picture_size(&path, &options).unwrap(), read, "{number}");
        }
    }
}

#[test]
fn of_png_and_jpeg_the_header_is_enough() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.png");
    let picture = detailed(40, 30);
    for bytes in [png_bytes(&picture), jpeg_bytes(&picture)] {
        let kept = bytes.len() - 40;
        fs::write(&path, &bytes[..kept]).unwrap();
        assert!(read_grey_with(&path, &ReadOptions::default()).is_err());
        assert_eq!(picture_size(&path, &ReadOptions::default()).unwrap(), (40, 30));
    }
}

#[test]
fn what_cannot_be_read_has_none() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("x.png");
    let size = || picture_size(&path, &ReadOptions::default());
    assert!(matches!(size(), Err(DataError::ReadFile { .. })));
    fs::write(&path, "no picture").unwrap();
    assert!(matches!(size(), Err(DataError::NotAnImage { .. })));
    // a header that promises too much
    let mut png = png_bytes(&detailed(4, 4));
    png[16..24].copy_from_slice(&[0x00, 0x10, 0, 0, 0x00, 0x10, 0, 0]);
    fs::write(&path, &png).unwrap();
    assert!(size().is_err());
}
