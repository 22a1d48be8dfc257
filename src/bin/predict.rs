//! Predicts masks: see `predict --help`.

use clap::Parser;
use indicatif::{ProgressBar, ProgressStyle};
use sam2unet::device::DeviceError;
use sam2unet::nn::{Precision, check_side};
use sam2unet::predict::{PredictError, PredictOptions, Predictor, image_list, prepare_folder};
use sam2unet::train::DeviceChoice;
use std::error::Error;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

sam2unet::load_cuda_libraries_late!();

/// Writes a mask for every image: OUT/STEM.png, 8 bit, at the image's size.
#[derive(Parser)]
#[command(version, allow_negative_numbers = true)]
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
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// auto (a GPU if this build and this machine have one), cpu or cuda
    #[arg(long, value_name = "NAME", default_value = "auto")]
    device: DeviceChoice,
    /// f32, or bf16: half the memory, less time where the machine has fast bf16 products, logits that differ by about a
    /// hundredth; tf32, on a GPU, lies between [default: what the checkpoint was trained in, or f32]
    #[arg(long, value_name = "NAME")]
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

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let threads = arguments.threads.map_or(0, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    // on one of the pool's threads, so that none is woken for each image
    let done = pool
        .map_err(|e| e.to_string())
        .and_then(|pool| pool.install(|| run(&arguments).map_err(|e| format!("{e}{}", advice(&*e)))));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("predict: {error}");
            ExitCode::from(2)
        }
    }
}

/// What the flags can do about an error.
fn advice(error: &(dyn Error + 'static)) -> &'static str {
    if error.is::<DeviceError>() {
        return "; --device cpu computes without it";
    }
    match error.downcast_ref() {
        Some(PredictError::TrainedSize { .. }) => "; give --size N",
        Some(PredictError::OverImages(_) | PredictError::Folder { .. }) => "; give another --out",
        Some(PredictError::NoImages { .. }) => "; --images takes an image or a folder of images",
        _ => "",
    }
}

/// Prints a line. Masks are written whether or not anybody reads it.
fn say(line: std::fmt::Arguments<'_>) {
    let _ = writeln!(io::stdout(), "{line}");
}

fn run(arguments: &Arguments) -> Result<ExitCode, Box<dyn Error>> {
    let images = image_list(&arguments.images, &arguments.out, arguments.overlay)?;
    let device = arguments.device.open()?;
    let predictor = Predictor::open(&arguments.checkpoint, &device, arguments.precision)?;
    let size = match arguments.size {
        Some(size) => size,
        None => predictor.trained_size()?.unwrap_or(PredictOptions::default().size),
    };
    // only now: what was refused leaves no folder behind
    prepare_folder(&arguments.out)?;
    let options =
        PredictOptions { size, stretch: arguments.stretch, threshold: arguments.threshold, overlay: arguments.overlay };
    say(format_args!(
        "{} model at {} x {} on {} ({} threads, {})",
        predictor.variant(),
        options.size,
        options.size,
        device.name(),
        rayon::current_num_threads(),
        predictor.precision().name()
    ));
    if let Some(reason) = device.not_a_gpu() {
        say(format_args!("{reason}: the CPU computes"));
    }
    if let Some(wanted) = arguments.precision.filter(|wanted| predictor.precision() != *wanted) {
        let needs = device.needs(wanted);
        say(format_args!("this device computes no {} products, which take {needs}: f32 in its place", wanted.name()));
    }
    if let Some(remark) = device.remark(predictor.precision()) {
        say(format_args!("{remark}"));
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} images, {eta} left").ok();
    let bar = ProgressBar::new(images.len() as u64).with_style(style.unwrap_or_else(ProgressStyle::default_bar));
    let mut failed = 0;
    for image in &images {
        if let Err(error) = device.keep_busy(|| predictor.file(image, &arguments.out, &options)) {
            failed += 1;
            bar.suspend(|| eprintln!("predict: {error}"));
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    say(format_args!("{} masks written to {}", images.len() - failed, arguments.out.display()));
    if failed > 0 {
        eprintln!("predict: {failed} of {} images failed, named above", images.len());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}
