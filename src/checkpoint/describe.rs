//! What `info` tells of a weight file or a variant: facts, which display as lines for people and serialise as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::data::classes::class::Classes;
use crate::nn::weights::spec::WeightSpec;
use serde::Serialize;

use super::classes::FileClasses;
use super::detect::detect;
use super::error::CheckpointError;
use super::file::WeightFile;
use super::format::Format;
use super::layout::{Layout, Part, published_part};
use super::load::classes_of;
use super::pickle::found::Beside;
use super::pickle::words::joined;
use super::shown::shown;

/// So many things beside the weights are named.
const MAX_NAMED: usize = 32;

/// What a weight file holds.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct FileFacts {
    /// The file's path; what is no Unicode in it is replaced.
    pub file: String,
    /// How it is written.
    pub format: Format,
    /// Under which keys the weights are, from the outermost; empty if there are none around them.
    pub section: Vec<String>,
    /// What stood before all names and was taken from them (`module.`).
    pub prefix: String,
    /// What lies beside the weights and is not read, with its class where that is of no kind that is known here.
    pub beside: Vec<String>,
    /// Classes and functions that the file asks for. None of them was run.
    pub not_run: Vec<String>,
    /// How it spells the names of SAM2's image encoder; `None` where it has none of them.
    pub layout: Option<Layout>,
    /// The variant; `None` where no known one fits.
    pub variant: Option<String>,
    /// Why no known variant fits a file whose layout is known.
    pub no_variant: Option<String>,
    /// How many channels its heads have; `None` where it has no heads.
    pub channels: Option<usize>,
    /// The classes that it tells; `None` where it tells none.
    pub classes: Option<Classes>,
    /// Why the classes that it tells cannot be used.
    pub no_classes: Option<String>,
    /// How many tensors there are.
    pub tensors: usize,
    /// What they belong to.
    pub parts: BTreeMap<Part, PartFacts>,
    /// Parameters, summed up.
    pub parameters: ParameterFacts,
    /// How many tensors have each type of number.
    pub number_types: BTreeMap<String, usize>,
    /// The file's metadata.
    pub metadata: BTreeMap<String, String>,
}

/// How large a variant is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct VariantFacts {
    /// Its name.
    pub variant: String,
    /// Channels of each stage of the encoder.
    pub channels_per_stage: Vec<usize>,
    /// Blocks of each stage.
    pub blocks_per_stage: Vec<usize>,
    /// Height and width of the map of positions that is stretched over the image.
    pub background_map: Option<[usize; 2]>,
    /// Height and width of the map that is repeated over it.
    pub window_map: Option<[usize; 2]>,
    /// How many tensors a checkpoint holds.
    pub tensors: usize,
    /// Parameters, summed up.
    pub parameters: ParameterFacts,
}

/// Tensors, and the numbers in those that are parameters (running statistics are not).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartFacts {
    /// How many tensors.
    pub tensors: usize,
    /// How many numbers.
    pub parameters: usize,
}

/// How many parameters there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ParameterFacts {
    /// In all.
    pub all: usize,
    /// In the trunk, which is frozen.
    pub trunk: usize,
    /// In adapters, RFB and decoder, which are trained.
    pub trainable: usize,
    /// In `up4`, which is never used.
    pub unused: usize,
}

