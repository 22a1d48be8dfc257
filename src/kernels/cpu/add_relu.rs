//! Sum of two maps, then a ReLU.

use super::buffer::{Buffer, CHUNK};
use super::device::{Cpu, Done};
use super::vector::rows;
use crate::kernels::add_relu::AddReluKernel;
use crate::kernels::profile::{Kind, scope};
use rayon::prelude::*;

impl AddReluKernel for Cpu {
    fn add_relu(&self, a: &Buffer, b: &Buffer, y: &mut [f32]) -> Done {
        assert!(a.len() == y.len() && b.len() == y.len(), "three maps of one size");
        let _work = scope(Kind::Join, 0);
        y.par_chunks_mut(CHUNK)
            .zip(a.par_chunks(CHUNK))
            .zip(b.par_chunks(CHUNK))
            .for_each(|((y, a), b)| rows::add_relu(a, b, y));
        Ok(())
    }

    fn add_relu_backward(&self, y: &Buffer, gy: &Buffer, [ga, gb]: [&mut [f32]; 2]) -> Done {
        assert!([gy.len(), ga.len(), gb.len()] == [y.len(); 3], "four maps of one size");
        let _work = scope(Kind::Join, 0);
        ga.par_chunks_mut(CHUNK)
            .zip(gb.par_chunks_mut(CHUNK))
            .zip(y.par_chunks(CHUNK).zip(gy.par_chunks(CHUNK)))
            .for_each(|((ga, gb), (y, gy))| {
                for (((ga, gb), y), g) in ga.iter_mut().zip(gb).zip(y).zip(gy) {
                    let g = if *y <= 0.0 { 0.0 } else { *g };
                    *ga += g;
                    *gb += g;
                }
            });
        Ok(())
    }
}
