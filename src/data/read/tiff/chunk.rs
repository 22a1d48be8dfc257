//! A chunk of a TIFF, a strip or a tile, from the file to plain samples in the machine's byte order.

use std::io::Read;

use flate2::read::ZlibDecoder;
use image_webp::WebPDecoder;
use ruzstd::decoding::StreamingDecoder;
use weezl::BitOrder;
use weezl::LzwStatus;
use weezl::decode::Configuration;

use super::fax;
use super::layout::{Layout, Meaning, Number, undecodable};
use crate::data::read::jpeg::{Wanted, decode_inner};
use crate::data::read::problem::Problem;

/// The samples of a chunk, by rows of [`Layout::row_bytes`]; of 16 bits and more in little-endian order.
pub(super) struct Chunk {
    pub(super) data: Vec<u8>,
    /// Whether YCbCr is RGB already: what Pillow gets of JPEG.
    pub(super) is_rgb: bool,
}

/// What a packed chunk may have beside eight times its unpacked bytes: headers and tables.
const MORE_PACKED_BYTES: usize = 4 << 10;

impl Chunk {
    fn plain(data: Vec<u8>) -> Self {
        Self { data, is_rgb: false }
    }
}

/// Decodes the chunk of this index to `rows` rows of `width` pixels.
pub(super) fn decode(
    file: &[u8],
    layout: &Layout,
    index: usize,
    (width, rows): (usize, usize),
) -> Result<Chunk, Problem> {
    let (offset, length) = layout.chunks[index];
    let begin = usize::try_from(offset).ok().filter(|&begin| begin <= file.len()).ok_or_else(truncated)?;
    let rest = &file[begin..];
    let chroma = layout.chroma();
    let expected = match chroma {
        (1, 1) => layout.row_bytes(width) * rows,
        (across, down) => width.div_ceil(across) * rows.div_ceil(down) * (across * down + 2),
    };
    let length = if layout.compression == 1 {
        // Pillow takes as many bytes as the picture needs, whatever the file says of their number
        expected
    } else {
        // no code makes a chunk that much longer: many chunks that claim the whole file must not take hours
        usize::try_from(length).unwrap_or(usize::MAX).min(expected.saturating_mul(8).saturating_add(MORE_PACKED_BYTES))
    };
    let packed = &rest[..length.min(rest.len())];
    let reversed: Vec<u8>;
    let packed = if layout.bits_reversed && layout.compression != 7 {
        reversed = packed.iter().map(|byte| byte.reverse_bits()).collect();
        &reversed[..]
    } else {
        packed
    };
    let mut data = match layout.compression {
        1 => packed.to_vec(),
        2 => fax_rows(packed, fax::Code::ModifiedHuffman, width, rows)?,
        3 => {
            let code = fax::Code::Group3 { two_dimensional: layout.fax_options & 1 == 1 };
            fax_rows(packed, code, width, rows)?
        }
        4 => fax_rows(packed, fax::Code::Group4, width, rows)?,
        5 => lzw(packed, expected)?,
        7 => return jpeg(packed, layout, width, rows),
        8 | 32946 => inflate(ZlibDecoder::new(packed), expected)?,
        32773 => unpack(packed, expected),
        50000 => inflate(StreamingDecoder::new(packed).map_err(Problem::of)?, expected)?,
        50001 => webp(packed, layout, width, rows)?,
        other => return Err(unread_compression(other)),
    };
    if data.len() < expected {
        return Err(truncated());
    }
    data.truncate(expected);
    if chroma != (1, 1) {
        return Ok(Chunk::plain(spread_chroma(&data, width, rows, chroma)));
    }
    let row_bytes = layout.row_bytes(width).max(1);
    for row in data.chunks_exact_mut(row_bytes) {
        undo_predictor(row, layout)?;
    }
    Ok(Chunk::plain(data))
}

fn truncated() -> Problem {
    undecodable("the TIFF is truncated")
}

fn unread_compression(number: u16) -> Problem {
    let name = match number {
        6 => "old-style JPEG",
        32766 => "NeXT",
        32809 => "ThunderScan",
        33003 | 33005 | 34712 => "JPEG 2000",
        34676 | 34677 => "SGI's LogLuv",
        34887 => "LERC",
        34892 => "a camera's lossy JPEG",
        34925 => "LZMA",
        50002 | 52546 => "JPEG XL",
        other => return undecodable(format!("its compression, number {other}, is not read")),
    };
    undecodable(format!("its compression, {name}, is not read"))
}

// ------------------------------------------------------------------------------------------------------ compressions

fn fax_rows(packed: &[u8], code: fax::Code, width: usize, rows: usize) -> Result<Vec<u8>, Problem> {
    fax::decode(packed, code, width, rows).ok_or_else(|| undecodable("its fax code is truncated or damaged"))
}

