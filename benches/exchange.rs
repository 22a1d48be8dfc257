//! What a training step of Large sends, on networks that are not here: `cargo bench --bench exchange` prints two tables.
//!
//! Threads are the ranks. They run the code that training runs, [`Ranks`] and [`GradientSum`], and send real bytes of the real
//! lengths; how long a network takes for each message is computed on a virtual clock ([`Clocked`]). The sum of a rank's
//! slice of all gradients is timed before, alone on one thread, with slices as they come from so many ranks.
//!
//! It takes two minutes, and with 64 ranks 7.5 GB of memory.

use sam2unet::group::{Clocked, Group, GroupError, Link, Network, threads};
use sam2unet::nn::{Large, Variant, parameters};
use sam2unet::train::{GradientSum, Ranks, RanksError, Wishes};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// How often a sum is timed; the median counts.
const TURNS: usize = 15;
/// Between ranks of one machine: from what `bench --exchange` takes for two of them (docs/mpi.md).
const MEMORY: Link = Link { latency: 2e-6, rate: 3.5e9 };
const GBIT_10: Link = Link { latency: 30e-6, rate: 1.25e9 };
const GBIT_100: Link = Link { latency: 20e-6, rate: 12.5e9 };
/// Seconds of a step, to tell a share of.
const STEPS: [f64; 2] = [5.0, 1.0];

/// Batch norms of the network, all of so many channels, and 1x1 convolutions before one of them, by the stage of the trunk whose map
/// they read (as `tests/train/split_batch.rs` counts them).
const NORMS: usize = 66;
const CHANNELS: usize = 64;
const CENTRED_A_STAGE: usize = 5;

fn main() {
    let counts = parameters::<Large>(1);
    let numbers = counts.trainable + counts.unused;
    let networks = [("10 Gbit", GBIT_10, 1), ("100 Gbit", GBIT_100, 1), ("10 Gbit, 8 ranks a machine", GBIT_10, 8)];
    let mut others = Vec::new();
    println!("\nThe gradient of Large, {numbers} numbers:\n");
    println!(
        "| ranks | network | sum, measured: ms | simulated: ms | formula: ms | ratio | of a step of 5 s, of 1 s |"
    );
    println!("|---|---|---|---|---|---|---|");
    for ranks in [2, 8, 64] {
        let sum = sum_seconds(ranks, numbers);
        for (name, link, ranks_a_machine) in networks {
            if ranks_a_machine > 1 && ranks <= ranks_a_machine {
                continue;
            }
            let network = Network { link, memory: MEMORY, ranks_a_machine };
            let seconds = simulate(ranks, network, sum, |ranks, mark| step(ranks, numbers, mark));
            let (simulated, expected) = (seconds[3], formula(ranks, link, 4 * numbers));
            let [long, short] = STEPS.map(|step| 100.0 * simulated / step);
            println!(
                "| {ranks} | {name} | {:.2} | {:.2} | {:.2} | {:.2} | {long:.2} %, {short:.1} % |",
                1e3 * sum,
                1e3 * simulated,
                1e3 * expected,
                simulated / expected
            );
            others.push((ranks, name, seconds));
        }
    }
    println!("\nThe rest of a step, in ms:\n");
    println!("| ranks | network | two agreements | losses and statistics | --split-batch: batch norms |");
    println!("|---|---|---|---|---|");
    for (ranks, name, seconds) in others {
        let [agreements, seen, norms, _] = seconds.map(|seconds| 1e3 * seconds);
        println!("| {ranks} | {name} | {agreements:.2} | {seen:.2} | {norms:.1} |");
    }
}

/// What the gradient takes by the formula: latencies and bytes, one message after the other.
fn formula(ranks: usize, link: Link, bytes: usize) -> f64 {
    let others = ranks as f64 - 1.0;
    2.0 * others * link.latency + 2.0 * others / ranks as f64 * bytes as f64 / link.rate
}

