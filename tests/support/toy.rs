//! A model small enough to train in microseconds, and a set of small images: the loop, resume and log
//! are tested with them, without the network.

use super::run_log::timeless;
use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use dfdx::nn::modules::Linear;
use dfdx::prelude::*;
use sam2unet::checkpoint::WeightFile;
use sam2unet::data::{Batch, BatchTruth, DataError, Dataset, Draws, Example, Flips, Grey, Rgb, Truth};
use sam2unet::group::Group;
use sam2unet::nn::Precision;
use sam2unet::nn::weights::{Role, Value, WeightSpec};
use sam2unet::train::{
    AdamW, AdamWConfig, BatchSender, Control, Event, LearnError, Learner, LearnerSummary, Loss, Outcome, Plan, Ranks,
    RunFolder, Settings, Sources, StepSizes, TrainError, is_finished, take_gradients, train, train_together,
};

/// A logistic regression of the mask on a pixel's colour, with a running mean and a count as a batch
/// norm has, and a frozen weight.
pub struct Toy {
    model: Linear<3, 1, f32, Cpu>,
    optimiser: AdamW,
    gradients: Gradients<f32, Cpu>,
    running_mean: Vec<f32>,
    batches: i64,
    trunk: Vec<f32>,
    /// After so many updates a bit of a weight flips.
    pub flips_at: Option<u64>,
    /// After so many updates the loss is not a number.
    pub breaks_after: Option<u64>,
    losses: Vec<f64>,
    /// How often it was asked for them.
    #[allow(dead_code, reason = "the property tests compare whole runs")]
    pub asked: usize,
    /// Whether it is asked for its losses late, and sends its batches, as a GPU does.
    pub lags: bool,
    /// What it sent of batches: their statistics, then each part of their gradients.
    sent: VecDeque<Vec<f32>>,
    /// How many of them are of steps that were made.
    losses_made: usize,
    /// The mean of each batch since the last update, by which the running mean moves then.
    seen: Vec<[f32; 3]>,
    /// How many images the set has been asked for each time that a batch is learnt from.
    #[allow(dead_code, reason = "the property tests compare whole runs")]
    pub loaded: Vec<usize>,
    /// The set whose images are counted.
    pub counted: Option<Arc<Noise>>,
}

impl Toy {
    pub fn new() -> Self {
        let device = Cpu::default();
        let mut model = Linear::<3, 1, f32, Cpu>::build(&device);
        model.weight.copy_from(&[0.3, -0.2, 0.1]);
        model.bias.copy_from(&[0.05]);
        Self {
            model,
            optimiser: AdamW::new(AdamWConfig::default()),
            gradients: Gradients::leaky(),
            running_mean: vec![0.0; 3],
            batches: 0,
            trunk: vec![0.5, -0.5],
            flips_at: None,
            breaks_after: None,
            losses: Vec::new(),
            asked: 0,
            lags: false,
            sent: VecDeque::new(),
            losses_made: 0,
            seen: Vec::new(),
            loaded: Vec::new(),
            counted: None,
        }
    }

    /// Ends a step.
    fn settle(&mut self) {
        self.losses_made = self.losses.len();
        for batch in std::mem::take(&mut self.seen) {
            self.running_mean.iter_mut().zip(batch).for_each(|(mean, seen)| *mean = 0.9 * *mean + 0.1 * seen);
            self.batches += 1;
        }
        if self.flips_at == Some(self.optimiser.steps()) {
            let weight = self.model.weight.as_vec();
            self.model.weight.copy_from(&[f32::from_bits(weight[0].to_bits() ^ 1), weight[1], weight[2]]);
        }
    }

    /// Becomes what rank 0 is.
    #[allow(dead_code, reason = "the property tests have one rank")]
    pub fn told(&mut self, ranks: &Ranks) {
        let own = ranks.is_first().then(|| (self.model.weight.as_vec(), self.model.bias.as_vec()));
        let (weight, bias) = ranks.tell_value("the weights", own).unwrap();
        self.model.weight.copy_from(&weight);
        self.model.bias.copy_from(&bias);
        let own = ranks.is_first().then(|| (self.running_mean.clone(), self.batches));
        (self.running_mean, self.batches) = ranks.tell_value("the statistics", own).unwrap();
        let mut moments = BTreeMap::new();
        self.optimiser
            .each_moment(&mut |name, first, second| {
                moments.insert(name.to_string(), (first.to_vec(), second.to_vec()));
            })
            .unwrap();
        let own = ranks.is_first().then(|| (moments, self.optimiser.steps()));
        let (mut moments, steps) = ranks.tell_value("the moments", own).unwrap();
        self.optimiser.restore(&self.model, &mut |name| moments.remove(name), steps).unwrap();
    }

