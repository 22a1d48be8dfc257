//! Where to compute: what is chosen, and what is opened.

use crate::choice::choice;
#[cfg(feature = "cuda")]
use crate::kernels::cuda::open::NoGpu;
use crate::kernels::device::Device as KernelDevice;
use crate::kernels::precision::Precision;
use crate::nn::backend::bound::Backend;
#[cfg(feature = "cuda")]
use crate::nn::backend::open_cuda::{CudaOpenError, open_cuda};
use crate::nn::network::{Network, open_network};
use crate::nn::variant::VariantName;
use crate::nn::weights::build::BuildError;
use crate::nn::weights::source::WeightSource;
use dfdx::tensor::Cpu;

choice! {
    /// Where to compute, as it is chosen.
    #[derive(Default)]
    pub enum DeviceChoice: "device" {
        /// An NVIDIA GPU, where this build knows them and there is one; else the CPU.
        #[default]
        Auto = "auto",
        /// The CPU.
        Cpu = "cpu",
        /// The first NVIDIA GPU.
        Cuda = "cuda",
    }
}

/// Why there is no such device.
#[derive(Debug, thiserror::Error)]
pub enum DeviceError {
    /// The crate was built without.
    #[cfg(not(feature = "cuda"))]
    #[error("this was built without CUDA; build it with the feature `cuda`")]
    NoCuda,
    /// The GPU cannot be used.
    #[cfg(feature = "cuda")]
    #[error("the GPU cannot be used: {0}")]
    Cuda(#[from] CudaOpenError),
    /// More processes run on a machine than it has GPUs for.
    #[error(
        "this is process {} of those on its machine and sees {cards} GPU{}, and each takes one of its own: start as many \
         processes on a machine as it has GPUs, or have all compute on the CPU (`device` = cpu)",
        local + 1, if *cards == 1 { "" } else { "s" }
    )]
    TooFewGpus {
        /// Which of the processes on its machine this is, from 0.
        local: usize,
        /// How many GPUs it sees: at least one.
        cards: usize,
    },
}

/// A device that stands ready.
#[derive(Clone, Debug)]
pub enum Device {
    /// The CPU, and why it is not a GPU, if one was looked for.
    Cpu(Cpu, Option<String>),
    /// A GPU.
    #[cfg(feature = "cuda")]
    Cuda(dfdx::tensor::Cuda),
}

/// What is done with a device, written once for every kind of it: see [`Device::visit`].
pub trait WithBackend {
    /// What comes of it.
    type Output;
    /// Does it on `device`.
    fn call<D: Backend>(self, device: &D) -> Self::Output;
}

/// Calls a function generic over the device.
macro_rules! on {
    ($device:expr, |$d:ident| $call:expr) => {
        match $device {
            Device::Cpu($d, _) => $call,
            #[cfg(feature = "cuda")]
            Device::Cuda($d) => $call,
        }
    };
}

impl DeviceChoice {
    /// Opens the device.
    ///
    /// # Errors
    /// When a GPU is insisted on that cannot be used, or of which this build knows nothing.
    pub fn open(self) -> Result<Device, DeviceError> {
        self.open_for(0)
    }

    /// Opens the device for the `local`-th of several processes on this machine, from 0: each has a GPU of its own, in their order.
    /// Where `CUDA_VISIBLE_DEVICES` names a single one, the launcher has given each process its own, and that is taken.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when this process sees GPUs, but fewer than there are processes up to it, with
    /// [`Auto`](Self::Auto), too: else some of them would compute on the CPU, which rounds otherwise.
    pub fn open_for(self, local: usize) -> Result<Device, DeviceError> {
        #[cfg(feature = "cuda")]
        let card = card_of(local, std::env::var("CUDA_VISIBLE_DEVICES").ok().as_deref());
        #[cfg(not(feature = "cuda"))]
        let _ = local;
        match self {
            Self::Cpu => Ok(Device::Cpu(Cpu::default(), None)),
            #[cfg(feature = "cuda")]
            Self::Auto => Ok(match open_cuda(card) {
                Ok(cuda) => Device::Cuda(cuda),
                // not a machine's fault but the build's
                Err(reason @ CudaOpenError::Address(_)) => return Err(reason.into()),
                Err(reason) if too_few(local, &reason).is_some() => return Err(refused(local, reason)),
                Err(reason) => Device::Cpu(Cpu::default(), Some(reason.to_string())),
            }),
            #[cfg(feature = "cuda")]
            Self::Cuda => open_cuda(card).map(Device::Cuda).map_err(|reason| refused(local, reason)),
            #[cfg(not(feature = "cuda"))]
            Self::Auto => Ok(Device::Cpu(Cpu::default(), None)),
            #[cfg(not(feature = "cuda"))]
            Self::Cuda => Err(DeviceError::NoCuda),
        }
    }
}

/// How many GPUs the `local`-th process of a machine sees, where it is these that are too few.
#[cfg(feature = "cuda")]
fn too_few(local: usize, reason: &CudaOpenError) -> Option<usize> {
    match reason {
        CudaOpenError::NoGpu(NoGpu::Device { count, .. }) if local > 0 && *count > 0 => Some(*count),
        _ => None,
    }
}

/// Why the `local`-th process of a machine has no GPU.
#[cfg(feature = "cuda")]
fn refused(local: usize, reason: CudaOpenError) -> DeviceError {
    match too_few(local, &reason) {
        Some(cards) => DeviceError::TooFewGpus { local, cards },
        None => reason.into(),
    }
}

/// Which of the GPUs that it sees the `local`-th process of a machine takes.
#[cfg(any(feature = "cuda", test))]
fn card_of(local: usize, visible: Option<&str>) -> usize {
    match visible {
        Some(cards) if !cards.trim().is_empty() && !cards.contains(',') => 0,
        _ => local,
    }
}

