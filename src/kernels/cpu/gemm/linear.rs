//! Linear layers, forward and backward, and sums of columns.

use super::driver::{Accumulate, Epilogue, matrix_product, transposed_product};
use super::packed::Packed;
use super::tiled::{TiledRows, tiled_product};
use crate::kernels::cpu::vector::rows::{add_assign, gelu_in_place};
use crate::kernels::profile::{Kind, scope};
use rayon::prelude::*;

/// Rows of a part of a weight's gradient: one task.
const PART_ROWS: usize = 1024;
/// Rows of a part that are summed in one product.
const SUMMED_ROWS: usize = 128;

/// `y = epilogue(x w^T + bias)`: rows of `x` times a weight of shape `(out, in)`, as PyTorch's `nn.Linear` has it.
pub fn linear(x: &[f32], weight: &Packed, bias: &[f32], epilogue: Epilogue<'_>, y: &mut [f32]) {
    let inputs = weight.inputs();
    let _work = scope(Kind::Linear, 2 * y.len() * inputs);
    if weight.takes_tiles() && !matches!(epilogue, Epilogue::Relu) {
        // A GELU that may be computed again from saved sums is the exact one.
        let exact = matches!(epilogue, Epilogue::Gelu);
        let epilogue = if exact { Epilogue::None } else { epilogue };
        tiled_product(&TiledRows::of(x, inputs), weight, Accumulate::Bias(bias), epilogue, y);
        if exact {
            gelu_in_place(y);
        }
        return;
    }
    let x = weight.left_matrix(x, inputs);
    matrix_product(&x, weight.lanes_in(inputs), weight, 0, Accumulate::Bias(bias), epilogue, y);
}

/// `gx = accumulate + gy w`: the gradient of [`linear`] with respect to its input; `transposed` is its weight's transpose.
pub fn linear_backward(gy: &[f32], transposed: &Packed, accumulate: Accumulate<'_>, gx: &mut [f32]) {
    let outputs = transposed.inputs();
    let _work = scope(Kind::Linear, 2 * gx.len() * outputs);
    if transposed.takes_tiles() {
        return tiled_product(&TiledRows::of(gy, outputs), transposed, accumulate, Epilogue::None, gx);
    }
    let gy = transposed.left_matrix(gy, outputs);
    matrix_product(&gy, transposed.lanes_in(outputs), transposed, 0, accumulate, Epilogue::None, gx);
}

/// Adds to `gw` and `gb` the gradients of [`linear`] with respect to its weight and bias.
///
/// Rows are summed part by part, of a fixed number of rows: the result does not depend on the number of threads.
pub fn linear_weight_backward(x: &[f32], gy: &[f32], gw: &mut [f32], gb: &mut [f32]) {
    let (outputs, inputs) = (gb.len(), gw.len() / gb.len());
    let parts: Vec<[Vec<f32>; 2]> = x
        .par_chunks(PART_ROWS * inputs)
        .zip(gy.par_chunks(PART_ROWS * outputs))
        .map_init(Packed::default, |factor, (x, gy)| {
            let _work = scope(Kind::Linear, 2 * x.len() * outputs);
            let (mut gw, mut gb) = (vec![0.0; outputs * inputs], vec![0.0; outputs]);
            for (x, gy) in x.chunks(SUMMED_ROWS * inputs).zip(gy.chunks(SUMMED_ROWS * outputs)) {
                factor.set_rows(x.len() / inputs, inputs, |p| &x[p * inputs..][..inputs]);
                transposed_product(gy, outputs, factor, Accumulate::Add, inputs, &mut gw);
            }
            add_column_sums(gy, &mut gb);
            [gw, gb]
        })
        .collect();
    for part in &parts {
        add_assign(gw, &part[0]);
        add_assign(gb, &part[1]);
    }
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
    use crate::kernels::cpu::gemm::test_numbers::{close, flipped, numbers, triple_loop};

    /// Exact resume and "the same run on another machine" rest on this.
    #[test]
    fn a_weight_gradient_does_not_depend_on_the_number_of_threads() {
        let (m, k, n) = (70, 5000, 300);
        let (x, gy) = (numbers(k * n, 3), numbers(k * m, 4));
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut gw, mut gb) = (vec![0.0; m * n], vec![0.0; m]);
            pool.install(|| linear_weight_backward(&x, &gy, &mut gw, &mut gb));
            gw
        };
        let (one, four) = (run(1), run(4));
        assert!(one.iter().zip(&four).all(|(a, b)| a.to_bits() == b.to_bits()));
        close(&one, triple_loop(&flipped(&gy, m), &x, [m, k, n]).into_iter(), "weight gradient");
    }
}
