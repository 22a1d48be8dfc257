//! One batch over several ranks, against one process.

use crate::support::golden::{Pico, Synthetic, batch};
use crate::support::split_pass::{Case, Kind, agrees, with_ranks};
use crate::support::toy::Noise;
use dfdx::prelude::*;
use sam2unet::checkpoint::WeightFile;
use sam2unet::data::{Batch, BatchTruth};
use sam2unet::device::DeviceChoice;
use sam2unet::group::{Group, GroupError, Thread};
use sam2unet::nn::weights::{Role, Value};
use sam2unet::nn::{BuildOptions, Loss, Map, MemoryUse, Sam2UNet, Tiny, as_part_of, ops};
use sam2unet::train::{
    AdamWConfig, Control, Event, Learner, Outcome, Ranks, RunFolder, Session, Settings, Sources, SplitBatch,
    train_together,
};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts what a rank sends.
#[derive(Debug)]
struct Counting {
    group: Thread,
    gathers: AtomicUsize,
    bytes: AtomicUsize,
}

impl Group for Counting {
    fn rank(&self) -> usize {
        self.group.rank()
    }

    fn size(&self) -> usize {
        self.group.size()
    }

    fn host(&self) -> String {
        self.group.host()
    }

    fn local(&self) -> (usize, usize) {
        self.group.local()
    }

    fn gather(&self, mine: &[u8], all: &mut [u8], lengths: &[usize]) -> Result<(), GroupError> {
        self.gathers.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(mine.len(), Ordering::Relaxed);
        self.group.gather(mine, all, lengths)
    }

    fn exchange(&self, _: &[u8], _: &[usize], _: &mut [u8], _: &[usize]) -> Result<(), GroupError> {
        panic!("a pass only gathers")
    }

    fn abort(&self, reason: &str, status: i32) -> ! {
        self.group.abort(reason, status)
    }
}

/// 66 batch norms ask in both passes, and 20 1x1 convolutions for their input's mean: 152 collectives to a step, of 193
/// kB in all from each rank.
#[test]
fn tiny_over_two_and_three_ranks_is_tiny_in_one_process() {
    let case = Case { images: 5, kind: Kind::Mask, loss: Loss::Paper, memory: MemoryUse::Balanced, seed: 11 };
    let model = case.model::<Tiny>();
    let whole = case.alone(&model);
    for ranks in [2, 3] {
        let run = || {
            with_ranks(ranks, |group| {
                let group = Arc::new(Counting { group, gathers: AtomicUsize::new(0), bytes: AtomicUsize::new(0) });
                let part = case.part(&model, group.clone());
                (part, group.gathers.load(Ordering::Relaxed), group.bytes.load(Ordering::Relaxed))
            })
        };
        let found = run();
        for (rank, (_, gathers, bytes)) in found.iter().enumerate() {
            // means and squared deviations with the map's size, then two sums for each channel
            let of_norms = 66 * (1 + 2 * 64) * 8 + 66 * 2 * 64 * 8;
            let of_means = 5 * (96 + 192 + 384 + 768) * 8;
            assert_eq!((*gathers, *bytes), (66 + 66 + 20, of_norms + of_means), "rank {rank} of {ranks}");
        }
        assert!(found == run(), "{ranks} ranks give other bits the second time");
        let parts: Vec<_> = found.into_iter().map(|(part, ..)| part).collect();
        agrees(&format!("Tiny, {ranks} ranks"), &whole, &parts, 0.0);
    }
}

/// With more ranks than images, too: those without one compute the first, which counts nothing.
#[test]
fn every_loss_and_truth_adds_up_over_ranks() {
    for kind in [Kind::Mask, Kind::KnownOfAll, Kind::KnownOfEach, Kind::Index] {
        for (&loss, memory) in Loss::ALL.iter().zip([MemoryUse::Small, MemoryUse::Fast].into_iter().cycle()) {
            let case = Case { images: 3, kind, loss, memory, seed: 5 };
            let model = case.model::<Pico>();
            let whole = case.alone(&model);
            for ranks in [1, 2, 3, 4] {
                let parts = case.split(&model, ranks);
                agrees(&format!("{kind:?}, {loss}, {ranks} ranks"), &whole, &parts, 0.0);
                if ranks == 1 {
                    assert!(parts == [whole.clone()], "{kind:?}, {loss}: one rank is not one process, to the bit");
                }
                for idle in parts.iter().skip(case.images) {
                    let mut numbers = idle.gradients.values().flatten();
                    assert!(idle.loss == 0.0 && numbers.all(|g| *g == 0.0), "an image that counts nothing counts");
                }
            }
        }
    }
}

