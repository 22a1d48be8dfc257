//! Matrix products: bounds are checked here, then the `gemm` crate does the work.

/// A matrix to read: element `(i, j)` is `data[i * row_stride + j * column_stride]`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// Rows of `columns` numbers, one after another.
    pub fn new(data: &'a [f32], columns: usize) -> Self {
        Self { data, rows: data.len() / columns, columns, row_stride: columns, column_stride: 1 }
    }

    /// The same numbers, rows and columns exchanged.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }
}

/// What becomes of the numbers at the destination.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Write {
    /// They are replaced.
    Set,
    /// The product is added to them.
    Add,
}

/// Who works on a product.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Threads {
    /// The calling thread: the caller is one of several tasks.
    One,
    /// Every thread of the pool. The result does not depend on how many there are.
    All,
}

/// `y = factor a b`, or `y += factor a b`; `y` holds rows of `b.columns` numbers.
pub fn matmul(y: &mut [f32], write: Write, factor: f32, a: Matrix<'_>, b: Matrix<'_>, threads: Threads) {
    assert_eq!(a.columns, b.rows, "inner dimensions of a product");
    assert_eq!(y.len(), a.rows * b.columns, "size of a product");
    if y.is_empty() {
        return;
    }
    for m in [&a, &b] {
        let last = m.rows.saturating_sub(1) * m.row_stride + m.columns.saturating_sub(1) * m.column_stride;
        assert!(m.rows == 0 || m.columns == 0 || last < m.data.len(), "a matrix reaches past its numbers");
    }
    let parallelism = match threads {
        Threads::One => gemm::Parallelism::None,
        Threads::All => gemm::Parallelism::Rayon(0),
    };
    // SAFETY: the assertions above keep every element that gemm reads inside of `a.data` and
    // `b.data`, and every element that it writes inside of `y`, which is initialised and, being
    // borrowed mutably, overlaps neither.
    unsafe {
        gemm::gemm(
            a.rows,
            b.columns,
            a.columns,
            y.as_mut_ptr(),
            1,
            b.columns as isize,
            write == Write::Add,
            a.data.as_ptr(),
            a.column_stride as isize,
            a.row_stride as isize,
            b.data.as_ptr(),
            b.column_stride as isize,
            b.row_stride as isize,
            1.0,
            factor,
            false,
            false,
            false,
            parallelism,
        );
    }
}

/// `y = x w^T + bias`: rows of `x` times a weight of shape `(out, in)`, as PyTorch's `nn.Linear` has it.
pub fn linear(x: &[f32], weight: &[f32], bias: &[f32], y: &mut [f32]) {
    let (inputs, outputs) = (weight.len() / bias.len(), bias.len());
    for row in y.chunks_exact_mut(outputs) {
        row.copy_from_slice(bias);
    }
    matmul(y, Write::Add, 1.0, Matrix::new(x, inputs), Matrix::new(weight, inputs).transposed(), Threads::One);
}

/// `gx = gy w`: the gradient of [`linear`] with respect to its input.
pub fn linear_backward(gy: &[f32], weight: &[f32], inputs: usize, write: Write, gx: &mut [f32]) {
    let outputs = weight.len() / inputs;
    matmul(gx, write, 1.0, Matrix::new(gy, outputs), Matrix::new(weight, inputs), Threads::One);
}

/// Adds to `gw` and `gb` the gradients of [`linear`] with respect to its weight and bias.
///
/// One product over all rows and one sum per column: the result depends on no number of threads.
pub fn linear_weight_backward(x: &[f32], gy: &[f32], gw: &mut [f32], gb: &mut [f32]) {
    let (outputs, inputs) = (gb.len(), gw.len() / gb.len());
    matmul(gw, Write::Add, 1.0, Matrix::new(gy, outputs).transposed(), Matrix::new(x, inputs), Threads::All);
    add_column_sums(gy, gb);
}

/// Adds the sum of each column of `x` (rows of `sums.len()` numbers) to `sums`.
pub fn add_column_sums(x: &[f32], sums: &mut [f32]) {
    let mut total = vec![0.0f64; sums.len()];
    for row in x.chunks_exact(sums.len()) {
        for (t, v) in total.iter_mut().zip(row) {
            *t += f64::from(*v);
        }
    }
    for (s, t) in sums.iter_mut().zip(total) {
        *s += t as f32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(n: usize, seed: u32) -> Vec<f32> {
        (0..n as u32)
            .map(|i| ((i.wrapping_mul(2654435761).wrapping_add(seed * 977) >> 8) as f32 / (1 << 23) as f32) - 1.0)
            .collect()
    }

    /// The plain twin.
    fn triple_loop(a: &[f32], b: &[f32], [m, k, n]: [usize; 3]) -> Vec<f64> {
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

    #[test]
    fn products_agree_with_the_plain_twin() {
        for [m, k, n] in [[1, 1, 1], [3, 5, 7], [33, 147, 19], [64, 576, 64], [130, 32, 96], [5, 300, 2]] {
            let (a, b) = (numbers(m * k, 1), numbers(k * n, 2));
            let want = triple_loop(&a, &b, [m, k, n]);
            let transposed: Vec<f32> = (0..n * k).map(|i| b[i % k * n + i / k]).collect();
            for threads in [Threads::One, Threads::All] {
                let mut y = vec![0.5; m * n];
                matmul(&mut y, Write::Add, 2.0, Matrix::new(&a, k), Matrix::new(&b, n), threads);
                let mut z = vec![f32::NAN; m * n];
                matmul(&mut z, Write::Set, 1.0, Matrix::new(&a, k), Matrix::new(&transposed, k).transposed(), threads);
                for ((y, z), w) in y.iter().zip(&z).zip(&want) {
                    assert!((f64::from(*y) - (0.5 + 2.0 * w)).abs() < 1e-4, "{m} {k} {n}: {y} {w}");
                    assert!((f64::from(*z) - w).abs() < 1e-4, "{m} {k} {n}: {z} {w}");
                }
            }
        }
    }

    /// Exact resume and "the same run on another machine" rest on this.
    #[test]
    fn a_product_does_not_depend_on_the_number_of_threads() {
        let (m, k, n) = (70, 5000, 300);
        let (a, b) = (numbers(k * m, 3), numbers(k * n, 4));
        let product = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut y = vec![0.0; m * n];
            pool.install(|| {
                matmul(&mut y, Write::Set, 1.0, Matrix::new(&a, m).transposed(), Matrix::new(&b, n), Threads::All)
            });
            y
        };
        let one = product(1);
        for threads in [2, 3, 7] {
            assert!(product(threads) == one, "{threads} threads");
        }
    }
}
