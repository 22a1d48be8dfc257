//! From strings to types: the product of variants and sides, one axis at a time.

use super::{Side, Variant, WithSide, WithVariant, with_side};
use std::marker::PhantomData;

/// Work that is generic over the variant and the side.
pub trait Job {
    /// What it gives, whatever the two are.
    type Output;
    /// The work.
    fn run<V: Variant, S: Side>(self) -> Self::Output;
}

/// A job at a side known at run time. Give it to any `with_variant`:
/// `with_variant("large", At(352, job))` is `None` if there is no such variant, `Some(None)` if there
/// is no such side.
pub struct At<J>(pub usize, pub J);

impl<J: Job> WithVariant for At<J> {
    type Output = Option<J::Output>;
    fn call<V: Variant>(self) -> Self::Output {
        at_side::<V, J>(self.0, self.1)
    }
}

/// Runs `job` for a variant known at compile time and a side known at run time; `None` if there is no
/// such side.
pub fn at_side<V: Variant, J: Job>(side: usize, job: J) -> Option<J::Output> {
    struct Fixed<V, J>(J, PhantomData<V>);
    impl<V: Variant, J: Job> WithSide for Fixed<V, J> {
        type Output = J::Output;
        fn call<S: Side>(self) -> J::Output {
            self.0.run::<V, S>()
        }
    }
    with_side(side, Fixed::<V, J>(job, PhantomData))
}

#[cfg(test)]
mod tests {
    use super::super::with_variant;
    use super::*;
    use dfdx::shapes::ConstDim;

    #[test]
    fn strings_become_types() {
        struct Name;
        impl Job for Name {
            type Output = String;
            fn run<V: Variant, S: Side>(self) -> String {
                format!("{} {} {}", V::NAME, V::C4::SIZE, S::ThirtySecond::SIZE)
            }
        }
        let run = |name, side| with_variant(name, At(side, Name));
        assert_eq!(run("large", 352), Some(Some("large 1152 11".into())));
        assert_eq!(run("large", 350), Some(None));
        assert_eq!(run("huge", 352), None);
    }
}
