//! `sam2unet predict`.

use super::console::{bar, say, warn};
use super::failure::{Failure, Status};
use super::flags::{Threads, choice};
use crate::checkpoint::found::{FoundAs, find_model};
use crate::device::DeviceChoice;
use crate::kernels::precision::Precision;
use crate::nn::shape::check_side;
use crate::predict::error::PredictError;
use crate::predict::images::{Destination, Images};
use crate::predict::predictor::{PredictOptions, Predictor};
use clap::{ArgGroup, Args};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  sam2unet predict --checkpoint runs/polyp --images PHOTOS --out PREDICTED --overlay
  sam2unet predict --checkpoint model.safetensors --images photo.jpg --out mask.png --threshold 0.5
  find . -name '*.jpg' | sam2unet predict --checkpoint model.safetensors --images - --out PREDICTED";

/// Writes a mask for every image: 8 bit, at the image's size
#[derive(Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
#[command(group(ArgGroup::new("source").required(true).args(["images", "list"])))]
pub(crate) struct Predict {
    /// SAM2-UNet checkpoint (.safetensors, .pth), or the folder of a run: its best model; its variant is found from its weights
    #[arg(long, value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    /// An image, a folder of images, or - for a list as --list takes it, on standard input
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,
    /// File with the paths of images, one a line, relative to the current folder
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// Folder for the masks, STEM.png each, made if need be; or, if it ends in .png, the file for the mask of one image
    #[arg(long, value_name = "DIR|FILE.png")]
    out: PathBuf,
    /// Side of the network's input [default: what the checkpoint was trained with, or 352]
    #[arg(long, value_name = "N", value_parser = side)]
    size: Option<usize>,
    /// Stretch each map to the full range, as the published script does
    #[arg(long)]
    stretch: bool,
    /// Write black and white masks: white from this probability on
    #[arg(long, value_name = "T", value_parser = share)]
    threshold: Option<f32>,
    /// Also write the image with its mask drawn over it: STEM.overlay.png, or FILE.overlay.png
    #[arg(long)]
    overlay: bool,
    #[command(flatten)]
    threads: Threads,
    /// Where to compute; auto is a GPU if this build and this machine have one
    #[arg(long, value_name = "NAME", default_value_t, value_parser = choice::<DeviceChoice>())]
    device: DeviceChoice,
    /// bf16 takes half the memory, less time where the machine has fast bf16 products, and gives logits that differ by
    /// about a hundredth; tf32, on a GPU, lies between [default: what the checkpoint was trained in, or f32]
    #[arg(long, value_name = "NAME", value_parser = choice::<Precision>())]
    precision: Option<Precision>,
}

fn side(text: &str) -> Result<usize, String> {
    let side = text.parse().map_err(|e| format!("{e}"))?;
    check_side(side).map_err(|e| e.to_string())?;
    Ok(side)
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(t) if (0.0..=1.0).contains(&t) => Ok(t),
        _ => Err("a probability from 0 to 1 is needed".into()),
    }
}

impl Predict {
    /// Predicts.
    pub fn run(self) -> Result<Status, Failure> {
        self.threads.start()?.install(|| self.predict())
    }

    fn predict(&self) -> Result<Status, Failure> {
        let destination = Destination::of(&self.out);
        let jobs = self.source()?.jobs(&destination, self.overlay)?;
        let device = self.device.open()?;
        let found = find_model(&self.checkpoint)?;
        let predictor = Predictor::open(&found.path, &device, self.precision)?;
        let size = match self.size {
            Some(size) => size,
            None => predictor.trained_size()?.unwrap_or(PredictOptions::default().size),
        };
        // only now: what was refused leaves no folder behind
        destination.prepare()?;
        let options = PredictOptions { size, stretch: self.stretch, threshold: self.threshold };
        if found.kind != FoundAs::Given {
            say(&found);
        }
        say(format_args!(
            "{} model at {size} x {size} on {} ({} threads, {})",
            predictor.variant(),
            device.name(),
            rayon::current_num_threads(),
            predictor.precision()
        ));
        if let Some(reason) = device.not_a_gpu() {
            say(format_args!("{reason}: the CPU computes"));
        }
        if let Some(wanted) = self.precision.filter(|wanted| predictor.precision() != *wanted) {
            let needs = device.needs(wanted);
            say(format_args!("this device computes no {wanted} products, which take {needs}: f32 in its place"));
        }
        if let Some(remark) = device.remark(predictor.precision()) {
            say(remark);
        }
        let bar = bar(jobs.len() as u64).with_message("images");
        let mut failed = 0;
        for job in &jobs {
            if let Err(error) = device.keep_busy(|| predictor.run(job, &options)) {
                failed += 1;
                bar.suspend(|| warn(format_args!("predict: {error}")));
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        let (written, out) = (jobs.len() - failed, self.out.display());
        match destination {
            Destination::File(_) if written == 1 => say(format_args!("mask written to {out}")),
            _ => say(format_args!("{written} masks written to {out}")),
        }
        match failed {
            0 => Ok(Status::Done),
            _ => Err(Failure::later(format_args!("{failed} of {} images failed, named above", jobs.len()))),
        }
    }

    /// The images, by the one of two flags that is given.
    fn source(&self) -> Result<Images, PredictError> {
        match (&self.images, &self.list) {
            (Some(path), _) if path.as_os_str() == "-" => Images::listed(io::stdin(), Path::new("standard input")),
            (Some(path), _) => Images::at(path),
            (None, Some(list)) => match File::open(list) {
                Ok(file) => Images::listed(file, list),
                Err(source) => Err(PredictError::List { list: list.clone(), source }),
            },
            (None, None) => unreachable!("one of the group is required"),
        }
    }
}
