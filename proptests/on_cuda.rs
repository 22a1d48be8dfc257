//! What holds on every device, on a GPU or its stand-in: the same properties.

use crate::support::gpu::gpu as first_gpu;

pub type Dev = dfdx::tensor::Cuda;

/// The first GPU, opened once in a test; `None`, and a loud word, where there is none.
fn gpu() -> Option<Dev> {
    thread_local! {
        static GPU: Option<Dev> = first_gpu();
    }
    GPU.with(Option::clone)
}

pub fn device() -> Dev {
    gpu().expect("without a GPU there are no cases")
}

/// How many cases of a property to try: none where there is no GPU.
pub fn cases(wanted: u32) -> u32 {
    if gpu().is_some() { wanted } else { 0 }
}

/// How many cases of a property of a whole network to try: few, as a stand-in takes ten seconds for each, and the
/// operations' properties try every kernel.
pub fn network_cases(wanted: u32) -> u32 {
    cases(wanted.min(3))
}

// each device has its own copy
#[allow(clippy::duplicate_mod)]
#[path = "nn/mod.rs"]
mod nn;
