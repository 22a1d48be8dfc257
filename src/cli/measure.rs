//! Time and memory of one model, in the terms of PyTorch's side of the comparison: random weights, random input,
//! two calls to warm up, then the median of the rest.

use crate::choice::choice;
use crate::data::loader::Batch;
use crate::data::truth::BatchTruth;
use crate::device::Device;
use crate::kernels::cpu::gemm::peak::peak;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::kernels::profile::{self, Kind, scope};
use crate::nn::backend::cpu::copies;
use crate::nn::cost::{inference_bytes, training_bytes};
use crate::nn::losses::table::Loss;
use crate::nn::network::NetworkError;
use crate::nn::shape::check_side;
use crate::nn::variant::{Variant, VariantName, WithVariant};
use crate::nn::weights::build::{BuildError, BuildOptions};
use crate::nn::weights::initialiser::Initialiser;
use crate::train::adamw::AdamWConfig;
use crate::train::learner::LearnError;
use crate::train::memory::{MachineMemory, machine_memory};
use crate::train::session::{TrainedClasses, open_session_on};
use serde::Serialize;
use std::fmt;
use std::path::Path;
use std::time::Instant;

choice! {
    /// What is timed.
    pub enum What: "work" {
        /// The prediction of one batch.
        Infer = "infer",
        /// Forward, backward and an AdamW step on one batch.
        Train = "train",
    }
}

/// A measurement to make.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// What is timed.
    pub what: What,
    /// Variant's name.
    pub variant: VariantName,
    /// Images in a batch.
    pub batch: usize,
    /// The precision asked for.
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

impl Case {
    /// What it takes of the machine's memory at least: on a GPU the batch alone.
    fn needed_bytes(&self, device: &Device, memory: MemoryUse) -> u64 {
        struct Needed<'a>(&'a Case, MemoryUse);
        impl WithVariant for Needed<'_> {
            type Output = u64;
            fn call<V: Variant>(self) -> u64 {
                let Case { what, size, batch, precision, .. } = *self.0;
                match what {
                    What::Infer => inference_bytes::<V>(size, batch),
                    What::Train => training_bytes::<V>(1, size, batch, self.1, precision),
                }
            }
        }
        match device.name() == "cpu" {
            true => self.variant.visit(Needed(self, memory)),
            false => 16 * (self.batch * self.size * self.size) as u64,
        }
    }
}

/// What was measured.
#[derive(Clone, Debug, Serialize)]
pub struct Measurement {
    /// The case.
    #[serde(flatten)]
    pub case: Case,
    /// What products were computed in, which may be more precise than what was asked for.
    pub products: Precision,
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
pub enum MeasureError {
    /// The device has no such products.
    #[error("this device computes no {} products, which take {needs}: use f32, or another device", .precision.name())]
    Precision {
        /// What was asked for.
        precision: Precision,
        /// What a device must have for it.
        needs: &'static str,
    },
    /// There is not so much memory.
    #[error(
        "this takes more than {:.1} GB of memory, and this machine has {:.1} GB",
        *needed as f64 / 1e9,
        *total as f64 / 1e9
    )]
    Memory {
        /// What it takes at least, in bytes.
        needed: u64,
        /// What there is, in bytes.
        total: u64,
    },
    /// It is another device's work.
    #[error("a profile counts work on the CPU only")]
    Profile,
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
/// When the side is not known, the device does not have the precision, or the model cannot run.
pub fn measure(mut case: Case, device: &Device, memory: MemoryUse) -> Result<Measurement, MeasureError> {
    case.device = device.name().into();
    let repeat = case.repeat;
    let (before_mb, seconds) = with_call(&case, device, memory, |call| time(repeat, call))?;
    Ok(Measurement {
        median_s: median(&seconds),
        min_s: seconds.first().copied().unwrap_or(f64::NAN),
        peak_mb: peak_memory(),
        device_peak_mb: device.peak_bytes().map(|bytes| bytes as f64 / f64::from(1 << 20)),
        before_mb,
        products: device.computes_in(case.precision),
        case,
    })
}

