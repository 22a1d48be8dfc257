//! `sam2unet train`, and the program `train`.

use super::console::{Console, say};
use super::failure::{Failure, Status};
use super::flags::choice;
use super::interrupt::stop_at_interrupt;
use crate::data::mask::FOREGROUND_ABOVE;
use crate::data::multi_scale::MultiScale;
use crate::device::{Device, DeviceChoice};
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::kernels::structure_loss::LossFlavour;
use crate::metrics::task::Task;
use crate::train::events::Outcome;
use crate::train::learner::Learner;
use crate::train::plan::Plan;
use crate::train::run::{is_finished, train};
use crate::train::run_folder::folder::RunFolder;
use crate::train::run_folder::state::State;
use crate::train::settings::choices::Choices;
use crate::train::settings::settings::Settings;
use crate::train::sources::Sources;
use crate::train::start::{StartError, open_learner};
use clap::Args;
use std::path::{Path, PathBuf};

/// What `--help` says after the flags.
const NOTES: &str = "\
Examples:
  sam2unet train
  sam2unet train --images IMAGES --masks MASKS --val-images VAL_IMAGES --val-masks VAL_MASKS \\
      --variant large --backbone weights/sam2_hiera_large.pt --task polyp --out run
  sam2unet train --resume run

An image and its mask have one file stem and one size; masks are grey, white is foreground.

Results: config.toml, log.jsonl, best/model.safetensors, last/model.safetensors, curves.svg, samples.png.
Ctrl-C saves and stops; --resume goes on exactly where a run was stopped, or killed.";

/// Trains on a folder of images and masks; without --images, on generated scenes
#[derive(Args)]
#[command(after_help = NOTES, allow_negative_numbers = true)]
pub(crate) struct Train {
    /// Folder of training images
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    images: Option<PathBuf>,
    /// Folder of their masks
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    masks: Option<PathBuf>,
    /// Folder of validation images: scored after each epoch, `best` is chosen by them [default: nothing is held out]
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    val_images: Option<PathBuf>,
    /// Folder of their masks
    #[arg(long, value_name = "DIR", help_heading = "Data")]
    val_masks: Option<PathBuf>,
    /// The paper's task: camouflage, salient (50 epochs), marine, mirror (20), polyp (20, --multi-scale random)
    #[arg(long, value_parser = choice::<Task>(), value_name = "NAME", help_heading = "Data")]
    task: Option<Task>,
    /// Keep the images in the order of their names
    #[arg(long, help_heading = "Data")]
    no_shuffle: bool,
    /// No random flips
    #[arg(long, help_heading = "Data")]
    no_augment: bool,

    /// tiny, small, base-plus or large [default: large; without --images tiny]
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    variant: Option<String>,
    /// Side of the input, a multiple of 32 from 64 to 1024 [default: 352; without --images 128]
    #[arg(long, value_name = "N", help_heading = "Model")]
    size: Option<usize>,
    /// SAM2's weights for the frozen trunk, any usual format (weights/README.md) [default: random]
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    backbone: Option<PathBuf>,
    /// SAM2-UNet checkpoint to start from
    #[arg(long, value_name = "FILE", help_heading = "Model")]
    init: Option<PathBuf>,

    /// Epochs, and the length of the learning rate's cosine [default: 20, or the task's]
    #[arg(long, value_name = "N", help_heading = "Optimisation")]
    epochs: Option<u64>,
    /// Stop after N optimiser steps; without --epochs the cosine gets as many epochs as they need
    #[arg(long, value_name = "N", help_heading = "Optimisation")]
    steps: Option<u64>,
    /// Images in a batch [default: 12; without --images 8]
    #[arg(long, value_name = "N", help_heading = "Optimisation")]
    batch_size: Option<usize>,
    /// Batches whose gradients make one step [default: 1]
    #[arg(long, value_name = "N", help_heading = "Optimisation")]
    accumulate: Option<usize>,
    /// Learning rate of the first epoch [default: 1e-3; without --images 2e-3]
    #[arg(long, value_name = "RATE", help_heading = "Optimisation")]
    lr: Option<f64>,
    /// AdamW's weight decay [default: 5e-4]
    #[arg(long, value_name = "RATE", help_heading = "Optimisation")]
    weight_decay: Option<f64>,
    /// paper, or published-script (whose cross-entropy is unweighted) [default: paper]
    #[arg(long, value_parser = choice::<LossFlavour>(), value_name = "NAME", help_heading = "Optimisation")]
    loss: Option<LossFlavour>,
    /// random: each batch at the side or 1.25 times it; both: at both, an update each; off [default: off, or the task's]
    #[arg(long, value_parser = choice::<MultiScale>(), value_name = "NAME", help_heading = "Optimisation")]
    multi_scale: Option<MultiScale>,
    /// Seed of everything random [default: 0]
    #[arg(long, value_name = "N", help_heading = "Optimisation")]
    seed: Option<u64>,

