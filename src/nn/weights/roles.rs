//! A weight's role in training as its type: [`Param`], [`Statistic`], [`Counter`], [`Frozen`],
//! [`Unused`], [`PerClass`].

use super::build::{BuildError, Builder, Weights};
use super::path::Path;
use super::spec::{Role, SpecList, Value, WeightSpec};
use crate::kernels::device::Device as _;
use crate::kernels::precision::Precision;
use crate::nn::backend::bound::{Backend, FrozenOf};
use crate::nn::shape::Classes;
use dfdx::nn::{ModuleVisitor, TensorCollection, TensorOptions};
use dfdx::prelude::*;
use std::marker::PhantomData;

/// A trainable weight: a dfdx tensor.
pub type Param<S, D> = Tensor<S, f32, D>;

/// A running statistic: a dfdx tensor that no optimiser touches.
#[derive(Clone, Debug)]
pub struct Statistic<S: ConstShape, D: Backend>(pub Tensor<S, f32, D>);

/// A running count of batches: no tensor at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(pub i64);

/// A trainable weight of an output with one part for each class, of shape `S`: the only kind of weight whose shape may be known
/// at run time only, as the number of classes may.
#[derive(Clone, Debug)]
pub struct PerClass<S: PerClassShape, D: Backend>(Tensor<S::Stored, f32, D>);

/// The shape of a weight with one part for each class.
pub trait PerClassShape: Shape {
    /// How many classes it is for.
    type Classes: Classes;
    /// The same shape as a constant shape, which dfdx needs.
    type Stored: ConstShape<Concrete = Self::Concrete>;
    /// The shape for this number of classes.
    fn with(classes: Self::Classes) -> Self::Stored;
}

/// A number of classes that dfdx treats as a constant. dfdx makes the options that its walk over weights hands out for constant
/// shapes only, but reads the size of a tensor from its shape's value, never from its type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClassCount<K: Classes>(Option<K>);

impl<K: Classes> Default for ClassCount<K> {
    fn default() -> Self {
        Self(K::FIXED.and_then(K::of))
    }
}

impl<K: Classes> Dim for ClassCount<K> {
    fn size(&self) -> usize {
        self.0.map_or(0, |classes| classes.size())
    }
    fn from_size(size: usize) -> Option<Self> {
        K::of(size).map(|classes| Self(Some(classes)))
    }
}

impl<K: Classes> ConstDim for ClassCount<K> {
    /// 0 where the type does not say it.
    const SIZE: usize = match K::FIXED {
        Some(classes) => classes,
        None => 0,
    };
}

impl<K: Classes> PerClassShape for (K,) {
    type Classes = K;
    type Stored = (ClassCount<K>,);
    fn with(classes: K) -> Self::Stored {
        (ClassCount(Some(classes)),)
    }
}

impl<K: Classes, C: ConstDim> PerClassShape for (K, C, Const<1>, Const<1>) {
    type Classes = K;
    type Stored = (ClassCount<K>, C, Const<1>, Const<1>);
    fn with(classes: K) -> Self::Stored {
        (ClassCount(Some(classes)), C::default(), Const, Const)
    }
}

impl<S: PerClassShape, D: Backend> PerClass<S, D> {
    /// How many numbers it holds.
    #[allow(clippy::len_without_is_empty)]
    pub fn len(&self) -> usize {
        self.0.shape().num_elements()
    }

    /// The device that it is on.
    pub fn device(&self) -> &D {
        self.0.device()
    }

    /// The tensor itself: the same one to the tape, in its own shape.
    pub fn tensor(&self) -> Tensor<S, f32, D> {
        let same = self.0.clone().try_realize();
        same.unwrap_or_else(|_| unreachable!("the two shapes have the same sizes"))
    }
}

/// The shape for the number of classes that the type says or, where it leaves that open, for `count`.
fn for_classes<S: PerClassShape>(count: usize) -> Option<S::Stored> {
    S::Classes::of(S::Classes::FIXED.unwrap_or(count)).map(S::with)
}