/// Makes a case's model and input, and gives the call that is timed to `run`.
fn with_call<R>(
    case: &Case,
    device: &Device,
    memory: MemoryUse,
    run: impl FnOnce(&mut dyn FnMut() -> Result<(), MeasureError>) -> Result<R, MeasureError>,
) -> Result<R, MeasureError> {
    // before memory is asked for
    check_side(case.size).map_err(NetworkError::from)?;
    if !device.supports(case.precision) {
        return Err(MeasureError::Precision { precision: case.precision, needs: device.needs(case.precision) });
    }
    let (needed, machine) = (case.needed_bytes(device, memory), machine_memory(Path::new("/")));
    if let Some(MachineMemory { total, .. }) = machine.filter(|machine| needed > machine.total) {
        return Err(MeasureError::Memory { needed, total });
    }
    let pixels = case.batch * case.size * case.size;
    // Any spread of numbers does: the arithmetic takes the same time for all.
    let images: Vec<f32> = (0..3 * pixels).map(|i| (i * 7919 % 1000) as f32 / 250.0 - 2.0).collect();
    let masks = (0..pixels).map(|i| f32::from(i * 31 / 1000 % 2 == 0)).collect();
    let source = &mut Initialiser::new(0);
    match case.what {
        What::Infer => {
            let network = device.network(case.variant, source, 1, case.precision)?;
            run(&mut || Ok(device.keep_busy(|| network.logits(&images, case.batch, case.size)).map(drop)?))
        }
        What::Train => {
            let config = AdamWConfig::default();
            let compute = BuildOptions { precision: case.precision, memory };
            let classes = TrainedClasses::default();
            let mut session = open_session_on(device, case.variant, source, &classes, config, compute)?;
            let (indices, truth) = ((0..case.batch).collect(), BatchTruth::Masks(masks));
            let batch = Batch { side: case.size, indices, images, truth };
            run(&mut || {
                session.accumulate(&batch, 1.0, Loss::Paper)?;
                let _work = scope(Kind::Optimiser, 0);
                session.update(1e-3)?;
                // waits for the device, so that a call is a whole step
                Ok(session.losses().map(drop)?)
            })
        }
    }
}

/// Where the time of a case goes, as lines of a table.
#[derive(Clone, Debug, PartialEq)]
pub struct Profile {
    /// Seconds of a call.
    pub seconds: f64,
    /// Floating-point operations in a second that the machine reaches in products, at most.
    pub peak: f64,
    /// What takes the time, in all [`seconds`](Self::seconds).
    pub shares: Vec<Share>,
    /// Tensors that a call copies for kernels.
    pub copies: f64,
    /// Their size, in 10^6 bytes.
    pub copied_mb: f64,
}

/// A kind of work in a [`Profile`].
#[derive(Clone, Debug, PartialEq)]
pub struct Share {
    /// What it is.
    pub name: &'static str,
    /// Seconds of a call; work that threads do side by side counts as the share of one of them.
    pub seconds: f64,
    /// Floating-point operations of its products in a call; 0 where they are not counted.
    pub operations: f64,
}

