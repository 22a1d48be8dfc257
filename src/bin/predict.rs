//! Predicts masks: see `predict --help`.

use clap::{Parser, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use sam2unet::predict::{PredictError, PredictOptions, Predictor, image_list};
use std::path::PathBuf;
use std::process::ExitCode;

/// Writes a mask for every image: OUT/STEM.png, 8 bit, at the image's size.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// SAM2-UNet checkpoint (.safetensors, .pth); its variant is found from its weights
    #[arg(long, value_name = "FILE")]
    checkpoint: PathBuf,
    /// An image, or a folder of images
    #[arg(long, value_name = "PATH")]
    images: PathBuf,
    /// Folder for the masks, made if need be
    #[arg(long, value_name = "DIR")]
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
    /// Also write OUT/STEM.overlay.png: the image with its mask drawn over it
    #[arg(long)]
    overlay: bool,
    /// Threads [default: one for each core]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true)]
    threads: usize,
    /// Where to compute
    #[arg(long, value_enum, default_value_t = Device::Auto)]
    device: Device,
}

#[derive(Clone, Copy, ValueEnum)]
enum Device {
    Auto,
    Cpu,
}

fn side(text: &str) -> Result<usize, String> {
    let side: usize = text.parse().map_err(|e| format!("{e}"))?;
    if sam2unet::nn::SIDES.contains(&side) {
        Ok(side)
    } else {
        Err("the side must be a multiple of 32 from 64 to 1024".into())
    }
}

fn share(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(t) if (0.0..=1.0).contains(&t) => Ok(t),
        _ => Err("a probability from 0 to 1 is needed".into()),
    }
}

fn main() -> ExitCode {
    match run(&Arguments::parse()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("predict: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(arguments: &Arguments) -> Result<ExitCode, PredictError> {
    // Fails only if a pool exists already, which nothing has made.
    let _ = rayon::ThreadPoolBuilder::new().num_threads(arguments.threads).build_global();
    let (Device::Auto | Device::Cpu) = arguments.device;
    let images = image_list(&arguments.images, &arguments.out)?;
    let predictor = Predictor::open(&arguments.checkpoint)?;
    let options = PredictOptions {
        size: arguments.size.or(predictor.trained_size()).unwrap_or(PredictOptions::default().size),
        stretch: arguments.stretch,
        threshold: arguments.threshold,
        overlay: arguments.overlay,
    };
    println!(
        "{} model at {} x {} on the CPU ({} threads)",
        predictor.variant(),
        options.size,
        options.size,
        rayon::current_num_threads()
    );
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images, {eta} left").ok();
    let bar = ProgressBar::new(images.len() as u64).with_style(style.unwrap_or_else(ProgressStyle::default_bar));
    let mut failed = 0;
    for image in &images {
        if let Err(error) = predictor.file(image, &arguments.out, &options) {
            failed += 1;
            bar.suspend(|| eprintln!("predict: {error}"));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    println!("{} masks written to {}", images.len() - failed, arguments.out.display());
    if failed > 0 {
        eprintln!("predict: {failed} of {} images failed, named above", images.len());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