fn lzw(packed: &[u8], expected: usize) -> Result<Vec<u8>, Problem> {
    let configuration = Configuration::with_tiff_size_switch(BitOrder::Msb, 8).with_yield_on_full_buffer(true);
    let mut decoder = configuration.build();
    let mut data = vec![0; expected];
    let (mut read, mut written) = (0, 0);
    while written < expected {
        let step = decoder.decode_bytes(&packed[read..], &mut data[written..]);
        read += step.consumed_in;
        written += step.consumed_out;
        match step.status {
            Ok(LzwStatus::Ok) => {}
            Ok(LzwStatus::Done | LzwStatus::NoProgress) => break,
            Err(_) => return Err(undecodable("its LZW code is damaged")),
        }
    }
    data.truncate(written);
    Ok(data)
}

fn inflate(mut reader: impl Read, expected: usize) -> Result<Vec<u8>, Problem> {
    let mut data = vec![0; expected];
    reader.read_exact(&mut data).map_err(|error| undecodable(format!("a compressed part is damaged: {error}")))?;
    Ok(data)
}

/// PackBits: a count of literal bytes, or of one byte's repetitions. The crate `tiff` keeps its own to itself.
fn unpack(packed: &[u8], expected: usize) -> Vec<u8> {
    let mut data = Vec::with_capacity(expected);
    let mut rest = packed;
    while let (Some((&count, after)), true) = (rest.split_first(), data.len() < expected) {
        rest = after;
        match count as i8 {
            literal @ 0.. => {
                let (bytes, after) = rest.split_at((literal as usize + 1).min(rest.len()));
                data.extend_from_slice(bytes);
                rest = after;
            }
            -128 => {}
            repeated => {
                let Some((&byte, after)) = rest.split_first() else { break };
                data.resize(data.len() + usize::from(repeated.unsigned_abs()) + 1, byte);
                rest = after;
            }
        }
    }
    data
}

fn webp(packed: &[u8], layout: &Layout, width: usize, rows: usize) -> Result<Vec<u8>, Problem> {
    let mut decoder = WebPDecoder::new(std::io::Cursor::new(packed)).map_err(Problem::of)?;
    let channels = if decoder.has_alpha() { 4 } else { 3 };
    let (found_width, found_rows) = decoder.dimensions();
    let fits = (found_width as usize, layout.chunk_channels()) == (width, channels) && found_rows as usize >= rows;
    if !fits || found_rows as usize > layout.chunk_height {
        return Err(undecodable("its WebP parts do not fit the picture"));
    }
    let mut data = vec![0; width * found_rows as usize * channels];
    decoder.read_image(&mut data).map_err(Problem::of)?;
    Ok(data)
}

/// A JPEG without the tables that all chunks share; the tables are put in front of it.
fn jpeg(packed: &[u8], layout: &Layout, width: usize, rows: usize) -> Result<Chunk, Problem> {
    let bytes = match (&layout.jpeg_tables, packed) {
        (Some(tables), [0xff, 0xd8, rest @ ..]) => {
            let tables = tables.strip_suffix(&[0xff, 0xd9]).unwrap_or(tables);
            [tables, rest].concat()
        }
        _ => packed.to_vec(),
    };
    if layout.bits != 8 {
        return Err(undecodable(format!("JPEG parts of {} bits are not read", layout.bits)));
    }
    let channels = layout.chunk_channels();
    // an encoder fills up its last blocks, which have 32 pixels a side at most
    let most = (width.next_multiple_of(32), layout.chunk_height.next_multiple_of(32));
    if jpeg_sides(&bytes).is_some_and(|(width, rows)| width > most.0 || rows > most.1) {
        return Err(undecodable("its JPEG parts are larger than the picture's parts"));
    }
    let is_rgb = layout.meaning == Meaning::YCbCr && channels == 3;
    let wanted = if is_rgb { Wanted::Rgb } else { Wanted::Components };
    let (found_width, found_rows, data) = decode_inner(&bytes, channels, wanted)?;
    if found_width < width || found_rows < rows {
        return Err(undecodable("its JPEG parts are smaller than the picture"));
    }
    let rows_of = data.chunks_exact(found_width * channels).take(rows);
    let data = rows_of.flat_map(|row| &row[..width * channels]).copied().collect();
    Ok(Chunk { data, is_rgb })
}

/// Width and height that the frame header of a JPEG tells.
fn jpeg_sides(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut at = 2;
    loop {
        let &[0xff, marker, high, low] = bytes.get(at..at + 4)?.first_chunk::<4>()? else {
            at += 1;
            continue;
        };
        match marker {
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let &[h1, h0, w1, w0] = bytes.get(at + 5..at + 9)?.first_chunk::<4>()?;
                return Some((u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into()));
            }
            // no segment follows
            0x00 | 0x01 | 0xff | 0xd0..=0xd9 => at += 1,
            _ => at += 2 + usize::from(u16::from_be_bytes([high, low])),
        }
    }
}

