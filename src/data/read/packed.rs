//! Samples of less than a byte, packed from the highest bit on, each row beginning at a byte.

/// One byte for each sample of `bits` (1, 2, 4 or 8) in rows of `row_samples`.
pub(crate) fn unpack_bits(data: &[u8], row_samples: usize, bits: u8) -> Vec<u8> {
    let per_byte = usize::from(8 / bits);
    let row_bytes = row_samples.div_ceil(per_byte).max(1);
    let mask = ((1u16 << bits) - 1) as u8;
    let mut samples = Vec::with_capacity(data.len() / row_bytes * row_samples);
    for row in data.chunks_exact(row_bytes) {
        let sample = |i: usize| (row[i / per_byte] >> (8 - bits as usize * (i % per_byte + 1))) & mask;
        samples.extend((0..row_samples).map(sample));
    }
    samples
}

/// Grey of `bits` (1, 2 or 4) spread over 0..=255.
pub(crate) fn widen_grey(mut samples: Vec<u8>, bits: u8) -> Vec<u8> {
    let step = match bits {
        1 => 255,
        2 => 85,
        4 => 17,
        _ => 1,
    };
    samples.iter_mut().for_each(|sample| *sample *= step);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_taken_from_the_highest_on_and_rows_begin_at_a_byte() {
        assert_eq!(unpack_bits(&[0b1010_0000, 0b0100_0000], 3, 1), [1, 0, 1, 0, 1, 0]);
        assert_eq!(unpack_bits(&[0b1101_0010, 0b1000_0000], 5, 2), [3, 1, 0, 2, 2]);
        assert_eq!(unpack_bits(&[0x1f, 0xa0], 3, 4), [1, 15, 10]);
        assert_eq!(widen_grey(vec![0, 1, 2, 3], 2), [0, 85, 170, 255]);
    }
}