    /// Becomes what it was at the folder's newest checkpoint.
    pub fn restore(&mut self, folder: &RunFolder) {
        let file = WeightFile::open(&folder.last_model()).unwrap();
        let values = |name: &str| file.values(name).unwrap();
        self.trunk = values("trunk");
        self.model.weight.copy_from(&values("weight"));
        self.model.bias.copy_from(&values("bias"));
        self.running_mean = values("running_mean");
        self.batches = file.count("num_batches_tracked").unwrap();
        folder.restore_optimiser(self).unwrap();
    }
}

/// `(B, 3, S, S)` as `(B S S, 3)`.
fn pixels(images: &[f32], batch: usize, side: usize) -> Tensor<(usize, Const<3>), f32, Cpu> {
    let plane = side * side;
    let rows = (0..batch * plane).flat_map(|p| {
        let (image, at) = (p / plane, p % plane);
        (0..3).map(move |c| images[(image * 3 + c) * plane + at])
    });
    Cpu::default().tensor_from_vec(rows.collect(), (batch * plane, Const))
}

impl Learner for Toy {
    fn abandon_step(&mut self) {
        self.losses.truncate(self.losses_made);
        self.seen.clear();
        self.sent.clear();
        self.gradients = Gradients::leaky();
    }

    fn accumulate(&mut self, batch: &Batch, scale: f32, _: Loss) -> Result<(), LearnError> {
        self.loaded.extend(self.counted.as_ref().map(|set| set.asked.load(Ordering::SeqCst)));
        let count = batch.indices.len();
        let x = pixels(&batch.images, count, batch.side);
        let BatchTruth::Masks(masks) = &batch.truth else { return Err(LearnError::Batch("no masks".into())) };
        let mask = Cpu::default().tensor_from_vec(masks.clone(), (masks.len(), Const::<1>));
        let plane = batch.side * batch.side;
        self.seen.push(std::array::from_fn(|c| {
            let channel = (0..count).flat_map(|i| &batch.images[(i * 3 + c) * plane..][..plane]);
            channel.sum::<f32>() / (count * plane) as f32
        }));
        let gradients = std::mem::replace(&mut self.gradients, Gradients::leaky());
        let logits = self.model.forward(x.traced(gradients));
        let loss = binary_cross_entropy_with_logits_loss(logits, mask);
        let broken = self.breaks_after.is_some_and(|steps| self.optimiser.steps() >= steps);
        self.losses.push(if broken { f64::NAN } else { f64::from(loss.array()) });
        self.gradients = (loss * scale).backward();
        Ok(())
    }

    fn losses(&mut self) -> Result<Vec<f64>, LearnError> {
        self.asked += 1;
        self.losses_made = 0;
        Ok(std::mem::take(&mut self.losses))
    }

    fn is_asynchronous(&self) -> bool {
        self.lags
    }

    fn update(&mut self, rate: f64) -> Result<(), LearnError> {
        let gradients = std::mem::replace(&mut self.gradients, Gradients::leaky());
        self.optimiser.update(&mut self.model, &gradients, rate)?;
        self.settle();
        Ok(())
    }

    fn sizes(&self) -> StepSizes {
        StepSizes { gradient: 4, statistics: 3 }
    }

    fn take_batch(&mut self, gradient: &mut Vec<f32>, statistics: &mut Vec<f32>) -> Result<(), LearnError> {
        take_gradients(&self.model, &mut self.gradients, gradient)?;
        statistics.extend(std::mem::take(&mut self.seen).concat());
        Ok(())
    }

    fn sender(&mut self) -> Option<&mut dyn BatchSender> {
        if self.lags { Some(self) } else { None }
    }

    fn update_with(&mut self, gradient: &[f32], statistics: &[f32], rate: f64) -> Result<(), LearnError> {
        self.optimiser.update_with(&mut self.model, gradient, rate)?;
        self.seen = statistics.as_chunks().0.to_vec();
        self.settle();
        Ok(())
    }

    fn predict(&self, images: &[f32], batch: usize, side: usize) -> Result<Vec<f32>, LearnError> {
        Ok(self.model.forward(pixels(images, batch, side)).as_vec())
    }

    fn specs(&self) -> Vec<WeightSpec> {
        let spec = |name: &str, shape: &[usize], role| WeightSpec { name: name.into(), shape: shape.into(), role };
        vec![
            spec("trunk", &[2], Role::Frozen),
            spec("weight", &[1, 3], Role::Trainable),
            spec("bias", &[1], Role::Trainable),
            spec("running_mean", &[3], Role::Statistic),
            spec("num_batches_tracked", &[], Role::Counter),
        ]
    }