    /// Folder for the results, which must hold no run [default: runs/demo, runs/TASK or runs/train, numbered]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Go on in the folder of an earlier run, with its settings
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "config"], help_heading = "Run")]
    resume: Option<PathBuf>,
    /// Settings from a file, with the keys of a run's config.toml; flags win over it, paths in it start where you are
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    config: Option<PathBuf>,
    /// Minutes between two saves inside an epoch; 0 saves after each step [default: 5]
    #[arg(long, value_name = "N", help_heading = "Run")]
    checkpoint_minutes: Option<f64>,
    /// Threads to compute with [default: all cores]
    #[arg(long, value_name = "N", help_heading = "Run")]
    threads: Option<usize>,
    /// auto (a GPU if this build and this machine have one), cpu or cuda [default: auto]
    #[arg(long, value_parser = choice::<DeviceChoice>(), value_name = "NAME", help_heading = "Run")]
    device: Option<DeviceChoice>,
    /// f32, or bf16: the trunk is rounded, in half the memory, and stored so; factors of products too, where that is faster; or
    /// tf32, on a GPU: rounded less, and nothing is stored so [default: f32]
    #[arg(long, value_parser = choice::<Precision>(), value_name = "NAME", help_heading = "Optimisation")]
    precision: Option<Precision>,
    /// What a block keeps for the backward pass: small (its input), balanced, fast (most) [default: balanced]
    #[arg(long, value_parser = choice::<MemoryUse>(), value_name = "NAME", help_heading = "Run")]
    memory: Option<MemoryUse>,
}

impl Train {
    fn choices(self) -> Choices {
        Choices {
            images: self.images,
            masks: self.masks,
            val_images: self.val_images,
            val_masks: self.val_masks,
            task: self.task,
            variant: self.variant,
            size: self.size,
            epochs: self.epochs,
            steps: self.steps,
            batch_size: self.batch_size,
            accumulate: self.accumulate,
            lr: self.lr,
            weight_decay: self.weight_decay,
            backbone: self.backbone,
            init: self.init,
            seed: self.seed,
            loss: self.loss,
            multi_scale: self.multi_scale,
            shuffle: self.no_shuffle.then_some(false),
            augment: self.no_augment.then_some(false),
            threads: self.threads,
            device: self.device,
            precision: self.precision,
            memory: self.memory,
            checkpoint_minutes: self.checkpoint_minutes,
            generated: None,
        }
    }
}

impl Train {
    /// Trains, in a new folder or on in an earlier run's.
    pub fn run(mut self: Box<Self>) -> Result<Status, Failure> {
        let (out, resume, config) = (self.out.take(), self.resume.take(), self.config.take());
        let choices = self.choices();
        let outcome = match resume {
            Some(path) => resume_run(&path, choices),
            None => new_run(out, config, choices),
        }?;
        Ok(match outcome {
            Outcome::Stopped { .. } => Status::Interrupted,
            Outcome::Finished | Outcome::AlreadyFinished { .. } => Status::Done,
        })
    }
}

fn new_run(out: Option<PathBuf>, config: Option<PathBuf>, flags: Choices) -> Result<Outcome, Failure> {
    let file = config.map_or(Ok(Choices::default()), |path| Choices::read(&path))?;
    let mut settings = flags.over(file).resolve()?;
    let out = out.unwrap_or_else(|| {
        let name = settings.task.map_or(if settings.images.is_some() { "train" } else { "demo" }, Task::name);
        RunFolder::unused(Path::new("runs"), name)
    });
    RunFolder::check_unused(&out)?;
    set_threads(&settings)?;
    let device = open_device(&settings)?;
    if !device.supports(settings.precision) {
        say(format_args!(
            "{:<10} this device computes no {} products, which take {}: f32 in its place",
            "precision",
            settings.precision.name(),
            device.needs(settings.precision)
        ));
        settings.precision = Precision::F32;
    }
    let sources = open_sources(&settings)?;
    let mut learner = open_model(&settings, &device, None)?;
    // only now: what was refused leaves no folder behind
    let mut folder = RunFolder::create(&out, &settings)?;
    go(&settings, &sources, &mut folder, &mut *learner)
}