/// A [`Session`]'s batch norms are the whole batch's, too, and its losses are the parts'.
#[test]
fn a_session_learns_from_its_part_of_a_batch() {
    let of = |images: std::ops::Range<usize>| {
        let (x, masks) = batch(64, 3);
        let part = |numbers: Vec<f32>, each: usize| numbers[images.start * each..images.end * each].to_vec();
        let (x, masks) = (part(x, 3 * 64 * 64), part(masks, 64 * 64));
        Batch { side: 64, indices: images.clone().collect(), images: x, truth: BatchTruth::Masks(masks) }
    };
    let learn = |batch: &Batch, share: f32| {
        let (config, options) = (AdamWConfig::default(), BuildOptions::default());
        let mut session = Session::<Pico, Cpu>::new(Cpu::default(), &mut Synthetic, config, options).unwrap();
        session.accumulate(batch, share, Loss::Paper).unwrap();
        session.update(1e-3).unwrap();
        let mut statistics = Vec::new();
        session.each_value(&mut |spec, value| match value {
            Value::Real(numbers) if spec.name.contains("running_") => statistics.extend(numbers),
            Value::Count(count) => statistics.push(count as f32),
            _ => (),
        });
        (session.losses().unwrap(), statistics)
    };
    let (losses, statistics) = learn(&of(0..3), 1.0);
    let parts = with_ranks(2, |group| {
        let whole = SplitBatch::new(Arc::new(group), 3);
        let cut = whole.cut();
        let (losses, statistics) = as_part_of(Rc::new(whole), || learn(&of(cut.computed()), cut.share()));
        (losses[0] * f64::from(cut.share()), statistics)
    });
    let loss: f64 = parts.iter().map(|(loss, _)| loss).sum();
    assert!((loss / losses[0] - 1.0).abs() <= 1e-6, "loss {loss}, wanted {losses:?}");
    assert_eq!(parts[0].1, parts[1].1);
    for (at, (found, wanted)) in parts[0].1.iter().zip(&statistics).enumerate() {
        assert!((found - wanted).abs() <= 1e-6 * wanted.abs().max(1.0), "statistic {at}: {found}, wanted {wanted}");
    }
}

/// Nothing is left of a batch that was split: the next pass is one process's again.
#[test]
fn a_pass_after_a_split_one_is_whole_again() {
    let case = Case { images: 1, kind: Kind::Mask, loss: Loss::Paper, memory: MemoryUse::Balanced, seed: 3 };
    let model = case.model::<Pico>();
    let whole = case.alone(&model);
    let after = with_ranks(2, |group| {
        let two = Case { images: 2, ..case };
        drop(two.part(&model, Arc::new(group)));
        case.alone(&model)
    });
    assert!(after == [whole.clone(), whole]);
}

/// Runs a pass that cannot be made to its end: gives the words with which the rank ended.
fn ended(group: Thread, images: usize, pass: impl FnOnce()) -> Option<String> {
    let whole = Rc::new(SplitBatch::new(Arc::new(group), images));
    // threads cannot end each other, so that their `abort` is a panic
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| as_part_of(whole, pass)));
    ended.err().map(|payload| payload.downcast_ref::<String>().unwrap().clone())
}

#[test]
fn a_rank_that_is_lost_within_a_pass_is_told_and_ends_all() {
    let case = Case { images: 2, kind: Kind::Mask, loss: Loss::Paper, memory: MemoryUse::Balanced, seed: 3 };
    let model = case.model::<Pico>();
    let ends = with_ranks(2, |group| match group.rank() {
        0 => ended(group, 2, || drop(case.pass(model.clone(), 0..1, 0.5))),
        _ => None,
    });
    assert_eq!(ends[0].as_deref(), Some("rank 0 ends all with status 1: rank 1 is gone"));
}

type Pixel = Map<Const<1>, usize, Const<2>, Cpu>;

/// A batch norm in training of one image `(1, side, side, 2)`.
fn norm_of_one_image(side: usize, value: f32) -> [Vec<f32>; 2] {
    let device = Cpu::default();
    let x: Pixel = device.tensor_from_vec(vec![value; side * side * 2], (Const, side, side, Const));
    let (y, [mean, _]) = ops::batch_norm(x.leaky_trace(), &device.ones(), &device.zeros(), false).unwrap();
    [y.as_vec(), mean.as_vec()]
}

