//! The orientation that a file's metadata tells, as Pillow's `getexif` finds it: in EXIF; in XMP only where EXIF has no
//! such tag, so that an upright EXIF is not turned by an older XMP.

/// The tag `Orientation` of EXIF.
const TAG: u16 = 0x0112;

/// The value of EXIF's tag `Orientation` in a block of EXIF, where it is there; one that is no number is 0. Only 2 to 8
/// turn.
pub(crate) fn of_exif(block: &[u8]) -> Option<u8> {
    // some writers of WebP and PNG keep the header that JPEG puts before the block
    let block = block.strip_prefix(b"Exif\0\0").unwrap_or(block);
    let is_big = match block.first_chunk::<4>()? {
        b"II*\0" => false,
        b"MM\0*" => true,
        _ => return None,
    };
    let number = |at: usize, bytes: usize| -> Option<usize> {
        let digits = block.get(at..at.checked_add(bytes)?)?;
        let add = |sum: usize, digit: &u8| sum << 8 | usize::from(*digit);
        Some(if is_big { digits.iter().fold(0, add) } else { digits.iter().rev().fold(0, add) })
    };
    let directory = number(4, 4)?;
    let entries = number(directory, 2)?;
    let entry = (0..entries)
        .map(|i| directory + 2 + 12 * i)
        .take_while(|at| at + 12 <= block.len())
        .find(|&at| number(at, 2) == Some(usize::from(TAG)))?;
    let value = match (number(entry + 2, 2)?, number(entry + 4, 4)?) {
        // SHORT and LONG
        (3, 1) => number(entry + 8, 2)?,
        (4, 1) => number(entry + 8, 4)?,
        _ => 0,
    };
    Some(u8::try_from(value).unwrap_or(0))
}

/// The value of `tiff:Orientation` in a packet of XMP, as an attribute or an element. Only 2 to 8 turn.
pub(crate) fn of_xmp(packet: &[u8]) -> Option<u8> {
    const NAME: &[u8] = b"tiff:Orientation";
    let places = (0..packet.len()).filter(|&at| packet[at..].starts_with(NAME));
    places.map(|at| &packet[at + NAME.len()..]).find_map(|rest| match rest {
        [b'=', b'"', digit @ b'0'..=b'9', ..] | [b'>', digit @ b'0'..=b'9', ..] => Some(*digit - b'0'),
        _ => None,
    })
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
        assert_eq!(of_exif(&upright), Some(1), "a tag that says upright is a tag");
    }

    #[test]
    fn exif_with_a_long_and_with_what_is_no_number() {
        let mut block = *b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x04\0\0\0\x01\0\0\0\x08\0\0\0\0";
        assert_eq!(of_exif(&block), Some(8));
        block[18] = 1;
        assert_eq!(of_exif(&block), Some(0), "a value beyond all");
        block[13] = 2;
        assert_eq!(of_exif(&block), Some(0), "a text");
        block[11] = 0x13;
        assert_eq!(of_exif(&block), None, "another tag");
    }

    #[test]
    fn xmp_as_attribute_and_as_element() {
        assert_eq!(of_xmp(b"<rdf:Description tiff:Orientation=\"3\"/>"), Some(3));
        assert_eq!(of_xmp(b"<tiff:Orientation>8</tiff:Orientation>"), Some(8));
        assert_eq!(of_xmp(b"tiff:Orientation tiff:Orientation=\"8\""), Some(8), "the first that has a value");
        assert_eq!(of_xmp(b"tiff:Orientation=\"1\""), Some(1));
        for none in [&b"tiff:Orientation"[..], b"tiff:Orientation=\"\"", b"tiff:OrientationX", b"", b"<x/>"] {
            assert_eq!(of_xmp(none), None);
        }
    }
}