    fn each_value(&self, f: &mut dyn FnMut(WeightSpec, Value)) {
        let values = [
            Value::Real(self.trunk.clone()),
            Value::Real(self.model.weight.as_vec()),
            Value::Real(self.model.bias.as_vec()),
            Value::Real(self.running_mean.clone()),
            Value::Count(self.batches),
        ];
        self.specs().into_iter().zip(values).for_each(|(spec, value)| f(spec, value));
    }

    fn each_moment(&self, f: &mut dyn FnMut(&str, &[f32], &[f32])) -> Result<(), LearnError> {
        self.optimiser.each_moment(f)
    }

    fn optimiser_steps(&self) -> u64 {
        self.optimiser.steps()
    }

    fn restore_optimiser(
        &mut self,
        moments: &mut dyn FnMut(&str) -> Option<(Vec<f32>, Vec<f32>)>,
        steps: u64,
    ) -> Result<(), LearnError> {
        self.optimiser.restore(&self.model, moments, steps)
    }

    fn summary(&self, _: usize, _: usize) -> LearnerSummary {
        LearnerSummary {
            variant: "toy".into(),
            parameters: 6,
            frozen: 2,
            trainable: 4,
            gflop_per_image: 0.0,
            training_bytes: 1 << 20,
            device: "cpu".into(),
            precision: Precision::F32,
        }
    }
}

/// The bias comes before the weight, as the later layers' gradients come before the earlier ones'.
impl BatchSender for Toy {
    fn parts(&self) -> Vec<Range<usize>> {
        vec![3..4, 0..3]
    }

    fn send_batch(&mut self) -> Result<(), LearnError> {
        let (mut gradient, mut statistics) = (Vec::new(), Vec::new());
        self.take_batch(&mut gradient, &mut statistics)?;
        self.sent.push_back(statistics);
        self.sent.extend(self.parts().into_iter().map(|part| gradient[part].to_vec()));
        Ok(())
    }

    fn receive_statistics(&mut self, statistics: &mut Vec<f32>) -> Result<(), LearnError> {
        statistics.extend(self.sent.pop_front().unwrap());
        assert_eq!(statistics.len() % 3, 0);
        Ok(())
    }

    fn receive_part(&mut self, gradient: &mut Vec<f32>) -> Result<(), LearnError> {
        assert!(gradient.is_empty());
        gradient.extend(self.sent.pop_front().unwrap());
        Ok(())
    }
}

/// Small images of coloured noise; a pixel belongs to the mask where it is more red than green.
pub struct Noise {
    seed: u64,
    names: Vec<String>,
    /// An image that cannot be read.
    lost: Option<usize>,
    /// How often it was asked for an example.
    asked: AtomicUsize,
}

impl Noise {
    pub fn new(seed: u64, count: usize) -> Arc<Self> {
        Self::named(seed, count, "noise")
    }

    pub fn named(seed: u64, count: usize, name: &str) -> Arc<Self> {
        Arc::new(Self {
            seed,
            names: (0..count).map(|index| format!("{name}-{index}")).collect(),
            lost: None,
            asked: AtomicUsize::new(0),
        })
    }

    #[allow(dead_code, reason = "the property tests lose nothing")]
    pub fn without(seed: u64, count: usize, lost: usize) -> Arc<Self> {
        let names = (0..count).map(|index| format!("noise-{index}")).collect();
        Arc::new(Self { seed, names, lost: Some(lost), asked: AtomicUsize::new(0) })
    }
}

impl Dataset for Noise {
    fn len(&self) -> usize {
        self.names.len()
    }

    fn name(&self, index: usize) -> &str {
        &self.names[index]
    }

    fn image(&self, index: usize) -> Result<Rgb, DataError> {
        if self.lost == Some(index) {
            let (path, source) = (self.names[index].clone().into(), std::io::ErrorKind::NotFound.into());
            return Err(DataError::ReadFolder { path, source });
        }
        let mut draws = Draws::new(&[self.seed, index as u64]);
        let (width, height) = (9, 7);
        Ok(Rgb { width, height, data: (0..width * height * 3).map(|_| draws.below(256) as u8).collect() })
    }

    fn truth(&self, index: usize) -> Result<Truth, DataError> {
        let Rgb { width, height, data } = self.image(index)?;
        let red = data.chunks_exact(3).map(|pixel| if pixel[0] > pixel[1] { 255 } else { 0 });
        Ok(Grey { width, height, data: red.collect() }.into())
    }

