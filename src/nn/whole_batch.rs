//! A training pass whose images are a part of a batch that several processes hold.
//!
//! Of a pass, not of a model: whoever makes the pass says so around it, and a model's type, its copies and its predictor know
//! nothing of it.

use crate::kernels::whole_batch::WholeBatch;
use std::cell::RefCell;
use std::rc::Rc;

thread_local! {
    /// What the passes of this thread are a part of.
    static WHOLE: RefCell<Option<Rc<dyn WholeBatch>>> = const { RefCell::new(None) };
}

/// Makes a training pass of this thread whose images are a part of a batch: its batch norms normalise by the statistics of
/// the whole batch, and each image's gradient is what it is in the whole batch.
///
/// Weights' gradients are of the part alone; with the part's share of the images as the factor of its loss, those of all
/// parts add up to the whole batch's, and so do the losses. Every [`Loss`](super::Loss) is a mean over images: what it
/// divides by is an image's own, ignored pixels and weights of classes included. Mean and variance that a batch norm gives are
/// the same bits on all parts.
///
/// The tape keeps `whole` for the backward pass, which may come later. It is on the CPU only so far: see
/// [`Backend::supports_parts`](super::Backend::supports_parts).
///
/// ```
/// use dfdx::prelude::*;
/// use sam2unet::group::Alone;
/// use sam2unet::nn::{Map, as_part_of, ops};
/// use sam2unet::train::SplitBatch;
/// use std::rc::Rc;
/// use std::sync::Arc;
///
/// // one process has all two images
/// let whole = SplitBatch::new(Arc::new(Alone), 2);
/// let device = Cpu::default();
/// let x: Map<Const<2>, Const<4>, Const<3>, Cpu> = device.sample_normal();
/// let [scale, bias] = [device.ones(), device.zeros()];
/// let pass = || ops::batch_norm(x.leaky_trace(), &scale, &bias, false);
/// assert_eq!(as_part_of(Rc::new(whole), pass)?.0.array(), pass()?.0.array());
/// # Ok::<(), CpuError>(())
/// ```
pub fn as_part_of<R>(whole: Rc<dyn WholeBatch>, pass: impl FnOnce() -> R) -> R {
    struct Restore(Option<Rc<dyn WholeBatch>>);
    impl Drop for Restore {
        fn drop(&mut self) {
            WHOLE.set(self.0.take());
        }
    }
    let _restore = Restore(WHOLE.replace(Some(whole)));
    pass()
}

/// What the pass under way is a part of; `None` where its images are the whole batch.
pub(super) fn whole_batch() -> Option<Rc<dyn WholeBatch>> {
    WHOLE.with_borrow(Clone::clone)
}
