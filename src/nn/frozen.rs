//! What a weight is to training, as a type: [`Param`], [`Statistic`], [`Counter`], [`Frozen`],
//! [`Unused`].

use super::weights::{Role, Value, WeightSpec};
use super::{Backend, BuildError, Builder, Path, Weights};
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

/// A weight of the frozen trunk: typed by its shape, stored by the backend as it likes, and no dfdx
/// `Tensor`: it has no id, so the tape cannot know it and no gradient of it can exist.
#[derive(Clone, Debug)]
pub struct Frozen<S: ConstShape, D: Backend> {
    data: D::Frozen,
    device: D,
    shape: PhantomData<S>,
}

impl<S: ConstShape, D: Backend> Frozen<S, D> {
    /// The backend's storage.
    pub fn data(&self) -> &D::Frozen {
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
    WeightSpec { name: path.name().to_string(), shape: S::default().concrete().into_iter().collect(), role }
}

fn tensor<S: ConstShape, D: Backend>(
    from: &mut Builder<'_, D>,
    spec: &WeightSpec,
) -> Result<Tensor<S, f32, D>, BuildError> {
    let numbers = from.real(spec)?;
    from.device().try_tensor_from_vec(numbers, S::default()).map_err(|e| BuildError::device::<D>(spec, &e))
}

fn numbers<S: ConstShape, D: Backend>(tensor: &Tensor<S, f32, D>) -> Value {
    let mut numbers = vec![0.0; S::NUMEL];
    // `copy_into` ignores strides; a weight is contiguous, as nothing permutes or broadcasts it
    tensor.copy_into(&mut numbers);
    Value::Real(numbers)
}

impl<S: ConstShape, D: Backend> Weights<D> for Tensor<S, f32, D> {
    fn specs(path: &Path, list: &mut Vec<WeightSpec>) {
        list.push(spec::<S>(path, Role::Trainable));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        tensor(from, &spec::<S>(path, Role::Trainable))
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
    fn specs(path: &Path, list: &mut Vec<WeightSpec>) {
        list.push(spec::<S>(path, Role::Statistic));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        tensor(from, &spec::<S>(path, Role::Statistic)).map(Self)
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

/// dfdx walks past what is no tensor.
macro_rules! unseen {
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
    fn specs(path: &Path, list: &mut Vec<WeightSpec>) {
        list.push(spec::<S>(path, Role::Frozen));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        let spec = spec::<S>(path, Role::Frozen);
        Ok(Self { data: from.frozen(&spec)?, device: from.device().clone(), shape: PhantomData })
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        // dfdx's own reading of a tensor panics too when the device is lost
        let numbers = self.device.thaw(&self.data);
        let numbers = numbers.unwrap_or_else(|e| panic!("{}: {e}", path.name()));
        f(spec::<S>(path, Role::Frozen), Value::Real(numbers));
    }
    unseen!();
}

impl<D: Backend> Weights<D> for Counter {
    fn specs(path: &Path, list: &mut Vec<WeightSpec>) {
        list.push(spec::<()>(path, Role::Counter));
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        from.count(&spec::<()>(path, Role::Counter)).map(Self)
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        f(spec::<()>(path, Role::Counter), Value::Count(self.0));
    }
    unseen!();
}

impl<M: Weights<D>, D: Backend> Weights<D> for Unused<M> {
    fn specs(path: &Path, list: &mut Vec<WeightSpec>) {
        let start = list.len();
        M::specs(path, list);
        list[start..].iter_mut().filter(|s| s.role != Role::Counter).for_each(|s| s.role = Role::Unused);
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        let mut specs = Vec::new();
        <Self as Weights<D>>::specs(path, &mut specs);
        let values = specs.into_iter().map(|spec| match spec.role {
            Role::Counter => from.count(&spec).map(Value::Count),
            _ => from.real(&spec).map(Value::Real),
        });
        Ok(Self { values: values.collect::<Result<_, _>>()?, module: PhantomData })
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        let mut specs = Vec::new();
        <Self as Weights<D>>::specs(path, &mut specs);
        for (spec, value) in specs.into_iter().zip(&self.values) {
            f(spec, value.clone());
        }
    }
    unseen!();
}
