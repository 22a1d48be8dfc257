//! `sam2unet train`: from settings to a trained model.

use super::cache::cache_folder;
use super::check_data::check_data;
use super::console::{Console, print, say};
use super::failure::{Failure, Status};
use super::interrupt::Interrupt;
use super::ranks::{Waiting, name, same_words};
use super::settings::GivenSettings;
use crate::group::processes::Group;
use crate::shell::shell_word;
use crate::train::events::{Event, Observer, Outcome};
use crate::train::run_folder::folder::RunFolder;
use crate::train::settings::layers::{Layer, resolve, resume};
use crate::train::together::ranks::Ranks;
use crate::train::trainer::Trainer;
use clap::Args;
use std::path::{Path, PathBuf, absolute};
use std::sync::Arc;

/// What `--help` says after the flags.
const EXAMPLES: &str = "\
An image and its mask have one file stem and one shape; masks are grey, white is foreground. Several classes, other masks and
annotations: --labels, --classes, --annotations (docs/labels.md).

Results: config.toml, run.json, log.jsonl, best/model.safetensors, last/model.safetensors, curves.svg, samples.png;
`best` and `last` are links into `checkpoints`. `sam2unet predict --checkpoint` takes the folder.
Ctrl-C saves and stops; --resume goes on exactly where a run was stopped, or killed. It takes the command that began
the run, as it was, or new places of the data, another length, device, --memory, --threads, --split-batch,
--keep and --checkpoint-minutes. The whole command with --resume in the place of --out begins the run, goes on with it, or says that
it is finished: for jobs that a scheduler starts again.

Signals: SIGINT, SIGTERM, SIGUSR1 and SIGHUP save and stop (exit status 130, 143, 138, 129); SIGUSR2 saves and goes
on. A second one stops at once, without saving, unless it is SIGHUP or comes within a second of the first: it may then
be the first one, sent twice. What was ignored at the start stays ignored: SIGHUP under nohup, SIGINT behind a script's &.

Examples:
  sam2unet train
      on generated scenes: a demonstration of a few minutes
  sam2unet train --images IMAGES --masks MASKS --val-images MORE --val-masks THEIRS \\
      --backbone sam2_hiera_large.pt --task polyp
  sam2unet train --demo classes
      on generated scenes of several classes
  sam2unet train --data VOC2012 --val-fraction 0.1 --check-data --sheet sheet.png
      says what was understood of a data set, and draws it
  sam2unet train --images IMAGES --masks MASKS --classes background,polyp,instrument
  sam2unet train --resume runs/polyp --epochs 40
  sbatch --signal=USR1@120 --wrap 'srun sam2unet train --images IMAGES --masks MASKS --resume runs/polyp;
      if [ $? -eq 138 ]; then scontrol requeue $SLURM_JOB_ID; fi'
      begins, and goes on each time that SLURM starts the job again";

/// Train on a folder of images and masks, or, without --images, on generated scenes
#[derive(Args)]
#[command(max_term_width = 120, after_help = EXAMPLES)]
pub(crate) struct Train {
    #[command(flatten)]
    given: GivenSettings,
    /// Folder for the results, which must hold no run [default: runs/demo, runs/TASK or runs/train, numbered]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Go on in the folder of an earlier run, with its settings. Where the folder holds none, a run begins there if the flags say what to
    /// train on (--data, --images or --demo): so one command serves a job that may be started again
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    resume: Option<PathBuf>,
    /// Settings from a file, with the keys of a run's config.toml; flags win over it, paths in it start where you are
    #[arg(long, value_name = "FILE.toml", help_heading = "Run")]
    config: Option<PathBuf>,
    /// Print the settings as they would run, as TOML, each with where it comes from; run nothing
    #[arg(long, help_heading = "Run")]
    print_config: bool,
    /// Read all images and masks, print what was found and what is likely wrong, train nothing; exit status 2 if a run would be
    /// refused
    #[arg(long, help_heading = "Data", conflicts_with_all = ["resume", "out", "print_config"])]
    check_data: bool,
    /// With --check-data: write what was found to this file, too
    #[arg(long, value_name = "FILE", help_heading = "Data", requires = "check_data")]
    json: Option<PathBuf>,
    /// With --check-data: write a picture of up to 24 training images, with their labels drawn over them
    #[arg(long, value_name = "FILE.png", help_heading = "Data", requires = "check_data")]
    sheet: Option<PathBuf>,
    /// Begin even if training is estimated to take more memory than there is
    #[arg(long, help_heading = "Run")]
    any_memory: bool,
    #[command(flatten)]
    waiting: Waiting,
}

/// What is said when a signal comes before the first step, and before a new run's folder is made.
const NOTHING_BEGUN: &str = "stopped before the first step; nothing was written";
/// What is said when it comes later, or in a run that goes on.
const NO_STEP: &str = "stopped before the first step; the run's folder is there, and --resume goes on in it";
/// What is said when one comes later.
const STOPPING: &str = "stopping after this step; Ctrl-C again quits at once, without saving";

/// What the arguments ask for, once they are read.
enum Begun {
    /// To print something, which is done.
    Printed(Status),
    /// To train.
    Run { trainer: Box<Trainer<'static>>, resumed: bool },
}

impl Train {
    /// Trains, or prints the settings.
    pub fn run(self) -> Result<Status, Failure> {
        self.waiting.run("train", |group| self.with(group))
    }

