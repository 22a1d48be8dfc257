//! The training loop: epochs of steps, validation, checkpoints; stopped and resumed at any step.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rayon::prelude::*;

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
use super::validation::{Selection, ValidationScores, over, score_image};
use crate::checkpoint::version::{FORMAT_KEY, MODEL_FORMAT};
use crate::data::classes::class::Classes;
use crate::data::dataset::Dataset;
use crate::data::example::normalisation_metadata;
use crate::data::flip::Flips;
use crate::data::loader::{BatchRequest, Loader};

/// Validation images scored at a time, in parallel, after the model saw them one by one: as many as so many bytes of logits are of,
/// but at most 16.
const SCORED_TOGETHER: usize = 16;
const LOGITS_HELD: usize = 256 << 20;
/// A device that lags behind the host is asked for its losses after as many steps, or when the oldest of them was begun so
/// long ago; another after each.
const STEPS_UNREAD: usize = 16;
const TIME_UNREAD: Duration = Duration::from_secs(1);
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
    sources.check_not_empty()?;
    let plan = Plan::new(settings, sources.training.len());
    let found = position(&plan, sources, folder).map_err(TrainError::Start)?;
    if let Some(state) = found.as_ref().filter(|state| is_finished(state, &plan)) {
        return Ok(Outcome::AlreadyFinished { step: state.step });
    }
    let saved = found.as_ref().map_or(0, |state| state.step);
    if learner.optimiser_steps() != saved {
        let reason = format!("it is of step {saved}, but the optimiser has made {}", learner.optimiser_steps());
        return Err(TrainError::Start(folder.changed(reason)));
    }
    let begin = State::new(plan.images, digest(&*sources.training), validation_digest(sources));
    let state = match found.clone() {
        // in this version's form, whatever the form of the one that was saved
        Some(found) => State { format: begin.format, val_names: begin.val_names, ..found },
        None => begin,
    };
    // only now: a refused resume leaves the run as it was
    if folder.settings().map_err(TrainError::Start)? != *settings {
        folder.write_settings(settings).map_err(TrainError::Start)?;
    }
    let log_lost = folder.rewind(&state).map_err(TrainError::Start)?;
    let selection = Selection::of(sources.training.classes(), settings.best_by);
    let batch = largest_batch(settings, plan.images);
    let training_bytes = learner.summary(largest_side(settings), batch).training_bytes;
    let overview = Overview {
        settings,
        sources,
        plan,
        model: LearnerSummary { training_bytes, ..learner.summary(settings.size, batch) },
        resumed: found.as_ref().map(|state| state.step),
        log_lost,
    };
    observer.event(&Event::Ready(&overview));
    let last_save = Instant::now();
    let (unread, unread_since) = (Vec::new(), last_save);
    let run = Run {
        settings,
        sources,
        plan,
        folder,
        learner,
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
    let names = (0..set.len()).flat_map(|i| set.name(i).bytes().chain([0]).collect::<Vec<_>>());
    let hash =
        names.fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    format!("{hash:016x}")
}

/// Whether a run with this position has nothing left to do.
pub fn is_finished(state: &State, plan: &Plan) -> bool {
    state.finished && state.step >= plan.steps
}

/// A run under way.
struct Run<'a> {
    settings: &'a Settings,
    sources: &'a Sources,
    plan: Plan,
    folder: &'a mut RunFolder,
    learner: &'a mut dyn Learner,
    control: Control<'a>,
    observer: &'a mut dyn Observer,
    selection: Selection,
    /// Its sum of losses and the log lack the steps in `unread`; no checkpoint is written while there are any.
    state: State,
    /// Steps that were made, whose losses were not asked for yet.
    unread: Vec<Unread>,
    /// When the first of them was begun.
    unread_since: Instant,
    last_save: Instant,
}

/// A step whose loss the device may still be computing.
struct Unread {
    step: u64,
    batches: Vec<BatchRequest>,
    images: usize,
    rate: f64,
}

