//! What a file is, by its first bytes: a format that is read, or a known one that is not, with what helps then.

use crate::data::names::has_ending;
use std::path::Path;

/// A format that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Bmp,
    Gif,
    Jpeg,
    #[cfg(feature = "jpeg2000")]
    Jpeg2000,
    Png,
    Pnm,
    Tga,
    Tiff,
    WebP,
}

impl Format {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Bmp => "BMP",
            Self::Gif => "GIF",
            Self::Jpeg => "JPEG",
            #[cfg(feature = "jpeg2000")]
            Self::Jpeg2000 => "JPEG 2000",
            Self::Png => "PNG",
            Self::Pnm => "PNM",
            Self::Tga => "TGA",
            Self::Tiff => "TIFF",
            Self::WebP => "WebP",
        }
    }
}

/// What a file's content turned out to be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One of the formats that are read.
    Read(Format),
    /// Something known that is not read.
    Unread(Unread),
    /// Nothing known.
    Unknown,
}

/// Something known that is not read. An error says "FILE is NAME, which is not read; ADVICE".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unread {
    pub(crate) name: &'static str,
    pub(crate) advice: &'static str,
}

/// How many bytes of a file [`kind_of`] looks at.
pub(crate) const HEAD: usize = 1024;

/// The kind of a file, from its first [`HEAD`] bytes (all of them where there are fewer) and, for TGA, which has no
/// signature, from its name.
pub(crate) fn kind_of(head: &[u8], path: &Path) -> Kind {
    if let Some(unread) = unread_lookalike(head) {
        return Kind::Unread(unread);
    }
    if let Some(format) = signature(head) {
        return Kind::Read(format);
    }
    if let Some(unread) = unread_signature(head).or_else(|| unread_text(head)) {
        return Kind::Unread(unread);
    }
    let named_tga = has_ending(path, "tga");
    if named_tga { Kind::Read(Format::Tga) } else { Kind::Unknown }
}

fn signature(head: &[u8]) -> Option<Format> {
    let starts = |signature: &[u8]| head.starts_with(signature);
    Some(match head {
        _ if starts(b"\x89PNG\r\n\x1a\n") => Format::Png,
        _ if starts(b"\xff\xd8\xff") => Format::Jpeg,
        _ if starts(b"GIF87a") || starts(b"GIF89a") => Format::Gif,
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Format::WebP,
        [b'I', b'I', 42 | 43, 0, ..] | [b'M', b'M', 0, 42 | 43, ..] => Format::Tiff,
        _ if starts(b"BM") => Format::Bmp,
        #[cfg(feature = "jpeg2000")]
        _ if starts(JP2) || starts(CODESTREAM) => Format::Jpeg2000,
        [b'P', b'1'..=b'7', b' ' | b'\t' | b'\r' | b'\n' | b'#', ..] => Format::Pnm,
        _ => return None,
    })
}

const PICTURE: &str = "save it as JPEG or PNG";
const LOSSLESS: &str = "save it as 8-bit PNG";
const RAW: Unread = Unread { name: "a camera's RAW file", advice: "develop it to JPEG, PNG or 8-bit TIFF" };
const HEIC: Unread = Unread { name: "HEIC (an iPhone photo)", advice: PICTURE };
const AVIF: Unread = Unread { name: "AVIF", advice: PICTURE };
const JPEG_2000: Unread =
    Unread { name: "JPEG 2000", advice: "save it as 8-bit PNG (a program built with the feature `jpeg2000` reads it)" };
/// How JPEG 2000 begins, in a file with boxes and without.
const JP2: &[u8] = b"\0\0\0\x0cjP  \r\n\x87\n";
const CODESTREAM: &[u8] = b"\xff\x4f\xff\x51";
const MEDICAL: &str = "save its slices as 8-bit PNG, with the window that shows what is to be segmented";
const NIFTI: Unread = Unread { name: "NIfTI", advice: MEDICAL };
const VIDEO: Unread = Unread { name: "a video", advice: "save its frames as JPEG or PNG" };

/// A TIFF whose first picture is a small preview: camera RAW (DNG, NEF, ARW and others are TIFFs of that kind).
pub(crate) const RAW_TIFF: Unread = RAW;

/// What begins like a format that is read, but is another.
fn unread_lookalike(head: &[u8]) -> Option<Unread> {
    let at = |offset: usize, signature: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(signature));
    if at(0, b"II*\0") && at(8, b"CR") {
        return Some(RAW);
    }
    if at(0, b"\xff\xd8\xff\xf7") {
        return Some(Unread { name: "JPEG-LS", advice: LOSSLESS });
    }
    None
}