/// What `file` holds; `candidates` are the known variants.
///
/// # Errors
/// None that [`WeightFile::open`] has not reported already; an unknown layout or variant is told, not an error.
pub fn describe_file<N: Copy + fmt::Display>(
    file: &WeightFile,
    candidates: &[(N, Vec<WeightSpec>)],
) -> Result<FileFacts, CheckpointError> {
    let layout = file.layout();
    let (variant, no_variant) = match layout.map(|_| detect(file, candidates)) {
        Some(Ok(variant)) => (Some(variant.to_string()), None),
        Some(Err(CheckpointError::Variant { reason, .. })) => (None, Some(reason)),
        Some(Err(other)) => return Err(other),
        None => (None, None),
    };
    let (classes, no_classes) = match FileClasses::of(file) {
        Ok(FileClasses::Told(classes)) => (Some(classes), None),
        Ok(FileClasses::One | FileClasses::Assumed(_)) => (None, None),
        Err(CheckpointError::Classes { reason, .. }) => (None, Some(reason)),
        Err(other) => return Err(other),
    };
    let mut parts: BTreeMap<Part, PartFacts> = BTreeMap::new();
    let mut number_types: BTreeMap<String, usize> = BTreeMap::new();
    for key in file.names() {
        let Some(info) = file.info(key) else { continue };
        let part = file.spelling().map_or(Part::Unknown, |spelling| spelling.part(key));
        parts.entry(part).or_default().add(key, info.shape);
        *number_types.entry(info.dtype.to_string()).or_default() += 1;
    }
    Ok(FileFacts {
        file: file.path().display().to_string(),
        format: file.format(),
        section: file.section().to_vec(),
        prefix: file.prefix().to_owned(),
        beside: beside(file.beside()),
        not_run: file.beside().not_run.clone(),
        layout,
        variant,
        no_variant,
        channels: classes_of(file),
        classes,
        no_classes,
        tensors: file.names().len(),
        parameters: ParameterFacts::of(&parts),
        parts,
        number_types,
        metadata: file.metadata().iter().map(|(key, value)| (key.clone(), value.clone())).collect(),
    })
}

/// What lies beside the weights, named.
pub(super) fn beside(beside: &Beside) -> Vec<String> {
    let unread = beside.unread.iter().map(|(name, what)| format!("{} ({what})", shown(name)));
    let mut named: Vec<_> = beside.keys.iter().cloned().chain(unread).collect();
    let more = beside.more + named.len().saturating_sub(MAX_NAMED);
    named.truncate(MAX_NAMED);
    if more > 0 {
        named.push(format!("and {more} more"));
    }
    named
}

/// The size of the variant `name`, whose weights are `specs`.
pub fn describe_variant(name: &str, specs: &[WeightSpec]) -> VariantFacts {
    let shape_of = |weight: &str| specs.iter().find(|spec| spec.name == weight).map(|spec| &spec.shape[..]);
    // a stage begins with the block that has a projection of its skip path
    let mut blocks = BTreeSet::new();
    let mut stages = Vec::new();
    for spec in specs {
        let Some((block, rest)) = spec.name.strip_prefix("encoder.blocks.").and_then(|rest| rest.split_once('.'))
        else {
            continue;
        };
        let Ok(block) = block.parse::<usize>() else { continue };
        blocks.insert(block);
        if rest == "block.proj.weight" {
            stages.push((block, spec.shape.first().copied().unwrap_or_default()));
        }
    }
    stages.sort_unstable();
    if let Some(&[_, channels, ..]) = shape_of("encoder.pos_embed") {
        stages.insert(0, (0, channels));
    }
    let ends = stages.iter().skip(1).map(|stage| stage.0).chain([blocks.len()]);
    let map = |weight: &str| match shape_of(weight) {
        Some(&[.., height, width]) => Some([height, width]),
        _ => None,
    };
    let mut parts: BTreeMap<Part, PartFacts> = BTreeMap::new();
    for spec in specs {
        parts.entry(published_part(&spec.name)).or_default().add(&spec.name, &spec.shape);
    }
    VariantFacts {
        variant: name.to_owned(),
        channels_per_stage: stages.iter().map(|stage| stage.1).collect(),
        blocks_per_stage: stages.iter().zip(ends).map(|(stage, end)| end.saturating_sub(stage.0)).collect(),
        background_map: map("encoder.pos_embed"),
        window_map: map("encoder.pos_embed_window"),
        tensors: specs.len(),
        parameters: ParameterFacts::of(&parts),
    }
}

impl PartFacts {
    fn add(&mut self, name: &str, shape: &[usize]) {
        let statistic = ["running_mean", "running_var", "num_batches_tracked"].iter().any(|end| name.ends_with(end));
        self.tensors += 1;
        if !statistic {
            self.parameters = self.parameters.saturating_add(shape.iter().fold(1, |n, &size| n.saturating_mul(size)));
        }
    }
}

impl ParameterFacts {
    fn of(parts: &BTreeMap<Part, PartFacts>) -> Self {
        let add = |sum: usize, part: &PartFacts| sum.saturating_add(part.parameters);
        let sum = |wanted: &[Part]| wanted.iter().filter_map(|part| parts.get(part)).fold(0, add);
        Self {
            all: parts.values().fold(0, add),
            trunk: sum(&[Part::Trunk]),
            trainable: sum(&[Part::Adapters, Part::Rfb, Part::Decoder]),
            unused: sum(&[Part::Unused]),
        }
    }
}

