//! What the ranks of a run tell each other beside its numbers: failures, wishes, and what only rank 0 knows.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::error::{RankFailure, RanksError};
use crate::group::alone::Alone;
use crate::group::cores::CoreShares;
use crate::group::processes::Group;

/// What somebody wants of a run, told to all before it is done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wishes {
    /// Save and stop.
    pub stop: bool,
    /// Save and go on, as somebody asked.
    pub save: bool,
    /// Save and go on, as it is time; only rank 0 looks at the clock.
    pub due: bool,
}

/// The ranks of a run. All of them make the same calls in the same order.
///
/// **A rank that fails says so in place of its next call.** Each call begins with an agreement: a few bytes of every rank, by which
/// all hear of a failure or go on. Between an agreement and what follows it in the same call nothing can fail on one rank only. So a
/// rank whose work failed need not know what the others wait for: it makes one last agreement ([`settle`](Self::settle)), and all
/// end with one error.
#[derive(Debug)]
pub struct Ranks {
    group: Arc<dyn Group>,
    shares: CoreShares,
    /// Whether all have heard of a failure.
    told: AtomicBool,
}

const FAILED: u64 = 1;
const STOP: u64 = 2;
const SAVE: u64 = 4;
const DUE: u64 = 8;

/// Bytes of a failure's words that are sent.
const LONGEST: usize = 1 << 16;
/// Bytes sent at a time by who knows something.
const PIECE: usize = 256 << 20;

impl Ranks {
    /// One process.
    pub fn alone() -> Self {
        Self { group: Arc::new(Alone), shares: CoreShares(Vec::new()), told: AtomicBool::new(false) }
    }

