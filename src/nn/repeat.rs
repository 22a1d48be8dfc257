//! `N` modules of one type, one after another.

use super::weights::{Value, WeightSpec};
use super::{Backend, BuildError, Builder, Path, Weights};
use dfdx::nn::{Module, ModuleVisitor, NonMutableModule, TensorCollection};
use dfdx::prelude::*;
use std::{convert::Infallible, marker::PhantomData};

/// `N` modules, each applied to what the one before gives; published under the numbers from `FIRST`
/// on. Both are types, so that a [`Variant`](super::Variant) can name them (and since dfdx's
/// `iter_tensors` has no `self` to ask for a length).
#[derive(Clone, Debug)]
pub struct Repeat<M, N: ConstDim, FIRST: ConstDim = Const<0>> {
    modules: Vec<M>,
    count: PhantomData<(N, FIRST)>,
}

impl<M, N: ConstDim, FIRST: ConstDim> Repeat<M, N, FIRST> {
    fn numbers() -> std::ops::Range<usize> {
        FIRST::SIZE..FIRST::SIZE + N::SIZE
    }
}

impl<M, N: ConstDim, FIRST: ConstDim> std::ops::Deref for Repeat<M, N, FIRST> {
    type Target = [M];
    fn deref(&self) -> &[M] {
        &self.modules
    }
}

impl<M, N: ConstDim, FIRST: ConstDim> std::ops::DerefMut for Repeat<M, N, FIRST> {
    fn deref_mut(&mut self) -> &mut [M] {
        &mut self.modules
    }
}

impl<M: NonMutableModule, N: ConstDim, FIRST: ConstDim> NonMutableModule for Repeat<M, N, FIRST> {}

impl<X, M: Module<X, Output = X>, N: ConstDim, FIRST: ConstDim> Module<X> for Repeat<M, N, FIRST> {
    type Output = X;
    type Error = M::Error;
    fn try_forward(&self, x: X) -> Result<X, M::Error> {
        self.modules.iter().try_fold(x, |x, m| m.try_forward(x))
    }
}

impl<M: Weights<D>, N: ConstDim, FIRST: ConstDim, D: Backend> TensorCollection<f32, D> for Repeat<M, N, FIRST> {
    type To<E2: Dtype, D2: Device<E2>> = Infallible;
    fn iter_tensors<W: ModuleVisitor<Self, f32, D>>(walk: &mut W) -> Result<Option<Infallible>, W::Err> {
        Self::visit(walk, "", |s| s, |s| s)?;
        Ok(None)
    }
}

impl<M: Weights<D>, N: ConstDim, FIRST: ConstDim, D: Backend> Weights<D> for Repeat<M, N, FIRST> {
    fn specs(path: &Path, list: &mut Vec<WeightSpec>) {
        for number in Self::numbers() {
            M::specs(&path.join(number), list);
        }
    }
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError> {
        let modules = Self::numbers().map(|number| M::build(from, &path.join(number)));
        Ok(Self { modules: modules.collect::<Result<_, _>>()?, count: PhantomData })
    }
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value)) {
        for (number, module) in Self::numbers().zip(&self.modules) {
            module.each(&path.join(number), f);
        }
    }
    // The modules are shown as fields of `P` itself, so that dfdx's names are the published ones.
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
        let path = Path::root().join(name);
        for (i, number) in Self::numbers().enumerate() {
            M::visit(walk, path.join(number).name(), |p| &get(p).modules[i], |p| &mut get_mut(p).modules[i])?;
        }
        Ok(())
    }
}