fn unread_signature(head: &[u8]) -> Option<Unread> {
    let at = |offset: usize, signature: &[u8]| head.get(offset..).is_some_and(|rest| rest.starts_with(signature));
    if at(4, b"ftyp") {
        return Some(base_media(head));
    }
    let known: &[(usize, &[u8], Unread)] = &[
        (0, JP2, JPEG_2000),
        (0, CODESTREAM, JPEG_2000),
        (0, b"\xff\x0a", Unread { name: "JPEG XL", advice: PICTURE }),
        (0, b"\0\0\0\x0cJXL \r\n\x87\n", Unread { name: "JPEG XL", advice: PICTURE }),
        (0, b"II\xbc\x01", Unread { name: "JPEG XR", advice: PICTURE }),
        (0, b"FUJIFILMCCD-RAW", RAW),
        (0, b"IIRO", RAW),
        (0, b"IIRS", RAW),
        (0, b"MMOR", RAW),
        (0, b"IIU\0", RAW),
        (0, b"FOVb", RAW),
        (128, b"DICM", Unread { name: "DICOM", advice: MEDICAL }),
        (344, b"n+1\0", NIFTI),
        (344, b"ni1\0", NIFTI),
        (4, b"n+2\0\r\n\x1a\n", NIFTI),
        (
            0,
            b"\x1f\x8b",
            Unread { name: "packed with gzip (as .nii.gz is)", advice: "unpack it, and save what it holds as PNG" },
        ),
        (0, b"8BPS", Unread { name: "PSD (Photoshop)", advice: LOSSLESS }),
        (0, b"gimp xcf", Unread { name: "XCF (GIMP)", advice: LOSSLESS }),
        (0, b"%PDF", Unread { name: "PDF", advice: "save its pages as PNG" }),
        (0, b"%!PS", Unread { name: "PostScript", advice: "save its pages as PNG" }),
        (0, b"\xc5\xd0\xd3\xc6", Unread { name: "PostScript", advice: "save its pages as PNG" }),
        (
            0,
            b"\x93NUMPY",
            Unread { name: "a NumPy array", advice: "save it as PNG: Image.fromarray(array).save(\"name.png\")" },
        ),
        (0, b"MATLAB ", Unread { name: "a MATLAB file", advice: "save its arrays as PNG: imwrite(array, 'name.png')" }),
        (0, b"\x89HDF\r\n\x1a\n", Unread { name: "HDF5", advice: "save its arrays as PNG" }),
        (0, b"\x76\x2f\x31\x01", Unread { name: "OpenEXR", advice: LOSSLESS }),
        (0, b"#?RADIANCE", Unread { name: "Radiance HDR", advice: LOSSLESS }),
        (0, b"#?RGBE", Unread { name: "Radiance HDR", advice: LOSSLESS }),
        (0, b"Pf\n", Unread { name: "PFM (portable float map)", advice: LOSSLESS }),
        (0, b"PF\n", Unread { name: "PFM (portable float map)", advice: LOSSLESS }),
        (0, b"NRRD000", Unread { name: "NRRD", advice: MEDICAL }),
        (0, b"ObjectType = ", Unread { name: "MetaImage", advice: MEDICAL }),
        (0, b"SIMPLE  =", Unread { name: "FITS", advice: LOSSLESS }),
        (0, b"DDS ", Unread { name: "DDS", advice: LOSSLESS }),
        (0, b"qoif", Unread { name: "QOI", advice: LOSSLESS }),
        (0, b"farbfeld", Unread { name: "farbfeld", advice: LOSSLESS }),
        (0, b"\0\0\x01\0", Unread { name: "ICO (an icon)", advice: LOSSLESS }),
        (0, b"icns", Unread { name: "ICNS (an icon)", advice: LOSSLESS }),
        (0, b"\x01\xda", Unread { name: "SGI", advice: LOSSLESS }),
        (0, b"\x0a\x05\x01", Unread { name: "PCX", advice: LOSSLESS }),
        (0, b"BPG\xfb", Unread { name: "BPG", advice: PICTURE }),
        (0, b"AT&TFORM", Unread { name: "DjVu", advice: "save its pages as PNG" }),
        (0, b"PK\x03\x04", Unread { name: "a ZIP archive", advice: "unpack it" }),
        (0, b"Rar!\x1a\x07", Unread { name: "a RAR archive", advice: "unpack it" }),
        (0, b"7z\xbc\xaf\x27\x1c", Unread { name: "a 7z archive", advice: "unpack it" }),
        (257, b"ustar", Unread { name: "a tar archive", advice: "unpack it" }),
        (0, b"\x1a\x45\xdf\xa3", VIDEO),
        (8, b"AVI ", VIDEO),
        (
            0,
            b"\0\x05\x16\x07",
            Unread { name: "what macOS keeps beside a file (AppleDouble, `._NAME`)", advice: "delete it" },
        ),
    ];
    known.iter().find(|(offset, signature, _)| at(*offset, signature)).map(|(_, _, unread)| *unread)
}

