//! What a set holds, for people and as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::classes::class::{ClassKind, Classes};
use super::classes::values::PixelValue;
use super::dataset::Dataset;
use super::folder::Folder;
use super::inspect::Inspection;
use super::pair_facts::{LabelFacts, PairFacts};
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
    /// How the classes go together; `None` for one class without a name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<ClassKind>,
    /// The classes, in order; the one of masks of one class is called `foreground`.
    pub classes: Vec<ClassReport>,
    /// Pixels that are ignored.
    pub ignored: u64,
    /// Pixels in all.
    pub pixels: u64,
    /// Pixels of each value of the masks: numbers and colours that mean classes, and levels of masks of one class, but for soft ones.
    pub values: BTreeMap<PixelValue, u64>,
    /// Masks of more than 64 levels.
    pub soft_masks: usize,
    /// Images that show no class but the background: their masks are black, or index maps of background and ignored pixels.
    pub empty_masks: usize,
    /// What lies in the folders and is not used, by kind.
    pub unused: BTreeMap<&'static str, usize>,
    /// What is likely wrong, or worth knowing.
    pub warnings: Vec<Warning>,
    /// What cannot be used, and why.
    pub errors: Vec<String>,
}

/// What a set shows of a class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ClassReport {
    /// What it is called.
    pub name: String,
    /// Images that show it.
    pub images: usize,
    /// Pixels of it.
    pub pixels: u64,
}

/// How files store their pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Depths {
    /// Images.
    pub images: BTreeMap<String, usize>,
    /// Masks.
    pub masks: BTreeMap<String, usize>,
}

/// The name of the class of masks of one class.
const FOREGROUND: &str = "foreground";

impl SetReport {
    /// Of a set that was read.
    pub fn new(set: Option<&Folder>, inspection: &Inspection) -> Self {
        let (mut sizes, mut depths) = (BTreeMap::new(), Depths::default());
        let (mut values, mut soft_masks) = (BTreeMap::new(), 0);
        let read = || inspection.pairs.iter().flatten();
        for facts in read() {
            let depth = |channels: u8, bits: u8| format!("{channels}x{bits}");
            *sizes.entry(format!("{}x{}", facts.image.width, facts.image.height)).or_default() += 1;
            *depths.images.entry(depth(facts.image.channels, facts.image.bits)).or_default() += 1;
            for mask in &facts.masks {
                *depths.masks.entry(depth(mask.channels, mask.bits)).or_default() += 1;
            }
            for levels in &facts.labels.levels {
                let of_levels =
                    levels.pixels.iter().map(|(level, count)| (PixelValue::Number((*level).into()), *count));
                of_levels.for_each(|(level, count)| *values.entry(level).or_default() += count);
                soft_masks += usize::from(levels.pixels.is_empty());
            }
            facts.labels.values.iter().for_each(|(value, count)| *values.entry(*value).or_default() += count);
        }
        let mut unused = BTreeMap::new();
        for listed in set.iter().flat_map(|set| [&set.found().among_images, &set.found().among_masks]) {
            listed.kinds().for_each(|(kind, paths)| *unused.entry(kind.code()).or_default() += paths.len());
        }
        let known = set.and_then(Dataset::classes);
        let kind = known.map(|classes| classes.kind);
        Self {
            pairs: read().count(),
            sizes,
            depths,
            kind,
            classes: set.map_or_else(Vec::new, |_| class_reports(known, &inspection.pairs)),
            ignored: read().map(|facts| facts.labels.ignored).sum(),
            pixels: read().map(pixels).sum(),
            values,
            soft_masks,
            empty_masks: read().filter(|facts| is_empty(&facts.labels, kind)).count(),
            unused,
            warnings: inspection.warnings.clone(),
            errors: inspection.bad.iter().map(ToString::to_string).collect(),
        }
    }

    /// The classes in a line, for people; `None` for one class without a name.
    pub fn told_classes(&self) -> Option<String> {
        let kind = self.kind?;
        let names = self.classes.iter().map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ");
        let ignored = match self.ignored {
            0 => String::new(),
            ignored => format!("; {} of the pixels are ignored", percent(ignored, self.pixels)),
        };
        Some(format!("{}: {names}{ignored}", counted(self.classes.len(), kind)))
    }
}

/// How many classes there are, and how they go together.
fn counted(count: usize, kind: ClassKind) -> String {
    match (count, kind) {
        (1, _) => "1 class".to_string(),
        (count, ClassKind::Exclusive) => format!("{count} classes that exclude each other"),
        (count, ClassKind::Overlapping) => format!("{count} classes that may overlap"),
    }
}

fn pixels(facts: &PairFacts) -> u64 {
    (facts.size.0 * facts.size.1) as u64
}

