//! `sam2unet train`: from settings to a trained model.

use super::cache::cache_folder;
use super::check_data::check_data;
use super::console::{Console, print, say};
use super::failure::{Failure, Status};
use super::interrupt::Interrupt;
use super::settings::GivenSettings;
use crate::train::events::{Event, Observer, Outcome};
use crate::train::settings::error::SettingsError;
use crate::train::settings::layers::{Layer, Resolved, resolve, resume};
use crate::train::trainer::Trainer;
use clap::Args;
use std::path::PathBuf;

/// What `--help` says after the flags.
const EXAMPLES: &str = "\
An image and its mask have one file stem and one size; masks are grey, white is foreground.

Results: config.toml, run.json, log.jsonl, best/model.safetensors, last/model.safetensors, curves.svg, samples.png;
`best` and `last` are links into `checkpoints`. `sam2unet predict --checkpoint` takes the folder.
Ctrl-C saves and stops; --resume goes on exactly where a run was stopped, or killed.

Examples:
  sam2unet train
      on generated scenes: a demonstration of a few minutes
  sam2unet train --images IMAGES --masks MASKS --val-images MORE --val-masks THEIRS \\
      --backbone sam2_hiera_large.pt --task polyp
  sam2unet train --resume runs/polyp --epochs 40";

/// Train on a folder of images and masks, or, without --images, on generated scenes
#[derive(Args)]
#[command(max_term_width = 120, after_help = EXAMPLES)]
pub(crate) struct Train {
    #[command(flatten)]
    given: GivenSettings,
    /// Folder for the results, which must hold no run [default: runs/demo, runs/TASK or runs/train, numbered]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    out: Option<PathBuf>,
    /// Go on in the folder of an earlier run, with its settings
    #[arg(long, value_name = "DIR", conflicts_with_all = ["out", "config"], help_heading = "Run")]
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
}

impl Train {
    /// Trains, or prints the settings.
    pub fn run(self) -> Result<Status, Failure> {
        let given = Layer::given(self.given.0)?;
        if self.print_config {
            let resolved = match &self.resume {
                Some(folder) => resume(&folder.join("config.toml"), &given)?,
                None => resolved(self.config, given)?,
            };
            return print(resolved.annotated()?);
        }
        if self.check_data {
            return check_data(&resolved(self.config, given)?.settings, self.json.as_deref());
        }
        let trainer = match self.resume {
            Some(folder) => Trainer::resume(folder).with(given),
            None => {
                let trainer = Trainer::new(resolved(self.config, given)?.settings);
                self.out.into_iter().fold(trainer, |trainer, out| trainer.out(out))
            }
        };
        let trainer = cache_folder().into_iter().fold(trainer, Trainer::remember_in);
        let interrupt = Interrupt::watch()?;
        let mut console = Console::new();
        let words = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
        let observe = |event: &Event| {
            if let Event::Ready(_) = event {
                interrupt.begin();
            }
            console.event(event);
        };
        let trained = trainer.command(words).stop_when(interrupt.stop()).on_event(observe).run();
        console.finish();
        let trained = trained?;
        let place = trained.folder.display();
        Ok(match trained.outcome {
            Outcome::Stopped { step } => {
                say(format_args!("stopped after step {step}; go on with: sam2unet train --resume {place}"));
                Status::Interrupted
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
}

/// The settings of a file, if there is one, and over it those given.
fn resolved(file: Option<PathBuf>, given: Layer) -> Result<Resolved, SettingsError> {
    let file = file.map(|path| Layer::file(&path)).transpose()?;
    resolve(&file.into_iter().chain([given]).collect::<Vec<_>>())
}
