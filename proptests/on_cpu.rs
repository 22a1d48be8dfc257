//! What holds on every device, on the CPU.

pub type Dev = dfdx::tensor::Cpu;

pub fn device() -> Dev {
    Dev::default()
}

/// How many cases of a property to try.
pub fn cases(wanted: u32) -> u32 {
    wanted
}

/// How many cases of a property of a whole network to try.
pub fn network_cases(wanted: u32) -> u32 {
    wanted
}

#[path = "nn/mod.rs"]
mod nn;