/// A weight of the frozen trunk: typed by its shape, stored by the backend as it likes, and no dfdx
/// `Tensor`: it has no id, so the tape cannot know it and no gradient of it can exist.
#[derive(Clone, Debug)]
pub struct Frozen<S: ConstShape, D: Backend> {
    data: FrozenOf<D>,
    device: D,
    shape: PhantomData<S>,
}

impl<S: ConstShape, D: Backend> Frozen<S, D> {
    /// A weight of these row-major numbers, as many as the shape says. One of two dimensions is a linear layer's `(out, in)`,
    /// held in `precision`.
    ///
    /// # Panics
    /// When there are more or fewer numbers.
    ///
    /// # Errors
    /// When the device is out of memory or lost.
    pub fn new(device: &D, numbers: Vec<f32>, precision: Precision) -> Result<Self, D::Err> {
        let shape: Vec<usize> = S::default().concrete().into_iter().collect();
        assert_eq!(numbers.len(), S::NUMEL, "a frozen weight of shape {shape:?}");
        let data = device.run(|k| k.freeze(numbers, &shape, precision))?;
        Ok(Self { data, device: device.clone(), shape: PhantomData })
    }

    /// The backend's storage.
    pub fn data(&self) -> &FrozenOf<D> {
        &self.data
    }
}

/// A module that files hold and the network never runs: kept as plain numbers, so that a file comes
/// out as it went in. Its numbers have the role [`Role::Unused`].
#[derive(Clone, Debug)]
pub struct Unused<M> {
    values: Vec<Value>,
    module: PhantomData<fn() -> M>,
}

fn spec<S: ConstShape>(path: &Path, role: Role) -> WeightSpec {
    spec_of(path, S::default(), role)
}

fn spec_of<S: Shape>(path: &Path, shape: S, role: Role) -> WeightSpec {
    WeightSpec { name: path.name().to_string(), shape: shape.concrete().into_iter().collect(), role }
}

fn tensor<S: Shape, D: Backend>(
    from: &mut Builder<'_, D>,
    spec: &WeightSpec,
    shape: S,
) -> Result<Tensor<S, f32, D>, BuildError> {
    let numbers = from.real(spec)?;
    from.device().try_tensor_from_vec(numbers, shape).map_err(|e| BuildError::device::<D>(spec, &e))
}

fn numbers<S: Shape, D: Backend>(tensor: &Tensor<S, f32, D>) -> Value {
    let mut numbers = vec![0.0; tensor.shape().num_elements()];
    // `copy_into` ignores strides; a weight is contiguous, as nothing permutes or broadcasts it
    tensor.copy_into(&mut numbers);
    Value::Real(numbers)
}

impl<S: ConstShape, D: Backend> Weights<D> for Tensor<S, f32, D> {
    fn specs(path: &Path, list: &mut SpecList) {
        list.push(spec::<S>(path, Role::Trainable));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        tensor(from, &spec::<S>(path, Role::Trainable), S::default())
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        f(spec::<S>(path, Role::Trainable), numbers(self));
    }
    fn visit<P, W>(
        walk: &mut W,
        name: &str,
        get: impl FnMut(&P) -> &Self,
        get_mut: impl FnMut(&mut P) -> &mut Self,
    ) -> Result<(), W::Err>
    where
        P: TensorCollection<f32, D>,
        W: ModuleVisitor<P, f32, D>,
    {
        // where a reset leaves it is the initialisation's business, not dfdx's
        let options = TensorOptions::reset_with(|_| Ok(()));
        walk.visit_tensor(name, get, get_mut, options).map(|_| ())
    }
}

impl<S: ConstShape, D: Backend> Weights<D> for Statistic<S, D> {
    fn specs(path: &Path, list: &mut SpecList) {
        list.push(spec::<S>(path, Role::Statistic));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        tensor(from, &spec::<S>(path, Role::Statistic), S::default()).map(Self)
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        f(spec::<S>(path, Role::Statistic), numbers(&self.0));
    }
    fn visit<P, W>(
        walk: &mut W,
        name: &str,
        mut get: impl FnMut(&P) -> &Self,
        mut get_mut: impl FnMut(&mut P) -> &mut Self,
    ) -> Result<(), W::Err>
    where
        P: TensorCollection<f32, D>,
        W: ModuleVisitor<P, f32, D>,
    {
        let options = TensorOptions::detached(|_| Ok(()));
        walk.visit_tensor(name, |p| &get(p).0, |p| &mut get_mut(p).0, options).map(|_| ())
    }
}

