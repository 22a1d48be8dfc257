//! Concatenation of four maps along the channels: each map is a range of the result's columns.

use super::buffer::Buffer;
use super::columns::{add_columns, put_columns};
use super::error::GpuError;
use super::gpu::Gpu;
use super::view::SliceMut;
use crate::kernels::concat::ConcatKernel;

impl ConcatKernel for Gpu {
    fn concat4(&self, c: usize, maps: &[Buffer; 4], mut y: SliceMut<'_>) -> Result<(), GpuError> {
        let put = |(i, map): (usize, &Buffer)| put_columns(self, c, map.into(), [4 * c, i * c], y.reborrow());
        maps.iter().enumerate().try_for_each(put)
    }

    fn concat4_backward(&self, c: usize, gy: &Buffer, gradients: [SliceMut<'_>; 4]) -> Result<(), GpuError> {
        let add = |(i, g): (usize, SliceMut<'_>)| add_columns(self, c, gy.into(), [4 * c, i * c], g);
        gradients.into_iter().enumerate().try_for_each(add)
    }
}
