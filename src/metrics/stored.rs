//! The form in which the scores of a pair are kept in files.

use serde::{Deserialize, Serialize};

use super::all::METRICS;
use super::exact::Exact;
use super::levels::{Histogram, Levels};
use super::pair::PairScores;

/// [`PairScores`] as they are kept.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredPair {
    name: String,
    foreground: Vec<u32>,
    background: Vec<u32>,
    full: Vec<u32>,
    adaptive_threshold: Exact,
    /// A number for each of [`metrics_of_maps`].
    of_maps: Vec<Exact>,
}

/// The metrics of which a number is kept, by their first score.
pub(super) fn metrics_of_maps() -> Vec<&'static str> {
    METRICS.iter().filter(|metric| metric.of_maps.is_some()).map(|metric| metric.keys[0]).collect()
}

impl StoredPair {
    pub fn of(name: &str, scores: &PairScores) -> Self {
        let PairScores { levels, adaptive_threshold, of_maps } = scores;
        Self {
            name: name.to_owned(),
            foreground: levels.foreground.to_vec(),
            background: levels.background.to_vec(),
            full: levels.full.to_vec(),
            adaptive_threshold: Exact(*adaptive_threshold),
            of_maps: of_maps.iter().flatten().copied().map(Exact).collect(),
        }
    }

    /// The image's name and scores.
    ///
    /// # Errors
    /// When these are of no pair.
    pub fn scores(self) -> Result<(String, PairScores), String> {
        let Self { name, foreground, background, full, adaptive_threshold, of_maps } = self;
        let histogram = |counts: Vec<u32>| {
            let length = counts.len();
            Histogram::try_from(counts).map_err(|_| format!("{name} has {length} levels, where there are 256"))
        };
        let levels =
            Levels { foreground: histogram(foreground)?, background: histogram(background)?, full: histogram(full)? };
        let pixels: u64 = levels.foreground.iter().chain(&levels.background).copied().map(u64::from).sum();
        if !(1..=i32::MAX as u64).contains(&pixels) {
            return Err(format!("{name} has {pixels} pixels"));
        }
        if levels.full.iter().zip(&levels.foreground).any(|(full, foreground)| full > foreground) {
            return Err(format!("{name} has more pixels of full foreground than of foreground"));
        }
        let wanted = metrics_of_maps().len();
        if of_maps.len() != wanted {
            return Err(format!("{name} has {} numbers, where there are {wanted}", of_maps.len()));
        }
        let mut numbers = of_maps.into_iter().map(|Exact(number)| number);
        let of_maps = METRICS.iter().map(|metric| metric.of_maps.and_then(|_| numbers.next())).collect();
        Ok((name, PairScores { levels, adaptive_threshold: adaptive_threshold.0, of_maps }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::pair::score_pair;

    fn stored() -> StoredPair {
        StoredPair::of("a", &score_pair(&[0, 51, 153, 255], &[0, 200, 255, 255], 4, 1).unwrap())
    }

    #[test]
    fn scores_come_back() {
        let scores = score_pair(&[0, 51, 153, 255, 7, 7], &[0, 200, 255, 255, 0, 3], 3, 2).unwrap();
        let text = serde_json::to_string(&StoredPair::of("b", &scores)).unwrap();
        let stored: StoredPair = serde_json::from_str(&text).unwrap();
        assert_eq!(stored.scores(), Ok(("b".to_string(), scores)));
        assert_eq!(metrics_of_maps(), ["Smeasure", "wFmeasure"]);
    }

    #[test]
    fn what_no_pair_has_is_refused() {
        let refused = |change: &dyn Fn(&mut StoredPair)| {
            let mut stored = stored();
            change(&mut stored);
            stored.scores().unwrap_err()
        };
        assert!(refused(&|pair| pair.full.truncate(255)).contains("a has 255 levels"));
        assert!(refused(&|pair| pair.full[7] = 1).contains("full foreground"));
        assert!(refused(&|pair| pair.background[0] = u32::MAX).contains("pixels"));
        assert!(refused(&|pair| pair.of_maps.truncate(1)).contains("a has 1 numbers, where there are 2"));
        let nothing = |pair: &mut StoredPair| {
            [&mut pair.foreground, &mut pair.background, &mut pair.full].into_iter().for_each(|levels| levels.fill(0));
        };
        assert!(refused(&nothing).contains("a has 0 pixels"));
    }
}
