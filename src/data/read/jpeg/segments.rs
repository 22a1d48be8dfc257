//! A JPEG from marker to marker, without its pixels.

use super::headers::check_segment;
use crate::data::read::problem::Problem;

const START_OF_SCAN: u8 = 0xda;
const END_OF_IMAGE: u8 = 0xd9;

/// A marker: its code, where it begins, and where what belongs to it ends (which may be behind the file).
struct Marker {
    code: u8,
    start: usize,
    end: usize,
}

/// The next marker from `at` on. Segments are to be stepped over, since they may hold a thumbnail with markers of its
/// own.
fn next(bytes: &[u8], mut at: usize) -> Option<Marker> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xff)?;
        match *bytes.get(at + 1)? {
            // a byte of pixels
            0x00 | 0x01 => at += 2,
            // fills up
            0xff => at += 1,
            // restarts, start and end: no segment follows
            code @ 0xd0..=0xd9 => return Some(Marker { code, start: at, end: at + 2 }),
            code => {
                let length = bytes.get(at + 2..at + 4).and_then(<[u8]>::first_chunk::<2>);
                let end = length.map_or(usize::MAX, |length| at + 2 + usize::from(u16::from_be_bytes(*length)));
                return Some(Marker { code, start: at, end });
            }
        }
    }
}

/// Goes to the end of the image; a file without one is refused. Names the processes that are not decoded. Restarts
/// must be in order: where something is lost between them, the rest would move to another place. Each component of a
/// sequential picture must have a scan.
pub(super) fn check(bytes: &[u8]) -> Result<(), Problem> {
    let mut at = 2;
    // the restart that is next in this scan
    let mut restart = None;
    let mut is_progressive = false;
    // the numbers of the frame's components, and of those that scans hold
    let (mut components, mut scanned) = (Vec::new(), Vec::new());
    while let Some(Marker { code, start, end }) = next(bytes, at) {
        match code {
            END_OF_IMAGE if is_progressive || components.iter().all(|number| scanned.contains(number)) => return Ok(()),
            END_OF_IMAGE => return Err(undecodable("the JPEG is truncated (a scan of its colours is missing)")),
            0xd0..=0xd7 => match &mut restart {
                Some(number) if *number == code & 7 => *number = (*number + 1) & 7,
                Some(_) => return Err(undecodable("the JPEG is damaged (its restarts are not in order)")),
                // outside of a scan they mean nothing
                None => {}
            },
            0xd8 => {}
            0xde | 0xdf => return Err(unread("hierarchical JPEG")),
            // libjpeg refuses these too
            0x02..=0xbf | 0xc8 | 0xf0..=0xfd => {
                return Err(undecodable(&format!("the JPEG is damaged (it has a marker ff {code:02x})")));
            }
            _ if end > bytes.len() => break,
            _ if end < start + 4 => {
                return Err(undecodable("the JPEG is damaged (a segment is shorter than its length)"));
            }
            _ => {
                restart = (code == START_OF_SCAN).then_some(0);
                let body = &bytes[start + 4..end];
                // a frame header; in between lie Huffman tables (c4), extensions (c8) and conditioning (cc)
                let is_frame = matches!(code, 0xc0..=0xcf) && !matches!(code, 0xc4 | 0xc8 | 0xcc);
                if is_frame {
                    refuse_process(code, bytes.get(start + 4).copied().unwrap_or(8))?;
                    is_progressive = code == 0xc2;
                }
                check_segment(code, body, is_progressive)?;
                if is_frame {
                    components = body[6..].iter().step_by(3).copied().collect();
                } else if code == START_OF_SCAN && !is_progressive {
                    let count = usize::from(body[0]);
                    if count != 1 && count != components.len() {
                        return Err(unread(
                            "sequential JPEG with some of its colours in one scan and others in another",
                        ));
                    }
                    scanned.extend(body[1..].iter().step_by(2).take(count));
                }
            }
        }
        at = end;
    }
    Err(undecodable("the JPEG is truncated (no end-of-image marker)"))
}

fn refuse_process(code: u8, bits: u8) -> Result<(), Problem> {
    let kind = match code {
        0xc3 => "lossless JPEG",
        0xc5..=0xc7 => "hierarchical JPEG",
        0xc9..=0xcf => "JPEG with arithmetic coding",
        _ if bits != 8 => return Err(unread(&format!("JPEG of {bits} bits"))),
        _ => return Ok(()),
    };
    Err(unread(kind))
}

fn unread(kind: &str) -> Problem {
    Problem::Undecodable(format!("it is a {kind}, which is not read"))
}

fn undecodable(reason: &str) -> Problem {
    Problem::Undecodable(reason.to_owned())
}

