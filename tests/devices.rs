//! The devices that tests run on.

/// Makes each `fn check<D: Backend>(device: &D)` a test on the CPU and, with the feature `cuda`, one on a GPU or its
/// stand-in.
macro_rules! on_each_device {
    ($($check:ident),* $(,)?) => {
        mod cpu {
            $(
                #[test]
                fn $check() {
                    super::$check(&dfdx::tensor::Cpu::default());
                }
            )*
        }
        #[cfg(feature = "cuda")]
        mod cuda {
            $(
                #[test]
                fn $check() {
                    if let Some(device) = crate::devices::gpu() {
                        super::$check(&device);
                    }
                }
            )*
        }
    };
}
pub(crate) use on_each_device;

/// The first GPU; `None`, and a loud word, where there is none.
#[cfg(feature = "cuda")]
pub fn gpu() -> Option<dfdx::tensor::Cuda> {
    use sam2unet::nn::{CudaOpenError, open_cuda};
    match open_cuda(0) {
        Ok(device) => Some(device),
        Err(CudaOpenError::NoGpu(reason)) => {
            crate::golden::skipped(&reason.to_string());
            None
        }
        Err(reason) => panic!("{reason}"),
    }
}