impl fmt::Display for FileFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        line(f, "file", &self.file)?;
        let section = shown(&joined(self.section.iter().map(String::as_str)));
        let under = if section.is_empty() { String::new() } else { format!(", weights under `{section}`") };
        line(f, "format", format_args!("{}{under}", self.format))?;
        if !self.prefix.is_empty() {
            line(f, "before all names", format_args!("`{}`, left out", shown(&self.prefix)))?;
        }
        if !self.beside.is_empty() {
            line(f, "beside, not read", self.beside.join(", "))?;
        }
        if !self.not_run.is_empty() {
            line(f, "code asked for, not run", self.not_run.join(", "))?;
        }
        match self.layout {
            Some(layout) => line(f, "layout", layout)?,
            None => line(f, "layout", "not SAM2: no name of its image encoder")?,
        }
        if let Some(variant) = &self.variant {
            line(f, "variant", variant)?;
        }
        if let Some(reason) = &self.no_variant {
            line(f, "variant", format_args!("none known: {reason}"))?;
        }
        match (&self.classes, &self.no_classes, self.channels) {
            (Some(classes), ..) => {
                line(f, "classes", format_args!("{}, {}", classes.len(), classes.kind))?;
                for (number, class) in classes.list().iter().enumerate() {
                    let [r, g, b] = class.colour;
                    line(f, &format!("  {number}"), format_args!("{} (#{r:02x}{g:02x}{b:02x})", shown(&class.name)))?;
                }
            }
            (None, Some(reason), _) => line(f, "classes", format_args!("not usable: {reason}"))?,
            (None, None, Some(channels)) if channels > 1 => {
                line(f, "classes", format_args!("{channels}, without names"))?
            }
            (None, None, _) => {}
        }
        line(f, "tensors", self.tensors)?;
        for (part, PartFacts { tensors, parameters }) in &self.parts {
            let parameters = grouped(*parameters);
            line(f, &format!("  {part}"), format_args!("{tensors} tensors, {parameters} parameters"))?;
        }
        write!(f, "{}", self.parameters)?;
        let types: Vec<_> = self.number_types.iter().map(|(name, tensors)| format!("{name} × {tensors}")).collect();
        line(f, "number types", types.join(", "))?;
        // classes that can be used stand above
        for (key, value) in self.metadata.iter().filter(|(key, _)| self.classes.is_none() || *key != "classes") {
            line(f, "metadata", format_args!("{} = {}", shown(key), shown(value)))?;
        }
        Ok(())
    }
}

impl fmt::Display for VariantFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |numbers: &[usize]| numbers.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
        line(f, "variant", &self.variant)?;
        line(f, "channels per stage", list(&self.channels_per_stage))?;
        let blocks = &self.blocks_per_stage;
        line(f, "blocks per stage", format_args!("{} ({} in all)", list(blocks), blocks.iter().sum::<usize>()))?;
        for (what, map) in [("background map", self.background_map), ("window map", self.window_map)] {
            if let Some([height, width]) = map {
                line(f, what, format_args!("{height} x {width}"))?;
            }
        }
        line(f, "tensors", self.tensors)?;
        write!(f, "{}", self.parameters)
    }
}

impl fmt::Display for ParameterFacts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { all, trunk, trainable, unused } = *self;
        line(f, "parameters", grouped(all))?;
        if trunk > 0 {
            line(f, "  trunk, frozen", grouped(trunk))?;
        }
        if trainable > 0 {
            let and_unused = grouped(trainable.saturating_add(unused));
            let trainable = grouped(trainable);
            line(f, "  trainable", format_args!("{trainable} ({and_unused} with up4, which is never used)"))?;
        }
        Ok(())
    }
}

/// `what    value`.
fn line(f: &mut fmt::Formatter<'_>, what: &str, value: impl fmt::Display) -> fmt::Result {
    writeln!(f, "{what:<24}{value}")
}

/// `29,547,715`.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_in_groups_of_three() {
        assert_eq!(
            [0, 12, 999, 1000, 29_547_715].map(grouped),
            ["0", "12", "999", "1,000", "29,547,715"].map(String::from)
        );
    }
}
