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
                    if let Some(device) = crate::support::gpu::gpu() {
                        super::$check(&device);
                    }
                }
            )*
        }
    };
}
pub(crate) use on_each_device;
