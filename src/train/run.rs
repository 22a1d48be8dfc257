//! The training loop: epochs of steps, validation, checkpoints; stopped and resumed at any step.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::control::Control;
use super::error::TrainError;
use super::events::{Event, Observer, Outcome};
use super::learner::{LearnError, Learner, LearnerSummary};
use super::memory::{largest_batch, largest_side};
use super::overview::Overview;
use super::plan::{Plan, Step};
use super::report::curves::write_curves;
use super::report::samples::write_samples;
use super::run_folder::error::FolderError;
use super::run_folder::folder::RunFolder;
use super::run_folder::log::Record;
use super::run_folder::state::{Best, State};
use super::schedule::cosine;
use super::settings::settings::Settings;
use super::sources::Sources;
use super::together::ranks::{Ranks, Wishes};
use super::together::sum::{GradientSum, SumInParts};
use super::validation::Selection;
use crate::checkpoint::version::{FORMAT_KEY, MODEL_FORMAT};
use crate::data::dataset::Dataset;
use crate::data::example::normalisation_metadata;
use crate::data::flip::Flips;
use crate::data::loader::{BatchRequest, Loader};
use crate::digest::Digest;
use crate::nn::weights::spec::{Role, Value};

/// Threads that prepare images; more would take cores from the model.
const MOST_LOADER_THREADS: usize = 4;

/// Trains `learner` until the end of the run that `settings` describe, or until `control` stops it. Where `folder` has
/// a checkpoint, the learner must be as it was saved there: [`prepare`](super::prepare()) makes it so.
///
/// # Errors
/// See [`TrainError`].
pub fn train(
    settings: &Settings,
    sources: &Sources,
    folder: &mut RunFolder,
    learner: &mut dyn Learner,
    control: Control<'_>,
    observer: &mut dyn Observer,
) -> Result<Outcome, TrainError> {
    train_together(settings, sources, Some(folder), learner, control, observer, &Ranks::alone())
}

/// The same on several ranks, each of which takes its part of the batches of each step and of the validation images. Only rank 0 has a
/// folder. All have the same settings, images and weights, and get the same result: the bytes in the folder are those of one process.
///
/// # Errors
/// See [`TrainError`]; what one rank fails of, all do.
pub fn train_together(
    settings: &Settings,
    sources: &Sources,
    folder: Option<&mut RunFolder>,
    learner: &mut dyn Learner,
    control: Control<'_>,
    observer: &mut dyn Observer,
    ranks: &Ranks,
) -> Result<Outcome, TrainError> {
    ranks.settle(trained(settings, sources, folder, learner, control, observer, ranks))
}

/// The work of [`train_together`]; an error of this rank is not known to the others yet.
fn trained(
    settings: &Settings,
    sources: &Sources,
    mut folder: Option<&mut RunFolder>,
    learner: &mut dyn Learner,
    control: Control<'_>,
    observer: &mut dyn Observer,
    ranks: &Ranks,
) -> Result<Outcome, TrainError> {
    sources.check_not_empty()?;
    let plan = Plan::new(settings, sources.training.len());
    let found = match &folder {
        Some(folder) => position(&plan, sources, folder).map_err(TrainError::Start)?,
        None => None,
    };
    let found = ranks.tell_value("the position", ranks.is_first().then_some(found))?;
    if let Some(state) = found.as_ref().filter(|state| is_finished(state, &plan)) {
        return Ok(Outcome::AlreadyFinished { step: state.step });
    }
    let saved = found.as_ref().map_or(0, |state| state.step);
    if learner.optimiser_steps() != saved {
        let reason = format!("it is of step {saved}, but the optimiser has made {}", learner.optimiser_steps());
        return Err(match &folder {
            Some(folder) => TrainError::Start(folder.changed(reason)),
            None => LearnError::Batch(reason).into(),
        });
    }
    let begin = State::new(plan.images, digest(&*sources.training), validation_digest(sources));
    let state = match found.clone() {
        // in this version's form, whatever the form of the one that was saved
        Some(found) => State { format: begin.format, val_names: begin.val_names, ..found },
        None => begin,
    };
    // only now: a refused resume leaves the run as it was
    let log_lost = match &mut folder {
        Some(folder) => {
            if folder.settings().map_err(TrainError::Start)? != *settings {
                folder.write_settings(settings).map_err(TrainError::Start)?;
            }
            folder.rewind(&state).map_err(TrainError::Start)?
        }
        None => 0,
    };
    let selection = Selection::of(sources.training.classes(), settings.best_by);
    let batch = largest_batch(settings, plan.images);
    let training_bytes = learner.summary(largest_side(settings), batch).training_bytes;
    let overview = Overview {
        settings,
        sources,
        plan,
        model: LearnerSummary { training_bytes, ..learner.summary(settings.size, batch) },
        shares: ranks.are_several().then(|| ranks.shares()),
        resumed: found.as_ref().map(|state| state.step),
        log_lost,
    };
    observer.event(&Event::Ready(&overview));
    let last_save = Instant::now();
    let (unread, unread_since) = (Vec::new(), last_save);
    let (sum, sum_in_parts) = (GradientSum::new(), SumInParts::default());
    let run = Run {
        settings,
        sources,
        plan,
        ranks,
        folder,
        learner,
        sum,
        sum_in_parts,
        control,
        observer,
        selection,
        state,
        unread,
        unread_since,
        last_save,
    };
    run.complete()
}