/// What a validation found.
enum Scored {
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
        let shown = self.sources.validation.as_ref().unwrap_or(&self.sources.training);
        write_curves(self.folder.path(), &self.folder.log_path())?;
        write_samples(self.folder.path(), &**shown, self.learner, self.settings.size)?;
        let finished = self.folder.finish(&mut self.state, self.settings.keep);
        finished.map_err(|source| self.folder_error(source))?;
        Ok(Outcome::Finished)
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
        let requests = steps.iter().flat_map(|step| step.batches.clone()).collect();
        let mut loader = Loader::new(self.sources.training.clone(), requests, self.loader_threads());
        for step in &steps {
            if self.stopped() {
                return Ok(Flow::Stop);
            }
            self.step(step, &mut loader, rate)?;
            let asked = self.control.saves();
            if asked || self.last_save.elapsed() >= Duration::from_secs_f64(self.settings.checkpoint_minutes * 60.0) {
                self.save(asked)?;
            }
        }
        drop(loader);
        self.read_losses()?;
        if self.stopped() {
            return Ok(Flow::Stop);
        }
        if self.epoch_is_whole() {
            return self.close_epoch();
        }
        Ok(Flow::On)
    }

    /// One optimiser step, whose batches are in memory one after the other. It is made whole or not at all, as it is
    /// saved whole or not at all.
    fn step(&mut self, step: &Step, loader: &mut Loader, rate: f64) -> Result<(), TrainError> {
        if self.unread.is_empty() {
            self.unread_since = Instant::now();
        }
        let (images, loss) = (step.images(), self.settings.loss);
        let several = step.batches.len() > 1;
        if several {
            self.learner.begin_step();
        }
        for request in &step.batches {
            let batch = match loader.next() {
                Some(Ok(batch)) => batch,
                None => return Err(LearnError::Batch("the loader ended early".to_string()).into()),
                Some(Err(error)) => {
                    // a file went away: what was learnt in the steps before should not go with it
                    if several {
                        self.learner.abandon_step();
                    }
                    self.save(false)?;
                    return Err(error.into());
                }
            };
            self.learner.accumulate(&batch, share(request, images) as f32, loss)?;
        }
        self.learner.update(rate)?;
        self.state.step += 1;
        self.state.step_in_epoch += 1;
        self.unread.push(Unread { step: self.state.step, batches: step.batches.clone(), images, rate });
        let due = self.unread.len() >= STEPS_UNREAD || self.unread_since.elapsed() >= TIME_UNREAD;
        if due || !self.learner.is_asynchronous() { self.read_losses() } else { Ok(()) }
    }

    /// Asks for the losses of the steps in `unread`, which are all of this epoch, and logs them.
    fn read_losses(&mut self) -> Result<(), TrainError> {
        if self.unread.is_empty() {
            return Ok(());
        }
        let mut losses = self.learner.losses()?.into_iter();
        let seconds = self.unread_since.elapsed().as_secs_f64() / self.unread.len() as f64;
        for Unread { step, batches, images, rate } in std::mem::take(&mut self.unread) {
            let mut loss = 0.0;
            for request in &batches {
                let lost = || LearnError::Batch("a batch has no loss".to_string());
                let batch_loss = losses.next().ok_or_else(lost)?;
                if !batch_loss.is_finite() {
                    return Err(self.loss_error(batch_loss, request, step, rate));
                }
                loss += share(request, images) * batch_loss;
            }
            self.state.epoch_loss += loss;
            let epoch = self.state.epoch + 1;
            let logged = self.folder.log(&Record::Step { step, epoch, loss, lr: rate, seconds });
            logged.map_err(|source| self.folder_error(source))?;
            self.observer.event(&Event::Step { step, epoch, loss, rate, seconds, images });
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
            saved: self.folder.saved(),
        }
    }

    /// Ends an epoch all of whose steps are made.
    fn close_epoch(&mut self) -> Result<Flow, TrainError> {
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
                let turned = self.folder.last_is_best(&self.state);
                turned.map_err(|source| self.folder_error(source))?;
            }
            Scored::NotBest => {}
        }
        Ok(Flow::On)
    }

    /// Validates, logs it, and says whether the model is the best so far.
    fn score_epoch(&mut self) -> Result<Scored, TrainError> {
        let (epoch, step) = (self.state.epoch + 1, self.state.step);
        let loss = self.state.epoch_loss / self.state.step_in_epoch as f64;
        let summary = match &self.sources.validation {
            None => None,
            Some(dataset) => {
                let dataset = dataset.clone();
                let summary = match self.validate(&dataset) {
                    Ok(Some(summary)) => summary,
                    Ok(None) => return Ok(Scored::Stopped),
                    Err(error) => {
                        // as in a step: the epoch's steps stay, its validation comes at the resume
                        self.save(false)?;
                        return Err(error);
                    }
                };
                let logged = self.folder.log(&Record::Validation { epoch, validation: &summary });
                logged.map_err(|source| self.folder_error(source))?;
                Some(summary)
            }
        };
        let score = summary.as_ref().map_or(loss, |summary| self.selection.score(summary));
        let better = |old: f64| if summary.is_some() { self.selection.is_better(score, old) } else { score < old };
        // where no validation image shows a class, there is no score, and the first model stays the best
        let score = match summary.is_some() && score.is_nan() && self.state.best.is_none() {
            true => self.selection.worst(),
            false => score,
        };
        let best = score.is_finite() && self.state.best.is_none_or(|old| better(old.score));
        let selection = self.selection;
        self.observer.event(&Event::Epoch { epoch, loss, validation: summary.as_ref(), selection, best });
        Ok(if best { Scored::Best(Best { epoch, step, score }) } else { Scored::NotBest })
    }

    /// Scores the maps that `predict` would save; `None` if it was stopped.
    fn validate(&mut self, dataset: &Arc<dyn Dataset>) -> Result<Option<ValidationScores>, TrainError> {
        let (side, count) = (self.settings.size, dataset.len());
        // one image at a time, as `predict` does: the same arithmetic, on the same device, gives the same map
        let requests =
            (0..count).map(|index| BatchRequest { side, samples: vec![(index, Flips::default())] }).collect();
        let mut loader = Loader::new(dataset.clone(), requests, self.loader_threads());
        let classes = dataset.classes().map_or(1, Classes::len);
        let together = (LOGITS_HELD / (4 * classes * side * side)).clamp(1, SCORED_TOGETHER);
        let mut scores = Vec::with_capacity(count);
        let mut unscored = Vec::with_capacity(together);
        for index in 0..count {
            if self.stopped() {
                return Ok(None);
            }
            if self.control.saves() {
                // all steps of the epoch; a resume from here validates anew
                self.save(true)?;
            }
            let batch = loader.next().ok_or_else(|| LearnError::Batch("the loader ended early".to_string()))??;
            unscored.push((index, self.learner.predict(&batch.images, 1, side)?));
            if unscored.len() == together || index + 1 == count {
                let selection = self.selection;
                let score =
                    |(index, logits): &(usize, Vec<f32>)| score_image(&**dataset, *index, logits, side, selection);
                let scored: Vec<_> = unscored.par_iter().map(score).collect();
                for score in scored {
                    scores.push(score?);
                }
                unscored.clear();
            }
            self.observer.event(&Event::Validating { done: index + 1, of: count });
        }
        let summary = over(scores).map_err(|source| TrainError::ClassMetric { name: "the set".to_string(), source })?;
        Ok(Some(summary))
    }

    fn save_and_stop(mut self) -> Result<Outcome, TrainError> {
        self.save(false)?;
        Ok(Outcome::Stopped { step: self.state.step })
    }

    /// Writes a checkpoint; `asked` says whether somebody asked for it. A loss that is no number is found first.
    fn save(&mut self, asked: bool) -> Result<(), TrainError> {
        self.read_losses()?;
        let metadata = self.metadata();
        let saved = self.folder.save(self.learner, &mut self.state, &metadata, self.settings.keep);
        saved.map_err(|source| self.folder_error(source))?;
        self.last_save = Instant::now();
        self.observer.event(&Event::Saved { step: self.state.step, asked });
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
        TrainError::Folder { source, saved: self.folder.saved() }
    }

    fn stopped(&self) -> bool {
        self.control.stops()
    }

    fn loader_threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.settings.threads.unwrap_or_else(cores).min(MOST_LOADER_THREADS)
    }
}

/// A batch's share of its step, so that the step's gradient is that of the mean over its images, whatever its batches.
fn share(request: &BatchRequest, images: usize) -> f64 {
    request.samples.len() as f64 / images as f64
}
