//! JPEG 2000 (feature `jpeg2000`): files with boxes (JP2) and bare codestreams.

use hayro_jpeg2000::{ColorSpace, DecodeSettings, DecoderContext, Image};

use super::decoded::Decoded;
use super::problem::{Problem, check_size};
use super::stored::{Samples, Stored};

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, Problem> {
    let settings = DecodeSettings { strict: true, ..DecodeSettings::default() };
    let image = Image::new(bytes, &settings).map_err(Problem::of)?;
    let (width, height) = (image.width() as usize, image.height() as usize);
    check_size(width, height, usize::MAX)?;
    let mut context = DecoderContext::default();
    let decoded = image.decode(&mut context).map_err(Problem::of)?;
    let components = decoded.components();
    let pixels = width * height;
    if components.iter().any(|component| component.samples().len() != pixels) {
        return Err(Problem::Undecodable("its channels differ in size".to_owned()));
    }

    let bits = components.first().map_or(0, |component| component.bit_depth());
    // a bare codestream does not name its colours: as in Pillow, a second or a fourth channel is alpha
    let is_bare = bytes.starts_with(b"\xff\x4f");
    let colours = match components.len() {
        2 if is_bare => 1,
        4 if is_bare => 3,
        _ => usize::from(image.color_space().num_channels()),
    };
    // one byte for each of the first `channels`
    let interleaved = |channels: usize| -> Vec<u8> {
        let value = |channel: usize, pixel: usize| {
            let component = &components[channel];
            shifted(component.samples()[pixel], component.bit_depth(), 8) as u8
        };
        (0..pixels).flat_map(|pixel| (0..channels).map(move |channel| value(channel, pixel))).collect()
    };
    let samples = match (colours, components.len()) {
        (1, 1) if bits > 8 => {
            Samples::Grey16(components[0].samples().iter().map(|&value| shifted(value, bits, 16)).collect())
        }
        (1, 1..) => Samples::Grey(interleaved(1)),
        (3, 3..) => Samples::Rgb(interleaved(3)),
        (4, 4..) if matches!(image.color_space(), ColorSpace::CMYK) => Samples::Cmyk(interleaved(4)),
        (_, found) => return Err(Problem::Undecodable(format!("JPEG 2000 of {found} channels is not read"))),
    };
    Ok(Decoded {
        stored: Stored { width, height, samples },
        channels: components.len() as u8,
        bits,
        // the file does not say in one place whether its wavelet lost anything
        lossy: true,
        orientation: None,
        more_frames: false,
    })
}

/// A value of `bits` bits to `wanted` bits by shifting, as Pillow does: rounded, where there are more than wanted.
fn shifted(value: f32, bits: u8, wanted: u8) -> u16 {
    let largest = ((1u64 << bits.min(32)) - 1) as f64;
    let value = f64::from(value).round().clamp(0.0, largest) as u64;
    let most = (1u64 << wanted) - 1;
    let value = if bits > wanted {
        let cut = bits - wanted;
        (value + (1 << (cut - 1))) >> cut
    } else {
        value << (wanted - bits)
    };
    value.min(most) as u16
}
