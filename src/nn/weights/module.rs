//! How a module of the network is declared.

/// Declares a struct of weights, dfdx's `TensorCollection` for it, and [`Weights`].
///
/// Each field is followed by its published name in parentheses; type parameters come first, then const ones after a
/// semicolon. What a field is to dfdx (trainable, statistic, frozen, module) its type says. After
/// `with |path, from|` come fields that are no weights, with what they are when built at `path` by the builder `from`;
/// after `prepared |module|` what is done to make a module ready for inference alone, besides its fields; after
/// `normed |module, f|` how a batch norm shows itself to a walk over them.
macro_rules! module {
    ($(#[$doc:meta])* $vis:vis struct $Name:ident<
        $($g:ident : $bound:ident $(= $gdefault:ty)?),* $(; $($k:ident $(= $kdefault:literal)?),*)?
    > {
        $($(#[$fdoc:meta])* $fvis:vis $field:ident($published:expr): $ty:ty),* $(,)?
    } $(with |$path:pat_param, $from:pat_param| {
        $($(#[$sdoc:meta])* $svis:vis $setting:ident: $sty:ty = $value:expr),* $(,)?
    })? $(prepared |$module:ident| $prepare:block)? $(normed |$norm:ident, $each:ident| $show:block)?) => {
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
                $(<$ty as $crate::nn::weights::build::Weights<D>>::visit(
                    walk,
                    &$published.to_string(),
                    |s: &Self| &s.$field,
                    |s: &mut Self| &mut s.$field,
                )?;)*
                Ok(None)
            }
        }

        impl<$($g: $bound,)* $($(const $k: usize,)*)?> $crate::nn::weights::build::Weights<D>
            for $Name<$($g,)* $($($k,)*)?>
        {
            fn specs(path: &$crate::nn::weights::path::Path, list: &mut $crate::nn::weights::spec::SpecList) {
                $(<$ty as $crate::nn::weights::build::Weights<D>>::specs(&path.join($published), list);)*
            }

            fn build(
                from: &mut $crate::nn::weights::build::Builder<'_, D>,
                path: &$crate::nn::weights::path::Path,
            ) -> Result<Self, $crate::nn::weights::build::BuildError> {
                $(let ($path, $from) = (path, &*from);
                $(let $setting: $sty = $value;)*)?
                Ok(Self {
                    $($field: <$ty as $crate::nn::weights::build::Weights<D>>::build(from, &path.join($published))?,)*
                    $($($setting,)*)?
                })
            }

            fn each(
                &self,
                path: &$crate::nn::weights::path::Path,
                f: &mut dyn FnMut($crate::nn::weights::spec::WeightSpec, $crate::nn::weights::spec::Value),
            ) {
                $(<$ty as $crate::nn::weights::build::Weights<D>>::each(&self.$field, &path.join($published), f);)*
            }

            fn prepare_inference(&mut self) {
                $(<$ty as $crate::nn::weights::build::Weights<D>>::prepare_inference(&mut self.$field);)*
                $(let $module = self;
                $prepare)?
            }

            fn each_norm(&mut self, f: $crate::nn::weights::running::EachNorm<'_, D>) -> Result<(), D::Err> {
                $(<$ty as $crate::nn::weights::build::Weights<D>>::each_norm(&mut self.$field, f)?;)*
                $(let ($norm, $each) = (self, f);
                $show)?
                Ok(())
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

pub(in crate::nn) use module;
