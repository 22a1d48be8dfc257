//! `N` modules of one type, applied sequentially.

use crate::nn::backend::bound::Backend;
use crate::nn::backend::tape::Training;
use crate::nn::ops::activation::Activation;
use crate::nn::shape::Map;
use crate::nn::weights::build::{BuildError, Builder, Weights};
use crate::nn::weights::path::Path;
use crate::nn::weights::running::EachNorm;
use crate::nn::weights::spec::{SpecList, Value, WeightSpec};
use dfdx::nn::{Module, ModuleMut, ModuleVisitor, TensorCollection};
use dfdx::prelude::*;
use std::{convert::Infallible, marker::PhantomData};

/// `N` modules, each applied to what the one before gives; published under the numbers from `FIRST`
/// on. Both are types, so that a [`Variant`](crate::nn::variant::Variant) can name them (and since dfdx's
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

impl<B, H, C, D, M, N, FIRST> Module<Activation<B, H, C, D>> for Repeat<M, N, FIRST>
where
    B: Dim,
    H: Dim,
    C: ConstDim,
    D: Backend,
    M: for<'x> Module<&'x Activation<B, H, C, D>, Output = Activation<B, H, C, D>, Error = D::Err>,
    N: ConstDim,
    FIRST: ConstDim,
{
    type Output = Activation<B, H, C, D>;
    type Error = D::Err;
    fn try_forward(&self, x: Activation<B, H, C, D>) -> Result<Self::Output, D::Err> {
        self.modules.iter().try_fold(x, |x, m| m.try_forward(&x))
    }
}

impl<B, H, C, D, T, M, N, FIRST> ModuleMut<Map<B, H, C, D, T>> for Repeat<M, N, FIRST>
where
    B: Dim,
    H: Dim,
    C: ConstDim,
    D: Backend,
    T: Training<D>,
    M: ModuleMut<Map<B, H, C, D, T>, Output = Map<B, H, C, D, T>, Error = D::Err>,
    N: ConstDim,
    FIRST: ConstDim,
{
    type Output = Map<B, H, C, D, T>;
    type Error = D::Err;
    fn try_forward_mut(&mut self, x: Map<B, H, C, D, T>) -> Result<Self::Output, D::Err> {
        self.modules.iter_mut().try_fold(x, |x, m| m.try_forward_mut(x))
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
    fn specs(path: &Path, list: &mut SpecList) {
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
    fn prepare_inference(&mut self) {
        self.modules.iter_mut().for_each(M::prepare_inference);
    }
    fn each_norm(&mut self, f: EachNorm<'_, D>) -> Result<(), D::Err> {
        self.modules.iter_mut().try_for_each(|module| module.each_norm(f))
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
