//! Batches of a session on their way to the host, beside the device's work.

use std::any::Any;
use std::cell::RefCell;
use std::ops::Range;
use std::rc::Rc;

use super::gradient_walk::{GradientBuffer, numbers_of};
use super::learner::{LearnError, device_error};
use crate::kernels::readback::ReadbackKernel;
use crate::nn::backend::bound::{Backend, BufferOf};
use crate::nn::gradient_marks::{GradientMark, with_marks};
use crate::nn::sam2unet::Sam2UNet;
use crate::nn::variant::Variant;

type MarkOf<D> = <<D as Backend>::Kernels as ReadbackKernel>::Mark;
type ReadbackOf<D> = <<D as Backend>::Kernels as ReadbackKernel>::Readback;

/// Where the last backward pass came to each of its marks, for each part of a gradient but the last one.
type Marks<D> = Rc<RefCell<[Option<MarkOf<D>>; 2]>>;

/// Batches on their way to the host. Their gradients come in parts, each as soon as it is final.
pub(super) struct Sent<D: Backend> {
    parts: [Range<usize>; 3],
    marks: Marks<D>,
    /// Made when the first batch is sent.
    under_way: Option<ReadbackOf<D>>,
}

impl<D: Backend> std::fmt::Debug for Sent<D> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sent").field("parts", &self.parts).finish_non_exhaustive()
    }
}

impl<D: Backend> Sent<D> {
    /// No batch.
    ///
    /// # Errors
    /// None; the walks have one.
    pub fn of<V: Variant>(model: &Sam2UNet<V, D, usize>) -> Result<Self, LearnError> {
        let encoder = &model.encoder;
        // the walk goes from the image to the outputs, and a backward pass the other way
        let fine = numbers_of(&encoder.stage1)? + numbers_of(&encoder.stage2)?;
        let (encoder, all) = (numbers_of(encoder)?, numbers_of(model)?);
        Ok(Self { parts: [encoder..all, fine..encoder, 0..fine], marks: Marks::<D>::default(), under_way: None })
    }

    /// Which numbers of a gradient come together, in their order.
    pub fn parts(&self) -> &[Range<usize>] {
        &self.parts
    }

    /// Makes a pass whose gradients are to be sent.
    pub fn marked<R>(&self, device: &D, pass: impl FnOnce() -> R) -> R {
        self.marks.take();
        let (device, marks) = (device.clone(), self.marks.clone());
        let tell = move |place: GradientMark, _: &dyn Any| {
            // a mark that is missing is made later, and fails then
            let mark = device.run(|k| k.mark()).ok();
            marks.borrow_mut()[match place {
                GradientMark::Encoder => 0,
                GradientMark::Fine => 1,
            }] = mark;
        };
        with_marks(Rc::new(tell), pass)
    }

    /// Begins to bring a batch to the host: its gradient, in the order of the walk, and what batch norms saw, of which nothing is
    /// written any more.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    pub fn send(
        &mut self,
        device: &D,
        gradient: Vec<GradientBuffer<D>>,
        statistics: Vec<BufferOf<D>>,
    ) -> Result<(), LearnError> {
        let kernels = device.kernels().map_err(device_error::<D>)?;
        let failed = |error| device_error::<D>(D::error(error));
        let [behind, coarse] = self.marks.take();
        let end = kernels.mark().map_err(failed)?;
        let mut under_way = match self.under_way.take() {
            Some(under_way) => under_way,
            None => kernels.readback().map_err(failed)?,
        };
        let mut in_parts: [Vec<BufferOf<D>>; 3] = Default::default();
        let mut place = 0;
        for (length, buffer) in gradient {
            let part = self.parts.iter().position(|part| part.contains(&place)).unwrap_or(self.parts.len() - 1);
            in_parts[part].push(buffer);
            place += length;
        }
        // the forward pass, which made the statistics, is over at any of the marks
        let marks = [&behind, &behind, &coarse, &None].map(|mark| mark.as_ref().unwrap_or(&end));
        for (from, mark) in std::iter::once(statistics).chain(in_parts).zip(marks) {
            // dropped where it fails, with all that is under way
            kernels.begin_readback(&mut under_way, from, mark).map_err(failed)?;
        }
        self.under_way = Some(under_way);
        Ok(())
    }

    /// Waits for the next of what was sent: a batch's statistics, then the parts of its gradient.
    ///
    /// # Errors
    /// When the device is lost, or nothing was sent.
    pub fn receive(&mut self, device: &D, numbers: &mut Vec<f32>) -> Result<(), LearnError> {
        let Some(under_way) = &mut self.under_way else {
            return Err(LearnError::Batch("no batch was sent since the last one was received".into()));
        };
        device.run(|k| k.end_readback(under_way, numbers)).map_err(device_error::<D>)
    }

    /// Forgets all that is on its way.
    pub fn forget(&mut self) {
        self.marks.take();
        self.under_way = None;
    }
}

#[cfg(test)]
mod tests {
    use super::super::gradient_walk::take_gradients;
    use super::*;
    use crate::nn::losses::table::Loss;
    use crate::nn::shape::Image;
    use crate::nn::targets::Targets;
    use crate::nn::variant::Tiny;
    use crate::nn::weights::initialiser::Initialiser;
    use dfdx::nn::ModuleMut;
    use dfdx::prelude::*;

    /// A copy that begins earlier would bring other numbers: no stand-in for a GPU finds it, as its work is never behind the host's.
    #[test]
    fn a_part_is_final_at_its_mark_and_the_next_one_is_not() {
        let (device, side) = (Cpu::default(), 64);
        let mut model: Sam2UNet<Tiny, Cpu, usize> = Sam2UNet::from_source(&device, &mut Initialiser::new(1)).unwrap();
        let parts = Sent::of(&model).unwrap().parts;
        let told = Rc::new(RefCell::new(Vec::new()));
        let (copy, to) = (model.clone(), told.clone());
        let tell = move |place: GradientMark, gradients: &dyn Any| {
            let mut gradients = gradients.downcast_ref::<Gradients<f32, Cpu>>().unwrap().clone();
            let mut numbers = Vec::new();
            take_gradients(&copy, &mut gradients, &mut numbers).unwrap();
            to.borrow_mut().push((place, numbers));
        };
        let x: Image<usize, usize, Cpu> = device.sample_normal_like(&(1, Const, side, side));
        let masks = device.try_zeros_like(&(1, 1, side, side)).unwrap();
        let gradients = model.alloc_grads();
        let outputs = with_marks(Rc::new(tell), || model.try_forward_mut(x.traced(gradients)).unwrap());
        let mut gradients = outputs.loss(Targets::from(&masks), Loss::Paper).unwrap().backward();
        let mut last = Vec::new();
        take_gradients(&model, &mut gradients, &mut last).unwrap();
        let told = told.take();
        assert_eq!(
            told.iter().map(|(place, _)| *place).collect::<Vec<_>>(),
            [GradientMark::Encoder, GradientMark::Fine]
        );
        for (at, (place, numbers)) in told.iter().enumerate() {
            for (part, range) in parts.iter().enumerate() {
                let is_final = numbers[range.clone()] == last[range.clone()];
                assert_eq!(is_final, part <= at, "part {part} at {place:?}");
            }
        }
    }
}
