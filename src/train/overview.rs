//! What is printed before the first step.

use std::fmt;

use super::learner::LearnerSummary;
use super::plan::Plan;
use super::schedule::FINAL_RATE;
use super::settings::settings::Settings;
use super::sources::Sources;
use crate::data::multi_scale::MultiScale;
use crate::group::cores::CoreShares;
use crate::metrics::task::Task;

/// What is known before the first step. Displays as a few lines for people.
#[derive(Debug)]
pub struct Overview<'a> {
    /// The run's settings.
    pub settings: &'a Settings,
    /// Where images come from.
    pub sources: &'a Sources,
    /// The run's length.
    pub plan: Plan,
    /// The model in figures.
    pub model: LearnerSummary,
    /// What each of several processes computes with.
    pub shares: Option<&'a CoreShares>,
    /// Steps made before, if the run is resumed.
    pub resumed: Option<u64>,
    /// Lines that the log had when the run was saved, and has no more.
    pub log_lost: u64,
}

impl Overview<'_> {
    fn trunk(&self) -> String {
        let Settings { backbone, init, .. } = self.settings;
        match (backbone, init) {
            (Some(path), _) => format!("from {}; adapters and decoder random", path.display()),
            (None, Some(path)) => format!("from {}, with adapters and decoder", path.display()),
            (None, None) => "RANDOM, and stays so: the trunk is frozen. Give SAM2's weights as `backbone` \
                             (weights/README.md) for results like the paper's"
                .to_string(),
        }
    }

    fn input(&self) -> String {
        let Settings { size, batch_size, accumulate, augment, shuffle, multi_scale, .. } = self.settings;
        let larger = self.settings.larger_side();
        let sides = match multi_scale {
            MultiScale::Off => format!("{size} x {size}"),
            MultiScale::Random => format!("{size} x {size} or {larger} x {larger}, drawn for each batch"),
            MultiScale::Both => format!("{size} x {size} and {larger} x {larger}, an update each"),
        };
        let batches = match accumulate {
            1 => format!("batches of {batch_size}"),
            _ => format!("{accumulate} batches of {batch_size} to a step"),
        };
        let flips = if *augment { "random flips" } else { "no flips" };
        let order = if *shuffle { "shuffled" } else { "in the order of their names" };
        format!("{sides}; {batches}; {flips}; {order}")
    }

    fn length(&self) -> String {
        let Plan { steps, steps_per_epoch, horizon, .. } = self.plan;
        let epochs = steps.div_ceil(steps_per_epoch.max(1));
        let of = if epochs == horizon { String::new() } else { format!(" (schedule over {horizon} epochs)") };
        format!("{steps} steps, {epochs} x {steps_per_epoch}{of}")
    }
}

impl fmt::Display for Overview<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (settings, model) = (self.settings, &self.model);
        let millions = |count: usize| format!("{:.2} M", count as f64 / 1e6);
        let task = settings.task.map_or("none given", Task::name);
        let threads = match (settings.threads, self.shares) {
            (Some(threads), _) => format!("{threads} threads"),
            (None, Some(_)) => "a share of the cores each".to_string(),
            (None, None) => "all cores".to_string(),
        };
        let lines = [
            (
                "model",
                format!(
                    "{}: {} parameters, {} frozen, {} trainable",
                    model.variant,
                    millions(model.parameters),
                    millions(model.frozen),
                    millions(model.trainable)
                ),
            ),
            ("trunk", self.trunk()),
            ("images", self.sources.to_string()),
            ("task", task.to_string()),
            ("input", self.input()),
            ("length", self.length()),
            (
                "optimiser",
                format!(
                    "AdamW, learning rate {:e} to {FINAL_RATE:e} (cosine over epochs), weight decay {:e}",
                    settings.lr, settings.weight_decay
                ),
            ),
            ("loss", format!("{} on three outputs", settings.loss.name())),
            ("seed", settings.seed.to_string()),
            ("device", format!("{}, {threads}; {}", model.device, model.precision.name())),
            (
                "cost",
                format!(
                    "{:.1} GFLOP an image; about {:.1} GB of memory on the CPU",
                    model.gflop_per_image,
                    model.training_bytes as f64 / 1e9
                ),
            ),
        ];
        for (number, (name, text)) in lines.iter().enumerate() {
            write!(f, "{}{name:<10} {text}", if number == 0 { "" } else { "\n" })?;
        }
        if let Some(shares) = self.shares {
            for (number, line) in shares.to_string().lines().enumerate() {
                write!(f, "\n{:<10} {line}", if number == 0 { "processes" } else { "" })?;
            }
        }
        if let Some(step) = self.resumed {
            write!(f, "\n{:<10} after step {step}", "resumed")?;
        }
        if self.log_lost > 0 {
            write!(f, "\n{:<10} {} earlier lines are gone; the curves lack them", "log.jsonl", self.log_lost)?;
        }
        Ok(())
    }
}
