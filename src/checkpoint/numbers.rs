//! Numbers out of bytes: little end first, one after another or strided, of any type.

use half::{bf16, f16};

use super::tensor::Dtype;
use crate::kernels::encoded::Decode;

/// Row-major numbers of a strided view; `None` where it leaves `bytes`.
pub(super) fn strided<T>(
    bytes: &[u8],
    width: usize,
    offset: u64,
    shape: &[usize],
    strides: &[u64],
    decode: impl Fn(&[u8]) -> T,
) -> Option<Vec<T>> {
    let count: usize = shape.iter().product();
    let offset = usize::try_from(offset).ok()?;
    let strides = strides.iter().map(|&s| usize::try_from(s).ok()).collect::<Option<Vec<_>>>()?;
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at = index
            .iter()
            .zip(&strides)
            .try_fold(offset, |at, (&i, &stride): (&usize, _)| at.checked_add(i.checked_mul(stride)?))?;
        let start = at.checked_mul(width)?;
        values.push(decode(bytes.get(start..start.checked_add(width)?)?));
        for (i, &size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    Some(values)
}

/// Whether numbers stand row by row, one after another. A dimension of one number may have any stride.
pub(super) fn row_major(shape: &[usize], strides: &[u64]) -> bool {
    let mut expected = 1u64;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected = expected.saturating_mul(size as u64);
        fits
    })
}

/// A type of numbers in a file.
trait Stored {
    /// The number in single precision, rounded as PyTorch does.
    fn real(bytes: &[u8]) -> f32;
    /// The number as a count: cut to a whole one. What is no number, or too large for its type, is 0: nobody knows it.
    fn count(bytes: &[u8]) -> i64;
}

/// Types that Rust has, by their name and their bytes.
macro_rules! stored {
    ($($Name:ident: $number:ty),+ $(,)?) => {
        $(
            struct $Name;

            impl Stored for $Name {
                fn real(bytes: &[u8]) -> f32 {
                    <$number>::from_le_bytes(first(bytes)) as f32
                }
                fn count(bytes: &[u8]) -> i64 {
                    let number = <$number>::from_le_bytes(first(bytes));
                    if (number as f32).is_finite() { number as i64 } else { 0 }
                }
            }
        )+
    };
}

stored!(F64: f64, F32: f32, I64: i64, I32: i32, I16: i16, I8: i8, U64: u64, U32: u32, U16: u16, U8: u8);

/// Types of which the single-precision number is known.
macro_rules! narrow {
    ($($Name:ident: $real:expr),+ $(,)?) => {
        $(
            struct $Name;

            impl Stored for $Name {
                fn real(bytes: &[u8]) -> f32 {
                    $real(bytes)
                }
                fn count(bytes: &[u8]) -> i64 {
                    let number = Self::real(bytes);
                    if number.is_finite() { number as i64 } else { 0 }
                }
            }
        )+
    };
}

narrow!(
    F16: |bytes| f16::from_le_bytes(first(bytes)).to_f32(),
    BF16: |bytes| bf16::from_le_bytes(first(bytes)).to_f32(),
    Bool: |bytes: &[u8]| f32::from(u8::from(bytes[0] != 0)),
    F8E4M3: |bytes: &[u8]| small_float(bytes[0], 3),
    F8E5M2: |bytes: &[u8]| small_float(bytes[0], 2),
);

/// A float of 8 bits with so many bits of fraction, 2 or 3.
fn small_float(byte: u8, fraction_bits: u32) -> f32 {
    let (fraction, exponent) = (byte & ((1 << fraction_bits) - 1), (byte & 0x7f) >> fraction_bits);
    let largest: i32 = 0x7f >> fraction_bits;
    let bias = largest >> 1;
    let magnitude = match (fraction_bits, exponent, fraction) {
        // e4m3 has no infinity, and one NaN of each sign
        (3, 15, 7) => f32::NAN,
        (2, 31, 0) => f32::INFINITY,
        (2, 31, _) => f32::NAN,
        (_, 0, _) => f32::from(fraction) * 2f32.powi(1 - bias - fraction_bits as i32),
        _ => f32::from(fraction | 1 << fraction_bits) * 2f32.powi(i32::from(exponent) - bias - fraction_bits as i32),
    };
    if byte & 0x80 == 0 { magnitude } else { -magnitude }
}

fn reals<S: Stored, const WIDTH: usize, const NEGATIVE: bool>(bytes: &[u8], to: &mut [f32]) {
    for (to, bytes) in to.iter_mut().zip(bytes.as_chunks::<WIDTH>().0) {
        let number = S::real(bytes);
        *to = if NEGATIVE { -number } else { number };
    }
}

/// A type's decoder, and the one that also turns the sign.
fn pair<S: Stored, const WIDTH: usize>() -> [Decode; 2] {
    [reals::<S, WIDTH, false>, reals::<S, WIDTH, true>]
}

