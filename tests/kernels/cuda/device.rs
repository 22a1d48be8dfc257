//! Which precisions a card offers.

use crate::support::golden::{Pico, Synthetic};
use crate::support::gpu::gpu;
use cudarc::driver::CudaDevice;
use cudarc::driver::sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR;
use dfdx::prelude::*;
use sam2unet::nn::{Backend, BuildOptions, KernelDevice, Precision, Sam2UNet};

#[test]
fn what_a_card_does_not_multiply_is_not_offered() {
    let Some(device) = gpu() else {
        return;
    };
    let major = CudaDevice::new(0).unwrap().attribute(CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR).unwrap();
    for precision in [Precision::Bf16, Precision::Tf32] {
        assert_eq!(device.supports(precision), major >= 8, "{} on a card of {major}.x", precision.name());
        let options = BuildOptions { precision, ..BuildOptions::default() };
        let model = Sam2UNet::<Pico, Cuda>::with_options(&device, &mut Synthetic, options).unwrap();
        assert_eq!(model.precision(), if device.supports(precision) { precision } else { Precision::F32 });
        assert!(<Cuda as Backend>::Kernels::requires(precision).contains("8.0"));
    }
    if let Ok(capability) = std::env::var("CUDA_STANDIN_CAPABILITY") {
        assert_eq!(device.supports(Precision::Bf16), capability.as_str() >= "8.0");
    }
}