/// Profiles a case: two calls to warm up, then the mean of the others.
///
/// # Errors
/// As [`measure`]; and on a GPU, whose work nobody counts.
pub fn profile(case: &Case, device: &Device, memory: MemoryUse) -> Result<Profile, MeasureError> {
    if device.name() != "cpu" {
        return Err(MeasureError::Profile);
    }
    let (seconds, spent, copies) = with_call(case, device, memory, |call| {
        for _ in 0..2 {
            call()?;
        }
        let start = Instant::now();
        let timed = || profile::during(|| (0..case.repeat).try_for_each(|_| call()));
        let ((result, spent), copies) = copies(timed);
        result.map(|()| (start.elapsed().as_secs_f64(), spent, copies))
    })?;
    let calls = case.repeat as f64;
    let share = |name, kind: Kind, threads: usize| {
        let spent = spent[kind as usize];
        Share { name, seconds: spent.seconds / calls / threads as f64, operations: spent.operations / calls }
    };
    let mut shares = vec![
        share("linear layers, with bias, GELU and residual", Kind::Linear, case.threads),
        share("attention", Kind::Attention, case.threads),
        share("layer norms, other GELUs", Kind::Norm, case.threads),
    ];
    let inside: f64 = shares.iter().map(|share| share.seconds).sum();
    let mut rest = share("rest of the blocks: packing, moving rows, waiting", Kind::Block, 1);
    rest.seconds -= inside;
    shares.push(rest);
    shares.extend([
        share("convolutions", Kind::Convolution, 1),
        share("batch norms", Kind::BatchNorm, 1),
        share("resampling and the decoder's joins", Kind::Resample, 1),
        share("other joins and sums", Kind::Join, 1),
    ]);
    if case.what == What::Train {
        shares.extend([share("loss", Kind::Loss, 1), share("optimiser", Kind::Optimiser, 1)]);
    }
    let (seconds, counted) = (seconds / calls, shares.iter().map(|share| share.seconds).sum::<f64>());
    shares.push(Share { name: "tensors, tape and copies", seconds: seconds - counted, operations: 0.0 });
    Ok(Profile {
        seconds,
        peak: peak(case.precision),
        shares,
        copies: copies.tensors as f64 / calls,
        copied_mb: 4e-6 * copies.numbers as f64 / calls,
    })
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| work | ms | share | GFLOP | GFLOP/s | of the limit |\n|---|---|---|---|---|---|")?;
        let all = Share {
            name: "all",
            seconds: self.seconds,
            operations: self.shares.iter().map(|share| share.operations).sum(),
        };
        for Share { name, seconds, operations } in self.shares.iter().chain([&all]) {
            let share = 100.0 * seconds / self.seconds;
            write!(f, "| {name} | {:.1} | {share:.1} % |", 1e3 * seconds)?;
            match *operations > 0.0 {
                true => {
                    let rate = operations / seconds;
                    let part = 100.0 * rate / self.peak;
                    writeln!(f, " {:.1} | {:.0} | {part:.0} % |", operations / 1e9, rate / 1e9)?;
                }
                false => writeln!(f, " | | |")?,
            }
        }
        writeln!(f, "\nThe limit: {:.0} GFLOP/s, products whose factors stay in the first caches.", self.peak / 1e9)?;
        write!(f, "Copied out of tensors: {:.1} MB in {:.0} tensors, weights among them.", self.copied_mb, self.copies)
    }
}

/// Memory before, and sorted seconds of each call but the first two.
fn time<E>(repeat: usize, call: &mut dyn FnMut() -> Result<(), E>) -> Result<(Option<f64>, Vec<f64>), E> {
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
    fn a_profile_adds_up_and_counts_the_products() {
        let device = crate::device::DeviceChoice::Cpu.open().unwrap();
        for what in [What::Infer, What::Train] {
            let (variant, threads) = (crate::nn::VariantName::Tiny, rayon::current_num_threads());
            let case = Case {
                what,
                variant,
                batch: 1,
                precision: Precision::F32,
                device: String::new(),
                size: 64,
                repeat: 1,
                threads,
            };
            let profile = profile(&case, &device, MemoryUse::default()).unwrap();
            let sum: f64 = profile.shares.iter().map(|share| share.seconds).sum();
            assert!((sum / profile.seconds - 1.0).abs() < 1e-6, "{sum} of {}", profile.seconds);
            // other tests' products may be counted too: at least the network's own
            let counted: f64 = profile.shares.iter().map(|share| share.operations).sum();
            let own = 1e9 * crate::nn::gflop::<crate::nn::Tiny>(64).total();
            let passes = if what == What::Infer { 0.9 } else { 2.0 };
            assert!(counted > passes * own, "{counted:e} of {own:e}");
            assert!(profile.peak > 1e8);
            let lines = profile.to_string().lines().count();
            assert_eq!(lines, profile.shares.len() + 6, "{profile}");
        }
    }

    #[test]
    fn the_median_of_an_even_count_lies_between() {
        assert_eq!(median(&[1.0, 2.0, 4.0, 9.0]), 3.0);
        assert_eq!(median(&[1.0, 2.0, 9.0]), 2.0);
    }
}
