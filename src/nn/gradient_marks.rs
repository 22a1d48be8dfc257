//! Places in a backward pass behind which some gradients are final, and who is told of them.
//!
//! A backward pass goes from the outputs to the image, so that the decoder's gradients are final long before the encoder's first
//! ones. Whoever makes a pass says around it that he wants to be told: see [`with_marks`].

use super::backend::bound::Backend;
use super::backend::tape::Training;
use dfdx::prelude::*;
use std::any::Any;
use std::cell::RefCell;
use std::rc::Rc;

/// A place in the backward pass of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum GradientMark {
    /// All weights behind the encoder have their gradients.
    Encoder,
    /// So have its third and fourth stage, on coarse maps; those on fine maps, the first and second, have not.
    Fine,
}

/// Is told of each place when the backward pass comes there, with the pass's `Gradients<f32, D>`.
pub(crate) type TellMark = Rc<dyn Fn(GradientMark, &dyn Any)>;

thread_local! {
    /// Who is told of this thread's passes.
    static TOLD: RefCell<Option<TellMark>> = const { RefCell::new(None) };
}

/// Makes a training pass of this thread of whose marks `tell` is told. The tape keeps `tell` for the backward pass, which may come
/// later.
pub(crate) fn with_marks<R>(tell: TellMark, pass: impl FnOnce() -> R) -> R {
    struct Restore(Option<TellMark>);
    impl Drop for Restore {
        fn drop(&mut self) {
            TOLD.set(self.0.take());
        }
    }
    let _restore = Restore(TOLD.replace(Some(tell)));
    pass()
}

/// Notes on the tape of `x` that the backward pass, where it comes here, has been through all that was made since. Nothing is
/// noted where nobody wants to be told.
pub(super) fn mark<S: Shape, D: Backend, T: Training<D>>(
    x: Tensor<S, f32, D, T>,
    place: GradientMark,
) -> Tensor<S, f32, D, T> {
    let Some(tell) = TOLD.with_borrow(Clone::clone) else { return x };
    let (x, mut tape) = x.split_tape();
    tape.add_backward_op(move |gradients: &mut Gradients<f32, D>| {
        tell(place, gradients);
        Ok(())
    });
    x.put_tape(tape)
}