/// ISO's base media container: HEIC, AVIF, Canon's CR3 and most videos, told apart by their brands.
fn base_media(head: &[u8]) -> Unread {
    let length = head.first_chunk::<4>().map_or(0, |bytes| u32::from_be_bytes(*bytes) as usize);
    let names = head.get(8..length.clamp(12, HEAD).min(head.len())).unwrap_or_default();
    // the brand, a version that is no brand, then compatible brands
    let brands: Vec<&[u8]> = names.chunks_exact(4).enumerate().filter(|(i, _)| *i != 1).map(|(_, name)| name).collect();
    let any = |wanted: &[&[u8; 4]]| brands.iter().any(|brand| wanted.iter().any(|name| *brand == &name[..]));
    match () {
        _ if any(&[b"avif", b"avis"]) => AVIF,
        _ if any(&[b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1", b"heif"]) => HEIC,
        _ if any(&[b"crx "]) => RAW,
        _ if any(&[b"jp2 ", b"jpx "]) => JPEG_2000,
        _ => VIDEO,
    }
}

/// Text that stands where an image should: what a failed download leaves, and drawings.
fn unread_text(head: &[u8]) -> Option<Unread> {
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let text = text.to_ascii_lowercase();
    let holds = |word: &[u8]| text.windows(word.len()).any(|window| window == word);
    Some(match () {
        _ if text.starts_with(b"version https://git-lfs.github.com/spec/") => Unread {
            name: "a Git LFS pointer (the picture itself was not downloaded)",
            advice: "fetch it: git lfs pull",
        },
        _ if text.starts_with(b"<svg") || (text.starts_with(b"<?xml") && holds(b"<svg")) => {
            Unread { name: "SVG (a drawing)", advice: "save it as PNG" }
        }
        _ if text.starts_with(b"<!doctype html") || text.starts_with(b"<html") || text.starts_with(b"<head") => {
            Unread { name: "a web page (HTML), as a failed download leaves it", advice: "download the picture again" }
        }
        _ if text.starts_with(b"<?xml") => {
            Unread { name: "an XML text, as a failed download leaves it", advice: "download the picture again" }
        }
        _ if text.starts_with(b"{\"") => {
            Unread { name: "a JSON text", advice: "if it holds outlines of masks, draw them as PNG first" }
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(head: &[u8]) -> Kind {
        kind_of(head, Path::new("a.jpg"))
    }

    #[test]
    fn brands_of_one_container_are_told_apart() {
        let boxed = |brands: &[u8]| {
            let length = (8 + brands.len()) as u8;
            [&[0, 0, 0, length], &b"ftyp"[..], brands, &[0; 40]].concat()
        };
        let name = |brands: &[u8]| match kind(&boxed(brands)) {
            Kind::Unread(unread) => unread.name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(b"heic\0\0\0\0mif1heic"), HEIC.name);
        assert_eq!(name(b"mif1\0\0\0\0mif1avif"), AVIF.name);
        assert_eq!(name(b"mif1\0\0\0\0mif1heic"), HEIC.name);
        assert_eq!(name(b"crx \0\0\0\x01crx isom"), RAW.name);
        assert_eq!(name(b"isom\0\0\x02\0isomavc1"), VIDEO.name);
        // the version is no brand
        assert_eq!(name(b"isomavifisom"), VIDEO.name);
    }

    #[test]
    fn a_cut_or_strange_head_is_no_panic() {
        for head in [&b""[..], b"\0\0\0\x18ftyp", b"\xff\xff\xff\xffftypheic", b"BM", b"RIFF", b"II", b"P", b"<"] {
            kind(head);
        }
        assert_eq!(kind(b""), Kind::Unknown);
        assert_eq!(kind_of(b"", Path::new("a.TGA")), Kind::Read(Format::Tga));
    }
}