/// The position of the folder's newest checkpoint, if there is one, which must be one of this plan and of these images, and of
/// one step with its weights.
pub(super) fn position(plan: &Plan, sources: &Sources, folder: &RunFolder) -> Result<Option<State>, FolderError> {
    let Some(state) = folder.state()? else { return Ok(None) };
    plan.check(&state).map_err(|reason| folder.changed(reason))?;
    if state.names != digest(&*sources.training) {
        return Err(folder.changed(format!("the images {OTHER_NAMES}")));
    }
    // an earlier form names the training images only
    if state.format > 1 && state.val_names != validation_digest(sources) {
        let what = match (&state.val_names, &sources.validation) {
            (None, _) => "there was no validation when the run was saved: `best` would be chosen otherwise",
            (_, None) => "there was a validation when the run was saved: `best` would be chosen otherwise",
            _ => return Err(folder.changed(format!("the validation images {OTHER_NAMES}"))),
        };
        return Err(folder.changed(what.to_string()));
    }
    folder.check_steps(&state)?;
    Ok(Some(state))
}

const OTHER_NAMES: &str = "have other names than when the run was saved: an exact resume needs the same ones";

fn validation_digest(sources: &Sources) -> Option<String> {
    sources.validation.as_ref().map(|set| digest(&**set))
}

/// What tells the names of a set's images, in their order, from others: FNV-1a, 64 bits.
fn digest(set: &dyn Dataset) -> String {
    let mut digest = Digest::new();
    (0..set.len()).for_each(|i| digest.text(set.name(i)));
    format!("{:016x}", digest.number())
}

/// Whether a run with this position has nothing left to do.
pub fn is_finished(state: &State, plan: &Plan) -> bool {
    state.finished && state.step >= plan.steps
}

/// A run under way. Its steps are in [`step`](super::step), its validation in [`epoch_scores`](super::epoch_scores).
pub(super) struct Run<'a> {
    pub(super) settings: &'a Settings,
    pub(super) sources: &'a Sources,
    pub(super) plan: Plan,
    pub(super) ranks: &'a Ranks,
    /// Rank 0's.
    pub(super) folder: Option<&'a mut RunFolder>,
    pub(super) learner: &'a mut dyn Learner,
    pub(super) sum: GradientSum,
    /// In its place where batches are sent.
    pub(super) sum_in_parts: SumInParts,
    pub(super) control: Control<'a>,
    pub(super) observer: &'a mut dyn Observer,
    pub(super) selection: Selection,
    /// Its sum of losses and the log lack the steps in `unread`; no checkpoint is written while there are any.
    pub(super) state: State,
    /// Steps that were made, whose losses were not asked for yet.
    pub(super) unread: Vec<Unread>,
    /// When the first of them was begun.
    pub(super) unread_since: Instant,
    pub(super) last_save: Instant,
}

/// A step whose loss the device may still be computing.
pub(super) struct Unread {
    /// Which step it is, from 1.
    pub(super) number: u64,
    pub(super) step: Step,
    pub(super) rate: f64,
}

/// What a validation found.
pub(super) enum Scored {
    /// It was stopped.
    Stopped,
    /// The model is the best so far.
    Best(Best),
    /// It is not.
    NotBest,
}

/// Whether to go on.
#[derive(PartialEq)]
enum Flow {
    On,
    Stop,
}

