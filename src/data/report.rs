//! What a set holds, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::folder::Folder;
use super::inspect::Inspection;
use super::warning::Warning;

/// What a set holds. Displays as lines for people; its JSON keys are its fields.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SetReport {
    /// Pairs of image and mask that can be used.
    pub pairs: usize,
    /// Images of each size, `WIDTHxHEIGHT`.
    pub sizes: BTreeMap<String, usize>,
    /// Files of each number of channels and bits a channel, `3x8`.
    pub depths: Depths,
    /// Pixels of each level of the masks, but for soft ones.
    pub values: BTreeMap<u8, u64>,
    /// Masks of more than 64 levels.
    pub soft_masks: usize,
    /// Masks that are black.
    pub empty_masks: usize,
    /// What lies in the folders and is not used, by kind.
    pub unused: BTreeMap<&'static str, usize>,
    /// What is likely wrong, or worth knowing.
    pub warnings: Vec<Warning>,
    /// What cannot be used, and why.
    pub errors: Vec<String>,
}

/// How files store their pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depths {
    /// Images.
    pub images: BTreeMap<String, usize>,
    /// Masks.
    pub masks: BTreeMap<String, usize>,
}

impl SetReport {
    /// Of a set that was read.
    pub fn new(set: Option<&Folder>, inspection: &Inspection) -> Self {
        let (mut sizes, mut depths) = (BTreeMap::new(), Depths::default());
        let (mut values, mut soft_masks, mut empty_masks) = (BTreeMap::new(), 0, 0);
        for facts in inspection.pairs.iter().flatten() {
            let depth = |channels: u8, bits: u8| format!("{channels}x{bits}");
            *sizes.entry(format!("{}x{}", facts.image.width, facts.image.height)).or_default() += 1;
            *depths.images.entry(depth(facts.image.channels, facts.image.bits)).or_default() += 1;
            for mask in &facts.masks {
                *depths.masks.entry(depth(mask.channels, mask.bits)).or_default() += 1;
            }
            for levels in &facts.labels.levels {
                levels.pixels.iter().for_each(|(level, count)| *values.entry(*level).or_default() += count);
                soft_masks += usize::from(levels.pixels.is_empty());
                empty_masks += usize::from(levels.highest == 0);
            }
        }
        let mut unused = BTreeMap::new();
        for listed in set.iter().flat_map(|set| [&set.found().among_images, &set.found().among_masks]) {
            listed.kinds().for_each(|(kind, paths)| *unused.entry(kind.code()).or_default() += paths.len());
        }
        Self {
            pairs: inspection.pairs.iter().flatten().count(),
            sizes,
            depths,
            values,
            soft_masks,
            empty_masks,
            unused,
            warnings: inspection.warnings.clone(),
            errors: inspection.bad.iter().map(ToString::to_string).collect(),
        }
    }
}

impl fmt::Display for SetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.values.values().sum();
        let share = |(value, count): (&u8, &u64)| format!("{value} ({:.1} %)", 100.0 * *count as f64 / all as f64);
        let mut levels: Vec<_> = self.values.iter().map(share).collect();
        if self.soft_masks > 0 {
            levels.push(format!("{} masks have more than 64 levels: soft", self.soft_masks));
        }
        let levels = if levels.is_empty() { "none".to_string() } else { levels.join(", ") };
        let unused = self.unused.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
        let lines = [
            ("pairs", self.pairs.to_string()),
            ("sizes", most_common(&self.sizes)),
            ("images", format!("channels x bits: {}", most_common(&self.depths.images))),
            ("masks", format!("channels x bits: {}; {} black", most_common(&self.depths.masks), self.empty_masks)),
            ("levels", levels),
            ("not used", if unused.is_empty() { "nothing".to_string() } else { unused }),
        ];
        for (number, (name, text)) in lines.iter().enumerate() {
            write!(f, "{}{name:<10} {text}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// The most common few with their counts: `640x480 (90), 320x240 (10)`.
fn most_common(counts: &BTreeMap<String, usize>) -> String {
    const SHOWN: usize = 5;
    let mut sorted: Vec<_> = counts.iter().collect();
    sorted.sort_by_key(|(_, count)| std::cmp::Reverse(**count));
    let shown: Vec<_> = sorted.iter().take(SHOWN).map(|(name, count)| format!("{name} ({count})")).collect();
    let more = sorted.len().saturating_sub(SHOWN);
    shown.join(", ") + &if more > 0 { format!(" and {more} others") } else { String::new() }
}
