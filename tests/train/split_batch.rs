//! One batch over several ranks, against one process.

use crate::support::golden::{Pico, Synthetic, batch};
use crate::support::split_pass::{Case, Kind, agrees, with_ranks};
use dfdx::prelude::*;
use sam2unet::data::{Batch, BatchTruth};
use sam2unet::device::DeviceChoice;
use sam2unet::group::{Group, GroupError, Thread};
use sam2unet::nn::weights::Value;
use sam2unet::nn::{BuildOptions, Loss, Map, MemoryUse, Tiny, as_part_of, ops};
use sam2unet::train::{AdamWConfig, Learner, Session, SplitBatch};
use std::cell::Cell;
use std::rc::Rc;

/// Counts what a rank sends.
#[derive(Debug)]
struct Counting {
    group: Thread,
    gathers: Cell<usize>,
    bytes: Cell<usize>,
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
        self.gathers.set(self.gathers.get() + 1);
        self.bytes.set(self.bytes.get() + mine.len());
        self.group.gather(mine, all, lengths)
    }

    fn exchange(&self, _: &[u8], _: &[usize], _: &mut [u8], _: &[usize]) -> Result<(), GroupError> {
        panic!("a pass only gathers")
    }

    fn abort(&self, status: i32) -> ! {
        self.group.abort(status)
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
                let group = Rc::new(Counting { group, gathers: Cell::new(0), bytes: Cell::new(0) });
                let part = case.part(&model, group.clone());
                (part, group.gathers.get(), group.bytes.get())
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
        agrees(&format!("Tiny, {ranks} ranks"), &whole, &parts);
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
                agrees(&format!("{kind:?}, {loss}, {ranks} ranks"), &whole, &parts);
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
        let whole = SplitBatch::new(Rc::new(group), 3, Rc::new(|error| panic!("{error}")));
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
        drop(two.part(&model, Rc::new(group)));
        case.alone(&model)
    });
    assert!(after == [whole.clone(), whole]);
}

/// Runs a pass that cannot be made to its end: gives what was told of it, and with which words the rank ended.
fn ended(group: Thread, images: usize, pass: impl FnOnce()) -> [Option<String>; 2] {
    let told = Rc::new(Cell::new(None));
    let lost = {
        let told = told.clone();
        Rc::new(move |error: &GroupError| told.set(Some(error.to_string())))
    };
    let whole = Rc::new(SplitBatch::new(Rc::new(group), images, lost));
    // threads cannot end each other, so that their `abort` is a panic
    let ended = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| as_part_of(whole, pass)));
    let ended = ended.err().map(|payload| payload.downcast_ref::<String>().unwrap().clone());
    [told.take(), ended]
}

#[test]
fn a_rank_that_is_lost_within_a_pass_is_told_and_ends_all() {
    let case = Case { images: 2, kind: Kind::Mask, loss: Loss::Paper, memory: MemoryUse::Balanced, seed: 3 };
    let model = case.model::<Pico>();
    let ends = with_ranks(2, |group| match group.rank() {
        0 => ended(group, 2, || drop(case.pass(model.clone(), 0..1, 0.5))),
        _ => [None, None],
    });
    let words = ["rank 1 is gone", "rank 0 ends all with status 1"];
    assert_eq!(ends[0], words.map(|words| Some(words.to_string())));
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
        as_part_of(Rc::new(SplitBatch::new(Rc::new(group), 2, Rc::new(|error| panic!("{error}")))), || {
            norm_of_one_image(1, value)
        })
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
    for [_, words] in refused {
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
    let [[Some(told), _], [_, Some(status)]] = &ends[..] else { panic!("{ends:?}") };
    let words = "one batch over several ranks has images of one side, but a map that has 4 pixels an image on rank 0 \
                 has 9 on rank 1";
    assert_eq!((&told[..], &status[..]), (words, "rank 1 ends all with status 1"));
}

#[test]
fn the_cpu_can_split_a_batch() {
    let cpu = DeviceChoice::Cpu.open().unwrap();
    assert_eq!(SplitBatch::check(&cpu), Ok(()));
}
