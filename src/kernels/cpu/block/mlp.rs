//! The MLP with its norm and skip.

use super::state::{Block, TransposedWeights, elementwise, pieces_mut, rows_per_task, tiled_layer_norm};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::gemm::driver::{Accumulate, Epilogue};
use crate::kernels::cpu::gemm::linear::{linear, linear_backward};
use crate::kernels::cpu::gemm::tiled::{tiled_linear, tiled_linear_gelu};
use crate::kernels::cpu::vector::layer_norm::layer_norm_backward;
use crate::kernels::cpu::vector::rows::{add_assign, gelu_backward, gelu_in_place};
use rayon::prelude::*;

impl Block<'_> {
    /// `y = a + fc2(gelu(fc1(norm2 a)))`; the input of the GELU is saved if asked for.
    pub(super) fn mlp(&self, a: &[f32], saved: Option<&mut [f32]>, y: &mut [f32]) {
        let co = self.size.out_channels;
        let rows = self.forward_rows(a.len() / co);
        let tasks: Vec<_> =
            a.chunks(rows * co).zip(y.chunks_mut(rows * co)).zip(pieces_mut(saved, 4 * rows * co)).collect();
        tasks.into_par_iter().for_each(|((a, y), saved)| self.mlp_rows(a, saved, y));
    }

    /// The same for some rows, on one thread.
    pub(super) fn mlp_rows(&self, a: &[f32], saved: Option<&mut [f32]>, y: &mut [f32]) {
        let [fc1, fc2] = [&self.frozen.fc1, &self.frozen.fc2];
        if fc1[0].packed().takes_tiles() && fc2[0].packed().takes_tiles() {
            let hidden = {
                let normed = tiled_layer_norm(a, &self.frozen.norm2);
                tiled_linear_gelu(&normed, fc1[0].packed(), fc1[1].values(), saved)
            };
            return tiled_linear(&hidden, fc2[0].packed(), fc2[1].values(), Epilogue::Add(a), y);
        }
        let (mut normed, mut hidden) = (Buffer::new(a.len()), Buffer::new(4 * a.len()));
        self.second_norm(a, &mut normed);
        match saved {
            None => linear(&normed, fc1[0].packed(), fc1[1].values(), Epilogue::Gelu, &mut hidden),
            Some(saved) => {
                linear(&normed, fc1[0].packed(), fc1[1].values(), Epilogue::None, saved);
                hidden.copy_from_slice(saved);
                elementwise(|| gelu_in_place(&mut hidden));
            }
        }
        linear(&hidden, fc2[0].packed(), fc2[1].values(), Epilogue::Add(a), y);
    }

    /// Gradients of the attention output with its skip `(m, co)`, in the map's order, and of the attention
    /// output before its projection, in window order.
    pub(super) fn mlp_backward(
        &self,
        transposed: &TransposedWeights,
        a: &[f32],
        saved: Option<&[f32]>,
        gy: &[f32],
    ) -> (Buffer, Buffer) {
        let co = self.size.out_channels;
        let rows = rows_per_task(a.len() / co);
        let (mut ga, mut go) = (Buffer::shared(a.len()), Buffer::shared(a.len()));
        let tasks: Vec<_> = a
            .chunks(rows * co)
            .zip(gy.chunks(rows * co))
            .zip(ga.chunks_mut(rows * co))
            .zip(go.chunks_mut(rows * co))
            .enumerate()
            .collect();
        tasks.into_par_iter().for_each(|(i, (((a, gy), ga), go))| {
            let mut recomputed = Buffer::new(if saved.is_some() { 0 } else { 4 * a.len() });
            let hidden = match saved {
                Some(saved) => &saved[i * 4 * rows * co..][..4 * a.len()],
                None => {
                    let normed = &mut *go;
                    self.second_norm(a, normed);
                    let [fc1, bias] = &self.frozen.fc1;
                    linear(normed, fc1.packed(), bias.values(), Epilogue::None, &mut recomputed);
                    &*recomputed
                }
            };
            let mut g_hidden = Buffer::new(4 * a.len());
            linear_backward(gy, &transposed.fc2, Accumulate::Overwrite, &mut g_hidden);
            elementwise(|| gelu_backward(hidden, &mut g_hidden));
            linear_backward(&g_hidden, &transposed.fc1, Accumulate::Overwrite, ga);
            elementwise(|| layer_norm_backward(a, self.frozen.norm2[0].values(), ga));
            add_assign(ga, gy);
            linear_backward(ga, &transposed.proj, Accumulate::Overwrite, go);
        });
        let go = self.to_window_order(&go);
        (ga, go)
    }
}