impl<S: PerClassShape, D: Backend> Weights<D> for PerClass<S, D> {
    fn specs(path: &Path, list: &mut SpecList) {
        let shape = for_classes::<S>(list.classes).unwrap_or_else(|| panic!("a model must have a class"));
        list.push(spec_of(path, shape, Role::Trainable));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        let classes = || BuildError::Classes { given: from.classes(), fixed: S::Classes::FIXED };
        let shape = for_classes::<S>(from.classes()).ok_or_else(classes)?;
        tensor(from, &spec_of(path, shape, Role::Trainable), shape).map(Self)
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        f(spec_of(path, *self.0.shape(), Role::Trainable), numbers(&self.0));
    }
    fn visit<P, W>(
        walk: &mut W,
        name: &str,
        mut get: impl FnMut(&P) -> &Self,
        mut get_mut: impl FnMut(&mut P) -> &mut Self,
    ) -> Result<(), W::Err>
    where
        P: TensorCollection<f32, D>,
        W: ModuleVisitor<P, f32, D>,
    {
        let options = TensorOptions::reset_with(|_| Ok(()));
        walk.visit_tensor(name, |p| &get(p).0, |p| &mut get_mut(p).0, options).map(|_| ())
    }
}

/// dfdx skips what is no tensor.
macro_rules! not_a_tensor {
    () => {
        fn visit<P, W>(
            _: &mut W,
            _: &str,
            _: impl FnMut(&P) -> &Self,
            _: impl FnMut(&mut P) -> &mut Self,
        ) -> Result<(), W::Err>
        where
            P: TensorCollection<f32, D>,
            W: ModuleVisitor<P, f32, D>,
        {
            Ok(())
        }
    };
}

impl<S: ConstShape, D: Backend> Weights<D> for Frozen<S, D> {
    fn specs(path: &Path, list: &mut SpecList) {
        list.push(spec::<S>(path, Role::Frozen));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        let spec = spec::<S>(path, Role::Frozen);
        Ok(Self { data: from.frozen(&spec)?, device: from.device().clone(), shape: PhantomData })
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        // dfdx's own reading of a tensor panics too when the device is lost
        let numbers = self.device.run(|k| k.thaw(&self.data));
        let numbers = numbers.unwrap_or_else(|e| panic!("{}: {e}", path.name()));
        f(spec::<S>(path, Role::Frozen), Value::Real(numbers));
    }
    not_a_tensor!();
}

impl<D: Backend> Weights<D> for Counter {
    fn specs(path: &Path, list: &mut SpecList) {
        list.push(spec::<()>(path, Role::Counter));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        from.count(&spec::<()>(path, Role::Counter)).map(Self)
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        f(spec::<()>(path, Role::Counter), Value::Count(self.0));
    }
    not_a_tensor!();
}

impl<M: Weights<D>, D: Backend> Weights<D> for Unused<M> {
    fn specs(path: &Path, list: &mut SpecList) {
        let start = list.specs.len();
        M::specs(path, list);
        list.specs[start..].iter_mut().filter(|s| s.role != Role::Counter).for_each(|s| s.role = Role::Unused);
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        let mut list = SpecList::new(from.classes());
        <Self as Weights<D>>::specs(path, &mut list);
        let values = list.specs.into_iter().map(|spec| match spec.role {
            Role::Counter => from.count(&spec).map(Value::Count),
            _ => from.real(&spec).map(Value::Real),
        });
        Ok(Self { values: values.collect::<Result<_, _>>()?, module: PhantomData })
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        // no module that is never run has a class
        let mut list = SpecList::new(1);
        <Self as Weights<D>>::specs(path, &mut list);
        for (spec, value) in list.specs.into_iter().zip(&self.values) {
            f(spec, value.clone());
        }
    }
    not_a_tensor!();
}
