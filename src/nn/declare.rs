//! How the network is declared: the walk over its weights, and the two macros it is written in.
//!
//! [`Weights`] walks every weight by its published name. `module!` declares a struct of weights, each
//! with that name, and derives the walk and dfdx's `TensorCollection` from it; `forward!` writes
//! inference and training from one body.

use super::weights::{SourceError, Value, WeightSource, WeightSpec};
use super::{Backend, Precision};
use dfdx::nn::{ModuleVisitor, TensorCollection};
use std::fmt::Display;

/// A place in the tree of published names, for example `encoder.blocks.7.block`.
#[derive(Clone, Debug, Default)]
pub struct Path {
    name: String,
    number: usize,
}

impl Path {
    /// The tree's root, whose name is empty.
    pub fn root() -> Self {
        Self::default()
    }

    /// The place below this one; the same place if `segment` is empty.
    pub fn join(&self, segment: impl Display) -> Self {
        let segment = segment.to_string();
        let number = segment.parse().unwrap_or(self.number);
        let name = match (self.name.as_str(), segment.as_str()) {
            (_, "") => self.name.clone(),
            ("", _) => segment,
            (parent, child) => format!("{parent}.{child}"),
        };
        Self { name, number }
    }

    /// The dotted name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The nearest number in the name, 0 if there is none: for a Hiera block, its number in the
    /// encoder.
    pub fn number(&self) -> usize {
        self.number
    }
}

/// A weight or a module of weights, at a [`Path`].
///
/// One declaration, four faces: what there is (without an instance), how it is built from a
/// [`WeightSource`], what it holds, and which of it dfdx sees.
pub trait Weights<D: Backend>: Sized {
    /// Appends every stored value's name, shape and role.
    fn specs(path: &Path, list: &mut Vec<WeightSpec>);

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

/// A device, a source of weights and a precision: what a model is built from.
pub struct Builder<'a, D> {
    device: &'a D,
    source: &'a mut dyn WeightSource,
    precision: Precision,
    for_inference: bool,
}

impl<'a, D: Backend> Builder<'a, D> {
    /// Device and source, for a model in single precision.
    pub fn new(device: &'a D, source: &'a mut dyn WeightSource) -> Self {
        Self { device, source, precision: Precision::F32, for_inference: false }
    }

    /// The same for a model whose products are computed in `precision`, or in single precision where the device does not
    /// offer it.
    pub fn with_precision(self, precision: Precision) -> Self {
        let precision = if self.device.offers(precision) { precision } else { Precision::F32 };
        Self { precision, ..self }
    }

    /// The same for a model whose weights stay as they are: inference makes of them what it needs once.
    pub fn for_inference(self) -> Self {
        Self { for_inference: true, ..self }
    }

    /// Room for what inference makes of a convolution's weights, if it may keep it.
    pub(super) fn folded(&self) -> Option<D::Folded> {
        self.for_inference.then(D::Folded::default)
    }

