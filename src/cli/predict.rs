//! `sam2unet predict`.

use super::console::{bar, let_warnings_through, say, tell, tell_unused, warn};
use super::failure::{Failure, Status};
use super::flag_names::with_flags;
use super::flags::{Reading, Threads, choice, shard, shard_told};
use super::interrupt::Interrupt;
use super::labels::LabelFlags;
use super::ranks::{Waiting, own_shard, same_words};
use crate::checkpoint::classes::FileClasses;
use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::file::WeightFile;
use crate::checkpoint::found::{FoundAs, FoundModel, find_model};
use crate::data::classes::class::ClassKind;
use crate::data::classes::folders::ClassFolders;
use crate::data::labels::kind::LabelKind;
use crate::data::read::facts::ReadOptions;
use crate::data::warning::{Warning, WarningCode, image_warnings};
use crate::device::{Device, DeviceChoice};
use crate::digest::Digest;
use crate::kernels::precision::Precision;
use crate::nn::shape::check_side;
use crate::predict::all::{End, Predicted, predict_all};
use crate::predict::error::PredictError;
use crate::predict::existing::not_done;
use crate::predict::images::Images;
use crate::predict::job::{Destination, Job, ProbabilityFormat};
use crate::predict::like::Like;
use crate::predict::options::PredictOptions;
use crate::predict::plan::{PlanOptions, plan};
use crate::predict::predictor::Predictor;
use crate::shard::Shard;
use crate::train::together::ranks::Ranks;
use clap::{ArgGroup, Args};
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

const EXAMPLES: &str = "\
Of classes that exclude each other the mask is an index PNG in their colours: the value of a pixel is the
number of its class. Of classes that may overlap there is a mask for each, in a folder of its name.

An existing file is replaced if `predict` wrote it. If any other is in the way, nothing is done.

Examples:
  sam2unet predict --checkpoint runs/polyp --images PHOTOS --out PREDICTED --overlay
  sam2unet predict --checkpoint model.safetensors --images photo.jpg --out mask.png --threshold 0.5
  sam2unet predict --checkpoint model.safetensors --images NC4K/Imgs --like NC4K/GT --out PREDICTED
      at the sizes of the masks, to be scored by `sam2unet evaluate`
  sam2unet predict --checkpoint runs/tools --images IMAGES --out PREDICTED --probabilities png --overlay
      of several classes: the class of each pixel, the probability of each class, and a picture with a legend
  sam2unet predict --checkpoint model.safetensors --images SCANS --recursive --out PREDICTED
      of a folder with folders in it; with --skip-existing it goes on where an earlier call stopped
  sbatch --array=1-8 --wrap 'sam2unet predict --checkpoint model.safetensors --images SCANS --out PREDICTED --shard slurm'
      by eight tasks, an eighth of the images each; without SLURM, --shard 1/8 to --shard 8/8
  find . -name '*.jpg' | sam2unet predict --checkpoint model.safetensors --images - --out PREDICTED";

