//! Time and memory of one model, in the terms of PyTorch's side of the comparison: random weights, random input,
//! two calls to warm up, then the median of the rest.

use crate::data::Batch;
use crate::device::Device;
use crate::nn::ops::Keep;
use crate::nn::{BuildError, Initialiser, LossFlavour, NetworkError, Precision, VARIANTS, check_side};
use crate::train::{AdamWConfig, Compute, LearnError};
use serde::Serialize;
use std::time::Instant;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The prediction of one batch.
    Infer,
    /// Forward, backward and an AdamW step on one batch.
    Train,
}

/// A measurement to make.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// What is timed.
    pub what: What,
    /// Variant's name.
    pub variant: String,
    /// Images in a batch.
    pub batch: usize,
    /// Precision of the products.
    #[serde(serialize_with = "precision_name")]
    pub precision: Precision,
    /// Where it runs: `cpu` or `cuda`.
    pub device: String,
    /// Side of the images.
    pub size: usize,
    /// Calls that are counted.
    pub repeat: usize,
    /// Threads of the pool.
    pub threads: usize,
}

fn precision_name<S: serde::Serializer>(precision: &Precision, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(precision.name())
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// Median seconds of a call.
    pub median_s: f64,
    /// Least seconds of a call.
    pub min_s: f64,
    /// Peak resident memory of the process in MiB (a GPU's own is not counted); `None` where the system does not tell.
    pub peak_mb: Option<f64>,
    /// The most of a GPU's own memory that tensors and temporary buffers took at once, in MiB; `None` on the CPU, or where the
    /// driver does not tell.
    pub device_peak_mb: Option<f64>,
    /// The same before the first call, the model loaded.
    pub before_mb: Option<f64>,
}

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// No such variant.
    #[error("there is no variant {0}: use tiny, small, base-plus or large")]
    Variant(String),
    /// The device has no such products.
    #[error("this device computes no {} products, which take {needs}: give f32, or another --device", .precision.name())]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// What a device must have for it.
        needs: &'static str,
    },
    /// The model could not be made.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// It could not run.
    #[error(transparent)]
    Network(#[from] NetworkError),
    /// It could not train.
    #[error(transparent)]
    Learn(#[from] LearnError),
}

/// Runs a case on `device`, whose name the case gets.
///
/// # Errors
/// When the variant or the side is not known.
pub fn measure(mut case: Case, device: &Device, keep: Keep) -> Result<Measurement, BenchError> {
    case.device = device.name().into();
    let unknown = || BenchError::Variant(case.variant.clone());
    // before memory is asked for
    check_side(case.size)?;
    if !VARIANTS.contains(&case.variant.as_str()) {
        return Err(unknown());
    }
    if !device.offers(case.precision) {
        return Err(BenchError::Precision { precision: case.precision, needs: device.needs(case.precision) });
    }
    let pixels = case.batch * case.size * case.size;
    // Any spread of numbers does: the arithmetic takes the same time for all.
    let images: Vec<f32> = (0..3 * pixels).map(|i| (i * 7919 % 1000) as f32 / 250.0 - 2.0).collect();
    let masks = (0..pixels).map(|i| f32::from(i * 31 / 1000 % 2 == 0)).collect();
    let source = &mut Initialiser::new(0);
    let (before_mb, seconds) = match case.what {
        What::Infer => {
            let network = device.network(&case.variant, source, case.precision).ok_or_else(unknown)??;
            time(case.repeat, || network.logits(&images, case.batch, case.size).map(drop))?
        }
        What::Train => {
            let config = AdamWConfig::default();
            let compute = Compute { precision: case.precision, keep };
            let mut session = device.session(&case.variant, source, config, compute).ok_or_else(unknown)??;
            let batch = Batch { side: case.size, indices: (0..case.batch).collect(), images, masks };
            time(case.repeat, || {
                session.accumulate(&batch, 1.0, LossFlavour::Paper)?;
                session.update(1e-3)?;
                // waits for the device, so that a call is a whole step
                session.losses().map(drop)
            })?
        }
    };
    Ok(Measurement {
        median_s: median(&seconds),
        min_s: seconds.first().copied().unwrap_or(f64::NAN),
        peak_mb: peak_memory(),
        device_peak_mb: device.peak_bytes().map(|bytes| bytes as f64 / f64::from(1 << 20)),
        before_mb,
        case,
    })
}

/// Memory before, and sorted seconds of each call but the first two.
fn time<E>(repeat: usize, mut call: impl FnMut() -> Result<(), E>) -> Result<(Option<f64>, Vec<f64>), E> {
    let before = peak_memory();
    let mut seconds = Vec::with_capacity(repeat);
    for i in 0..repeat + 2 {
        let start = Instant::now();
        call()?;
        if i >= 2 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    seconds.sort_by(f64::total_cmp);
    Ok((before, seconds))
}

fn median(sorted: &[f64]) -> f64 {
    let n = sorted.len();
    match n {
        0 => f64::NAN,
        _ => (sorted[(n - 1) / 2] + sorted[n / 2]) / 2.0,
    }
}

/// The process's largest resident size so far in MiB, where `/proc` tells.
fn peak_memory() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<f64>().ok()? / 1024.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
    }
}