    fn with(self, group: &Arc<dyn Group>) -> Result<Status, Failure> {
        let ranks = Ranks::of(group.clone())?;
        same_words(&ranks)?;
        let begun = self.begun(&ranks);
        match ranks.together(0, begun)? {
            Begun::Printed(status) => Ok(status),
            Begun::Run { trainer, resumed } => {
                let interrupt = Interrupt::watch(if resumed { NO_STEP } else { NOTHING_BEGUN });
                let interrupt = interrupt.and_then(|interrupt| interrupt.watch_for_saves().map(|()| interrupt));
                let interrupt = ranks.together(0, interrupt)?;
                let ended = trained(trainer.group(group.clone()), &interrupt, group);
                if ranks.are_several() {
                    interrupt.end();
                }
                ended
            }
        }
    }

    /// What there is to do.
    fn begun(mut self, ranks: &Ranks) -> Result<Begun, Failure> {
        let file = self.config.as_deref().map(Layer::file).transpose()?;
        let given = Layer::given(self.given.0)?;
        let layers: Vec<Layer> = file.into_iter().chain([given]).collect();
        // what a resume is given in a file counts as what it is given by flags
        let together = || layers.iter().cloned().fold(Layer::default(), Layer::with);
        if let (Some(folder), Some(out)) = (&self.resume, &self.out) {
            check_same_folder(folder, out)?;
        }
        let resumed = match self.resume {
            Some(folder) => {
                // rank 0's folder counts: others may have none
                let own = ranks.is_first().then(|| is_to_begin(&folder, &layers));
                match ranks.tell_value("whether the run begins", own)? {
                    true => {
                        self.out = Some(folder);
                        None
                    }
                    false => Some(folder),
                }
            }
            None => None,
        };
        if (self.print_config || self.check_data) && !ranks.is_first() {
            return Ok(Begun::Printed(Status::Done));
        }
        if self.print_config {
            let resolved = match &resumed {
                Some(folder) => resume(&folder.join("config.toml"), &together())?,
                None => resolve(&layers)?,
            };
            return print(resolved.annotated()?).map(Begun::Printed);
        }
        if self.check_data {
            let settings = resolve(&layers)?.settings;
            return check_data(&settings, self.json.as_deref(), self.sheet.as_deref()).map(Begun::Printed);
        }
        let goes_on = resumed.is_some();
        let trainer = match resumed {
            Some(folder) => Trainer::resume(folder).with(together()),
            None => {
                let trainer = Trainer::new(resolve(&layers)?.settings);
                self.out.into_iter().fold(trainer, |trainer, out| trainer.out(out))
            }
        };
        let trainer = cache_folder().into_iter().fold(trainer, Trainer::remember_in);
        let trainer = if self.any_memory { trainer.any_memory() } else { trainer };
        Ok(Begun::Run { trainer: Box::new(trainer), resumed: goes_on })
    }
}

/// Trains, and says how it ended.
fn trained(trainer: Trainer, interrupt: &Interrupt, group: &Arc<dyn Group>) -> Result<Status, Failure> {
    let mut console = Console::new();
    let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let observe = |event: &Event| {
        match event {
            Event::Creating => interrupt.say_before(NO_STEP),
            Event::Ready(_) => interrupt.begin(STOPPING),
            _ => {}
        }
        console.event(event);
    };
    let trainer = trainer.command(words).stop_when(interrupt.stop()).save_when(interrupt.save());
    let trained = trainer.on_event(observe).run();
    console.finish();
    let trained = trained.map_err(|error| match group.size() == 1 || error.is_of_all() {
        true => error.into(),
        false => Failure::from(error).of_rank(name(&**group)),
    })?;
    let place = trained.folder.display();
    Ok(match trained.outcome {
        Outcome::Stopped { step } => {
            let place = shell_word(&trained.folder.display().to_string());
            say(format_args!("stopped after step {step}; go on with: sam2unet train --resume {place}"));
            interrupt.status_of_all(&**group).map_err(Failure::later)?
        }
        Outcome::Finished => {
            say(format_args!("done: {place} holds best/model.safetensors, log.jsonl, curves.svg, samples.png"));
            Status::Done
        }
        Outcome::AlreadyFinished { step } => {
            let best = trained.best_model();
            say(format_args!(
                "{place} is finished: {step} steps. Longer --epochs and --steps beside --resume go on; its best model is {}",
                best.display()
            ));
            Status::Done
        }
    })
}

/// Whether a run is to begin in the folder of `--resume`: it holds none, and what is given says what to train on. Otherwise a slip in the
/// folder's name would begin a demonstration.
fn is_to_begin(folder: &Path, layers: &[Layer]) -> bool {
    let says_on_what = |key: &str| ["data", "images", "demo", "generated"].contains(&key);
    layers.iter().flat_map(Layer::keys).any(says_on_what) && RunFolder::check_unused(folder).is_ok()
}

/// A resumed run stays where it is: `--out` may name that folder, and no other.
fn check_same_folder(resumed: &Path, out: &Path) -> Result<(), Failure> {
    let place = |path: &Path| path.canonicalize().or_else(|_| absolute(path)).unwrap_or_else(|_| path.to_owned());
    match place(resumed) == place(out) {
        true => Ok(()),
        false => Err(Failure::input(format_args!(
            "--out {} is another folder than --resume {}: a resumed run stays where it is",
            out.display(),
            resumed.display()
        ))),
    }
}
