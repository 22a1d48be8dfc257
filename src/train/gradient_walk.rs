//! Walks over a module's gradients, in dfdx's order of its weights.

use std::marker::PhantomData;

use dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorName, ViewTensorRef,
};
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Gradients, Storage, Tensor};

use super::learner::{LearnError, device_error};
use crate::nn::backend::bound::{Backend, BufferOf, StorageOf};

/// How many numbers an optimiser would change.
///
/// # Errors
/// None; the walk has one.
pub(super) fn numbers_of<D: Backend, M: TensorCollection<f32, D>>(module: &M) -> Result<usize, LearnError> {
    let mut count = Count { numbers: 0, device: PhantomData };
    M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut count })?;
    Ok(count.numbers)
}

/// Moves the gradients of every trainable weight to the host, one after the other in the order of the walk, behind what is in
/// `numbers`; zeros are left.
///
/// # Errors
/// [`LearnError::Device`] when the device fails.
pub fn take_gradients<D: Backend, M: TensorCollection<f32, D>>(
    module: &M,
    gradients: &mut Gradients<f32, D>,
    numbers: &mut Vec<f32>,
) -> Result<(), LearnError> {
    let take = |device: &D, gradient: &mut StorageOf<D>, _| {
        numbers.extend(device.fetch(gradient)?);
        Ok(())
    };
    let mut taker = Taker { gradients, take };
    M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut taker })?;
    Ok(())
}

/// Moves the gradients of every trainable weight out, in the order of the walk, still on the device; zeros are left.
///
/// # Errors
/// [`LearnError::Device`] when the device fails.
pub(super) fn take_buffers<D: Backend, M: TensorCollection<f32, D>>(
    module: &M,
    gradients: &mut Gradients<f32, D>,
) -> Result<Vec<GradientBuffer<D>>, LearnError> {
    let mut buffers = Vec::new();
    let take = |device: &D, gradient: &mut StorageOf<D>, length| {
        buffers.push((length, device.take(gradient)?));
        Ok(())
    };
    let mut taker = Taker { gradients, take };
    M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut taker })?;
    Ok(buffers)
}

/// A weight's gradient, and how many numbers it has.
pub(super) type GradientBuffer<D> = (usize, BufferOf<D>);

/// The walk that counts trainable numbers.
struct Count<D> {
    numbers: usize,
    device: PhantomData<D>,
}

impl<D: Backend> TensorVisitor<f32, D> for Count<D> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = LearnError;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        opts: TensorOptions<S, f32, D>,
        (weight, _): (&Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>, LearnError> {
        if opts.do_gradient_update {
            self.numbers += weight.shape().num_elements();
        }
        Ok(None)
    }
}

/// The walk that moves gradients out: `take` is handed each one, and how many numbers it has.
struct Taker<'a, D: Backend, F> {
    gradients: &'a mut Gradients<f32, D>,
    take: F,
}

impl<D: Backend, F> TensorVisitor<f32, D> for Taker<'_, D, F>
where
    F: FnMut(&D, &mut StorageOf<D>, usize) -> Result<(), D::Err>,
{
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = LearnError;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        opts: TensorOptions<S, f32, D>,
        (weight, _): (&Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>, LearnError> {
        if !opts.do_gradient_update {
            return Ok(None);
        }
        let (device, length) = (weight.device(), weight.shape().num_elements());
        let place = self.gradients.get_or_alloc_mut(weight).map_err(device_error::<D>)?;
        (self.take)(device, place, length).map_err(device_error::<D>)?;
        *place = <D as Storage<f32>>::try_alloc_len(device, length).map_err(device_error::<D>)?;
        Ok(None)
    }
}
