//! The images of a run, read by all ranks before the first step: each reads a part.

use super::error::RanksError;
use super::ranks::Ranks;
use crate::data::inspect::Readers;
use crate::data::pair_facts::PairFacts;

/// Pairs of each rank that are told at once: their text is far below what MPI takes.
const ROUND: usize = 1024;

impl Readers for Ranks {
    type Error = RanksError;

    fn place(&self) -> (usize, usize) {
        (self.rank(), self.size())
    }

    fn agree(&self, set: u64) -> Result<(), RanksError> {
        self.compare_all(&[("the images and masks (their names and sizes)", set)])
    }

    fn tell(&self, known: Vec<Option<PairFacts>>) -> Result<Vec<Option<PairFacts>>, RanksError> {
        self.tell_value("what is known of the images", self.is_first().then_some(known))
    }

    fn gather(&self, found: Vec<(usize, PairFacts)>) -> Result<Vec<(usize, PairFacts)>, RanksError> {
        if !self.are_several() {
            return Ok(found);
        }
        let what = "what was found of images";
        let unreadable = |error: serde_json::Error| RanksError::Told { what, reason: error.to_string() };
        let counts = self.gather_any(&(found.len() as u64).to_le_bytes())?;
        let most = counts.iter().filter_map(|count| count.first_chunk()).map(|count| u64::from_le_bytes(*count)).max();
        let mut own = found.chunks(ROUND);
        let mut all = Vec::new();
        for _ in 0..most.unwrap_or_default().div_ceil(ROUND as u64) {
            let part = serde_json::to_vec(own.next().unwrap_or_default()).map_err(unreadable)?;
            for text in self.gather_any(&part)? {
                all.extend(serde_json::from_slice::<Vec<_>>(&text).map_err(unreadable)?);
            }
        }
        Ok(all)
    }
}
