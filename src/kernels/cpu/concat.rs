//! Concatenation of four maps along the channels.

use super::buffer::Buffer;
use super::device::{Cpu, Done};
use super::vector::rows;
use crate::kernels::concat::ConcatKernel;
use crate::kernels::profile::{Kind, scope};
use rayon::prelude::*;

impl ConcatKernel for Cpu {
    fn concat4(&self, c: usize, maps: &[Buffer; 4], y: &mut [f32]) -> Done {
        assert!(maps.iter().all(|map| 4 * map.len() == y.len()), "four maps of one size, and one of four times it");
        let _work = scope(Kind::Join, 0);
        y.par_chunks_mut(4 * c).with_min_len(1024).enumerate().for_each(|(row, y)| {
            for (y, map) in y.chunks_exact_mut(c).zip(maps) {
                y.copy_from_slice(&map[row * c..][..c]);
            }
        });
        Ok(())
    }

    fn concat4_backward(&self, c: usize, gy: &Buffer, gradients: [&mut [f32]; 4]) -> Done {
        assert!(gradients.iter().all(|g| 4 * g.len() == gy.len()), "four maps of one size, and one of four times it");
        let _work = scope(Kind::Join, 0);
        for (part, gradient) in gradients.into_iter().enumerate() {
            let parts = gradient.par_chunks_mut(c).with_min_len(1024);
            parts.zip(gy.par_chunks(4 * c)).for_each(|(g, gy)| rows::add_assign(g, &gy[part * c..][..c]));
        }
        Ok(())
    }
}
