//! Numbers in the encoding of a file, decoded a part at a time and by many threads.

use rayon::prelude::*;
use std::borrow::Cow;

/// Reads numbers of a known width from bytes, as many as there is room for.
pub type Decode = fn(&[u8], &mut [f32]);

/// Real numbers in the encoding of a file, `width` bytes each: decoded a part at a time, never copied as a whole.
#[derive(Clone, Debug)]
pub struct Encoded<'a> {
    bytes: Cow<'a, [u8]>,
    /// Bytes of a number.
    width: usize,
    decode: Decode,
}

impl<'a> Encoded<'a> {
    /// Numbers of `width` bytes.
    pub fn new(bytes: Cow<'a, [u8]>, width: usize, decode: Decode) -> Self {
        Self { bytes, width, decode }
    }

    /// The bytes, where they are another's.
    pub fn lent(&self) -> Option<&'a [u8]> {
        match self.bytes {
            Cow::Borrowed(bytes) => Some(bytes),
            Cow::Owned(_) => None,
        }
    }

    /// How many numbers there are.
    pub fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads the numbers from the one at `from` on, as many as `to` has room for.
    pub fn read(&self, from: usize, to: &mut [f32]) {
        (self.decode)(&self.bytes[from * self.width..(from + to.len()) * self.width], to);
    }

    /// All of them.
    pub fn to_vec(&self) -> Vec<f32> {
        let mut numbers = vec![0.0; self.len()];
        self.read(0, &mut numbers);
        numbers
    }

    /// Index and value of the first number that is infinite or NaN.
    pub fn not_finite(&self) -> Option<(usize, f32)> {
        /// Read at once: what stays in the first cache.
        const PART: usize = 4096;
        let parts = (0..self.len().div_ceil(PART)).into_par_iter().with_min_len(8);
        parts
            .map(|part| {
                let mut numbers = [0.0; PART];
                let numbers = &mut numbers[..PART.min(self.len() - part * PART)];
                self.read(part * PART, numbers);
                let at = if all_finite(numbers) { None } else { numbers.iter().position(|x| !x.is_finite()) };
                at.map(|at| (part * PART + at, numbers[at]))
            })
            .find_map_first(|found| found)
    }
}

/// Looks at every number, which the compiler turns into a few instructions for many of them.
fn all_finite(numbers: &[f32]) -> bool {
    numbers.iter().fold(true, |finite, x| finite & x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encoded(numbers: &[f32]) -> Encoded<'static> {
        let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        Encoded::new(Cow::Owned(bytes), 4, |bytes, to| {
            for (to, bytes) in to.iter_mut().zip(bytes.chunks_exact(4)) {
                *to = f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
            }
        })
    }

    #[test]
    fn encoded_numbers_are_read_in_part() {
        let numbers: Vec<f32> = (0..10).map(|i| i as f32).collect();
        let stored = encoded(&numbers);
        let mut part = [0.0; 4];
        stored.read(3, &mut part);
        assert_eq!((part, stored.len(), stored.to_vec()), ([3.0, 4.0, 5.0, 6.0], 10, numbers));
    }

    #[test]
    fn the_first_number_that_is_not_finite_is_found() {
        let mut numbers = vec![1.0; 100_001];
        assert_eq!(encoded(&numbers).not_finite(), None);
        numbers[100_000] = f32::NEG_INFINITY;
        assert_eq!(encoded(&numbers).not_finite(), Some((100_000, f32::NEG_INFINITY)));
        numbers[4096] = f32::NAN;
        assert_eq!(encoded(&numbers).not_finite().map(|(at, x)| (at, x.is_nan())), Some((4096, true)));
    }
}