    /// What the model's products will be computed in.
    pub fn precision(&self) -> Precision {
        self.precision
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
    pub fn frozen(&mut self, spec: &WeightSpec) -> Result<D::Frozen, BuildError> {
        let stored = match self.source.encoded(spec)? {
            Some(numbers) => {
                length(spec, numbers.len())?;
                self.device.freeze_encoded(&numbers, &spec.shape, self.precision)
            }
            None => {
                let numbers = self.real(spec)?;
                self.device.freeze(numbers, &spec.shape, self.precision)
            }
        };
        stored.map_err(|e| BuildError::device::<D>(spec, &e))
    }

    /// The count of `spec`.
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

/// Declares a struct of weights, dfdx's `TensorCollection` for it, and [`Weights`].
///
/// Behind each field stands its published name; type parameters come first, then const ones after a
/// semicolon. What a field is to dfdx (trainable, statistic, frozen, module) its type says. After
/// `with |path, from|` come fields that are no weights, with what they are when built at `path` by the builder `from`.
macro_rules! module {
    ($(#[$doc:meta])* $vis:vis struct $Name:ident<
        $($g:ident : $bound:ident $(= $gdefault:ty)?),* $(; $($k:ident $(= $kdefault:literal)?),*)?
    > {
        $($(#[$fdoc:meta])* $fvis:vis $field:ident($published:expr): $ty:ty),* $(,)?
    } $(with |$path:pat_param, $from:pat_param| {
        $($(#[$sdoc:meta])* $svis:vis $setting:ident: $sty:ty = $value:expr),* $(,)?
    })?) => {
        $(#[$doc])*
        #[derive(Clone, Debug)]
        $vis struct $Name<
            $($g: $bound $(= $gdefault)?,)* $($(const $k: usize $(= $kdefault)?,)*)?
        > {
            $($(#[$fdoc])* $fvis $field: $ty,)*
            $($($(#[$sdoc])* $svis $setting: $sty,)*)?
        }

        impl<$($g: $bound,)* $($(const $k: usize,)*)?> dfdx::nn::TensorCollection<f32, D>
            for $Name<$($g,)* $($($k,)*)?>
        {
            // Frozen storage cannot follow dfdx to another dtype or device, so there is no such type:
            // `build()` does not compile, `to_dtype` and `to_device` give a value nobody can hold.
            type To<E2: dfdx::shapes::Dtype, D2: dfdx::tensor_ops::Device<E2>> =
                std::convert::Infallible;

            fn iter_tensors<W: dfdx::nn::ModuleVisitor<Self, f32, D>>(
                walk: &mut W,
            ) -> Result<Option<std::convert::Infallible>, W::Err> {
                $(<$ty as $crate::nn::Weights<D>>::visit(
                    walk,
                    &$published.to_string(),
                    |s: &Self| &s.$field,
                    |s: &mut Self| &mut s.$field,
                )?;)*
                Ok(None)
            }
        }

        impl<$($g: $bound,)* $($(const $k: usize,)*)?> $crate::nn::Weights<D>
            for $Name<$($g,)* $($($k,)*)?>
        {
            fn specs(path: &$crate::nn::Path, list: &mut Vec<$crate::nn::weights::WeightSpec>) {
                $(<$ty as $crate::nn::Weights<D>>::specs(&path.join($published), list);)*
            }

            fn build(
                from: &mut $crate::nn::Builder<'_, D>,
                path: &$crate::nn::Path,
            ) -> Result<Self, $crate::nn::BuildError> {
                $(let ($path, $from) = (path, &*from);
                $(let $setting: $sty = $value;)*)?
                Ok(Self {
                    $($field: <$ty as $crate::nn::Weights<D>>::build(from, &path.join($published))?,)*
                    $($($setting,)*)?
                })
            }

            fn each(
                &self,
                path: &$crate::nn::Path,
                f: &mut dyn FnMut($crate::nn::weights::WeightSpec, $crate::nn::weights::Value),
            ) {
                $(<$ty as $crate::nn::Weights<D>>::each(&self.$field, &path.join($published), f);)*
            }

            fn visit<P, W>(
                walk: &mut W,
                name: &str,
                get: impl FnMut(&P) -> &Self,
                get_mut: impl FnMut(&mut P) -> &mut Self,
            ) -> Result<(), W::Err>
            where
                P: dfdx::nn::TensorCollection<f32, D>,
                W: dfdx::nn::ModuleVisitor<P, f32, D>,
            {
                walk.visit_module(name, get, get_mut).map(|_| ())
            }
        }
    };
}

/// Writes `Module` (inference) and `ModuleMut` (training) from one body. In it, `run!(part, x)` is
/// the part's `try_forward` or `try_forward_mut`, and `T` the tape.
macro_rules! forward {
    ([$($generics:tt)*] $Self:ty: |$this:ident, $x:pat_param, $run:ident| $In:ty => $Out:ty $body:block) => {
        impl<$($generics)*, D: $crate::nn::Backend, T: $crate::nn::Inference<D>>
            dfdx::nn::Module<$In> for $Self
        {
            type Output = $Out;
            type Error = D::Err;
            fn try_forward(&$this, $x: $In) -> Result<$Out, D::Err> {
                #[allow(unused_macros)]
                macro_rules! $run {
                    ($m:expr, $i:expr) => { dfdx::nn::Module::try_forward(&$m, $i)? };
                }
                $body
            }
        }
        impl<$($generics)*, D: $crate::nn::Backend, T: $crate::nn::Training<D>>
            dfdx::nn::ModuleMut<$In> for $Self
        {
            type Output = $Out;
            type Error = D::Err;
            fn try_forward_mut(&mut $this, $x: $In) -> Result<$Out, D::Err> {
                #[allow(unused_macros)]
                macro_rules! $run {
                    ($m:expr, $i:expr) => { dfdx::nn::ModuleMut::try_forward_mut(&mut $m, $i)? };
                }
                $body
            }
        }
    };
}