/// The same picture without what applications wrote in front of it (JFIF's and Adobe's words on its colours are among
/// that) and with one word of Adobe's instead: that three components are YCbCr, or that all are what they are.
pub(super) fn with_colours(bytes: &[u8], is_ycbcr: bool) -> Vec<u8> {
    let mut kept = Vec::with_capacity(bytes.len() + 18);
    kept.extend(b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0");
    kept.push(u8::from(is_ycbcr));
    let mut at = 2;
    while let Some(marker) = next(bytes, at) {
        at = marker.start;
        if marker.code == START_OF_SCAN {
            break;
        }
        let end = marker.end.min(bytes.len());
        if !matches!(marker.code, 0xe0..=0xef) {
            kept.extend(&bytes[at..end]);
        }
        at = end;
    }
    kept.extend(bytes.get(at..).unwrap_or_default());
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Start, JFIF, a comment with markers inside, a frame, a scan with two restarts, the end.
    fn made(frame: u8, restarts: [u8; 2]) -> Vec<u8> {
        let [first, second] = restarts;
        let head = b"\xff\xd8\xff\xe0\0\x07JFIF\0\xff\xfe\0\x06\xff\xd9\xff\xd8";
        let frame = [0xff, frame, 0, 11, 8, 0, 8, 0, 8, 1, 1, 0x11, 0];
        let scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 63, 0, 17, 0xff, 0, 0xff, first, 23, 0xff, 0xff, second, 42];
        [&head[..], &frame, &scan, b"\xff\xd9behind"].concat()
    }

    fn refusal(bytes: &[u8]) -> String {
        match check(bytes) {
            Err(Problem::Undecodable(reason)) => reason,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_file_is_walked_to_its_end_whatever_its_segments_hold() {
        let whole = made(0xc0, [0xd0, 0xd1]);
        check(&whole).unwrap();
        let end = whole.len() - 6;
        for left in 0..end {
            assert!(refusal(&whole[..left]).contains("truncated"), "{left}");
        }
        check(&whole[..end]).unwrap();
    }

    #[test]
    fn restarts_must_be_in_order() {
        for wrong in [[0xd1, 0xd2], [0xd0, 0xd0], [0xd0, 0xd2], [0xd7, 0xd0]] {
            assert!(refusal(&made(0xc0, wrong)).contains("restarts"), "{wrong:?}");
        }
    }

    #[test]
    fn a_sequential_picture_has_a_scan_of_each_component_alone_or_of_all() {
        let frame = [0xff, 0xc0, 0, 17, 8, 0, 8, 0, 8, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0];
        let made = |scans: &[&[u8]]| {
            let mut bytes = [&b"\xff\xd8"[..], &frame].concat();
            for &scan in scans {
                bytes.extend([0xff, START_OF_SCAN, 0, 6 + 2 * scan.len() as u8, scan.len() as u8]);
                bytes.extend(scan.iter().flat_map(|&number| [number, 0]));
                bytes.extend([0, 63, 0, 17]);
            }
            bytes.extend([0xff, END_OF_IMAGE]);
            bytes
        };
        check(&made(&[&[1, 2, 3]])).unwrap();
        check(&made(&[&[1], &[3], &[2]])).unwrap();
        for missing in [&[][..], &[&[1][..]], &[&[1], &[2]], &[&[1], &[1], &[3]]] {
            assert!(refusal(&made(missing)).contains("a scan of its colours is missing"), "{missing:?}");
        }
        for groups in [&[&[1][..], &[2, 3]], &[&[1, 2][..], &[3]]] {
            assert!(refusal(&made(groups)).contains("is not read"), "{groups:?}");
        }
    }

    #[test]
    fn processes_are_told_apart() {
        for (frame, name) in [(0xc3, "lossless"), (0xc6, "hierarchical"), (0xc9, "arithmetic"), (0xca, "arithmetic")] {
            assert!(refusal(&made(frame, [0xd0, 0xd1])).contains(name));
        }
        for read in [0xc0, 0xc1] {
            check(&made(read, [0xd0, 0xd1])).unwrap();
        }
        // read too, but its scans are of another kind
        assert!(refusal(&made(0xc2, [0xd0, 0xd1])).contains("scan header"));
    }

    #[test]
    fn only_one_word_on_colours_is_left() {
        let whole = made(0xc0, [0xd0, 0xd1]);
        let changed = with_colours(&whole, true);
        assert!(
            changed.starts_with(b"\xff\xd8\xff\xee\0\x0eAdobe\0\x64\0\0\0\0\x01\xff\xfe\0\x06\xff\xd9\xff\xd8\xff\xc0")
        );
        assert_eq!(changed.len(), whole.len() - 9 + 16);
        assert!(changed.ends_with(&whole[15..]));
        for cut in 0..whole.len() {
            with_colours(&whole[..cut], false);
        }
    }
}