    /// The ranks of this group.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn of(group: Arc<dyn Group>) -> Result<Self, RanksError> {
        Ok(Self { shares: CoreShares::of(&*group)?, group, told: AtomicBool::new(false) })
    }

    /// The group itself.
    pub fn group(&self) -> &Arc<dyn Group> {
        &self.group
    }

    /// Which of them this is, from 0.
    pub fn rank(&self) -> usize {
        self.group.rank()
    }

    /// How many they are.
    pub fn size(&self) -> usize {
        self.group.size()
    }

    /// Whether this is the one that writes and prints.
    pub fn is_first(&self) -> bool {
        self.group.rank() == 0
    }

    /// Whether there is more than one.
    pub fn are_several(&self) -> bool {
        self.group.size() > 1
    }

    /// How each takes part in computing.
    pub fn shares(&self) -> &CoreShares {
        &self.shares
    }

    /// From now on each computes with so many threads.
    pub fn set_threads(&mut self, threads: usize) {
        self.shares.0.iter_mut().for_each(|share| share.threads = threads);
    }

    /// How many threads this rank computes with; `None` where it has the machine to itself.
    pub fn threads(&self) -> Option<usize> {
        self.shares.0.get(self.rank()).filter(|_| self.are_several()).map(|share| share.threads)
    }

    /// The machine of a rank.
    fn host(&self, rank: usize) -> String {
        self.shares.0.get(rank).map(|share| share.host.clone()).unwrap_or_default()
    }

    /// Tells what is wanted, and hears what anybody wants. `place` is where the run stands; ranks that stand elsewhere are found.
    ///
    /// # Errors
    /// When a rank failed, or is lost.
    pub fn agree(&self, place: u64, wishes: Wishes) -> Result<Wishes, RanksError> {
        if !self.are_several() {
            return Ok(wishes);
        }
        let flag = |set: bool, flag: u64| if set { flag } else { 0 };
        let flags = flag(wishes.stop, STOP) | flag(wishes.save, SAVE) | flag(wishes.due, DUE);
        let all = self.records([flags, place, 0], "")?;
        self.compare("the position in the run", all.iter().map(|[_, place, _]| *place))?;
        let any = |flag: u64| all.iter().any(|[flags, ..]| flags & flag != 0);
        Ok(Wishes { stop: any(STOP), save: any(SAVE), due: any(DUE) })
    }

    /// Waits until all know that nobody failed, or who did: what all must have before they go on. `place` is as in
    /// [`agree`](Self::agree).
    ///
    /// # Errors
    /// This rank's own, or, where another one failed, [`RanksError::Failed`].
    pub fn together<T, E: RankFailure>(&self, place: u64, result: Result<T, E>) -> Result<T, E> {
        match result {
            Ok(value) => {
                self.agree(place, Wishes::default())?;
                Ok(value)
            }
            Err(error) => self.settle(Err(error)),
        }
    }

    /// Ends work whose result on this rank is `result`: an error that nobody knows of yet is told to all, which hear of it where
    /// they agree next.
    ///
    /// # Errors
    /// This rank's own if it is the lowest one that has an error, else [`RanksError::Failed`] with that one's words.
    pub fn settle<T, E: RankFailure>(&self, result: Result<T, E>) -> Result<T, E> {
        let error = match result {
            Ok(value) => return Ok(value),
            Err(error) if !self.are_several() || self.told.load(Ordering::Relaxed) => return Err(error),
            Err(error) => error,
        };
        match self.records([FAILED, error.code().into(), 0], &error.to_string()) {
            // its own words say more than what is sent of them
            Ok(_) => Err(error),
            Err(RanksError::Failed { rank, .. }) if rank == self.rank() => Err(error),
            Err(told) => Err(told.into()),
        }
    }

    /// Sees whether these numbers, which stand for something each, are rank 0's.
    ///
    /// # Errors
    /// [`RanksError::Differs`] by the first that is not.
    pub fn compare_all(&self, numbers: &[(&str, u64)]) -> Result<(), RanksError> {
        if !self.are_several() {
            return Ok(());
        }
        for (what, number) in numbers {
            let all = self.records([0, 0, *number], "")?;
            self.compare(what, all.iter().map(|[_, _, number]| *number))?;
        }
        Ok(())
    }

    /// Sees whether each rank's GPU is its own. `own` is what tells this rank's from every other one, and empty where it has none.
    ///
    /// # Errors
    /// [`RanksError::Shared`] on all ranks, with those that have the first GPU that several have; when a rank failed, or is lost.
    pub fn distinct_gpus(&self, own: &str) -> Result<(), RanksError> {
        if !self.are_several() {
            return Ok(());
        }
        let all = self.gather_any(own.as_bytes())?;
        let same = |card: &[u8]| -> Vec<(usize, String)> {
            let holders = all.iter().enumerate().filter(|(_, other)| &other[..] == card);
            holders.map(|(rank, _)| (rank, self.host(rank))).collect()
        };
        let cards = all.iter().filter(|card| !card.is_empty());
        match cards.map(|card| (same(card), card)).find(|(ranks, _)| ranks.len() > 1) {
            None => Ok(()),
            Some((ranks, card)) => {
                self.heard(Err(RanksError::Shared { ranks, what: String::from_utf8_lossy(card).into_owned() }))
            }
        }
    }

    /// What only rank 0 knows; the others give `None`.
    ///
    /// # Errors
    /// When a rank failed, or is lost.
    pub fn tell(&self, known: Option<&[u8]>) -> Result<Vec<u8>, RanksError> {
        let known = known.unwrap_or_default();
        if !self.are_several() {
            return Ok(known.to_vec());
        }
        let all = self.records([0, 0, known.len() as u64], "")?;
        let mut bytes = known.to_vec();
        bytes.resize(all[0][2] as usize, 0);
        for piece in bytes.chunks_mut(PIECE) {
            self.spread(piece)?;
        }
        Ok(bytes)
    }

    /// [`tell`](Self::tell) of a value.
    ///
    /// # Errors
    /// When a rank failed, or is lost, or the value cannot be read.
    pub fn tell_value<T: Serialize + DeserializeOwned>(
        &self,
        what: &'static str,
        known: Option<T>,
    ) -> Result<T, RanksError> {
        let unreadable = |error: serde_json::Error| RanksError::Told { what, reason: error.to_string() };
        let text = match &known {
            Some(value) if self.are_several() => serde_json::to_vec(value).map_err(unreadable)?,
            _ => Vec::new(),
        };
        let told = self.tell(self.is_first().then_some(&text))?;
        match known {
            Some(value) if self.is_first() => Ok(value),
            _ => serde_json::from_slice(&told).map_err(unreadable),
        }
    }

    /// Gives everyone rank 0's bytes: in each round all who have them send them on to one more.
    fn spread(&self, bytes: &mut [u8]) -> Result<(), RanksError> {
        let (rank, size, length) = (self.rank(), self.size(), bytes.len());
        let mut have = 1;
        while have < size {
            let mut sent = vec![0; size];
            let mut received = vec![0; size];
            if rank < have && rank + have < size {
                sent[rank + have] = length;
            }
            if (have..2 * have).contains(&rank) {
                received[rank - have] = length;
            }
            let (sends, receives) = (sent.iter().any(|n| *n > 0), received.iter().any(|n| *n > 0));
            match (sends, receives) {
                (true, _) => self.exchange(bytes, &sent, &mut [], &received)?,
                (_, true) => self.exchange(&[], &sent, bytes, &received)?,
                _ => self.exchange(&[], &sent, &mut [], &received)?,
            }
            have *= 2;
        }
        Ok(())
    }

    /// The bytes of all into `all`, each of a length that all know: [`Group::gather`].
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn gather_into(&self, mine: &[u8], all: &mut [u8], lengths: &[usize]) -> Result<(), RanksError> {
        self.heard(self.group.gather(mine, all, lengths).map_err(RanksError::from))
    }

    /// Each rank's bytes for each other one: [`Group::exchange`].
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn exchange(
        &self,
        send: &[u8],
        sent: &[usize],
        receive: &mut [u8],
        received: &[usize],
    ) -> Result<(), RanksError> {
        self.heard(self.group.exchange(send, sent, receive, received).map_err(RanksError::from))
    }

    /// The bytes of all, each of a length that all know.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn gather(&self, mine: &[u8], lengths: &[usize]) -> Result<Vec<u8>, RanksError> {
        let mut all = vec![0; lengths.iter().sum()];
        self.gather_into(mine, &mut all, lengths)?;
        Ok(all)
    }

    /// The bytes of all, in the order of the ranks, however many each has.
    ///
    /// # Errors
    /// When a rank failed, or is lost.
    pub fn gather_any(&self, mine: &[u8]) -> Result<Vec<Vec<u8>>, RanksError> {
        let all = self.records([0, 0, mine.len() as u64], "")?;
        let lengths: Vec<usize> = all.iter().map(|[_, _, length]| *length as usize).collect();
        let bytes = self.gather(mine, &lengths)?;
        let mut rest = &bytes[..];
        let part = |length: &usize| {
            let (own, after) = rest.split_at(*length);
            rest = after;
            own.to_vec()
        };
        Ok(lengths.iter().map(part).collect())
    }

    /// The sums of these counts over all ranks.
    ///
    /// # Errors
    /// When a rank failed, or is lost.
    pub fn add_up<const N: usize>(&self, own: [usize; N]) -> Result<[usize; N], RanksError> {
        let mut sums = own;
        if self.are_several() {
            for sum in &mut sums {
                *sum = self.records([0, 0, *sum as u64], "")?.iter().map(|[_, _, count]| *count as usize).sum();
            }
        }
        Ok(sums)
    }

    /// Every rank's record; if a rank says in it that it failed, its words.
    fn records(&self, mine: [u64; 3], words: &str) -> Result<Vec<[u64; 3]>, RanksError> {
        let size = self.size();
        let number = |bytes: &[u8]| u64::from_le_bytes(std::array::from_fn(|i| bytes[i]));
        let all = self.gather(mine.map(u64::to_le_bytes).as_flattened(), &vec![24; size])?;
        let all: Vec<[u64; 3]> =
            all.chunks_exact(24).map(|record| std::array::from_fn(|i| number(&record[i * 8..]))).collect();
        let failed = |record: &[u64; 3]| record[0] & FAILED != 0;
        let Some(rank) = all.iter().position(failed) else { return Ok(all) };
        self.told.store(true, Ordering::Relaxed);
        // how long the words are, then the words
        let mut length = words.len().min(LONGEST);
        while !words.is_char_boundary(length) {
            length -= 1;
        }
        let lengths = self.gather(&(length as u64).to_le_bytes(), &vec![8; size])?;
        let lengths: Vec<usize> = lengths.chunks_exact(8).map(|length| number(length) as usize).collect();
        let texts = self.gather(&words.as_bytes()[..length], &lengths)?;
        let start: usize = lengths[..rank].iter().sum();
        let reason = String::from_utf8_lossy(&texts[start..start + lengths[rank]]).into_owned();
        Err(RanksError::Failed { rank, host: self.host(rank), reason, code: all[rank][1] as u8 })
    }

    /// Sees whether all have rank 0's number.
    fn compare(&self, what: &str, numbers: impl Iterator<Item = u64>) -> Result<(), RanksError> {
        let numbers: Vec<u64> = numbers.collect();
        let other = |(rank, number): (usize, &u64)| (*number != numbers[0]).then(|| (rank, self.host(rank)));
        let ranks: Vec<_> = numbers.iter().enumerate().filter_map(other).collect();
        match ranks.is_empty() {
            true => Ok(()),
            false => self.heard(Err(RanksError::Differs { ranks, what: what.to_string() })),
        }
    }

    /// Notes that all have heard of an error.
    fn heard<T>(&self, result: Result<T, RanksError>) -> Result<T, RanksError> {
        if result.is_err() {
            self.told.store(true, Ordering::Relaxed);
        }
        result
    }
}
