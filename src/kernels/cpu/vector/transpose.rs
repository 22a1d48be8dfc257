//! Small transposes.

/// Writes eight columns side by side into rows of `width` numbers, from index `at` of each row on.
pub fn transpose_into(columns: [&[f32]; 8], at: usize, width: usize, rows: &mut [f32]) {
    let n = columns[0].len();
    let columns = columns.map(|c| &c[..n]);
    let mut done = 0;
    #[cfg(target_arch = "x86_64")]
    if is_x86_feature_detected!("avx") {
        while done + 8 <= n {
            let to = &mut rows[done * width + at..][..7 * width + 8];
            // SAFETY: the feature has been detected; eight numbers stand in each column from `done` on, and in each of eight
            // rows from the slice's begin on.
            unsafe { avx::transpose(columns.map(|c| c[done..].as_ptr()), to.as_mut_ptr(), width) };
            done += 8;
        }
    }
    for p in done..n {
        let row = &mut rows[p * width + at..][..8];
        for (to, column) in row.iter_mut().zip(&columns) {
            *to = column[p];
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod avx {
    use std::arch::x86_64::*;

    /// Eight columns of eight numbers become rows, each `width` numbers after the one before.
    ///
    /// # Safety
    /// As many numbers can be read and written.
    #[target_feature(enable = "avx")]
    pub unsafe fn transpose(columns: [*const f32; 8], rows: *mut f32, width: usize) {
        // SAFETY: the caller's promise.
        let x: [__m256; 8] = unsafe {
            let c = columns;
            [0, 1, 2, 3, 4, 5, 6, 7].map(|i: usize| _mm256_loadu_ps(c[i]))
        };
        // Transposes 2x2 numbers, then 2x2 pairs of them, then exchanges halves.
        let pairs = |i: usize| (_mm256_unpacklo_ps(x[i], x[i + 1]), _mm256_unpackhi_ps(x[i], x[i + 1]));
        let fours = |i: usize| {
            let ((a, b), (c, d)) = (pairs(i), pairs(i + 2));
            [
                _mm256_shuffle_ps::<0x44>(a, c),
                _mm256_shuffle_ps::<0xee>(a, c),
                _mm256_shuffle_ps::<0x44>(b, d),
                _mm256_shuffle_ps::<0xee>(b, d),
            ]
        };
        let (left, right) = (fours(0), fours(4));
        for i in 0..4 {
            // SAFETY: the caller's promise.
            unsafe {
                _mm256_storeu_ps(rows.add(i * width), _mm256_permute2f128_ps::<0x20>(left[i], right[i]));
                _mm256_storeu_ps(rows.add((i + 4) * width), _mm256_permute2f128_ps::<0x31>(left[i], right[i]));
            }
        }
    }
}