/// What a step of one batch a rank sends; `mark` is called after each part of it.
fn step(ranks: &Ranks, numbers: usize, mark: &mut dyn FnMut()) -> Result<(), RanksError> {
    let size = ranks.size();
    let gather = |bytes: usize| ranks.gather(&vec![1; bytes], &vec![bytes; size]);
    // nobody failed; what is wanted after the step
    for _ in 0..2 {
        ranks.agree(7, Wishes::default())?;
    }
    mark();
    // means and variances of each batch norm
    gather(8)?;
    gather(NORMS * 2 * CHANNELS * 4)?;
    mark();
    // with --split-batch: count, means and squares forward, two sums backward, and means before 1x1 convolutions
    for _ in 0..NORMS {
        gather(8 * (1 + 2 * CHANNELS))?;
        gather(8 * 2 * CHANNELS)?;
    }
    for channels in Large::CHANNELS {
        for _ in 0..CENTRED_A_STAGE {
            gather(8 * channels)?;
        }
    }
    mark();
    let mut sum = GradientSum::new();
    fill(&mut sum, ranks, numbers);
    let total = sum.total(ranks, numbers)?;
    // small whole numbers: exact in any order
    let all = size * (size + 1) / 2;
    assert!((0..numbers).all(|i| total[i] == (i % 97 * all) as f32), "a wrong sum");
    mark();
    Ok(())
}

/// This rank's batch of a step that has one for each rank.
fn fill(sum: &mut GradientSum, ranks: &Ranks, numbers: usize) {
    sum.begin(ranks.size());
    let mut gradient = sum.buffer();
    gradient.extend((0..numbers).map(|i| (i % 97 * (ranks.rank() + 1)) as f32));
    sum.push(ranks.rank(), gradient);
}

/// Seconds of each of four parts of `work` on so many ranks: from when the last one begins it to when the last one ends.
fn simulate(
    size: usize,
    network: Network,
    sum: f64,
    work: impl Fn(&Ranks, &mut dyn FnMut()) -> Result<(), RanksError> + Sync,
) -> [f64; 4] {
    let run = |group| {
        let group = Arc::new(Clocked::new(group, network).with_sum(sum));
        let ranks = Ranks::of(group.clone()).unwrap();
        let mut marks = vec![group.now()];
        work(&ranks, &mut || marks.push(group.now())).unwrap();
        marks
    };
    let marks: Vec<Vec<f64>> = std::thread::scope(|scope| {
        let started: Vec<_> = threads(size).into_iter().map(|group| scope.spawn(|| run(group))).collect();
        started.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let last = |part: usize| marks.iter().map(|marks| marks[part]).fold(0.0, f64::max);
    std::array::from_fn(|part| last(part + 1) - last(part))
}

/// How long a rank computes within [`GradientSum::total`]: the median of several turns, after one that touches the memory.
fn sum_seconds(size: usize, numbers: usize) -> f64 {
    let group = Arc::new(Mute { size, inside: Mutex::default() });
    let ranks = Ranks::of(group.clone()).unwrap();
    let mut sum = GradientSum::new();
    let mut seconds: Vec<f64> = (0..=TURNS)
        .map(|_| {
            fill(&mut sum, &ranks, numbers);
            let (begun, inside) = (Instant::now(), group.inside());
            std::hint::black_box(sum.total(&ranks, numbers).unwrap());
            (begun.elapsed() - (group.inside() - inside)).as_secs_f64()
        })
        .skip(1)
        .collect();
    seconds.sort_by(f64::total_cmp);
    seconds[TURNS / 2]
}

/// Rank 0 of several, of which the others are not there: it gets its own bytes over and over, and how long that took is known.
#[derive(Debug)]
struct Mute {
    size: usize,
    inside: Mutex<Duration>,
}

impl Mute {
    fn inside(&self) -> Duration {
        *self.inside.lock().unwrap()
    }

    fn repeat(&self, own: &[u8], all: &mut [u8]) {
        let begun = Instant::now();
        all.chunks_mut(own.len()).for_each(|part| part.copy_from_slice(&own[..part.len()]));
        *self.inside.lock().unwrap() += begun.elapsed();
    }
}

impl Group for Mute {
    fn rank(&self) -> usize {
        0
    }

    fn size(&self) -> usize {
        self.size
    }

    fn host(&self) -> String {
        "here".to_string()
    }

    fn local(&self) -> (usize, usize) {
        (0, 1)
    }

    fn gather(&self, mine: &[u8], all: &mut [u8], _: &[usize]) -> Result<(), GroupError> {
        self.repeat(mine, all);
        Ok(())
    }

    fn exchange(&self, send: &[u8], sent: &[usize], receive: &mut [u8], _: &[usize]) -> Result<(), GroupError> {
        self.repeat(&send[..sent[0]], receive);
        Ok(())
    }

    fn abort(&self, reason: &str, _: i32) -> ! {
        panic!("{reason}")
    }
}
