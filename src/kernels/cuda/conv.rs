//! Convolutions over maps with "same" padding, any odd kernel and dilation, as matrix products: the inputs of a kernel's
//! taps are laid out in rows, a slice of the pixels at a time. A 1x1 convolution lays out nothing.

use super::buffer::{Buffer, Operand, Scratch};
use super::columns::add_column_sums;
use super::error::GpuError;
use super::gpu::{Gpu, supported};
use super::linear::{Rounded, linear, linear_backward, rounded, weight_gradient};
use super::ptx::{Kernels, args, kernels, writing};
use super::rows::{Epilogue, bias_epilogue, over_rows, relu};
use super::view::{OperandSlice, Slice, SliceMut};
use crate::kernels::batch_norm::EPSILON;
use crate::kernels::conv2d::{Conv2dKernel, ConvNormBuffers, ConvNormKernel, ConvSize};
use crate::kernels::extent::Extent;

const CONV: Kernels = kernels!("conv");
/// Numbers laid out at once, at most.
const COLUMN_NUMBERS: usize = 1 << 24;

impl Conv2dKernel for Gpu {
    fn conv2d(
        &self,
        size: ConvSize,
        x: &Buffer,
        weight: &Buffer,
        bias: Option<&Buffer>,
        relu: bool,
        y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        Conv::new(self, size).forward(x.into(), weight.into(), bias.map(Slice::from), relu, y)
    }

    fn conv2d_backward(
        &self,
        size: ConvSize,
        x: &Buffer,
        weight: &Buffer,
        relu: Option<&Buffer>,
        gy: &Buffer,
        gradients: (SliceMut<'_>, SliceMut<'_>, Option<SliceMut<'_>>),
    ) -> Result<(), GpuError> {
        Conv::new(self, size).backward(x.into(), weight.into(), relu.map(Slice::from), gy.into(), gradients)
    }
}

impl ConvNormKernel for Gpu {
    /// Nothing is kept: a kernel folds in each prediction.
    type Folded = ();

    fn conv_norm(
        &self,
        size: ConvSize,
        x: &Buffer,
        weights: impl FnOnce() -> ConvNormBuffers<Buffer>,
        _folded: Option<&()>,
        relu: bool,
        y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let ConvNormBuffers { weight, scale, bias, mean, variance } = weights();
        let norm = [&scale, &bias, &mean, &variance].map(Slice::from);
        Conv::new(self, size).forward_normed(x.into(), (&weight).into(), norm, relu, y)
    }
}

/// One convolution.
pub struct Conv<'a> {
    gpu: &'a Gpu,
    size: ConvSize,
}

impl<'a> Conv<'a> {
    /// In single precision where the card does not multiply in another.
    pub fn new(gpu: &'a Gpu, size: ConvSize) -> Self {
        let precision = supported(gpu.device(), size.precision);
        Self { gpu, size: ConvSize { precision, ..size } }
    }

    fn taps(&self) -> usize {
        self.size.kernel[0] * self.size.kernel[1]
    }

    fn pixels(&self) -> usize {
        self.size.batch * self.size.map.area()
    }

    /// First pixel and number of pixels of each slice, for rows of `c` numbers a tap.
    fn slices(&self, c: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let (pixels, each) = (self.pixels(), (COLUMN_NUMBERS / (self.taps() * c)).max(1));
        (0..pixels).step_by(each).map(move |first| (first, each.min(pixels - first)))
    }

    /// What each tap reads of `x`, rows of `c` numbers, for some pixels: `(count, taps, c)`. `sign` -1 turns the kernel
    /// around.
    fn gather(&self, x: Slice<'_>, c: usize, (first, count): (usize, usize), sign: i32) -> Result<Operand, GpuError> {
        assert_eq!(x.len(), self.pixels() * c);
        let rows = count * self.taps();
        let columns = self.gpu.operand(rows * c, self.size.precision)?;
        let ([kh, kw], Extent { height, width }) = (self.size.kernel, self.size.map);
        let [height, width, c, kh, kw, dilation] = [height, width, c, kh, kw, self.size.dilation].map(|n| n as i32);
        let args = args![first, count, height, width, c, kh, kw, dilation, sign, x, &columns];
        let kernel = writing(self.size.precision, ["conv_gather", "conv_gather_bf16"]);
        // SAFETY: `x` has a row of `c` numbers for each pixel, `columns` one for each tap of `count` pixels, stored as the
        // kernel writes them.
        unsafe { over_rows(self.gpu, rows, CONV, kernel, args) }?;
        Ok(columns)
    }

