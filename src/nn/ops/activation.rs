//! Feature maps in inference: device buffers instead of tensors, so that nothing is copied between two operations. The
//! operations compute the same functions as those on the tape.

use super::adapted_block::{AdapterRef, BlockWeights, LinearWeights, block_size};
use super::conv_norm::{BatchNormRef, ConvNormRef};
use super::patch_embed::{StemRef, stem_size};
use super::tape::{erase, erase_map, retype};
use super::up2_concat::join_size;
use crate::kernels::adapted_block::{AdaptedBlockKernel, AttentionConfig, BlockBuffers};
use crate::kernels::add_relu::AddReluKernel;
use crate::kernels::concat::ConcatKernel;
use crate::kernels::conv2d::{Conv2dKernel, ConvNormBuffers, ConvNormKernel, ConvSize};
use crate::kernels::device::Device as _;
use crate::kernels::extent::Extent;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::patch_embed::PatchEmbedKernel;
use crate::kernels::precision::Precision;
use crate::kernels::resize::{ResizeKernel, ResizeSize};
use crate::kernels::up2_concat::Up2ConcatKernel;
use crate::nn::backend::bound::{Backend, BufferOf, FrozenOf, KernelError, SliceMutOf};
use crate::nn::backend::tape::Inference;
use crate::nn::shape::{EvenSide, Image, Map, Masks, Side};
use dfdx::prelude::*;
use std::fmt;

/// A map `(B, H, H, C)` in inference: a buffer on a device, no tensor.
pub struct Activation<B: Dim, H: Dim, C: Dim, D: Backend> {
    numbers: BufferOf<D>,
    device: D,
    batch: B,
    side: H,
    channels: C,
}

impl<B: Dim, H: Dim, C: Dim, D: Backend> fmt::Debug for Activation<B, H, C, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Activation").field("shape", &self.shape()).finish_non_exhaustive()
    }
}

impl<B: Dim, S: Side, D: Backend> Activation<B, S, Const<3>, D> {
    /// An image to the trunk's first map, through the frozen stem: `(B, 3, S, S)` to `(B, S/4, S/4, C)`. On the CPU the image is
    /// copied here, as dfdx lends no slice of a tensor: the one map that an inference copies.
    ///
    /// # Panics
    /// When a run-time batch is empty, or a run-time side is not square, no multiple of 32, or below 64.
    ///
    /// # Errors
    /// When the device fails.
    pub fn patch_embed<C: ConstDim, Bg: ConstDim, W: ConstDim, T: Inference<D>>(
        image: Image<B, S, D, T>,
        stem: StemRef<'_, C, Bg, W, D>,
    ) -> Result<Activation<B, S::Quarter, C, D>, D::Err> {
        let (batch, _, side, _) = *image.shape();
        let size = stem_size(image.shape().concrete(), C::SIZE);
        let (image, _) = erase(image).try_contiguous()?.split_tape();
        let device = image.device().clone();
        let length = size.batch * size.image.quarter().area() * C::SIZE;
        let numbers =
            device.run(|k| k.uninit(length, |y| k.patch_embed(size, &device.view(&image), stem.erased(), y)))?;
        let side =
            <S::Quarter as Dim>::from_size(side.size() / 4).unwrap_or_else(|| unreachable!("a quarter of a side"));
        Ok(Activation { numbers, device, batch, side, channels: C::default() })
    }
}

impl<B: Dim, H: Dim, C: Dim, D: Backend> Activation<B, H, C, D> {
    /// The map that a tensor holds; on the CPU a copy of it.
    ///
    /// # Panics
    /// When a run-time batch is empty, or a run-time side is not square.
    ///
    /// # Errors
    /// When the device fails.
    pub fn from_map<T: Inference<D>>(map: Map<B, H, C, D, T>) -> Result<Self, D::Err> {
        let (batch, side, _, channels) = *map.shape();
        let (map, _) = erase_map(map).try_contiguous()?.split_tape();
        Ok(Self { numbers: map.device().view(&map), device: map.device().clone(), batch, side, channels })
    }

    /// The same map as a tensor.
    ///
    /// # Errors
    /// When the device fails.
    pub fn into_map<T: Inference<D>>(self) -> Result<Map<B, H, C, D, T>, D::Err> {
        let shape = self.shape();
        Ok(retype(self.device.tensor_of(self.numbers, shape)?.put_tape(T::default())))
    }