/// Writes a mask for every image: 8 bit, at the image's size or a given mask's
#[derive(Args)]
#[command(after_help = EXAMPLES, allow_negative_numbers = true)]
#[command(group(ArgGroup::new("source").required(true).args(["images", "list"])))]
pub(crate) struct Predict {
    /// SAM2-UNet checkpoint (.safetensors, .pth), or the folder of a run: its best model; its variant and classes are found from it
    #[arg(long, value_name = "FILE|RUN")]
    checkpoint: PathBuf,
    /// An image, a folder of images, or - for a list as --list takes it, on standard input
    #[arg(long, value_name = "PATH")]
    images: Option<PathBuf>,
    /// File with the paths of images, one a line, relative to the current folder
    #[arg(long, value_name = "FILE")]
    list: Option<PathBuf>,
    /// With --images DIR: look into its subfolders, too; the masks lie in folders of the same names
    #[arg(long, conflicts_with = "list")]
    recursive: bool,
    /// Folder for the masks, STEM.png each, made if need be (CLASS/STEM.png, where classes may overlap); or, if it ends in .png, the
    /// file for the mask of one image
    #[arg(long, value_name = "DIR|FILE.png")]
    out: PathBuf,
    /// Folder with a mask for each image, of the same stem: predictions are written at the sizes of these masks, as the
    /// published script does. Labels of another form are described by --mask-suffix, --labels and what goes with them
    #[arg(long, value_name = "DIR")]
    like: Option<PathBuf>,
    #[command(flatten)]
    labels: LabelFlags,
    /// Replace files that are there already and that `predict` did not write; never those that are read
    #[arg(long)]
    overwrite: bool,
    /// Keep the masks and overlays of an earlier `predict` that are whole and of the right size, and compute the others
    #[arg(long)]
    skip_existing: bool,
    /// Side of the network's input [default: what the checkpoint was trained with, or 352]
    #[arg(long, value_name = "N", value_parser = side)]
    size: Option<usize>,
    /// Stretch each map to the full range, as the published script does; not where classes exclude each other
    #[arg(long)]
    stretch: bool,
    /// Write black and white masks: white from this probability on; not where classes exclude each other
    #[arg(long, value_name = "T", value_parser = share)]
    threshold: Option<f32>,
    /// Also write the probability of each class: CLASS/STEM.png (8 bit, 255 is certain) or CLASS/STEM.tiff (32-bit numbers from 0 to
    /// 1). Where a mask of that class lies at this place, `.probability` is added: STEM.probability.tiff
    #[arg(long, value_name = "NAME", value_parser = choice::<ProbabilityFormat>())]
    probabilities: Option<ProbabilityFormat>,
    /// Also write the image with its mask, or its classes and a legend, drawn over it: STEM.overlay.png, or FILE.overlay.png
    #[arg(long)]
    overlay: bool,
    /// Do only the I-th of N equal parts of the images, I from 1: all parts, done by any number of tasks, leave the files of one
    /// call without it. `slurm` takes I and N from the job array that this task is of
    #[arg(long, value_name = "I/N|slurm", value_parser = shard)]
    shard: Option<Shard>,
    #[command(flatten)]
    reading: Reading,
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

/// What is said when a signal comes.
const STOPPING: &str = "stopping after this image; Ctrl-C again quits at once";

impl Predict {
    /// Predicts. After a signal the image in hand is the last one.
    pub fn run(self, interrupt: &Interrupt) -> Result<Status, Failure> {
        match self.shard {
            // a task of its own, whoever started it
            Some(_) => self.threads.start()?.install(|| self.predict(interrupt, &Ranks::alone())),
            None => Waiting::a_day().run("predict", |group| {
                let ranks = Ranks::of(group.clone())?;
                same_words(&ranks)?;
                let threads = self.threads.start_as(&ranks);
                let predicted = threads.and_then(|threads| threads.install(|| self.predict(interrupt, &ranks)));
                ranks.together(1, predicted)
            }),
        }
    }

