//! Buffers on their way to the host, where they are already.

use super::buffer::Buffer;
use super::device::{Cpu, Done};
use crate::kernels::readback::ReadbackKernel;
use std::collections::VecDeque;
use std::convert::Infallible;

impl ReadbackKernel for Cpu {
    type Mark = ();
    type Readback = VecDeque<Vec<Buffer>>;

    fn mark(&self) -> Done {
        Ok(())
    }

    fn readback(&self) -> Result<Self::Readback, Infallible> {
        Ok(VecDeque::new())
    }

    fn begin_readback(&self, under_way: &mut Self::Readback, from: Vec<Buffer>, (): &()) -> Done {
        under_way.push_back(from);
        Ok(())
    }

    fn end_readback(&self, under_way: &mut Self::Readback, numbers: &mut Vec<f32>) -> Done {
        under_way.pop_front().iter().flatten().for_each(|buffer| numbers.extend_from_slice(buffer));
        Ok(())
    }
}
