//! A part of a batch is refused on a GPU, not computed as if it were the whole.

use crate::support::gpu::gpu;
use dfdx::prelude::*;
use sam2unet::device::Device;
use sam2unet::group::Alone;
use sam2unet::nn::{Backend, Map, as_part_of, ops};
use sam2unet::train::SplitBatch;
use std::rc::Rc;
use std::sync::Arc;

#[test]
fn a_gpu_refuses_a_part_of_a_batch() {
    let Some(device) = gpu() else { return };
    let refused = SplitBatch::check(&Device::Cuda(device.clone())).unwrap_err();
    assert_eq!(refused.device, device.description());
    assert!(refused.to_string().contains("on the CPU only so far"), "{refused}");
    let x: Map<Const<1>, Const<2>, Const<3>, Cuda> = device.sample_normal();
    let pass = || ops::batch_norm(x.leaky_trace(), &device.ones(), &device.zeros(), false).map(|_| ());
    let whole = SplitBatch::new(Arc::new(Alone), 1);
    let error = as_part_of(Rc::new(whole), pass).unwrap_err();
    let said = Cuda::explain(&error);
    assert!(said.contains("compute whole batches only"), "{said}");
    assert!(pass().is_ok(), "a whole batch");
}
