//! Numbers for tests, and the reference implementation of every product.

/// `n` numbers between -1 and 1, others for each seed.
pub fn numbers(n: usize, seed: u32) -> Vec<f32> {
    (0..n as u32)
        .map(|i| ((i.wrapping_mul(2654435761).wrapping_add(seed * 977) >> 8) as f32 / (1 << 23) as f32) - 1.0)
        .collect()
}

/// Rounded to bf16.
pub fn rounded(x: &[f32]) -> Vec<f32> {
    x.iter().map(|v| half::bf16::from_f32(*v).to_f32()).collect()
}

/// `a (m, k)` times `b (k, n)`.
pub fn triple_loop(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
    let mut y = vec![0.0; m * n];
    for i in 0..m {
        for p in 0..k {
            for j in 0..n {
                y[i * n + j] += f64::from(a[i * k + p]) * f64::from(b[p * n + j]);
            }
        }
    }
    y
}

/// The transpose of rows of `columns` numbers.
pub fn flipped(a: &[f32], columns: usize) -> Vec<f32> {
    let rows = a.len() / columns;
    (0..a.len()).map(|i| a[i % rows * columns + i / rows]).collect()
}

/// Whether all numbers agree within 1e-4.
pub fn close(got: &[f32], want: impl Iterator<Item = f64>, what: &str) {
    for (i, (g, w)) in got.iter().zip(want).enumerate() {
        assert!((f64::from(*g) - w).abs() < 1e-4, "{what}, number {i}: {g} {w}");
    }
}
