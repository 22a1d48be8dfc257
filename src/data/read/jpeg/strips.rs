//! A common kind of JPEG, eight rows at a time: sequential, YCbCr, chroma as fine as luma. The decoder itself keeps
//! whole planes of a picture, and of a photo of twelve megapixels their fresh pages take a tenth of the time.
//!
//! The parts are the decoder's own, by functions that it does not promise to keep: its version is pinned.

use libjpeg_turbo_rs::JpegError;
use libjpeg_turbo_rs::decode::bitstream::BitReader;
use libjpeg_turbo_rs::decode::entropy::{McuDecoder, resolve_mcu_plan};
use libjpeg_turbo_rs::decode::marker::{JpegMetadata, MarkerReader};
use libjpeg_turbo_rs::simd::detect;

/// A block's rows, and its columns.
const SIDE: usize = 8;

/// RGB of a picture of three components of YCbCr; nothing where it is of another kind. Its size was checked.
pub(super) fn rgb(bytes: &[u8]) -> Result<Option<Vec<u8>>, JpegError> {
    let found = MarkerReader::new(bytes).read_markers()?;
    let JpegMetadata { frame, scan, .. } = &found;
    let is_sequential = !(frame.is_progressive || frame.is_lossless || found.is_arithmetic) && frame.precision == 8;
    let is_plain = frame.components.iter().all(|c| (c.horizontal_sampling, c.vertical_sampling) == (1, 1));
    let tables: Vec<_> =
        frame.components.iter().filter_map(|c| found.quant_tables[usize::from(c.quant_table_index)].as_ref()).collect();
    let (&[luma, blue, red], true, 3) = (&tables[..], is_sequential && is_plain, scan.components.len()) else {
        return Ok(None);
    };
    let Ok(plan) = resolve_mcu_plan(frame, scan, &found.dc_huffman_tables, &found.ac_huffman_tables) else {
        return Ok(None);
    };

    let (width, height) = (usize::from(frame.width), usize::from(frame.height));
    let blocks = width.div_ceil(SIDE);
    let stride = blocks * SIDE;
    let routines = detect();
    let mut reader = BitReader::new(&bytes[found.entropy_data_offset..]);
    let mut entropy = McuDecoder::new(3);
    let (mut coefficients, mut pixels) = ([0; SIDE * SIDE], [0; SIDE * SIDE]);
    let mut planes = [(); 3].map(|()| vec![0; stride * SIDE]);
    let mut data = vec![0; width * height * 3];
    let mut until_restart = found.restart_interval;
    for strip in data.chunks_mut(width * 3 * SIDE) {
        for block in 0..blocks {
            if found.restart_interval > 0 {
                if until_restart == 0 {
                    reader.reset();
                    entropy.reset();
                    until_restart = found.restart_interval;
                }
                until_restart -= 1;
            }
            for ((part, table), plane) in plan.iter().zip([luma, blue, red]).zip(&mut planes) {
                let read =
                    entropy.decode_block(&mut reader, part.comp_idx, part.dc_table, part.ac_table, &mut coefficients);
                // codes that end early are read as zeros
                if reader.insufficient_data() {
                    return Err(JpegError::UnexpectedEof);
                }
                read?;
                (routines.idct_islow)(&coefficients, &table.values, &mut pixels);
                for (row, part) in plane.chunks_exact_mut(stride).zip(pixels.as_chunks::<SIDE>().0) {
                    row[block * SIDE..][..SIDE].copy_from_slice(part);
                }
            }
        }
        let [luma, blue, red] = &planes;
        for (y, row) in strip.chunks_exact_mut(width * 3).enumerate() {
            let place = y * stride..(y + 1) * stride;
            routines.ycbcr_to_rgb_row(&luma[place.clone()], &blue[place.clone()], &red[place], row, width);
        }
    }
    Ok(Some(data))
}
