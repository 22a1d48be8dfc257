//! `sam2unet bench --exchange`: how long the processes that work together take for what each training step sends.

use super::console::{print, say};
use super::failure::{Failure, Status};
use super::ranks::end_all;
use crate::group::cores::CoreShares;
use crate::group::processes::{Group, GroupError};
use crate::nn::cost::parameters;
use crate::nn::variant::{Variant, VariantName, WithVariant};
use std::fmt;
use std::ops::Range;
use std::time::Instant;

/// What a rank tells before each exchange: whether it has failed, where it stands.
const AGREEMENT: usize = 24;
/// Calls before those that are counted: connections are made, memory is touched.
const WARM_UP: usize = 2;

/// Seconds of an exchange, of the slowest rank each.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Times {
    /// Each rank gets its slice of all gradients.
    exchange: f64,
    /// It adds them up.
    sum: f64,
    /// All get all slices of the sum.
    gather: f64,
    /// The three together.
    all: f64,
}

/// What the exchange of one model's gradient takes.
#[derive(Clone, Debug, PartialEq)]
struct Row {
    variant: VariantName,
    numbers: usize,
    times: Times,
}

/// What was measured, as a table.
#[derive(Clone, Debug, PartialEq)]
struct Table {
    ranks: usize,
    agreement: f64,
    rows: Vec<Row>,
    /// How long a training step takes, if it was told.
    step: Option<f64>,
}

/// Measures with all ranks, `repeat` times each, and prints the table on rank 0. `step` is how long a training step takes, in
/// seconds.
///
/// # Errors
/// Where there is one process only: nothing would be sent.
pub(super) fn exchange(group: &dyn Group, repeat: usize, step: Option<f64>) -> Result<Status, Failure> {
    if group.size() == 1 {
        return Err(Failure::input(
            "--exchange measures what several processes send each other, and this is one: mpirun -n 2 sam2unet bench --exchange \
             (a build with --features mpi; docs/mpi.md)",
        ));
    }
    let measured = CoreShares::of(group).and_then(|shares| Ok((shares, measure(group, repeat, step)?)));
    let (shares, table) = measured.unwrap_or_else(|error| end_all(group, &error));
    say(shares);
    print(table.to_string())
}

fn measure(group: &dyn Group, repeat: usize, step: Option<f64>) -> Result<Table, GroupError> {
    struct Numbers;
    impl WithVariant for Numbers {
        type Output = usize;
        fn call<V: Variant>(self) -> usize {
            let counts = parameters::<V>(1);
            counts.trainable + counts.unused
        }
    }
    let agreement = slowest(group, repeat, |_| timed(|| agree(group)).map(|seconds| [seconds]))?;
    let mut rows = Vec::new();
    for &variant in VariantName::ALL {
        let numbers = variant.visit(Numbers);
        let mut buffers = Buffers::new(group, numbers);
        let [exchange, sum, gather, all] = slowest(group, repeat, |_| buffers.exchange(group))?;
        rows.push(Row { variant, numbers, times: Times { exchange, sum, gather, all } });
    }
    Ok(Table { ranks: group.size(), agreement: agreement[0], rows, step })
}

fn agree(group: &dyn Group) -> Result<(), GroupError> {
    group.gather(&[0; AGREEMENT], &mut vec![0; AGREEMENT * group.size()], &vec![AGREEMENT; group.size()])
}

fn timed(work: impl FnOnce() -> Result<(), GroupError>) -> Result<f64, GroupError> {
    let begun = Instant::now();
    work().map(|()| begun.elapsed().as_secs_f64())
}

/// The medians of what `work` measures, each time that of the slowest rank. All ranks begin together.
fn slowest<const N: usize>(
    group: &dyn Group,
    repeat: usize,
    mut work: impl FnMut(usize) -> Result<[f64; N], GroupError>,
) -> Result<[f64; N], GroupError> {
    let mut all = vec![Vec::with_capacity(repeat); N];
    for i in 0..repeat + WARM_UP {
        agree(group)?;
        let mine: Vec<u8> = work(i)?.iter().flat_map(|seconds| seconds.to_le_bytes()).collect();
        let mut everyones = vec![0; mine.len() * group.size()];
        group.gather(&mine, &mut everyones, &vec![mine.len(); group.size()])?;
        if i < WARM_UP {
            continue;
        }
        for (k, seconds) in all.iter_mut().enumerate() {
            let of_rank = everyones.as_chunks().0.iter().skip(k).step_by(N);
            seconds.push(of_rank.map(|bytes| f64::from_le_bytes(*bytes)).fold(0.0, f64::max));
        }
    }
    Ok(std::array::from_fn(|k| median(&mut all[k])))
}

fn median(seconds: &mut [f64]) -> f64 {
    seconds.sort_by(f64::total_cmp);
    match seconds.len() {
        0 => f64::NAN,
        n => (seconds[(n - 1) / 2] + seconds[n / 2]) / 2.0,
    }
}

/// Which numbers a rank adds up for all.
fn slice(rank: usize, ranks: usize, numbers: usize) -> Range<usize> {
    rank * numbers / ranks..(rank + 1) * numbers / ranks
}

/// A gradient and what is received, kept from one exchange to the next.
struct Buffers {
    /// This rank's gradient, then the sum of all.
    gradient: Vec<u8>,
    received: Vec<u8>,
    sum: Vec<u8>,
    /// Bytes of each rank's slice.
    slices: Vec<usize>,
}