fn resume_run(path: &Path, flags: Choices) -> Result<Outcome, Failure> {
    let mut folder = RunFolder::open(path)?;
    let before = folder.settings()?;
    let lengthened = flags.steps.is_some() || flags.epochs.is_some();
    let settings = before.resumed_with(flags)?;
    if let Some(state) = folder.state()?
        && has_ended(&state, &settings)
    {
        if lengthened {
            return Err(Failure::input(format_args!(
                "{} has made {} steps and would end there again: the shorter of {} counts; make both longer",
                path.display(),
                state.step,
                length(&settings)
            )));
        }
        say(format_args!(
            "{} is finished: {} steps, {}. Longer ones beside --resume go on; its best model is {}",
            path.display(),
            state.step,
            length(&settings),
            folder.best_model().display()
        ));
        return Ok(Outcome::AlreadyFinished { step: state.step });
    }
    if folder.state()?.is_none() {
        say(format_args!("{} holds no checkpoint: the run starts at step 0", path.display()));
    }
    set_threads(&settings)?;
    let device = open_device(&settings)?;
    if !device.supports(settings.precision) {
        return Err(Failure::input(format_args!(
            "{} was trained in {}, which takes {}: resume it on such a --device, or start a new run in f32 with --init \
             {}/last/model.safetensors",
            path.display(),
            settings.precision.name(),
            device.needs(settings.precision),
            path.display()
        )));
    }
    let sources = open_sources(&settings)?;
    let mut learner = open_model(&settings, &device, Some(&folder))?;
    go(&settings, &sources, &mut folder, &mut *learner)
}

/// The limits that a run ends at, as its settings have them.
fn length(settings: &Settings) -> String {
    let limit = |name: &str, value: Option<u64>| value.map(|value| format!("--{name} {value}"));
    let limits = [limit("epochs", settings.epochs), limit("steps", settings.steps)];
    limits.into_iter().flatten().collect::<Vec<_>>().join(" and ")
}

fn has_ended(state: &State, settings: &Settings) -> bool {
    is_finished(state, &Plan::new(settings, state.images))
}

fn open_sources(settings: &Settings) -> Result<Sources, Failure> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let sources = Sources::open(settings, settings.threads.unwrap_or(cores))?;
    for (count, folder) in
        [(sources.unused_masks, &settings.masks), (sources.unused_validation_masks, &settings.val_masks)]
    {
        if let (1.., Some(folder)) = (count, folder) {
            eprintln!("warning: {count} masks in {} have no image and are not used", folder.display());
        }
    }
    for (count, folder) in [(sources.dark_masks, &settings.masks), (sources.dark_validation_masks, &settings.val_masks)]
    {
        if let (1.., Some(folder)) = (count, folder) {
            eprintln!(
                "warning: {count} masks in {} hold nothing above {FOREGROUND_ABOVE}, so no foreground: it must be 255",
                folder.display()
            );
        }
    }
    Ok(sources)
}

fn set_threads(settings: &Settings) -> Result<(), Failure> {
    let Some(threads) = settings.threads else { return Ok(()) };
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build_global();
    pool.map_err(|e| Failure::later(format_args!("cannot set up {threads} threads: {e}")))
}

fn open_device(settings: &Settings) -> Result<Device, Failure> {
    let device = settings.device.open().map_err(StartError::from)?;
    if let Some(reason) = device.not_a_gpu() {
        say(format_args!("{:<10} {reason}: the CPU computes", "device"));
    }
    if let Some(remark) = device.remark(settings.precision) {
        say(format_args!("{:<10} {remark}", "precision"));
    }
    Ok(device)
}

fn open_model(settings: &Settings, device: &Device, resumed: Option<&RunFolder>) -> Result<Box<dyn Learner>, Failure> {
    let (learner, report) = open_learner(settings, device, resumed)?;
    if let Some(report) = report {
        say(format_args!("{:<10} {report}", "weights"));
    }
    Ok(learner)
}

fn go(
    settings: &Settings,
    sources: &Sources,
    folder: &mut RunFolder,
    learner: &mut dyn Learner,
) -> Result<Outcome, Failure> {
    let stop = stop_at_interrupt()?;
    let mut console = Console::new(settings.task);
    let outcome = train(settings, sources, folder, learner, &stop, &mut console);
    console.finish();
    let place = folder.path().display();
    match outcome? {
        Outcome::Stopped { step } => {
            say(format_args!("stopped after step {step}; go on with: train --resume {place}"));
            Ok(Outcome::Stopped { step })
        }
        outcome => {
            say(format_args!("done: {place} holds best/model.safetensors, log.jsonl, curves.svg, samples.png"));
            Ok(outcome)
        }
    }
}
