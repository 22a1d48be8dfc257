//! Numbers out of bytes: little end first, one after another or strided.

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

/// Numbers one after another, as many as `to` takes.
pub(super) fn decode<const N: usize>(bytes: &[u8], to: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (to, bytes) in to.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *to = number(*bytes);
    }
}

/// The first `N` bytes; callers cut chunks of that size.
pub(super) fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}