impl Buffers {
    fn new(group: &dyn Group, numbers: usize) -> Self {
        let slices: Vec<usize> = (0..group.size()).map(|rank| 4 * slice(rank, group.size(), numbers).len()).collect();
        let own = slices[group.rank()];
        let number = |i: usize| ((i * 7919 % 1000) as f32 / 1000.0 - 0.5) * (1 + group.rank()) as f32;
        let gradient = (0..numbers).flat_map(|i| number(i).to_ne_bytes()).collect();
        Self { gradient, received: vec![0; own * slices.len()], sum: vec![0; own], slices }
    }

    /// Each rank adds up its slice of everyone's gradient, then all get all slices. Gives the seconds of the three parts and of
    /// all.
    fn exchange(&mut self, group: &dyn Group) -> Result<[f64; 4], GroupError> {
        let Self { gradient, received, sum, slices } = self;
        let own = slices[group.rank()];
        let from_each = vec![own; slices.len()];
        let exchange = timed(|| group.exchange(gradient, slices, received, &from_each))?;
        let added = timed(|| {
            let (first, others) = received.split_at(own);
            sum.copy_from_slice(first);
            others.chunks_exact(own.max(1)).for_each(|other| add(sum, other));
            Ok(())
        })?;
        let gather = timed(|| group.gather(sum, gradient, slices))?;
        Ok([exchange, added, gather, exchange + added + gather])
    }
}

/// `left += right`, of numbers in single precision.
fn add(left: &mut [u8], right: &[u8]) {
    for (l, r) in left.as_chunks_mut::<4>().0.iter_mut().zip(right.as_chunks::<4>().0) {
        *l = (f32::from_ne_bytes(*l) + f32::from_ne_bytes(*r)).to_ne_bytes();
    }
}

impl Table {
    /// Which share of a step it is, where it is known how long one takes.
    fn share(&self, seconds: f64) -> String {
        self.step.map_or_else(|| "-".to_string(), |step| format!("{:.2} %", 100.0 * seconds / step))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let step = self.step.map_or_else(|| "a step".to_string(), |step| format!("a step of {step} s"));
        writeln!(f, "\n| sent | numbers | ms | exchange | sum | gather | MB/s a rank | of {step} |")?;
        writeln!(f, "|---|---|---|---|---|---|---|---|")?;
        writeln!(
            f,
            "| agreement, {AGREEMENT} bytes of each | | {:.3} | | | | | {} |",
            1e3 * self.agreement,
            self.share(self.agreement)
        )?;
        for Row { variant, numbers, times } in &self.rows {
            let Times { exchange, sum, gather, all } = *times;
            // a rank sends all slices but its own, and then its own to all others
            let sent = 2.0 * 4.0 * *numbers as f64 * (self.ranks - 1) as f64 / self.ranks as f64;
            let [total, exchange, sum, gather] =
                [all, exchange, sum, gather].map(|seconds| format!("{:.2}", 1e3 * seconds));
            let (rate, share) = (1e-6 * sent / all, self.share(all));
            writeln!(
                f,
                "| gradient of {variant} | {numbers} | {total} | {exchange} | {sum} | {gather} | {rate:.0} | {share} |"
            )?;
        }
        writeln!(
            f,
            "\nMedians of the slowest of {} ranks; MB/s: what a rank sends in this time, and receives. A step sends one gradient \
             for each part of its batches that a rank adds up by itself: one where a rank takes 1, 2, 4, ... of them.",
            self.ranks
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::threads::threads;

    fn with_ranks<T: Send>(size: usize, work: impl Fn(&dyn Group) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let work = &work;
            let started: Vec<_> = threads(size).into_iter().map(|rank| scope.spawn(move || work(&rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn the_exchange_that_is_timed_adds_up() {
        // as many numbers as do not divide by three
        let sums = with_ranks(3, |group| {
            let mut buffers = Buffers::new(group, 100);
            let mine = buffers.gradient.clone();
            let times = buffers.exchange(group).unwrap();
            assert!(times[..3].iter().all(|&seconds| 0.0 < seconds && seconds < times[3]));
            (mine, buffers.gradient)
        });
        let mut expected = sums[0].0.clone();
        sums[1..].iter().for_each(|(mine, _)| add(&mut expected, mine));
        for (mine, sum) in sums {
            assert!(mine != sum && sum == expected);
        }
    }

    #[test]
    fn the_slowest_rank_counts() {
        let all = with_ranks(3, |group| slowest(group, 3, |i| Ok([(10 * group.rank() + i) as f64, 1.0])).unwrap());
        // of the calls 2, 3 and 4 the one in the middle
        assert_eq!(all, [[23.0, 1.0]; 3]);
    }

    #[test]
    fn the_table_tells_rate_and_share() {
        let times = Times { exchange: 0.003, sum: 0.002, gather: 0.005, all: 0.01 };
        let rows = vec![Row { variant: VariantName::Large, numbers: 4_380_595, times }];
        let mut table = Table { ranks: 4, agreement: 0.0005, rows, step: Some(2.5) };
        let text = table.to_string();
        // 6 of 4 times 17.5 MB in 10 ms
        assert!(
            text.contains("| gradient of large | 4380595 | 10.00 | 3.00 | 2.00 | 5.00 | 2628 | 0.40 % |"),
            "{text}"
        );
        assert!(text.contains("| 0.500 | | | | | 0.02 % |") && text.contains("of a step of 2.5 s"), "{text}");
        table.step = None;
        assert!(table.to_string().contains("| 2628 | - |"), "{table}");
    }
}
