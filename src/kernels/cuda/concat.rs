//! Four maps beside each other: columns of rows.

use super::address;
use super::buffer::Buffer;
use super::columns::{add_columns, put_columns};
use super::view::SliceMut;
use crate::nn::ops::concat::ConcatKernel;
use dfdx::prelude::{Cuda, CudaError};

impl ConcatKernel for Cuda {
    fn concat4(&self, c: usize, maps: &[Buffer; 4], mut y: SliceMut<'_>) -> Result<(), CudaError> {
        let stream = address::stream(self)?;
        let put = |(i, map): (usize, &Buffer)| put_columns(&stream, c, map.into(), [4 * c, i * c], y.reborrow());
        Ok(maps.iter().enumerate().try_for_each(put)?)
    }

    fn concat4_backward(&self, c: usize, gy: &Buffer, gradients: [SliceMut<'_>; 4]) -> Result<(), CudaError> {
        let stream = address::stream(self)?;
        let add = |(i, g): (usize, SliceMut<'_>)| add_columns(&stream, c, gy.into(), [4 * c, i * c], g);
        Ok(gradients.into_iter().enumerate().try_for_each(add)?)
    }
}