/// What reads real numbers of a type, negated or not; `None` for a type that is not read.
pub(super) fn decoder(dtype: Dtype, negative: bool) -> Option<Decode> {
    let both = match dtype {
        Dtype::F32 => pair::<F32, 4>(),
        Dtype::F16 => pair::<F16, 2>(),
        Dtype::BF16 => pair::<BF16, 2>(),
        Dtype::F64 => pair::<F64, 8>(),
        Dtype::I64 => pair::<I64, 8>(),
        Dtype::I32 => pair::<I32, 4>(),
        Dtype::I16 => pair::<I16, 2>(),
        Dtype::I8 => pair::<I8, 1>(),
        Dtype::U64 => pair::<U64, 8>(),
        Dtype::U32 => pair::<U32, 4>(),
        Dtype::U16 => pair::<U16, 2>(),
        Dtype::U8 => pair::<U8, 1>(),
        Dtype::Bool => pair::<Bool, 1>(),
        Dtype::F8E4M3 => pair::<F8E4M3, 1>(),
        Dtype::F8E5M2 => pair::<F8E5M2, 1>(),
        Dtype::Other(_) => return None,
    };
    Some(both[usize::from(negative)])
}

/// What reads a count of a type; `None` for a type that is not read.
pub(super) fn counter(dtype: Dtype) -> Option<fn(&[u8]) -> i64> {
    Some(match dtype {
        Dtype::F32 => F32::count,
        Dtype::F16 => F16::count,
        Dtype::BF16 => BF16::count,
        Dtype::F64 => F64::count,
        Dtype::I64 => I64::count,
        Dtype::I32 => I32::count,
        Dtype::I16 => I16::count,
        Dtype::I8 => I8::count,
        Dtype::U64 => U64::count,
        Dtype::U32 => U32::count,
        Dtype::U16 => U16::count,
        Dtype::U8 => U8::count,
        Dtype::Bool => Bool::count,
        Dtype::F8E4M3 => F8E4M3::count,
        Dtype::F8E5M2 => F8E5M2::count,
        Dtype::Other(_) => return None,
    })
}

/// The first `N` bytes; callers cut chunks of that size.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_of_eight_bits() {
        // what PyTorch says: zeros, the least, one, the largest, and what is no number
        let read = |dtype, byte| {
            let mut number = [0.0];
            decoder(dtype, false).expect("read")(&[byte], &mut number);
            number[0]
        };
        for (byte, number) in [(0, 0.0), (0x80, -0.0), (1, 0.001953125), (0x38, 1.0), (0x7e, 448.0), (0xfe, -448.0)] {
            assert_eq!(read(Dtype::F8E4M3, byte).to_bits(), f32::to_bits(number));
        }
        assert!(read(Dtype::F8E4M3, 0x7f).is_nan() && read(Dtype::F8E4M3, 0xff).is_nan());
        for (byte, number) in
            [(0, 0.0), (1, 2f32.powi(-16)), (0x3c, 1.0), (0x7b, 57344.0), (0x7c, f32::INFINITY), (0xc0, -2.0)]
        {
            assert_eq!(read(Dtype::F8E5M2, byte), number);
        }
        assert!(read(Dtype::F8E5M2, 0x7d).is_nan());
    }

    #[test]
    fn every_type_is_negated_and_counted() {
        for (dtype, bytes, real, count) in [
            (Dtype::F64, &f64::to_le_bytes(0.1)[..], 0.1, 0),
            (Dtype::F32, &f32::to_le_bytes(7.9), 7.9, 7),
            (Dtype::F16, &f16::from_f32(5.0).to_le_bytes(), 5.0, 5),
            (Dtype::BF16, &bf16::from_f32(-3.0).to_le_bytes(), -3.0, -3),
            (Dtype::I64, &i64::to_le_bytes(16_777_217), 16_777_216.0, 16_777_217),
            (Dtype::I32, &i32::to_le_bytes(-2), -2.0, -2),
            (Dtype::I16, &i16::to_le_bytes(-3), -3.0, -3),
            (Dtype::I8, &i8::to_le_bytes(-4), -4.0, -4),
            (Dtype::U64, &u64::to_le_bytes(5), 5.0, 5),
            (Dtype::U32, &u32::to_le_bytes(u32::MAX), 4_294_967_296.0, 4_294_967_295),
            (Dtype::U16, &u16::to_le_bytes(65_535), 65_535.0, 65_535),
            (Dtype::U8, &[255], 255.0, 255),
            (Dtype::Bool, &[3], 1.0, 1),
            (Dtype::F8E4M3, &[0x40], 2.0, 2),
            (Dtype::F8E5M2, &[0x40], 2.0, 2),
        ] {
            assert_eq!(dtype.bytes(), Some(bytes.len() as u64));
            for (negative, sign) in [(false, 1.0), (true, -1.0)] {
                let mut number = [0.0];
                decoder(dtype, negative).expect("read")(bytes, &mut number);
                assert_eq!(number, [sign * real], "{dtype}");
            }
            assert_eq!(counter(dtype).expect("read")(bytes), count, "{dtype}");
        }
        assert!(decoder(Dtype::Other("complex64"), false).is_none() && counter(Dtype::Other("complex64")).is_none());
        // a count that half precision could not hold
        assert_eq!(counter(Dtype::F16).expect("read")(&f16::INFINITY.to_le_bytes()), 0);
        assert_eq!(counter(Dtype::F32).expect("read")(&f32::NAN.to_le_bytes()), 0);
    }
}