impl Run<'_> {
    fn complete(mut self) -> Result<Outcome, TrainError> {
        self.state.finished = false;
        while self.epoch_is_whole() || self.state.step < self.plan.steps {
            if self.epoch()? == Flow::Stop {
                return self.save_and_stop();
            }
        }
        if self.state.step_in_epoch > 0 && self.close_unfinished_epoch()? == Flow::Stop {
            return self.save_and_stop();
        }
        self.observer.event(&Event::Reporting);
        let reported = self.report();
        self.ranks.together(self.state.step, reported)?;
        Ok(Outcome::Finished)
    }

    /// Curves, pictures, and the mark that the run came to its end.
    fn report(&mut self) -> Result<(), TrainError> {
        let Some(folder) = &mut self.folder else { return Ok(()) };
        let shown = self.sources.validation.as_ref().unwrap_or(&self.sources.training);
        write_curves(folder.path(), &folder.log_path())?;
        write_samples(folder.path(), &**shown, self.learner, self.settings.size)?;
        let finished = folder.finish(&mut self.state, self.settings.keep);
        finished.map_err(|source| self.folder_error(source))
    }

    fn epoch_is_whole(&self) -> bool {
        self.state.step_in_epoch == self.plan.steps_per_epoch
    }

    /// The rest of the epoch under way; at its end validation, `best` and `last`.
    fn epoch(&mut self) -> Result<Flow, TrainError> {
        let rate = cosine(self.settings.lr, self.plan.horizon, self.state.epoch);
        let left = (self.plan.steps - self.state.step.min(self.plan.steps)) as usize;
        let mut steps = self.plan.epoch(self.settings, self.state.epoch);
        steps.drain(..self.state.step_in_epoch as usize);
        steps.truncate(left);
        let requests = steps.iter().flat_map(|step| self.own_requests(step)).collect();
        let mut loader = Loader::new(self.sources.training.clone(), requests, self.loader_threads());
        if self.stopped()? {
            return Ok(Flow::Stop);
        }
        for step in &steps {
            self.step(step, &mut loader, rate)?;
            let wishes = self.wishes(true)?;
            if wishes.save || wishes.due {
                self.save(wishes.save)?;
            }
            if wishes.stop {
                return Ok(Flow::Stop);
            }
        }
        drop(loader);
        self.read_losses()?;
        if self.epoch_is_whole() {
            return self.close_epoch();
        }
        Ok(Flow::On)
    }

    /// Asks for the losses of the steps in `unread`, which are all of this epoch, and logs them.
    pub(super) fn read_losses(&mut self) -> Result<(), TrainError> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let (losses, unread) = (self.learner.losses()?, std::mem::take(&mut self.unread));
        self.log_steps(unread, losses)
    }

    /// Logs steps, whose batches had these losses.
    pub(super) fn log_steps(&mut self, steps: Vec<Unread>, losses: Vec<f64>) -> Result<(), TrainError> {
        let seconds = self.unread_since.elapsed().as_secs_f64() / steps.len() as f64;
        let mut losses = losses.into_iter();
        for Unread { number: step, step: made, rate } in steps {
            let mut loss = 0.0;
            for request in &made.batches {
                let lost = || LearnError::Batch("a batch has no loss".to_string());
                let batch_loss = losses.next().ok_or_else(lost)?;
                if !batch_loss.is_finite() {
                    return Err(self.loss_error(batch_loss, request, step, rate));
                }
                loss += made.share(request) * batch_loss;
            }
            self.state.epoch_loss += loss;
            let epoch = self.state.epoch + 1;
            self.log(&Record::Step { step, epoch, loss, lr: rate, seconds })?;
            self.observer.event(&Event::Step { step, epoch, loss, rate, seconds, images: made.images() });
        }
        Ok(())
    }

    fn loss_error(&self, loss: f64, request: &BatchRequest, step: u64, rate: f64) -> TrainError {
        let name = |&(index, _): &(usize, Flips)| self.sources.training.name(index).to_string();
        TrainError::Loss {
            loss,
            epoch: self.state.epoch + 1,
            step,
            rate,
            side: request.side,
            names: request.samples.iter().map(name).collect(),
            saved: self.saved(),
        }
    }

    /// Appends a line to the log.
    pub(super) fn log(&mut self, record: &Record) -> Result<(), TrainError> {
        let logged = self.folder.as_mut().map_or(Ok(()), |folder| folder.log(record));
        logged.map_err(|source| self.folder_error(source))
    }

    /// The step of the newest checkpoint.
    fn saved(&self) -> Option<u64> {
        self.folder.as_ref().and_then(|folder| folder.saved())
    }

    /// Ends an epoch all of whose steps are made.
    fn close_epoch(&mut self) -> Result<Flow, TrainError> {
        self.compare_weights()?;
        match self.score_epoch()? {
            Scored::Stopped => return Ok(Flow::Stop),
            Scored::Best(best) => self.state.best = Some(best),
            Scored::NotBest => {}
        }
        self.state.epoch += 1;
        self.state.step_in_epoch = 0;
        self.state.epoch_loss = 0.0;
        self.save(false)?;
        Ok(Flow::On)
    }

    /// Ends a run in the middle of an epoch. The checkpoint comes before the validation, and names the best model of whole
    /// epochs, so that a run made longer afterwards goes on as if it had never stopped here.
    fn close_unfinished_epoch(&mut self) -> Result<Flow, TrainError> {
        self.save(false)?;
        match self.score_epoch()? {
            Scored::Stopped => return Ok(Flow::Stop),
            Scored::Best(_) => {
                let turned = self.folder.as_mut().map_or(Ok(()), |folder| folder.last_is_best(&self.state));
                turned.map_err(|source| self.folder_error(source))?;
            }
            Scored::NotBest => {}
        }
        Ok(Flow::On)
    }

    fn save_and_stop(mut self) -> Result<Outcome, TrainError> {
        self.save(false)?;
        Ok(Outcome::Stopped { step: self.state.step })
    }

    /// Writes a checkpoint; `asked` says whether somebody asked for it. A loss that is no number is found first.
    pub(super) fn save(&mut self, asked: bool) -> Result<(), TrainError> {
        let written = self.write_checkpoint(asked);
        self.ranks.together(self.state.step, written)
    }

    /// This rank's part of a save: only rank 0 writes.
    pub(super) fn write_checkpoint(&mut self, asked: bool) -> Result<(), TrainError> {
        self.read_losses()?;
        let metadata = self.metadata();
        if let Some(folder) = &mut self.folder {
            let saved = folder.save(self.learner, &mut self.state, &metadata, self.settings.keep);
            saved.map_err(|source| self.folder_error(source))?;
        }
        self.last_save = Instant::now();
        self.observer.event(&Event::Saved { step: self.state.step, asked });
        Ok(())
    }

    /// Sees whether all ranks have the same weights, as they must have.
    fn compare_weights(&mut self) -> Result<(), TrainError> {
        if self.ranks.are_several() {
            let digest = digest_of_weights(self.learner, &EVERY_ROLE[..3]);
            self.ranks.compare_all(&[(WEIGHTS, digest)])?;
        }
        Ok(())
    }

    /// What a checkpoint says about itself.
    fn metadata(&self) -> BTreeMap<String, String> {
        let entries = [
            ("format", "sam2-unet".to_string()),
            (FORMAT_KEY, MODEL_FORMAT.to_string()),
            ("variant", self.settings.variant.to_string()),
            ("size", self.settings.size.to_string()),
            ("step", self.state.step.to_string()),
            ("precision", self.settings.precision.name().to_string()),
        ];
        let mut metadata: BTreeMap<_, _> = entries.map(|(key, value)| (key.to_string(), value)).into();
        // how images are read, where that is not the default
        metadata.extend(self.settings.reading().metadata());
        if let Some(classes) = self.sources.training.classes() {
            metadata.extend([classes.metadata(), normalisation_metadata()]);
        }
        metadata
    }

    fn folder_error(&self, source: FolderError) -> TrainError {
        TrainError::Folder { source, saved: self.saved() }
    }

    /// Whether anybody wants the run to stop.
    fn stopped(&self) -> Result<bool, TrainError> {
        let wishes = Wishes { stop: self.control.stops(), ..Wishes::default() };
        Ok(self.ranks.agree(self.state.step, wishes)?.stop)
    }

    /// What is wanted of the run, now that a step is made (`timed`: when a checkpoint may be due) or an image is about to be scored.
    pub(super) fn wishes(&self, timed: bool) -> Result<Wishes, TrainError> {
        let longest = Duration::from_secs_f64(self.settings.checkpoint_minutes * 60.0);
        // the clock is rank 0's
        let due = timed && self.ranks.is_first() && self.last_save.elapsed() >= longest;
        let wishes = Wishes { stop: self.control.stops(), save: self.control.saves(), due };
        Ok(self.ranks.agree(self.state.step, wishes)?)
    }

    pub(super) fn loader_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.settings.threads.or(self.ranks.threads()).unwrap_or_else(cores).min(MOST_LOADER_THREADS)
    }
}

/// What ranks whose weights differ are told that they differ in.
pub(super) const WEIGHTS: &str = "the weights";

/// All roles of weights; the first three are of those that training changes.
pub(super) const EVERY_ROLE: [Role; 5] = [Role::Trainable, Role::Statistic, Role::Counter, Role::Frozen, Role::Unused];

/// What tells a model's weights of these roles from others.
pub(super) fn digest_of_weights(learner: &dyn Learner, roles: &[Role]) -> u64 {
    let mut digest = Digest::new();
    learner.each_value(&mut |spec, value| {
        if !roles.contains(&spec.role) {
            return;
        }
        digest.text(&spec.name);
        match value {
            Value::Real(numbers) => digest.bytes(bytemuck::cast_slice(&numbers)),
            Value::Count(count) => digest.bytes(&count.to_le_bytes()),
        }
    });
    digest.number()
}