/// What a set shows of each class. Where they are not known, that of masks of one class, or nothing.
fn class_reports(classes: Option<&Classes>, pairs: &[Option<PairFacts>]) -> Vec<ClassReport> {
    let of = |name: &str, pixels: &dyn Fn(&LabelFacts) -> u64| {
        let all: Vec<u64> = pairs.iter().flatten().map(|facts| pixels(&facts.labels)).collect();
        let images = all.iter().filter(|pixels| **pixels > 0).count();
        ClassReport { name: name.to_string(), images, pixels: all.iter().sum() }
    };
    match classes {
        Some(classes) => {
            let class = |(number, name): (usize, &str)| {
                of(name, &|labels: &LabelFacts| labels.classes.get(number).copied().unwrap_or(0))
            };
            classes.names().enumerate().map(class).collect()
        }
        None if pairs.iter().flatten().any(|facts| !facts.labels.levels.is_empty()) => {
            vec![of(FOREGROUND, &|labels: &LabelFacts| labels.levels.iter().map(|levels| levels.foreground).sum())]
        }
        None => Vec::new(),
    }
}

/// Whether nothing is shown but the background.
fn is_empty(labels: &LabelFacts, kind: Option<ClassKind>) -> bool {
    let of_classes = &labels.classes[labels.classes.len().min(usize::from(kind == Some(ClassKind::Exclusive)))..];
    match kind {
        None => !labels.levels.is_empty() && labels.levels.iter().all(|levels| levels.highest == 0),
        Some(_) => of_classes.iter().all(|pixels| *pixels == 0),
    }
}

/// A share for people: `12.3 %`, and not 0 where there is something.
fn percent(part: u64, all: u64) -> String {
    match 100.0 * part as f64 / (all as f64).max(1.0) {
        share if part > 0 && share < 0.05 => "< 0.1 %".to_string(),
        share => format!("{share:.1} %"),
    }
}

impl fmt::Display for SetReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: u64 = self.values.values().sum();
        let share =
            |(value, count): (&PixelValue, &u64)| format!("{value} ({:.1} %)", 100.0 * *count as f64 / all as f64);
        let mut shown: Vec<_> = self.values.iter().collect();
        if shown.len() > MOST_VALUES {
            // those of the most pixels
            shown.sort_by_key(|(_, pixels)| std::cmp::Reverse(**pixels));
            shown.truncate(MOST_VALUES);
        }
        let mut levels: Vec<_> = shown.into_iter().map(share).collect();
        if self.values.len() > MOST_VALUES {
            levels.push(format!("and {} others", self.values.len() - MOST_VALUES));
        }
        if self.soft_masks > 0 {
            levels.push(format!("{} masks have more than 64 levels: soft", self.soft_masks));
        }
        let levels = if levels.is_empty() { "none".to_string() } else { levels.join(", ") };
        let unused = self.unused.iter().map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(", ");
        let mut lines = vec![
            ("pairs", self.pairs.to_string()),
            ("sizes", most_common(&self.sizes)),
            ("images", format!("channels x bits: {}", most_common(&self.depths.images))),
        ];
        let empty = if self.kind.is_none() { "black" } else { "show nothing but the background" };
        // shapes are painted where there are no masks
        if !self.depths.masks.is_empty() || self.kind.is_none() {
            let depths = most_common(&self.depths.masks);
            lines.push(("masks", format!("channels x bits: {depths}; {} {empty}", self.empty_masks)));
            lines.push((if self.kind.is_none() { "levels" } else { "values" }, levels));
        } else {
            lines.push(("masks", format!("painted from annotations; {} {empty}", self.empty_masks)));
        }
        if let Some(kind) = self.kind {
            lines.push(("classes", counted(self.classes.len(), kind)));
            lines.extend(self.class_lines().into_iter().map(|line| ("", line)));
        }
        if self.ignored > 0 {
            let pixels = percent(self.ignored, self.pixels);
            lines.push(("ignored", format!("{pixels} of the pixels: they count nowhere")));
        }
        lines.push(("not used", if unused.is_empty() { "nothing".to_string() } else { unused }));
        for (number, (name, text)) in lines.iter().enumerate() {
            write!(f, "{}{name:<10} {text}", if number == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// So many values of masks are named to people.
const MOST_VALUES: usize = 20;

impl SetReport {
    /// A line for each class: its name, the images that show it, and its share of the pixels that are not ignored.
    fn class_lines(&self) -> Vec<String> {
        let known = self.pixels.saturating_sub(self.ignored);
        let width = self.classes.iter().map(|class| class.name.chars().count()).max().unwrap_or(0);
        let digits = self.pairs.to_string().len();
        let line = |ClassReport { name, images, pixels }: &ClassReport| {
            let share = percent(*pixels, known);
            format!("{name:<width$}  {images:>digits$} images  {share:>7}")
        };
        self.classes.iter().map(line).collect()
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
