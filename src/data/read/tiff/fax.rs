//! Fax codes in TIFF: Modified Huffman, Group 3 (one and two dimensions) and Group 4. The crate `fax` has the code tables;
//! its own readers take Group 4, and Group 3 of one dimension with markers between rows, only.

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
            // an end of the block before the last row leaves white rows
            Code::Group4 => differences(&mut reader, &above, width)?.unwrap_or_default(),
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
    while at < width {
        // the first change above, right of here, to the colour that is not the present one; and the one after it
        let next = above.iter().position(|&change| change > at || (at_start && change == at)).unwrap_or(above.len());
        let next = if (next % 2 == 1) == is_black { next } else { next + 1 };
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
