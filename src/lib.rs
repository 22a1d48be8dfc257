//! SAM2-UNet (arXiv 2408.08870) on typed `dfdx` tensors: the frozen Hiera encoder of Segment Anything 2 with a
//! small trainable adapter before each block, receptive-field blocks and a U-Net decoder with deep supervision.
//!
//! - [`nn`]: the network. Channels, resolutions and classes are types: a wrong model does not compile.
//! - [`kernels`]: what a device computes, on plain numbers.
//! - [`checkpoint`]: weight files of SAM2, of the published SAM2-UNet and of this crate.
//! - [`data`]: images and masks, pixel for pixel as Pillow has them.
//! - [`train`]: a run from settings to a trained model, resumable to the byte.
//! - [`device`]: the CPU or a GPU, chosen at run time.
//! - [`predict`]: from image files to mask files.
//! - [`metrics`]: the scores that papers report.
//! - [`files`]: files and folders that are whole under their names.
//! - [`group`]: processes that train one model together.
//! - [`shard`]: parts of work that several tasks share.
//! - [`choice`]: choices among names.
//!
//! The programs' code is behind the feature `cli`, which is on by default; a crate that uses the library alone turns it
//! off (`default-features = false`).
//!
//! ```no_run
//! use dfdx::prelude::*;
//! use sam2unet::nn::{Const, Image, Initialiser, Large, Sam2UNet};
//!
//! let device = Cpu::default();
//! let predictor = Sam2UNet::<Large>::from_source(&device, &mut Initialiser::new(0))?.into_predictor();
//! let images: Image<Const<2>, Const<352>, Cpu> = device.zeros();
//! let probabilities = predictor.predict(images)?.sigmoid(); // (2, 1, 352, 352)
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod checkpoint;
pub mod choice;
#[cfg(feature = "cli")]
pub mod cli;
pub mod data;
pub mod device;
pub(crate) mod digest;
pub mod files;
pub mod group;
pub mod kernels;
pub mod metrics;
pub mod nn;
pub mod predict;
pub mod shard;
pub(crate) mod shell;
pub mod train;