    fn example(&self, index: usize, side: usize, flips: Flips) -> Result<Example, DataError> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        let (image, truth) = self.pair(index)?;
        Ok(Example::new(&image, &truth, side, flips))
    }
}

/// Settings of a run on [`Noise`], which names no folder; only its length is missing.
pub fn settings() -> Settings {
    Settings { size: 64, lr: 0.05, checkpoint_minutes: 1e6, batch_size: 3, ..Settings::default() }
}

/// A run in `path`, new or resumed, that stops after each step for which `stop_at` says so.
pub fn run(
    path: &Path,
    settings: &Settings,
    sources: &Sources,
    learner: &mut Toy,
    stop_at: impl Fn(u64) -> bool,
) -> Result<Outcome, TrainError> {
    watched(path, settings, sources, learner, stop_at, |_| ())
}

/// The same, with someone who looks on.
pub fn watched(
    path: &Path,
    settings: &Settings,
    sources: &Sources,
    learner: &mut Toy,
    stop_at: impl Fn(u64) -> bool,
    mut look: impl FnMut(&Event),
) -> Result<Outcome, TrainError> {
    let open =
        if path.join("config.toml").exists() { RunFolder::open(path) } else { RunFolder::create(path, settings) };
    let stop = AtomicBool::new(false);
    let mut observer = |event: &Event| {
        if let Event::Step { step, .. } = event
            && stop_at(*step)
        {
            stop.store(true, Ordering::Relaxed);
        }
        look(event);
    };
    let mut folder = open.unwrap();
    if folder.state().unwrap().is_some_and(|state| !is_finished(&state, &Plan::new(settings, sources.training.len()))) {
        learner.restore(&folder);
    }
    train(settings, sources, &mut folder, learner, (&stop).into(), &mut observer)
}

/// What must be equal after equal runs: the bytes of all checkpoints, and the log but for its seconds.
pub fn result(path: &Path) -> Vec<(String, Vec<u8>)> {
    let names = ["last/model.safetensors", "last/optimiser.safetensors", "last/state.json", "best/model.safetensors"];
    let mut files: Vec<_> = names.map(|name| (name.to_string(), fs::read(path.join(name)).unwrap())).into();
    files.push(("log.jsonl".to_string(), timeless(path).join("\n").into_bytes()));
    files
}

/// Training images, and five others to validate on.
#[allow(dead_code, reason = "the property tests have sets of their own")]
pub fn sources(images: usize) -> Sources {
    Sources::of(Noise::new(1, images), Some(Noise::new(2, 5)))
}

/// Epochs of four steps: of four batches each, but for the last one, which has one.
#[allow(dead_code, reason = "the property tests have one rank")]
pub fn set() -> (Settings, Sources) {
    let settings = Settings { accumulate: 4, epochs: Some(3), ..settings() };
    (settings, sources(37))
}

/// A run that is not stopped.
#[allow(dead_code, reason = "the property tests stop everywhere")]
pub fn never(_: u64) -> bool {
    false
}

/// A learner that is asked for its losses late.
#[allow(dead_code, reason = "the property tests compare whole runs")]
pub fn lagging() -> Toy {
    let mut learner = Toy::new();
    learner.lags = true;
    learner
}

/// What one rank does of a run in `path`, new or resumed. It stops after a step for which `stop` says so.
#[allow(dead_code, reason = "the property tests have one rank")]
pub fn rank(
    group: Arc<dyn Group>,
    path: &Path,
    settings: &Settings,
    sources: &Sources,
    learner: &mut Toy,
    stop_at: impl Fn(u64) -> bool,
) -> Result<Outcome, TrainError> {
    let ranks = Ranks::of(group)?;
    let mut folder = match ranks.is_first() {
        true if path.join("config.toml").exists() => Some(RunFolder::open(path).unwrap()),
        true => Some(RunFolder::create(path, settings).unwrap()),
        false => None,
    };
    let plan = Plan::new(settings, sources.training.len());
    if let Some(folder) = &folder
        && folder.state().unwrap().is_some_and(|state| !is_finished(&state, &plan))
    {
        learner.restore(folder);
    }
    learner.told(&ranks);
    let stop = AtomicBool::new(false);
    let mut observer = |event: &Event| {
        if let Event::Step { step, .. } = event
            && stop_at(*step)
        {
            stop.store(true, Ordering::Relaxed);
        }
    };
    let control = Control::from(&stop);
    train_together(settings, sources, folder.as_mut(), learner, control, &mut observer, &ranks)
}