    /// Batch, height, width, channels.
    pub fn shape(&self) -> [usize; 4] {
        [self.batch.size(), self.side.size(), self.side.size(), self.channels.size()]
    }

    fn extent(&self) -> Extent {
        Extent::square(self.side.size())
    }

    /// A new map of this one's batch and side from a kernel, which must write every element.
    fn write<C2: Dim>(
        &self,
        channels: C2,
        write: impl FnOnce(&D::Kernels, SliceMutOf<'_, D>) -> Result<(), KernelError<D>>,
    ) -> Result<Activation<B, H, C2, D>, D::Err> {
        let length = self.batch.size() * self.extent().area() * channels.size();
        let numbers = self.device.run(|k| k.uninit(length, |y| write(k, y)))?;
        Ok(Activation { numbers, device: self.device.clone(), batch: self.batch, side: self.side, channels })
    }

    /// Resizes a head's map `(B, H, H, K)` to masks `(B, K, S, S)` of side `side`, channels first.
    ///
    /// # Errors
    /// When the device fails.
    pub fn resize<S: Side, T: Inference<D>>(&self, side: S) -> Result<Masks<B, S, C, D, T>, D::Err> {
        let ([batch, .., classes], to) = (self.shape(), Extent::square(side.size()));
        let size = ResizeSize { batch, from: self.extent(), to, classes };
        let y = self.device.build([batch, classes, to.height, to.width], |k, y| k.resize(size, &self.numbers, y))?;
        Ok(retype(y.put_tape(T::default())))
    }
}

impl<B: Dim, H: Dim, C: ConstDim, D: Backend> Activation<B, H, C, D> {
    fn block<CO: ConstDim, R: ConstDim, H2: Dim>(
        &self,
        side: H2,
        adapter: AdapterRef<'_, C, R, D>,
        weights: BlockBuffers<FrozenOf<D>>,
        attention: AttentionConfig,
    ) -> Result<Activation<B, H2, CO, D>, D::Err> {
        let d = &self.device;
        let size = block_size(self.shape(), CO::SIZE, R::SIZE, attention, weights.skip.is_some());
        let ((down, down_bias), (up, up_bias)) = (adapter.down, adapter.up);
        let adapter = [d.view(down), d.view(down_bias), d.view(up), d.view(up_bias)];
        let length = size.batch * size.out_map().area() * CO::SIZE;
        let numbers = d.run(|k| {
            k.uninit(length, |y| {
                k.adapted_block(size, &self.numbers, &adapter, &weights, MemoryUse::Small, y).map(drop)
            })
        })?;
        Ok(Activation { numbers, device: d.clone(), batch: self.batch, side, channels: CO::default() })
    }

    /// An adapter, then a block that keeps the map's size: see [`adapted_block`](super::adapted_block::adapted_block).
    ///
    /// # Errors
    /// When the device fails.
    pub fn adapted_block<R: ConstDim>(
        &self,
        adapter: AdapterRef<'_, C, R, D>,
        weights: BlockWeights<'_, C, C, D>,
        attention: AttentionConfig,
    ) -> Result<Self, D::Err> {
        self.block(self.side, adapter, weights.erased(None), attention)
    }

    /// Convolution, batch norm and maybe ReLU, with the running statistics: one convolution of folded weights.
    ///
    /// # Errors
    /// When the device fails.
    pub fn conv_norm<CO: ConstDim, KH: ConstDim, KW: ConstDim>(
        &self,
        conv: ConvNormRef<'_, C, CO, KH, KW, D>,
    ) -> Result<Activation<B, H, CO, D>, D::Err> {
        const { assert!(KH::SIZE % 2 == 1 && KW::SIZE % 2 == 1, "a kernel's sides are odd") };
        let ConvNormRef { weight, norm: BatchNormRef { scale, bias, mean, variance }, folded, options } = conv;
        let size = ConvSize {
            batch: self.batch.size(),
            map: self.extent(),
            channels: C::SIZE,
            out_channels: CO::SIZE,
            kernel: [KH::SIZE, KW::SIZE],
            dilation: options.dilation,
            precision: options.precision,
        };
        let d = &self.device;
        let weights = || ConvNormBuffers {
            weight: d.view(weight),
            scale: d.view(scale),
            bias: d.view(bias),
            mean: d.view(mean),
            variance: d.view(variance),
        };
        self.write(CO::default(), |k, y| k.conv_norm(size, &self.numbers, weights, folded, options.relu, y))
    }