    fn predict(&self, interrupt: &Interrupt, ranks: &Ranks) -> Result<Status, Failure> {
        let destination = Destination::of(&self.out);
        let images = self.source()?;
        let like = self.like(&images)?;
        let opened = self.open();
        // what is wrong with the images is told first: of a file that cannot be read, one class is expected
        let classes = opened.as_ref().map_or(&FileClasses::One, |(.., classes)| classes);
        let options = PlanOptions {
            classes: classes.classes(),
            probabilities: self.probabilities,
            overlay: self.overlay,
            like: like.as_ref(),
            overwrite: self.overwrite,
        };
        let (jobs, (found, file, classes)) = match (plan(&images, &destination, &options), opened) {
            // what depends on the classes is no matter where these cannot be read
            (
                Err(
                    PredictError::MasksAreProbabilities
                    | PredictError::OneFileForClasses { .. }
                    | PredictError::Existing { .. },
                ),
                Err(error),
            ) => return Err(error.into()),
            (jobs, opened) => (jobs?, opened?),
        };
        let options = PredictOptions { stretch: self.stretch, threshold: self.threshold, ..PredictOptions::default() };
        options.check(classes.classes())?;
        // all have seen what is there, and the same, before anybody writes
        let mut digest = Digest::new();
        jobs.iter().for_each(|job| digest.text(&job.image.to_string_lossy()));
        ranks.compare_all(&[("the list of images", digest.number())])?;
        let jobs = match self.shard.or(own_shard(ranks)?) {
            None => jobs,
            // what is refused is refused by every part: only now are the others' images left out
            Some(shard) => {
                let own = shard.stretch(jobs.len());
                match ranks.are_several() {
                    true => say(format_args!("{} images over {} processes", jobs.len(), ranks.size())),
                    false => say(shard_told(shard, jobs.len(), "images")),
                }
                if own.is_empty() && !ranks.are_several() {
                    say("there is nothing to do, as there are more parts than images");
                    return Ok(Status::Done);
                }
                jobs[own].to_vec()
            }
        };
        let device = self.device.open_for(ranks.group().local().0)?;
        let predictor = Predictor::of_file(&file, &device, self.precision)?;
        let section = file.shown_section();
        drop(file);
        let size = match self.size {
            Some(size) => size,
            None => predictor.trained_size()?.unwrap_or(options.size),
        };
        let read = self.reading.over(predictor.trained_reading());
        let options = PredictOptions { size, read, ..options };
        // only now: what was refused leaves no folder behind
        destination.prepare()?;
        if found.kind != FoundAs::Given {
            say(&found);
        }
        if !section.is_empty() {
            say(format_args!("{}: weights under `{section}`", found.path.display()));
        }
        tell_found(&images, like.as_ref());
        let all = jobs.len();
        let jobs = if self.skip_existing { not_done(jobs, &read, classes.classes()) } else { jobs };
        self.describe(&predictor, &device, &options);
        self.describe_classes(&classes);
        interrupt.begin(STOPPING);
        // what is wrong with an image is told by the process that has it
        let_warnings_through();
        let predicted = run_jobs(&jobs, &predictor, &device, &options, interrupt.stop());
        let facts: Vec<_> = predicted.images.iter().map(|(path, facts)| (path.as_path(), facts)).collect();
        for warning in image_warnings(&facts) {
            tell(&warning, "");
        }
        // one, and several
        let made = match classes.classes() {
            Some(classes) if classes.kind == ClassKind::Exclusive => ("index mask", "index masks"),
            Some(classes) if classes.len() > 1 => ("set of masks", "sets of masks"),
            _ => ("mask", "masks"),
        };
        let [written, kept] = ranks.add_up([predicted.images.len(), all - jobs.len()])?;
        let out = self.out.display();
        match (&destination, kept) {
            (Destination::File(_), 0) if written == 1 => say(format_args!("{} written to {out}", made.0)),
            (_, 0) => say(format_args!("{written} {} written to {out}", made.1)),
            _ => say(format_args!("{written} {} written to {out}; {kept} were there already", made.1)),
        }
        ended(&predicted, jobs.len(), interrupt.status())
    }

    /// Says what computes, and how.
    fn describe(&self, predictor: &Predictor, device: &Device, options: &PredictOptions) {
        let PredictOptions { size, read, .. } = options;
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
        let trained = predictor.trained_reading();
        if *read != trained {
            say(format_args!("images are read with {}; the model was trained with {}", shown(read), shown(&trained)));
        } else if *read != ReadOptions::default() {
            say(format_args!("images are read as for the model's training: with {}", shown(read)));
        }
    }

    /// Says which classes there are, and which folders are called otherwise.
    fn describe_classes(&self, classes: &FileClasses) {
        let Some(list) = classes.classes() else { return };
        say(classes);
        if let FileClasses::Assumed(_) = classes {
            say("they are taken to exclude each other, and are called class 0, class 1 and so on");
        }
        let has_folders = list.kind == ClassKind::Overlapping || self.probabilities.is_some();
        if has_folders && list.len() > 1 {
            let folders = ClassFolders::of(list);
            for class in folders.replaced() {
                let (name, folder) = (&list.list()[*class].name, &folders.names()[*class]);
                say(format_args!(
                    "the class {name:?} has the folder {folder}: not every system has folders of its name"
                ));
            }
        }
    }