impl Device {
    /// Its short name: `cpu` or `cuda`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Cpu(..) => "cpu",
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => "cuda",
        }
    }

    /// Why it is not a GPU, if one was looked for.
    pub fn not_a_gpu(&self) -> Option<&str> {
        match self {
            Self::Cpu(_, reason) => reason.as_deref(),
            #[cfg(feature = "cuda")]
            Self::Cuda(_) => None,
        }
    }

    /// Whether it takes this precision.
    pub fn supports(&self, precision: Precision) -> bool {
        on!(self, |d| d.supports(precision))
    }

    /// What a device of this kind must have or be to compute in it.
    pub fn needs(&self, precision: Precision) -> &'static str {
        struct Needs(Precision);
        impl WithBackend for Needs {
            type Output = &'static str;
            fn call<D: Backend>(self, _: &D) -> Self::Output {
                <D::Kernels as KernelDevice>::requires(self.0)
            }
        }
        self.visit(Needs(precision))
    }

    /// What its products are computed in where this precision is asked for.
    pub fn computes_in(&self, precision: Precision) -> Precision {
        on!(self, |d| d.computes_in(precision))
    }

    /// What its products in this precision are computed with: a CPU's instruction set, or the GPU.
    pub fn instructions(&self, precision: Precision) -> String {
        struct Instructions(Precision);
        impl WithBackend for Instructions {
            type Output = String;
            fn call<D: Backend>(self, device: &D) -> String {
                device.kernels().map(|k| k.instructions(self.0)).unwrap_or_default()
            }
        }
        self.visit(Instructions(precision))
    }

    /// What a person should know of how it computes in a precision that it offers, if anything.
    pub fn remark(&self, precision: Precision) -> Option<String> {
        let computed = self.computes_in(precision);
        (self.supports(precision) && computed != precision).then(|| {
            let (held, computed) = (precision.name(), computed.name());
            format!("frozen weights are held in {held}, products computed in {computed}: this machine has no {held} products that are faster")
        })
    }

    /// Runs `work`, one inference after the other, with a CPU's threads kept from falling asleep between an inference's
    /// many parallel parts. They look for any work of rayon's pool meanwhile, and this waits for what they have begun: it is for
    /// a program whose pool does nothing else.
    pub fn keep_busy<R>(&self, work: impl FnOnce() -> R) -> R {
        on!(self, |d| match d.kernels() {
            Ok(k) => k.keep_busy(work),
            Err(_) => work(),
        })
    }

    /// The most of its memory pool that was in use at once, in bytes, without cuBLAS's workspace and what uploads pass through;
    /// `None` where it has none or the driver does not tell.
    pub fn peak_bytes(&self) -> Option<u64> {
        on!(self, |d| d.kernels().ok()?.peak_bytes())
    }

    /// How much of its own memory is free, and how much it has, in bytes; `None` where it has none or the driver does
    /// not tell.
    pub fn memory_bytes(&self) -> Option<(u64, u64)> {
        on!(self, |d| d.kernels().ok()?.memory_bytes())
    }

    /// What tells this GPU from every other one, on any machine; `None` for the CPU, or if the driver does not tell.
    pub fn identity(&self) -> Option<String> {
        on!(self, |d| d.kernels().ok()?.identity())
    }

    /// Calls `f` with the device itself, whose type is known then.
    pub fn visit<F: WithBackend>(&self, f: F) -> F::Output {
        on!(self, |d| f.call(d))
    }

    /// [`open_network`] on this device.
    ///
    /// # Errors
    /// As there.
    pub fn network(
        &self,
        variant: VariantName,
        source: &mut dyn WeightSource,
        classes: usize,
        precision: Precision,
    ) -> Result<Box<dyn Network>, BuildError> {
        struct Open<'a>(VariantName, &'a mut dyn WeightSource, usize, Precision);
        impl WithBackend for Open<'_> {
            type Output = Result<Box<dyn Network>, BuildError>;
            fn call<D: Backend>(self, device: &D) -> Self::Output {
                open_network(self.0, device, self.1, self.2, self.3)
            }
        }
        self.visit(Open(variant, source, classes, precision))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_of_a_machine_has_a_gpu_of_its_own() {
        assert_eq!([0, 1, 3].map(|local| card_of(local, None)), [0, 1, 3]);
        assert_eq!([0, 1].map(|local| card_of(local, Some("4,6"))), [0, 1]);
        assert_eq!([0, 1].map(|local| card_of(local, Some("6"))), [0, 0]);
        assert_eq!(card_of(1, Some("")), 1);
    }

    #[cfg(feature = "cuda")]
    #[test]
    fn with_fewer_gpus_than_processes_none_computes_elsewhere() {
        let Some(_) = crate::nn::backend::open_cuda::tested_gpu() else {
            return;
        };
        for choice in [DeviceChoice::Cuda, DeviceChoice::Auto] {
            let error = choice.open_for(1000).unwrap_err().to_string();
            assert!(error.starts_with("this is process 1001 of those on its machine and sees "), "{error}");
        }
    }

    #[test]
    fn the_cpu_is_always_there() {
        for choice in [DeviceChoice::Cpu, DeviceChoice::Auto] {
            let device = choice.open().unwrap();
            assert!(device.supports(Precision::F32));
            assert!(choice == DeviceChoice::Auto || device.name() == "cpu");
        }
    }

    #[cfg(not(feature = "cuda"))]
    #[test]
    fn a_build_without_cuda_says_so() {
        let error = DeviceChoice::Cuda.open().unwrap_err().to_string();
        assert!(error.contains("feature `cuda`"), "{error}");
    }
}
