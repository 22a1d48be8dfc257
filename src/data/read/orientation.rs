//! The orientation that a file's metadata tells, as Pillow's `getexif` finds it: in EXIF, otherwise in XMP.

use image::metadata::Orientation;

/// The value of EXIF's tag `Orientation` in a block of EXIF, where it is one that turns (2 to 8).
pub(crate) fn of_exif(block: &[u8]) -> Option<u8> {
    // some writers of WebP and PNG keep the header that JPEG puts before the block
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    Orientation::from_exif_chunk(block).map(Orientation::to_exif).filter(|&value| value > 1)
}

/// The value of `tiff:Orientation` in a packet of XMP, as an attribute or an element, where it is one that turns.
pub(crate) fn of_xmp(packet: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let at = packet.windows(NAME.len()).position(|window| window == NAME)?;
    let digit = match packet.get(at + NAME.len()..)? {
        [b'=', b'"', digit, ..] | [b'>', digit, ..] => *digit,
        _ => return None,
    };
    (b'2'..=b'8').contains(&digit).then(|| digit - b'0')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exif_of_both_byte_orders_with_and_without_its_header() {
        let little = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        let big = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x08\0\0\0\0\0\0";
        assert_eq!((of_exif(little), of_exif(big)), (Some(6), Some(8)));
        assert_eq!(of_exif(&[b"Exif\0\0", &little[..]].concat()), Some(6));
        for cut in 0..little.len() {
            assert!(of_exif(&little[..cut]).is_none_or(|value| value == 6), "{cut}");
        }
        let mut upright = *little;
        upright[18] = 1;
        assert_eq!(of_exif(&upright), None);
    }

    #[test]
    fn xmp_as_attribute_and_as_element() {
        assert_eq!(of_xmp(b"<rdf:Description tiff:Orientation=\"3\"/>"), Some(3));
        assert_eq!(of_xmp(b"<tiff:Orientation>8</tiff:Orientation>"), Some(8));
        for none in [&b"tiff:Orientation"[..], b"tiff:Orientation=\"1\"", b"tiff:Orientation=\"9\"", b"", b"<x/>"] {
            assert_eq!(of_xmp(none), None);
        }
    }
}
