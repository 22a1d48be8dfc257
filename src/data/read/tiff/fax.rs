//! Fax codes in TIFF: Modified Huffman, Group 3 (one and two dimensions) and Group 4. The crate `fax` has the code
//! tables; its own readers take Group 4, and Group 3 of one dimension with markers between rows, only.

use fax::maps::{Mode, black, mode, white};
use fax::{BitReader, slice_reader};

/// Which of the codes, by TIFF's number of the compression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    /// Rows of runs, each beginning at a byte.
    ModifiedHuffman,
    /// Rows after end-of-line markers; two-dimensional where the flag says so.
    Group3 { two_dimensional: bool },
    /// Every row by its differences from the row above.
    Group4,
}

/// Rows of one bit a pixel, packed; set bits are black. None when the code ends early or is no such code.
pub(crate) fn decode(data: &[u8], code: Code, width: usize, rows: usize) -> Option<Vec<u8>> {
    // codes are looked up some bits ahead, which the last one has not
    let padded = [data, &[0; 4]].concat();
    let mut reader = slice_reader(&padded);
    let mut packed = Vec::with_capacity(width.div_ceil(8) * rows);
    let mut above = Vec::new();
    for _ in 0..rows {
        let row = match code {
            Code::ModifiedHuffman => {
                let row = runs(&mut reader, width)?;
                let rest = reader.bits_to_byte_boundary();
                reader.consume(rest).ok()?;
                row
            }
            Code::Group3 { two_dimensional } => {
                skip_markers(&mut reader);
                let as_runs = !two_dimensional || {
                    let tag = reader.peek(1)?;
                    reader.consume(1).ok()?;
                    tag == 1
                };
                if as_runs { runs(&mut reader, width)? } else { differences(&mut reader, &above, width)?? }
            }
            Code::Group4 => match differences(&mut reader, &above, width)? {
                Some(row) => row,
                // the end of the block before the last row leaves white rows, as in libtiff
                None => {
                    packed.resize(width.div_ceil(8) * rows, 0);
                    return Some(packed);
                }
            },
        };
        pack(&row, width, &mut packed);
        above = row;
    }
    Some(packed)
}

/// Passes over fill bits and end-of-line markers (at least 11 zeros and a one). No code of a run begins with 8 zeros.
fn skip_markers(reader: &mut impl BitReader) {
    while reader.peek(9) == Some(0) {
        while reader.peek(1) == Some(0) {
            if reader.consume(1).is_err() {
                return;
            }
        }
        if reader.peek(1).is_none() || reader.consume(1).is_err() {
            return;
        }
    }
}

/// The columns where the colour changes, from white on; ascending, and below `width`.
fn runs(reader: &mut impl BitReader, width: usize) -> Option<Vec<usize>> {
    let (mut changes, mut at, mut is_black) = (Vec::new(), 0, false);
    while at < width {
        at += run(reader, is_black)?;
        is_black = !is_black;
        if at < width {
            changes.push(at);
        }
    }
    Some(changes)
}

/// A run's length: make-up codes of 64 and more, then one of less.
fn run(reader: &mut impl BitReader, is_black: bool) -> Option<usize> {
    let mut length = 0;
    loop {
        let part = usize::from(if is_black { black::decode(reader)? } else { white::decode(reader)? });
        length += part;
        if part < 64 {
            return Some(length);
        }
    }
}

/// A row by its differences from the one above. `Some(None)`: the end of the block.
fn differences(reader: &mut impl BitReader, above: &[usize], width: usize) -> Option<Option<Vec<usize>>> {
    let mut changes: Vec<usize> = Vec::new();
    let (mut at, mut is_black, mut at_start) = (0, false, true);
    // the first change above, right of here; `at` never goes back, and so neither does this
    let mut right = 0;
    while at < width {
        while above.get(right).is_some_and(|&change| change < at || (change == at && !at_start)) {
            right += 1;
        }
        // the first of them to the colour that is not the present one; and the one after it
        let next = if (right % 2 == 1) == is_black { right } else { right + 1 };
        let change_above = |i: usize| above.get(i).copied().unwrap_or(width);
        match mode::decode(reader)? {
            Mode::Pass => at = change_above(next + 1),
            Mode::Vertical(offset) => {
                let change = change_above(next).checked_add_signed(isize::from(offset)).filter(|&c| c <= width)?;
                if change < at {
                    return None;
                }
                at = change;
                is_black = !is_black;
                if at < width {
                    changes.push(at);
                }
            }
            Mode::Horizontal => {
                for _ in 0..2 {
                    at += run(reader, is_black)?;
                    is_black = !is_black;
                    if at < width {
                        changes.push(at);
                    }
                }
            }
            Mode::EOF if at_start => return Some(None),
            Mode::EOF | Mode::Extension => return None,
        }
        at_start = false;
    }
    Some(Some(changes))
}

fn pack(changes: &[usize], width: usize, packed: &mut Vec<u8>) {
    let start = packed.len();
    packed.resize(start + width.div_ceil(8), 0);
    for pair in changes.chunks(2) {
        let end = pair.get(1).copied().unwrap_or(width);
        for x in pair[0]..end {
            packed[start + x / 8] |= 0x80 >> (x % 8);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_early_end_of_a_group_4_block_leaves_white_rows() {
        // horizontal: 4 white, 4 black; the end of the block: two markers of 12 bits
        let code = [0b0011_0110, 0b1100_0000, 0b0000_0100, 0b0000_0000, 0b0100_0000];
        let rows = decode(&code, Code::Group4, 8, 5).unwrap();
        assert_eq!(rows, [0x0f, 0, 0, 0, 0]);
        assert_eq!(decode(&code[..1], Code::Group4, 8, 5), None);
    }

    /// The row above is looked through once for a row, not once for a change.
    #[test]
    fn rows_of_many_changes_take_no_time() {
        let width = 400_000;
        // a row of single pixels, white and black in turn, and two that repeat it
        let pair = [0, 0, 1, 0, 0, 0, 1, 1, 1, 0, 1, 0];
        let mut bits = pair.repeat(width / 2);
        bits.resize(bits.len() + 2 * width, 1);
        let code: Vec<u8> = bits.chunks(8).map(|byte| byte.iter().fold(0, |sum, bit| sum << 1 | bit)).collect();
        let start = std::time::Instant::now();
        let rows = decode(&code, Code::Group4, width, 3);
        assert!(rows.is_some_and(|rows| rows == vec![0b0101_0101; 3 * width / 8]));
        assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
    }

    #[test]
    fn random_bytes_are_no_panic() {
        let mut state = 1u32;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        };
        for _ in 0..2000 {
            let data: Vec<u8> = (0..40).map(|_| next()).collect();
            for code in [
                Code::ModifiedHuffman,
                Code::Group3 { two_dimensional: false },
                Code::Group3 { two_dimensional: true },
                Code::Group4,
            ] {
                assert!(decode(&data, code, 23, 7).is_none_or(|rows| rows.len() == 3 * 7));
            }
        }
    }
}
