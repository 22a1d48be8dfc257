//! Maps in inference, on their way from one operation to the next: numbers that no tensor holds, so that between two
//! operations none are copied. The functions are those of the taped operations.

use super::conv2d::{ConvSize, NormedConv};
use super::up2_concat::JoinSize;
use super::{Erased, erase, retype};
use crate::nn::{Backend, Even, Inference, Map};
use dfdx::prelude::*;
use std::marker::PhantomData;

/// A map `(B, H, H, C)` off the tape.
pub struct Flow<B: Dim, H: Dim, C: ConstDim, D: Backend> {
    numbers: D::View,
    device: D,
    batch: B,
    side: H,
    channels: PhantomData<C>,
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend> Flow<B, H, C, D> {
    /// A tensor's numbers.
    ///
    /// # Errors
    /// The device's.
    pub fn of<T: Inference<D>>(map: Map<B, H, C, D, T>) -> Result<Self, D::Err> {
        let (batch, side, ..) = *map.shape();
        let (map, _) = erase(map).try_contiguous()?.split_tape();
        Ok(Self { numbers: map.device().view(&map), device: map.device().clone(), batch, side, channels: PhantomData })
    }

    fn with<C2: ConstDim>(&self, numbers: D::View) -> Flow<B, H, C2, D> {
        Flow { numbers, device: self.device.clone(), batch: self.batch, side: self.side, channels: PhantomData }
    }

    fn shape(&self, channels: usize) -> [usize; 4] {
        [self.batch.size(), self.side.size(), self.side.size(), channels]
    }

    fn convolved<CO: ConstDim, KH: ConstDim, KW: ConstDim, R>(
        &self,
        conv: NormedConv<'_, C, CO, KH, KW, D>,
        make: impl FnOnce(&dyn Fn(D::Out<'_>) -> Result<(), D::Err>) -> Result<R, D::Err>,
    ) -> Result<R, D::Err> {
        const { assert!(KH::SIZE % 2 == 1 && KW::SIZE % 2 == 1, "a kernel's sides are odd") };
        let size = ConvSize {
            batch: self.batch.size(),
            side: self.side.size(),
            channels: C::SIZE,
            out_channels: CO::SIZE,
            kernel: [KH::SIZE, KW::SIZE],
            dilation: conv.dilation,
            precision: conv.precision,
        };
        let d = &self.device;
        make(&|y| d.conv_batch_norm_inference(size, &self.numbers, &conv, y))
    }

    /// Convolution, batch norm and maybe ReLU.
    ///
    /// # Errors
    /// The device's.
    pub fn conv_batch_norm<CO: ConstDim, KH: ConstDim, KW: ConstDim>(
        &self,
        conv: NormedConv<'_, C, CO, KH, KW, D>,
    ) -> Result<Flow<B, H, CO, D>, D::Err> {
        let length = self.shape(CO::SIZE).into_iter().product();
        Ok(self.with(self.convolved(conv, |write| self.device.overwrite(length, |y| write(y)))?))
    }

    /// The same, to a tensor.
    ///
    /// # Errors
    /// The device's.
    pub fn conv_batch_norm_map<CO: ConstDim, KH: ConstDim, KW: ConstDim, T: Inference<D>>(
        &self,
        conv: NormedConv<'_, C, CO, KH, KW, D>,
    ) -> Result<Map<B, H, CO, D, T>, D::Err> {
        let y = self.convolved(conv, |write| self.device.build(self.shape(CO::SIZE), |y| write(y)))?;
        Ok(retype(y.put_tape(T::default())))
    }

    /// Four maps, side by side along the channels.
    ///
    /// # Errors
    /// The device's.
    pub fn concat4<C4: ConstDim>(maps: [Self; 4]) -> Result<Flow<B, H, C4, D>, D::Err> {
        const { assert!(C4::SIZE == 4 * C::SIZE, "concatenation adds the channels") };
        let [shape, others @ ..] = maps.each_ref().map(|m| m.shape(C4::SIZE));
        assert!(others.iter().all(|other| *other == shape), "batches of one size");
        let (device, batch, side) = (maps[0].device.clone(), maps[0].batch, maps[0].side);
        let maps = maps.map(|m| m.numbers);
        let numbers = device.overwrite(shape.into_iter().product(), |y| device.concat4(C::SIZE, &maps, y))?;
        Ok(Flow { numbers, device, batch, side, channels: PhantomData })
    }

    /// The sum of two maps, then a ReLU.
    ///
    /// # Errors
    /// The device's.
    pub fn add_relu<T: Inference<D>>(self, other: Self) -> Result<Map<B, H, C, D, T>, D::Err> {
        let shape = self.shape(C::SIZE);
        assert_eq!(shape, other.shape(C::SIZE), "batches of one size");
        let y: Erased<4, D> = self.device.build(shape, |y| self.device.add_relu(&self.numbers, &other.numbers, y))?;
        Ok(retype(y.put_tape(T::default())))
    }
}

impl<B: Dim, H: Even, C: ConstDim, D: Backend> Flow<B, H, C, D> {
    /// The deep map `(B, H/2, H/2, C)` doubled, behind the skip `(B, H, H, C)`: `(B, H, H, C2)`.
    ///
    /// # Errors
    /// The device's.
    pub fn up2_concat<C2: ConstDim>(skip: Self, deep: Flow<B, H::Half, C, D>) -> Result<Flow<B, H, C2, D>, D::Err> {
        const { assert!(C2::SIZE == 2 * C::SIZE, "concatenation adds the channels") };
        assert_eq!(skip.batch.size(), deep.batch.size(), "batches of one size");
        let (d, shape) = (&skip.device, skip.shape(C2::SIZE));
        let size = JoinSize { batch: shape[0], side: shape[1], skip: C::SIZE, deep: C::SIZE };
        let length = shape.into_iter().product();
        Ok(skip.with(d.overwrite(length, |y| d.up2_concat(size, &skip.numbers, &deep.numbers, y))?))
    }
}
