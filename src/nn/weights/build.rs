//! What a model is built from, and the walk over its weights.

use super::path::Path;
use super::running::EachNorm;
use super::source::{SourceError, WeightSource};
use super::spec::{SpecList, Value, WeightSpec};
use crate::kernels::device::Device as _;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::nn::backend::bound::{Backend, FrozenOf};
use dfdx::nn::{ModuleVisitor, TensorCollection};

/// A weight or a module of weights, at a [`Path`].
///
/// Lists its weights by their published names (without an instance), builds them from a [`Builder`], gives their values, and
/// shows dfdx its tensors. `module!` derives it.
pub trait Weights<D: Backend>: Sized {
    /// Appends every stored value's name, shape and role.
    fn specs(path: &Path, list: &mut SpecList);

    /// Builds it.
    ///
    /// # Errors
    /// When the source does not hold a weight, or holds it in another shape, or the device fails.
    fn build(from: &mut Builder<'_, D>, path: &Path) -> Result<Self, BuildError>;

    /// Calls `f` with every stored value, in the order of [`specs`](Self::specs).
    ///
    /// # Panics
    /// When the device is lost, as dfdx's own reading of a tensor does; never on the CPU.
    fn each(&self, path: &Path, f: &mut dyn FnMut(WeightSpec, Value));

    /// Lets inference cache what it computes from the weights, which no longer change. A predictor calls it.
    #[doc(hidden)]
    fn prepare_inference(&mut self) {}

    /// Calls `f` with each batch norm, in the order of [`specs`](Self::specs).
    ///
    /// # Errors
    /// Those of `f`.
    #[doc(hidden)]
    fn each_norm(&mut self, f: EachNorm<'_, D>) -> Result<(), D::Err> {
        let _ = f;
        Ok(())
    }

    /// Shows dfdx this field of `P`: a tensor, a module, or nothing at all.
    ///
    /// # Errors
    /// The visitor's.
    fn visit<P, W>(
        walk: &mut W,
        name: &str,
        get: impl FnMut(&P) -> &Self,
        get_mut: impl FnMut(&mut P) -> &mut Self,
    ) -> Result<(), W::Err>
    where
        P: TensorCollection<f32, D>,
        W: ModuleVisitor<P, f32, D>;
}

/// How a model computes, given once when it is built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BuildOptions {
    /// What its large products are computed in; single precision where the device does not support it. In bf16 the frozen
    /// linear layers *are* rounded: that is what the model computes with, and what its file holds.
    pub precision: Precision,
    /// What training keeps for the backward pass of each encoder block and of each convolution with a batch norm.
    pub memory: MemoryUse,
}

/// A device, a source of weights and options: what a model is built from.
pub struct Builder<'a, D> {
    device: &'a D,
    source: &'a mut dyn WeightSource,
    options: BuildOptions,
    classes: usize,
}

impl<'a, D: Backend> Builder<'a, D> {
    /// A builder for a model in single precision with one class.
    pub fn new(device: &'a D, source: &'a mut dyn WeightSource) -> Self {
        Self { device, source, options: BuildOptions::default(), classes: 1 }
    }

    /// The same with these options.
    pub fn with_options(self, options: BuildOptions) -> Self {
        let precision = if self.device.supports(options.precision) { options.precision } else { Precision::F32 };
        Self { options: BuildOptions { precision, ..options }, ..self }
    }

    /// The same for a model of `classes` classes, if its type leaves their number open (`usize`).
    pub fn with_classes(self, classes: usize) -> Self {
        Self { classes, ..self }
    }

    /// How the model will compute.
    pub fn options(&self) -> BuildOptions {
        self.options
    }

    /// Classes of a model whose type leaves that open.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Where the model will live.
    pub fn device(&self) -> &'a D {
        self.device
    }

    /// The numbers of `spec`, as many as its shape says.
    ///
    /// # Errors
    /// When the source gives none, or another number of them.
    pub fn real(&mut self, spec: &WeightSpec) -> Result<Vec<f32>, BuildError> {
        match self.source.value(spec)? {
            Value::Real(numbers) => length(spec, numbers.len()).map(|()| numbers),
            Value::Count(_) => {
                Err(BuildError::Kind { name: spec.name.clone(), expected: "real numbers", found: "a count" })
            }
        }
    }

    /// The frozen weight `spec` as the device stores it, straight from where the source has its numbers.
    ///
    /// # Errors
    /// As [`real`](Self::real), or when the device is out of memory or lost.
    pub fn frozen(&mut self, spec: &WeightSpec) -> Result<FrozenOf<D>, BuildError> {
        let precision = self.options.precision;
        let stored = match self.source.encoded(spec)? {
            Some(numbers) => {
                length(spec, numbers.len())?;
                self.device.run(|k| k.freeze_encoded(&numbers, &spec.shape, precision))
            }
            None => {
                let numbers = self.real(spec)?;
                self.device.run(|k| k.freeze(numbers, &spec.shape, precision))
            }
        };
        stored.map_err(|e| BuildError::device::<D>(spec, &e))
    }

    /// The count (of batches) for `spec`.
    ///
    /// # Errors
    /// When the source gives none.
    pub fn count(&mut self, spec: &WeightSpec) -> Result<i64, BuildError> {
        match self.source.value(spec)? {
            Value::Count(count) => Ok(count),
            Value::Real(_) => {
                Err(BuildError::Kind { name: spec.name.clone(), expected: "a count", found: "real numbers" })
            }
        }
    }
}

fn length(spec: &WeightSpec, found: usize) -> Result<(), BuildError> {
    let wrong =
        || BuildError::Length { name: spec.name.clone(), shape: spec.shape.clone(), expected: spec.len(), found };
    if found == spec.len() { Ok(()) } else { Err(wrong()) }
}

/// Why a model could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The source does not hold what was asked for.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source gave too few or too many numbers.
    #[error("{name}: {found} numbers given, {expected} needed for the shape {shape:?}")]
    Length {
        /// The weight.
        name: String,
        /// Its shape.
        shape: Vec<usize>,
        /// How many numbers that shape holds.
        expected: usize,
        /// How many the source gave.
        found: usize,
    },
    /// The source gave a count for real numbers, or the reverse.
    #[error("{name}: {found} given where {expected} belongs")]
    Kind {
        /// The weight.
        name: String,
        /// What belongs there.
        expected: &'static str,
        /// What the source gave.
        found: &'static str,
    },
    /// The model's type has another number of classes.
    #[error("a model for {given} classes was asked for; its type allows {}", .fixed.map_or("any but 0".into(), |k| k.to_string()))]
    Classes {
        /// What was asked for.
        given: usize,
        /// What the type says.
        fixed: Option<usize>,
    },
    /// The device failed, out of memory for example.
    #[error("{name}: the device could not hold it: {reason}")]
    Device {
        /// The weight.
        name: String,
        /// The device's own words.
        reason: String,
    },
}

impl BuildError {
    /// A device's error while it stored `spec`.
    pub fn device<D: Backend>(spec: &WeightSpec, error: &D::Err) -> Self {
        Self::Device { name: spec.name.clone(), reason: D::explain(error) }
    }
}
