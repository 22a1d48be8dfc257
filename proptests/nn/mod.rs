//! The network and its operations.

mod multiclass;
mod ops;
mod sam2unet;

use super::{Dev, cases, device, network_cases};
