//! The devices that tests run on.

use super::shared::skipped;
use sam2unet::nn::{Backend, Precision};

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

/// Whether a device takes this precision, and a loud word where it does not, which only a card before 8.0 may.
pub fn offers<D: Backend>(device: &D, precision: Precision) -> bool {
    let offers = device.supports(precision);
    if !offers {
        assert_ne!(device.description(), "cpu", "the CPU computes {}", precision.name());
        skipped(&format!("{} computes no {} products", device.description(), precision.name()));
    }
    offers
}
