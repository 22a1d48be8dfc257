//! Whether the segments of a JPEG are what libjpeg takes: it refuses tables and headers of a wrong length or with
//! values that cannot be.

use crate::data::read::problem::Problem;

/// Looks at what belongs to a marker: `body` is what follows its length. Of a sequential picture libjpeg does not mind
/// which part of the details a scan says it has.
pub(super) fn check_segment(code: u8, body: &[u8], is_progressive: bool) -> Result<(), Problem> {
    let (is_right, name) = match code {
        0xc0..=0xc2 => (is_frame(body), "frame header"),
        0xc4 => (are_codes(body), "Huffman table"),
        0xda => (is_scan(body, is_progressive), "scan header"),
        0xdb => (are_steps(body), "quantisation table"),
        0xdd => (body.len() == 2, "restart interval"),
        _ => (true, ""),
    };
    if is_right { Ok(()) } else { Err(Problem::Undecodable(format!("the JPEG is damaged (a {name} is wrong)"))) }
}

fn is_frame(body: &[u8]) -> bool {
    body.get(5).is_some_and(|&components| body.len() == 6 + 3 * usize::from(components))
}

fn is_scan(body: &[u8], is_progressive: bool) -> bool {
    let Some((&components, &[first, last, bits])) = body.first().zip(body.last_chunk::<3>()) else { return false };
    let (before, after) = (bits >> 4, bits & 15);
    let is_band = if first == 0 { last == 0 } else { first <= last && last < 64 && components == 1 };
    let is_step = after <= 13 && (before == 0 || before == after + 1);
    body.len() == 4 + 2 * usize::from(components) && (!is_progressive || (is_band && is_step))
}

/// Quantisation tables: a number, then 64 values of 8 or 16 bits.
fn are_steps(mut body: &[u8]) -> bool {
    while let [number, rest @ ..] = body {
        let bytes = if number >> 4 == 0 { 64 } else { 128 };
        match rest.get(bytes..) {
            Some(rest) if number & 15 < 4 => body = rest,
            _ => return false,
        }
    }
    true
}

/// Huffman tables: a number, how many codes there are of 1 to 16 bits, and what they mean.
fn are_codes(mut body: &[u8]) -> bool {
    while let [number, rest @ ..] = body {
        let Some((counts, rest)) = rest.split_first_chunk::<16>() else { return false };
        let count = counts.iter().map(|&count| usize::from(count)).sum();
        let Some((symbols, rest)) = rest.split_at_checked(count) else { return false };
        let (class, number) = (number >> 4, number & 15);
        // the number of bits of a difference
        let is_possible = class == 1 || symbols.iter().all(|&bits| bits < 16);
        if class > 1 || number > 3 || count > 256 || !is_possible || !is_prefix_code(counts) {
            return false;
        }
        body = rest;
    }
    true
}

/// Whether there are codes enough of each length; that of ones alone is kept free.
fn is_prefix_code(counts: &[u8; 16]) -> bool {
    let Some(longest) = counts.iter().rposition(|&count| count > 0) else { return true };
    let mut code = 0;
    counts[..=longest].iter().zip(1..).all(|(&count, bits)| {
        code = 2 * code + u32::from(count);
        code < 1 << bits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(counts: &[u8], symbols: &[u8]) -> Vec<u8> {
        let mut body = vec![0; 17];
        body[1..=counts.len()].copy_from_slice(counts);
        body.extend(symbols);
        body
    }

    #[test]
    fn codes_are_prefix_codes_without_the_one_of_ones() {
        assert!(are_codes(&codes(&[1, 1], &[0, 1])));
        assert!(are_codes(&codes(&[0, 3], &[0, 1, 15])));
        assert!(are_codes(&codes(&[], &[])));
        assert!(!are_codes(&codes(&[2], &[0, 1])), "0 and 1");
        assert!(!are_codes(&codes(&[0, 4], &[0, 1, 2, 3])));
        assert!(!are_codes(&codes(&[1, 1, 2], &[0, 1, 2, 3])), "0, 10, 110 and 111");
        assert!(!are_codes(&codes(&[3], &[0, 1, 2])));
        assert!(!are_codes(&codes(&[1], &[16])), "a difference of 16 bits");
        let mut of_details = codes(&[1], &[0xf0]);
        of_details[0] = 0x11;
        assert!(are_codes(&of_details));
        for number in [0x04, 0x14, 0x20] {
            of_details[0] = number;
            assert!(!are_codes(&of_details), "{number:x}");
        }
    }

    #[test]
    fn segments_end_where_their_tables_do() {
        let tables = [codes(&[1, 1], &[0, 1]), codes(&[1], &[3])].concat();
        let steps = [&[0x01][..], &[1; 64], &[0x12], &[1; 128]].concat();
        for (code, body, wholes) in [(0xc4, tables, [0, 19]), (0xdb, steps, [0, 65])] {
            for left in 0..body.len() {
                assert_eq!(
                    check_segment(code, &body[..left], false).is_ok(),
                    wholes.contains(&left),
                    "{code:x}: {left}"
                );
            }
            check_segment(code, &body, false).unwrap();
        }
        assert!(check_segment(0xdb, &[&[4][..], &[1; 64]].concat(), false).is_err());
        let frame = [8, 0, 8, 0, 8, 1, 1, 0x11, 0];
        let scan = [1, 1, 0, 0, 63, 0];
        for (code, body) in [(0xc0, &frame[..]), (0xda, &scan), (0xdd, &[0, 1])] {
            check_segment(code, body, false).unwrap();
            for left in 0..body.len() {
                assert!(check_segment(code, &body[..left], false).is_err(), "{code:x}: {left}");
            }
        }
        check_segment(0xe1, b"anything", false).unwrap();
    }

    #[test]
    fn a_progressive_scan_is_of_one_band_and_one_step() {
        let scan = |band: [u8; 2], bits: u8| [1, 1, 0, band[0], band[1], bits];
        for (band, bits, is_right) in [
            ([0, 0], 0x01, true),
            ([1, 5], 0x02, true),
            ([6, 63], 0x10, true),
            ([0, 63], 0, false),
            ([6, 5], 0, false),
            ([1, 64], 0, false),
            ([1, 63], 0x20, false),
            ([1, 63], 0x0e, false),
        ] {
            assert_eq!(check_segment(0xda, &scan(band, bits), true).is_ok(), is_right, "{band:?} {bits:x}");
            check_segment(0xda, &scan(band, bits), false).unwrap();
        }
        let two = [2, 1, 0, 2, 0];
        check_segment(0xda, &[&two[..], &[0, 0, 1]].concat(), true).unwrap();
        assert!(check_segment(0xda, &[&two[..], &[1, 5, 1]].concat(), true).is_err(), "details of two components");
    }
}
