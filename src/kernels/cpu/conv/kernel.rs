//! Convolutions as operations of the CPU.

use crate::kernels::conv2d::{Conv2dKernel, ConvSize};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::device::{Cpu, Done};
use crate::kernels::cpu::vector::rows::relu_backward;
use crate::kernels::profile::{Kind, scope};

impl Conv2dKernel for Cpu {
    fn conv2d(
        &self,
        size: ConvSize,
        x: &Buffer,
        weight: &Buffer,
        bias: Option<&Buffer>,
        relu: bool,
        y: &mut [f32],
    ) -> Done {
        assert_eq!([x.len(), y.len()], size.lengths(), "numbers of the maps that come in and go out");
        let _work = scope(Kind::Convolution, size.operations());
        size.forward(x, &size.packed_weight(weight), bias.map(|v| &**v), relu, y);
        Ok(())
    }

    fn conv2d_backward(
        &self,
        size: ConvSize,
        x: &Buffer,
        weight: &Buffer,
        relu: Option<&Buffer>,
        gy: &Buffer,
        (gx, gw, gb): (&mut [f32], &mut [f32], Option<&mut [f32]>),
    ) -> Done {
        assert_eq!([x.len(), gy.len()], size.lengths(), "numbers of the maps that come in and go out");
        let _work = scope(Kind::Convolution, 2 * size.operations());
        let masked = relu.map(|y| {
            let mut masked = Buffer::shared(gy.len());
            relu_backward(y, gy, &mut masked);
            masked
        });
        let gy = masked.as_ref().unwrap_or(gy);
        size.backward_input(weight, gy, gx);
        size.backward_weight(x, gy, gw, gb);
        Ok(())
    }
}
