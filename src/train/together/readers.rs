//! The images of a run, read by all ranks before the first step: each reads a part.

use super::error::RanksError;
use super::ranks::Ranks;
use crate::data::inspect::Readers;
use crate::data::pair_facts::PairFacts;

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
        let own = serde_json::to_vec(&found).map_err(unreadable)?;
        let read = |text: Vec<u8>| serde_json::from_slice::<Vec<_>>(&text).map_err(unreadable);
        let all: Vec<_> = self.gather_any(&own)?.into_iter().map(read).collect::<Result<_, _>>()?;
        Ok(all.concat())
    }
}
