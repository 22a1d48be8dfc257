//! GIF: the first frame on the screen that the file describes.

use std::io::Cursor;

use gif::{ColorOutput, DecodeOptions, MemoryLimit};

use super::decoded::Decoded;
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Problem> {
    let mut options = DecodeOptions::new();
    options.set_color_output(ColorOutput::Indexed);
    // both sides are at most 65535, and the number of pixels is checked below, before a frame is decoded
    options.set_memory_limit(MemoryLimit::Unlimited);
    let mut decoder = options.read_info(Cursor::new(bytes)).map_err(Problem::of)?;
    let screen = (usize::from(decoder.width()), usize::from(decoder.height()));
    let global = decoder.global_palette().map(<[u8]>::to_vec);
    let Some(frame) = decoder.next_frame_info().map_err(Problem::of)? else {
        return Err(Problem::Undecodable("the GIF holds no frame".to_owned()));
    };
    let (left, top) = (usize::from(frame.left), usize::from(frame.top));
    let (frame_width, frame_height) = (usize::from(frame.width), usize::from(frame.height));
    // as Pillow: the screen grows to hold its first frame, and what the frame leaves is transparent, otherwise colour 0
    let (width, height) = (screen.0.max(left + frame_width), screen.1.max(top + frame_height));
    let outside = frame.transparent.unwrap_or(0);
    let palette = frame.palette.clone().or(global).unwrap_or_default();
    check_size(width, height, usize::MAX)?;

    let mut data = vec![0; decoder.buffer_size()];
    decoder.read_into_buffer(&mut data).map_err(Problem::of)?;
    let indices = if (frame_width, frame_height) == (width, height) {
        data
    } else {
        let mut indices = vec![outside; width * height];
        if frame_width > 0 {
            for (y, row) in data.chunks_exact(frame_width).enumerate() {
                indices[(top + y) * width + left..][..frame_width].copy_from_slice(row);
            }
        }
        indices
    };
    let more_frames = matches!(decoder.next_frame_info(), Ok(Some(_)));
    let colours = palette.as_chunks::<3>().0.to_vec();
    Ok(Decoded {
        stored: Stored { width, height, samples: Samples::Palette { indices, colours } },
        channels: 1,
        bits: 8,
        lossy: false,
        orientation: None,
        more_frames,
    })
}
