//! The adapter: two linear layers, each followed by a GELU, and a skip connection.

use super::state::{Block, TransposedWeights, elementwise, rows_per_task};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue};
use crate::kernels::cpu::gemm::linear::{linear, linear_backward, linear_weight_backward};
use crate::kernels::cpu::gemm::tiled::{TiledRows, tiled_linear, tiled_linear_gelu};
use crate::kernels::cpu::vector::rows::{add_assign, gelu_backward, gelu_in_place};
use rayon::prelude::*;

impl Block<'_> {
    /// `z = x + gelu(up(gelu(down x)))`.
    pub(super) fn adapt(&self, x: &[f32]) -> Buffer {
        let (mut z, length) =
            (Buffer::shared(x.len()), self.forward_rows(x.len() / self.size.channels) * self.size.channels);
        x.par_chunks(length).zip(z.par_chunks_mut(length)).for_each(|(x, z)| self.adapt_rows(x, z));
        z
    }

    /// The same for some rows, on one thread.
    pub(super) fn adapt_rows(&self, x: &[f32], z: &mut [f32]) {
        if self.down.takes_tiles() && self.up.takes_tiles() {
            let h = tiled_linear_gelu(&TiledRows::of(x, self.size.channels), &self.down, self.down_bias, None);
            return tiled_linear(&h, &self.up, self.up_bias, Epilogue::GeluAdd(x), z);
        }
        let mut h = Buffer::new(x.len() / self.size.channels * self.size.hidden);
        linear(x, &self.down, self.down_bias, Epilogue::Gelu, &mut h);
        linear(&h, &self.up, self.up_bias, Epilogue::GeluAdd(x), z);
    }

    /// Backward pass of the adapter; `gz` is the gradient of its output.
    pub(super) fn adapter_backward(
        &self,
        transposed: &TransposedWeights,
        x: &[f32],
        gz: Buffer,
        gx: &mut [f32],
        gradients: &mut [&mut [f32]; 4],
    ) {
        let (c, r) = (self.size.channels, self.size.hidden);
        let n = x.len() / c;
        let (mut gu, mut h, mut gh) = (gz, Buffer::shared(n * r), Buffer::shared(n * r));
        let rows = rows_per_task(n);
        let tasks: Vec<_> = x
            .chunks(rows * c)
            .zip(gx.chunks_mut(rows * c))
            .zip(gu.chunks_mut(rows * c))
            .zip(h.chunks_mut(rows * r))
            .zip(gh.chunks_mut(rows * r))
            .collect();
        tasks.into_par_iter().for_each(|((((x, gx), gu), h), gh)| {
            let n = x.len() / c;
            let (mut down, mut up) = (Buffer::new(n * r), Buffer::new(n * c));
            linear(x, &self.down, self.down_bias, Epilogue::None, &mut down);
            h.copy_from_slice(&down);
            elementwise(|| gelu_in_place(h));
            linear(h, &self.up, self.up_bias, Epilogue::None, &mut up);
            add_assign(gx, gu);
            elementwise(|| gelu_backward(&up, gu));
            linear_backward(gu, &transposed.up, Accumulate::Overwrite, gh);
            elementwise(|| gelu_backward(&down, gh));
            linear_backward(gh, &transposed.down, Accumulate::Add, gx);
        });
        let [down_w, down_b, up_w, up_b] = gradients;
        linear_weight_backward(x, &gh, down_w, down_b);
        linear_weight_backward(&h, &gu, up_w, up_b);
    }
}