    /// The published weight `(co, c, taps)` in another order.
    fn ordered(&self, kernels: [&'static str; 2], weight: Slice<'_>) -> Result<Operand, GpuError> {
        let [co, c, taps] = [self.size.out_channels, self.size.channels, self.taps()];
        assert_eq!(weight.len(), co * c * taps);
        let out = self.gpu.operand(weight.len(), self.size.precision)?;
        let args = args![co as i32, c as i32, taps as i32, weight, &out];
        let kernel = writing(self.size.precision, kernels);
        // SAFETY: both have a number for each output, input and tap, `out` as the kernel writes it.
        unsafe { self.gpu.launch_over(weight.len(), CONV, kernel, args) }?;
        Ok(out)
    }

    fn rounded<'p>(&self, x: Slice<'p>) -> Result<Rounded<'p>, GpuError> {
        rounded(self.gpu, x, self.size.precision)
    }

    /// `y = conv(x, weight) + bias`, then a ReLU if asked for.
    pub fn forward(
        &self,
        x: Slice<'_>,
        weight: Slice<'_>,
        bias: Option<Slice<'_>>,
        rectify: bool,
        mut y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        if self.taps() == 1 {
            self.products(x, (&self.rounded(weight)?).into(), y.reborrow())?;
        } else {
            let weight = self.ordered(["conv_weight_by_tap", "conv_weight_by_tap_bf16"], weight)?;
            self.products(x, (&weight).into(), y.reborrow())?;
        }
        match (bias, rectify) {
            (Some(bias), true) => bias_epilogue(self.gpu, y, bias, Epilogue::Relu),
            (Some(bias), false) => bias_epilogue(self.gpu, y, bias, Epilogue::None),
            (None, true) => relu(self.gpu, y, self.size.out_channels),
            (None, false) => Ok(()),
        }
    }

    /// The same followed by a batch norm (scale, bias, running mean and variance), in inference.
    pub fn forward_normed(
        &self,
        x: Slice<'_>,
        weight: Slice<'_>,
        norm: [Slice<'_>; 4],
        rectify: bool,
        mut y: SliceMut<'_>,
    ) -> Result<(), GpuError> {
        let [co, c, taps] = [self.size.out_channels, self.size.channels, self.taps()];
        assert!(weight.len() == co * c * taps && norm.iter().all(|part| part.len() == co));
        let (folded, bias) = (self.gpu.operand(weight.len(), self.size.precision)?, self.gpu.scratch(co)?);
        let [scale, shift, mean, variance] = norm;
        let [out, inputs, each] = [co, c, taps].map(|n| n as i32);
        let args = args![out, inputs, each, EPSILON as f32, weight, scale, shift, mean, variance, &folded, &bias];
        let kernel = writing(self.size.precision, ["conv_fold", "conv_fold_bf16"]);
        // SAFETY: both weights have a number for each output, input and tap, the folded one as the kernel writes it; bias and
        // norm have one for each output.
        unsafe { self.gpu.launch_over(weight.len(), CONV, kernel, args) }?;
        self.products(x, (&folded).into(), y.reborrow())?;
        bias_epilogue(self.gpu, y, (&bias).into(), if rectify { Epilogue::Relu } else { Epilogue::None })
    }

    /// `y = conv(x, weight)`, of a weight `(co, taps, c)`.
    fn products(&self, x: Slice<'_>, weight: OperandSlice<'_>, mut y: SliceMut<'_>) -> Result<(), GpuError> {
        let (c, co, taps) = (self.size.channels, self.size.out_channels, self.taps());
        if taps == 1 {
            return linear(self.gpu, [self.pixels(), c, co], (&self.rounded(x)?).into(), weight, 0.0, y);
        }
        for (first, count) in self.slices(c) {
            let columns = self.gather(x, c, (first, count), 1)?;
            let y = y.at(first * co, count * co);
            linear(self.gpu, [count, taps * c, co], (&columns).into(), weight, 0.0, y)?;
        }
        Ok(())
    }

    /// Adds to the gradients of input, weight and bias. `rectified` is the output, if a ReLU followed.
    pub fn backward(
        &self,
        x: Slice<'_>,
        weight: Slice<'_>,
        rectified: Option<Slice<'_>>,
        gy: Slice<'_>,
        (gx, gw, gb): (SliceMut<'_>, SliceMut<'_>, Option<SliceMut<'_>>),
    ) -> Result<(), GpuError> {
        let masked;
        let gy = match rectified {
            Some(y) => {
                masked = self.relu_backward(y, gy)?;
                Slice::from(&masked)
            }
            None => gy,
        };
        self.input_gradient(weight, gy, gx)?;
        self.weight_gradient(x, gy, gw)?;
        match gb {
            Some(gb) => add_column_sums(self.gpu, gy, gb),
            None => Ok(()),
        }
    }

    fn relu_backward(&self, y: Slice<'_>, gy: Slice<'_>) -> Result<Scratch, GpuError> {
        let n = gy.len();
        assert_eq!(y.len(), n);
        let masked = self.gpu.scratch(n)?;
        // SAFETY: each of the three has `n` numbers.
        unsafe { self.gpu.launch_over(n, CONV, "conv_relu_backward", args![n, y, gy, &masked]) }?;
        Ok(masked)
    }

    fn input_gradient(&self, weight: Slice<'_>, gy: Slice<'_>, mut gx: SliceMut<'_>) -> Result<(), GpuError> {
        let (c, co, taps) = (self.size.channels, self.size.out_channels, self.taps());
        if taps == 1 {
            let [gy, weight] = [self.rounded(gy)?, self.rounded(weight)?];
            return linear_backward(self.gpu, [self.pixels(), c, co], (&gy).into(), (&weight).into(), 1.0, gx);
        }
        let weight = self.ordered(["conv_weight_by_input", "conv_weight_by_input_bf16"], weight)?;
        for (first, count) in self.slices(co) {
            let columns = self.gather(gy, co, (first, count), -1)?;
            let gx = gx.at(first * c, count * c);
            linear(self.gpu, [count, taps * co, c], (&columns).into(), (&weight).into(), 1.0, gx)?;
        }
        Ok(())
    }

    fn weight_gradient(&self, x: Slice<'_>, gy: Slice<'_>, gw: SliceMut<'_>) -> Result<(), GpuError> {
        let (c, co, taps) = (self.size.channels, self.size.out_channels, self.taps());
        if taps == 1 {
            let [x, gy] = [self.rounded(x)?, self.rounded(gy)?];
            return weight_gradient(self.gpu, [self.pixels(), c, co], (&x).into(), (&gy).into(), 1.0, gw);
        }
        assert_eq!(gw.len(), co * taps * c);
        let mut by_tap = self.gpu.scratch(gw.len())?;
        for (first, count) in self.slices(c) {
            let columns = self.gather(x, c, (first, count), 1)?;
            let gy = self.rounded(gy.at(first * co, count * co))?;
            let (beta, extents) = (if first == 0 { 0.0 } else { 1.0 }, [count, taps * c, co]);
            weight_gradient(self.gpu, extents, (&columns).into(), (&gy).into(), beta, (&mut by_tap).into())?;
        }
        let args = args![co as i32, c as i32, taps as i32, &by_tap, &gw];
        // SAFETY: both have a number for each output, input and tap.
        unsafe { self.gpu.launch_over(gw.len(), CONV, "conv_add_weight_gradient", args) }
    }
}