    /// The checkpoint, and what its classes are.
    fn open(&self) -> Result<(FoundModel, WeightFile, FileClasses), CheckpointError> {
        let found = find_model(&self.checkpoint)?;
        let file = WeightFile::open(&found.path)?;
        let classes = FileClasses::of(&file)?;
        Ok((found, file, classes))
    }

    /// The labels whose sizes predictions take, if there are such.
    fn like(&self, images: &Images) -> Result<Option<Like>, Failure> {
        if !self.labels.are_given() {
            let plain = |masks: &PathBuf| Like::of(images, masks, images.is_recursive());
            return Ok(self.like.as_ref().map(plain).transpose()?);
        }
        let beside = self.labels.labels == Some(LabelKind::Labelme);
        if self.like.is_none() && self.labels.annotations.is_none() && !beside {
            return Err(Failure::input(
                "labels are described whose sizes predictions take, but there are none; give --like DIR, or --annotations FILE",
            ));
        }
        let folder = images.folder().unwrap_or(Path::new("")).to_path_buf();
        Ok(Some(Like::described(images, &self.labels.description(folder, self.like.clone()))?))
    }

    /// The images, by the one of two flags that is given.
    fn source(&self) -> Result<Images, PredictError> {
        match (&self.images, &self.list) {
            (Some(path), _) if path.as_os_str() == "-" => Images::listed(io::stdin(), Path::new("standard input")),
            (Some(path), _) => Images::at(path, self.recursive),
            (None, Some(list)) => match File::open(list) {
                Ok(file) => Images::listed(file, list),
                Err(source) => Err(PredictError::List { list: list.clone(), source }),
            },
            (None, None) => unreachable!("one of the group is required"),
        }
    }
}

/// Options of reading, for people.
fn shown(read: &ReadOptions) -> String {
    let scaled = if read.scale_16_bit { "divided by 257" } else { "clipped" };
    format!("EXIF orientation {}, grey of 16 bits {scaled}", read.exif_orientation)
}

/// Warns of what lies in the folders and is not used, and of names that match loosely.
fn tell_found(images: &Images, like: Option<&Like>) {
    if let (Some(unused), Some(folder)) = (images.unused(), images.folder()) {
        tell_unused(unused, folder.display());
    }
    let Some(like) = like else { return };
    tell_unused(like.unused(), like.folder().display());
    let loose = Warning::about(WarningCode::NamesDiffer, like.loosely_named().to_vec(), images.files().len(), "");
    if let Some(loose) = loose {
        tell(&loose, "");
    }
}

/// Does the jobs under a progress bar; errors are told as they come.
fn run_jobs(
    jobs: &[Job],
    predictor: &Predictor,
    device: &Device,
    options: &PredictOptions,
    stop: &AtomicBool,
) -> Predicted {
    let bar = bar(jobs.len() as u64).with_message("images");
    let mut predict = |job: &Job| device.keep_busy(|| predictor.run(job, options));
    let mut done = |_: &Job, error: Option<&PredictError>| {
        if let Some(error) = error {
            bar.suspend(|| warn(with_flags(format_args!("predict: {error}"))));
        }
        bar.inc(1);
    };
    let predicted = predict_all(jobs, stop, &mut predict, &mut done);
    bar.finish_and_clear();
    predicted
}

/// The exit status after so many jobs, or that of the signal that stopped them.
fn ended(predicted: &Predicted, jobs: usize, signal: Status) -> Result<Status, Failure> {
    let Predicted { failed, left, end, .. } = predicted;
    match (end, failed) {
        (End::Full, _) => Err(Failure::later(format_args!(
            "there is no room for more: stopped with {left} of {jobs} images left. Free some space; --skip-existing \
             then does the rest"
        ))),
        (End::Stopped, _) => {
            warn(format_args!("predict: stopped with {left} of {jobs} images left; --skip-existing does the rest"));
            Ok(signal)
        }
        (End::All, 0) => Ok(Status::Done),
        (End::All, _) => Err(Failure::later(format_args!("{failed} of {jobs} images failed, named above"))),
    }
}