    /// 1x1 convolution with bias, in single precision: weight `(K, C, 1, 1)`, bias `(K,)`.
    ///
    /// # Panics
    /// When weight and bias differ in a run-time number of classes.
    ///
    /// # Errors
    /// When the device fails.
    pub fn conv1x1<K: Dim>(
        &self,
        weight: &Tensor<(K, C, Const<1>, Const<1>), f32, D>,
        bias: &Tensor<(K,), f32, D>,
    ) -> Result<Activation<B, H, K, D>, D::Err> {
        let (d, (classes,)) = (&self.device, *bias.shape());
        assert_eq!(weight.shape().0.size(), classes.size(), "a weight and a bias for each class");
        let size = ConvSize {
            batch: self.batch.size(),
            map: self.extent(),
            channels: C::SIZE,
            out_channels: classes.size(),
            kernel: [1, 1],
            dilation: 1,
            precision: Precision::F32,
        };
        let (weight, bias) = (d.view(weight), d.view(bias));
        self.write(classes, |k, y| k.conv2d(size, &self.numbers, &weight, Some(&bias), false, y))
    }

    /// Concatenates four maps along the channels.
    ///
    /// # Panics
    /// When they differ in a run-time batch or side.
    ///
    /// # Errors
    /// When the device fails.
    pub fn concat4<C4: ConstDim>(maps: [Self; 4]) -> Result<Activation<B, H, C4, D>, D::Err> {
        const { assert!(C4::SIZE == 4 * C::SIZE, "concatenation adds the channels") };
        let shapes = maps.each_ref().map(Self::shape);
        let [shape, ..] = shapes;
        assert!(shapes.iter().all(|s| *s == shape), "four maps to put side by side differ in shape: {shapes:?}");
        let (device, batch, side) = (maps[0].device.clone(), maps[0].batch, maps[0].side);
        let maps = maps.map(|m| m.numbers);
        let length = 4 * shape.into_iter().product::<usize>();
        let numbers = device.run(|k| k.uninit(length, |y| k.concat4(C::SIZE, &maps, y)))?;
        Ok(Activation { numbers, device, batch, side, channels: C4::default() })
    }

    /// The sum of two maps, then a ReLU.
    ///
    /// # Panics
    /// When they differ in a run-time batch or side.
    ///
    /// # Errors
    /// When the device fails.
    pub fn add_relu(&self, other: &Self) -> Result<Self, D::Err> {
        assert_eq!(self.shape(), other.shape(), "two maps to add differ in shape");
        self.write(self.channels, |k, y| k.add_relu(&self.numbers, &other.numbers, y))
    }
}

impl<B: Dim, H: EvenSide, C: ConstDim, D: Backend> Activation<B, H, C, D> {
    /// An adapter, then a block that pools: see [`pooling_block`](super::adapted_block::pooling_block).
    ///
    /// # Panics
    /// When a run-time side or the window's side is odd, or the heads do not divide the channels.
    ///
    /// # Errors
    /// When the device fails.
    #[allow(clippy::type_complexity)]
    pub fn pooling_block<CO: ConstDim, R: ConstDim>(
        &self,
        adapter: AdapterRef<'_, C, R, D>,
        weights: BlockWeights<'_, C, CO, D>,
        skip: LinearWeights<'_, C, CO, D>,
        attention: AttentionConfig,
    ) -> Result<Activation<B, H::Half, CO, D>, D::Err> {
        let half = <H::Half as Dim>::from_size(self.side.size() / 2).unwrap_or_else(|| unreachable!("half a side"));
        self.block(half, adapter, weights.erased(Some(&skip)), attention)
    }

    /// Skip `(B, H, H, C)` and deep map `(B, H/2, H/2, C)`, upsampled and concatenated: `(B, H, H, C2)`.
    ///
    /// # Panics
    /// When the deep map does not have the skip's run-time batch and half its run-time side.
    ///
    /// # Errors
    /// When the device fails.
    pub fn up2_concat<C2: ConstDim>(
        skip: &Self,
        deep: &Activation<B, H::Half, C, D>,
    ) -> Result<Activation<B, H, C2, D>, D::Err> {
        const { assert!(C2::SIZE == 2 * C::SIZE, "concatenation adds the channels") };
        let size = join_size(skip.shape(), deep.shape());
        skip.write(C2::default(), |k, y| k.up2_concat(size, &skip.numbers, &deep.numbers, y))
    }
}
