//! The GPU that tests run on.

use super::shared::skipped;

/// The first GPU; `None`, and a loud word, where there is none.
pub fn gpu() -> Option<dfdx::tensor::Cuda> {
    use sam2unet::nn::{CudaOpenError, open_cuda};
    match open_cuda(0) {
        Ok(device) => Some(device),
        Err(CudaOpenError::NoGpu(reason)) => {
            skipped(&reason.to_string());
            None
        }
        Err(reason) => panic!("{reason}"),
    }
}
