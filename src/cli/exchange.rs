//! `sam2unet bench --exchange`: how long the processes that work together take for what each training step sends.

use super::console::{print, say};
use super::failure::{Failure, Status};
use super::ranks::end_all;
use crate::group::cores::CoreShares;
use crate::group::processes::{Group, GroupError};
use crate::nn::cost::parameters;
use crate::nn::variant::{Variant, VariantName, WithVariant};
use crate::train::together::error::RanksError;
use crate::train::together::ranks::{Ranks, Wishes};
use crate::train::together::sum::GradientSum;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

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
pub(super) fn exchange(group: &Arc<dyn Group>, repeat: usize, step: Option<f64>) -> Result<Status, Failure> {
    if group.size() == 1 {
        return Err(Failure::input(
            "--exchange measures what several processes send each other, and this is one: mpirun -n 2 sam2unet bench --exchange \
             (a build with --features mpi; docs/mpi.md)",
        ));
    }
    let (shares, table) = measure(group, repeat, step).unwrap_or_else(|error| end_all(&**group, &error));
    say(shares);
    print(table.to_string())
}

fn measure(group: &Arc<dyn Group>, repeat: usize, step: Option<f64>) -> Result<(CoreShares, Table), RanksError> {
    struct Numbers;
    impl WithVariant for Numbers {
        type Output = usize;
        fn call<V: Variant>(self) -> usize {
            let counts = parameters::<V>(1);
            counts.trainable + counts.unused
        }
    }
    let group = Arc::new(Timed::new(group.clone()));
    let ranks = Ranks::of(group.clone())?;
    let [agreement] = slowest(&ranks, repeat, |_| {
        let begun = Instant::now();
        agree(&ranks).map(|()| [begun.elapsed().as_secs_f64()])
    })?;
    let mut rows = Vec::new();
    for &variant in VariantName::ALL {
        let numbers = variant.visit(Numbers);
        let mut gradient = Gradient::new(&ranks, numbers);
        let [exchange, sum, gather, all] = slowest(&ranks, repeat, |_| gradient.exchange(&ranks, &group))?;
        rows.push(Row { variant, numbers, times: Times { exchange, sum, gather, all } });
    }
    Ok((ranks.shares().clone(), Table { ranks: ranks.size(), agreement, rows, step }))
}

fn agree(ranks: &Ranks) -> Result<(), RanksError> {
    ranks.agree(0, Wishes::default()).map(drop)
}

/// The medians of what `work` measures, each time that of the slowest rank. All ranks begin together.
fn slowest<const N: usize>(
    ranks: &Ranks,
    repeat: usize,
    mut work: impl FnMut(usize) -> Result<[f64; N], RanksError>,
) -> Result<[f64; N], RanksError> {
    let mut all = vec![Vec::with_capacity(repeat); N];
    for i in 0..repeat + WARM_UP {
        agree(ranks)?;
        let mine: Vec<u8> = work(i)?.iter().flat_map(|seconds| seconds.to_le_bytes()).collect();
        let everyones = ranks.gather(&mine, &vec![mine.len(); ranks.size()])?;
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

/// A step's gradient, which training's own code adds up: one batch a rank.
struct Gradient {
    sum: GradientSum,
    numbers: usize,
}

impl Gradient {
    fn new(ranks: &Ranks, numbers: usize) -> Self {
        let mut gradient = Self { sum: GradientSum::new(), numbers };
        gradient.begin(ranks);
        gradient
    }

    /// A step's batch of this rank.
    fn begin(&mut self, ranks: &Ranks) {
        let (batches, own) = (ranks.size(), ranks.rank());
        self.sum.begin(batches);
        let mut gradient = self.sum.buffer();
        gradient.extend((0..self.numbers).map(|i| ((i * 7919 % 1000) as f32 / 1000.0 - 0.5) * (1 + own) as f32));
        self.sum.push(own, gradient);
    }

    /// Adds up everyone's, and begins the next step: not when others already wait for this rank. Gives the seconds of the three
    /// parts and of all.
    fn exchange(&mut self, ranks: &Ranks, group: &Timed) -> Result<[f64; 4], RanksError> {
        let ([exchanged, gathered], begun) = (group.seconds(), Instant::now());
        self.sum.total(ranks, self.numbers)?;
        let all = begun.elapsed().as_secs_f64();
        let [exchange, gather] = group.seconds();
        let (exchange, gather) = (exchange - exchanged, gather - gathered);
        self.begin(ranks);
        Ok([exchange, all - exchange - gather, gather, all])
    }
}

/// A group, and how long its two operations took.
#[derive(Debug)]
struct Timed {
    inner: Arc<dyn Group>,
    /// Seconds of all exchanges and of all gathers.
    seconds: Mutex<[f64; 2]>,
}

impl Timed {
    fn new(inner: Arc<dyn Group>) -> Self {
        Self { inner, seconds: Mutex::default() }
    }

    fn seconds(&self) -> [f64; 2] {
        *self.seconds.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn timed(&self, which: usize, work: impl FnOnce() -> Result<(), GroupError>) -> Result<(), GroupError> {
        let begun = Instant::now();
        work()?;
        self.seconds.lock().unwrap_or_else(PoisonError::into_inner)[which] += begun.elapsed().as_secs_f64();
        Ok(())
    }
}

impl Group for Timed {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn host(&self) -> String {
        self.inner.host()
    }

    fn local(&self) -> (usize, usize) {
        self.inner.local()
    }

    fn gather(&self, mine: &[u8], all: &mut [u8], lengths: &[usize]) -> Result<(), GroupError> {
        self.timed(1, || self.inner.gather(mine, all, lengths))
    }

    fn exchange(&self, send: &[u8], sent: &[usize], receive: &mut [u8], received: &[usize]) -> Result<(), GroupError> {
        self.timed(0, || self.inner.exchange(send, sent, receive, received))
    }

    fn abort(&self, reason: &str, status: i32) -> ! {
        self.inner.abort(reason, status)
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
            "| agreement, 24 bytes of each | | {:.3} | | | | | {} |",
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

    fn with_ranks<T: Send>(size: usize, work: impl Fn(&Ranks, &Timed) -> T + Sync) -> Vec<T> {
        let run = |group| {
            let group = Arc::new(Timed::new(Arc::new(group)));
            work(&Ranks::of(group.clone()).unwrap(), &group)
        };
        std::thread::scope(|scope| {
            let started: Vec<_> = threads(size).into_iter().map(|rank| scope.spawn(|| run(rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn the_parts_of_an_exchange_are_timed() {
        let times = with_ranks(3, |ranks, group| {
            let mut gradient = Gradient::new(ranks, 100_000);
            // a step after the other
            [(); 2].map(|()| gradient.exchange(ranks, group).unwrap())
        });
        for [exchange, sum, gather, all] in times.into_iter().flatten() {
            assert!([exchange, sum, gather].iter().all(|&seconds| 0.0 < seconds && seconds < all));
            assert!((exchange + sum + gather - all).abs() < 1e-9);
        }
    }

    #[test]
    fn the_slowest_rank_counts() {
        let all = with_ranks(3, |ranks, _| slowest(ranks, 3, |i| Ok([(10 * ranks.rank() + i) as f64, 1.0])).unwrap());
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