/// Each rank has one value a channel, of which alone there is no variance.
#[test]
fn a_variance_is_of_the_whole_batch() {
    let found = with_ranks(2, |group| {
        let value = group.rank() as f32;
        as_part_of(Rc::new(SplitBatch::new(Arc::new(group), 2)), || norm_of_one_image(1, value))
    });
    for ([y, mean], sign) in found.iter().zip([-1.0, 1.0]) {
        assert_eq!(mean, &[0.5, 0.5]);
        assert!(y.iter().all(|y| (y - sign * 0.25 / (0.25 + 1e-5f32).sqrt() * 2.0).abs() < 1e-6), "{found:?}");
    }
    let refused = with_ranks(2, |group| {
        ended(group, 1, || {
            norm_of_one_image(1, 0.0);
        })
    });
    for words in refused {
        assert!(words.as_ref().is_some_and(|words| words.contains("needs more than one value a channel")), "{words:?}");
    }
}

#[test]
fn images_of_different_sides_are_told_and_end_all() {
    let ends = with_ranks(2, |group| {
        let side = 2 + group.rank();
        ended(group, 2, || {
            norm_of_one_image(side, 0.0);
        })
    });
    let words = "rank 0 ends all with status 1: one batch over several ranks has images of one side, but a map that \
                 has 4 pixels an image on rank 0 has 9 on rank 1";
    assert_eq!(ends[0].as_deref(), Some(words));
    assert!(ends[1].as_ref().is_some_and(|words| words.starts_with("rank 1 ends all with status 1: ")), "{ends:?}");
}

#[test]
fn the_cpu_can_split_a_batch() {
    let cpu = DeviceChoice::Cpu.open().unwrap();
    assert_eq!(SplitBatch::check(&cpu), Ok(()));
}

/// A step of a run on two batches, one of them short; gives the logged loss and the bytes of the model that was saved.
fn one_step(path: &Path, ranks: usize) -> (f64, Vec<u8>) {
    let settings =
        Settings { batch_size: 4, accumulate: 2, steps: Some(1), split_batch: true, size: 64, ..Settings::default() };
    let sources = Sources::of(Noise::new(1, 6), None);
    let outcomes = with_ranks(ranks, |group| {
        let ranks = Ranks::of(Arc::new(group)).unwrap();
        let (config, options) = (AdamWConfig::default(), BuildOptions::default());
        let mut session = Session::<Pico, Cpu>::new(Cpu::default(), &mut Synthetic, config, options).unwrap();
        let mut folder = ranks.is_first().then(|| RunFolder::create(path, &settings).unwrap());
        let (control, mut observer) = (Control::default(), |_: &Event| ());
        train_together(&settings, &sources, folder.as_mut(), &mut session, control, &mut observer, &ranks).unwrap()
    });
    assert!(outcomes.iter().all(|outcome| *outcome == Outcome::Finished));
    let log = std::fs::read_to_string(path.join("log.jsonl")).unwrap();
    let record: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    (record["loss"].as_f64().unwrap(), std::fs::read(path.join("last/model.safetensors")).unwrap())
}

#[test]
fn a_run_with_split_batches_makes_the_steps_of_one_process() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let (alone, _) = one_step(&path("1"), 1);
    for ranks in [2, 3] {
        let (loss, model) = one_step(&path(&ranks.to_string()), ranks);
        assert!((loss - alone).abs() < 1e-6 * alone, "{ranks} ranks: {loss} instead of {alone}");
        assert!(model == one_step(&path(&format!("{ranks} again")), ranks).1, "{ranks} ranks give other bits");
        let of = |name: &str| WeightFile::open(&path(name).join("last/model.safetensors")).unwrap();
        let (one, split) = (of("1"), of(&ranks.to_string()));
        for spec in Sam2UNet::<Pico>::specs().iter().filter(|spec| spec.role == Role::Statistic) {
            let [a, b] = [&one, &split].map(|file| file.values(&spec.name).unwrap());
            let close = |(a, b): (&f32, &f32)| (a - b).abs() <= 1e-6 * a.abs().max(1.0);
            assert!(a.iter().zip(&b).all(close), "{ranks} ranks: {}", spec.name);
        }
    }
}