// -------------------------------------------------------------------------------------------------------- predictors

/// Adds up a row's differences, and puts its numbers into little-endian order.
fn undo_predictor(row: &mut [u8], layout: &Layout) -> Result<(), Problem> {
    let channels = layout.chunk_channels();
    let bytes = usize::from(layout.bits / 8);
    // the tag has a meaning for LZW, Deflate and ZSTD only
    let predictor = if matches!(layout.compression, 5 | 8 | 32946 | 50000) { layout.predictor } else { 1 };
    match (predictor, layout.bits) {
        // floats of which the bytes were sorted, highest first
        (3, 16 | 32 | 64) if layout.number == Number::Float => {
            add_up::<1>(row, channels);
            let numbers = row.len() / bytes;
            let sorted = row.to_vec();
            for (i, number) in row.chunks_exact_mut(bytes).enumerate() {
                (0..bytes).for_each(|byte| number[bytes - 1 - byte] = sorted[byte * numbers + i]);
            }
            return Ok(());
        }
        (3, _) => return Err(undecodable("its predictor is for floating point, but its samples are none")),
        _ => {}
    }
    if layout.big_endian && matches!(layout.bits, 16 | 32 | 64) {
        row.chunks_exact_mut(bytes).for_each(<[u8]>::reverse);
    }
    match (predictor, layout.bits) {
        (2, 8) => add_up::<1>(row, channels),
        (2, 16) => add_up::<2>(row, channels),
        (2, 32) => add_up::<4>(row, channels),
        (2, 64) => add_up::<8>(row, channels),
        (2, bits) => return Err(undecodable(format!("a predictor for samples of {bits} bits is not read"))),
        _ => {}
    }
    Ok(())
}

/// Each number of `BYTES` bytes plus the one `channels` before it, wrapping.
fn add_up<const BYTES: usize>(row: &mut [u8], channels: usize) {
    let (numbers, _) = row.as_chunks_mut::<BYTES>();
    for i in channels..numbers.len() {
        let before = numbers[i - channels];
        let mut carry = 0;
        for (byte, add) in numbers[i].iter_mut().zip(before) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = sum as u8;
            carry = sum >> 8;
        }
    }
}

// ------------------------------------------------------------------------------------------------------------ chroma

/// Blocks of `across * down` lumas and two chromas, to a pixel of three each; chroma is repeated, as libtiff does.
fn spread_chroma(data: &[u8], width: usize, rows: usize, (across, down): (usize, usize)) -> Vec<u8> {
    let block = across * down + 2;
    let blocks = width.div_ceil(across);
    let mut pixels = Vec::with_capacity(width * rows * 3);
    for y in 0..rows {
        for x in 0..width {
            let start = (y / down * blocks + x / across) * block;
            let luma = data[start + y % down * across + x % across];
            pixels.extend([luma, data[start + block - 2], data[start + block - 1]]);
        }
    }
    pixels
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pack_bits_of_the_standard() {
        let packed = [0xfe, 0xaa, 0x02, 0x80, 0x00, 0x2a, 0xfd, 0xaa, 0x03, 0x80, 0x00, 0x2a, 0x22, 0xf7, 0xaa];
        let plain = [
            0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0xaa, 0xaa, 0xaa, 0xaa, 0x80, 0x00, 0x2a, 0x22, 0xaa, 0xaa, 0xaa, 0xaa,
            0xaa, 0xaa, 0xaa, 0xaa, 0xaa, 0xaa,
        ];
        assert_eq!(unpack(&packed, 24), plain);
        // cut anywhere: what there is, and no more
        for cut in 0..packed.len() {
            assert!(plain.starts_with(&unpack(&packed[..cut], 24)), "{cut}");
        }
    }

    #[test]
    fn differences_carry_from_byte_to_byte() {
        let mut row = [0xff, 0x00, 0x01, 0x00, 0xff, 0xff];
        add_up::<2>(&mut row, 1);
        assert_eq!(row, [0xff, 0x00, 0x00, 0x01, 0xff, 0x00]);
    }

    #[test]
    fn chroma_is_repeated_over_its_block() {
        // two blocks of 2 x 2 for 3 x 2 pixels
        let data = [1, 2, 4, 5, 100, 200, 3, 9, 6, 9, 101, 201];
        let pixels = spread_chroma(&data, 3, 2, (2, 2));
        let expected = [1, 100, 200, 2, 100, 200, 3, 101, 201, 4, 100, 200, 5, 100, 200, 6, 101, 201];
        assert_eq!(pixels, expected);
    }
}
