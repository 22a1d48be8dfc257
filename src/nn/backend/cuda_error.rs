//! A GPU's errors: converted to dfdx's, and as messages.

use crate::kernels::cuda::error::GpuError;
use dfdx::prelude::CudaError;

impl From<GpuError> for CudaError {
    fn from(error: GpuError) -> Self {
        match error {
            GpuError::Driver(error) => Self::Driver(error),
            GpuError::Blas(error) => Self::Blas(error),
        }
    }
}

/// The message of dfdx's error, with what to try.
pub fn explain(error: &CudaError) -> String {
    match error {
        CudaError::Driver(error) => GpuError::from(*error).to_string(),
        CudaError::Blas(error) => GpuError::from(*error).to_string(),
        other => other.to_string(),
    }
}
