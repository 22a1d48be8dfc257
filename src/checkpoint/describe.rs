//! What `info` tells of a weight file or a variant.

use std::collections::{BTreeMap, BTreeSet};

use crate::nn::weights::spec::WeightSpec;

use super::detect::detect;
use super::error::CheckpointError;
use super::file::WeightFile;
use super::layout::{Part, published_part};
use super::shown::shown;

/// Format, layout, variant, tensors per part, parameters, number types and metadata of a file, as lines for people.
///
/// # Errors
/// None that [`WeightFile::open`] has not reported already; an unknown layout or variant is told, not an error.
pub fn describe_file(file: &WeightFile, candidates: &[(&str, Vec<WeightSpec>)]) -> Result<String, CheckpointError> {
    let mut lines = Lines::default();
    lines.put("file", file.path().display());
    let section = file.section().iter().map(|key| shown(key)).collect::<Vec<_>>().join(".");
    let under = if section.is_empty() { String::new() } else { format!(", weights under `{section}`") };
    lines.put("format", format!("{}{under}", file.format()));
    match file.layout() {
        Some(layout) => {
            lines.put("layout", layout);
            match detect(file, candidates) {
                Ok(variant) => lines.put("variant", variant),
                Err(CheckpointError::Variant { reason, .. }) => lines.put("variant", format!("none known: {reason}")),
                Err(other) => return Err(other),
            }
        }
        None => lines.put("layout", "not SAM2: no name of its image encoder"),
    }

    let mut parts: BTreeMap<Part, Tally> = BTreeMap::new();
    let mut dtypes: BTreeMap<String, usize> = BTreeMap::new();
    for key in file.names() {
        let Some(info) = file.info(key) else { continue };
        let part = file.spelling().map_or(Part::Unknown, |spelling| spelling.part(key));
        parts.entry(part).or_default().add(key, info.shape);
        *dtypes.entry(info.dtype.to_string()).or_default() += 1;
    }
    lines.put("tensors", file.names().len());
    for (part, tally) in &parts {
        lines.put(&format!("  {part}"), format!("{} tensors, {} parameters", tally.tensors, grouped(tally.parameters)));
    }
    parameters(&mut lines, &parts);
    let dtypes: Vec<_> = dtypes.iter().map(|(dtype, tensors)| format!("{dtype} × {tensors}")).collect();
    lines.put("number types", dtypes.join(", "));
    for (key, value) in file.metadata() {
        lines.put("metadata", format!("{} = {}", shown(key), shown(value)));
    }
    Ok(lines.text)
}

/// Channels, blocks, positional maps and parameter counts of a variant, as lines for people.
pub fn describe_variant(name: &str, specs: &[WeightSpec]) -> String {
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
    let per_stage: Vec<_> =
        stages.iter().zip(ends).map(|(stage, end)| end.saturating_sub(stage.0).to_string()).collect();
    let channels: Vec<_> = stages.iter().map(|stage| stage.1.to_string()).collect();

    let mut lines = Lines::default();
    lines.put("variant", name);
    lines.put("channels per stage", channels.join(", "));
    lines.put("blocks per stage", format!("{} ({} in all)", per_stage.join(", "), blocks.len()));
    for (what, weight) in [("background map", "encoder.pos_embed"), ("window map", "encoder.pos_embed_window")] {
        if let Some(&[.., height, width]) = shape_of(weight) {
            lines.put(what, format!("{height} x {width}"));
        }
    }
    let mut parts: BTreeMap<Part, Tally> = BTreeMap::new();
    for spec in specs {
        parts.entry(published_part(&spec.name)).or_default().add(&spec.name, &spec.shape);
    }
    lines.put("tensors", specs.len());
    parameters(&mut lines, &parts);
    lines.text
}

/// Tensors, and the numbers in those that are parameters (running statistics are not).
#[derive(Default)]
struct Tally {
    tensors: usize,
    parameters: usize,
}

impl Tally {
    fn add(&mut self, name: &str, shape: &[usize]) {
        let statistic = ["running_mean", "running_var", "num_batches_tracked"].iter().any(|end| name.ends_with(end));
        self.tensors += 1;
        if !statistic {
            self.parameters = self.parameters.saturating_add(shape.iter().fold(1, |n, &size| n.saturating_mul(size)));
        }
    }
}

fn parameters(lines: &mut Lines, parts: &BTreeMap<Part, Tally>) {
    let sum = |wanted: &[Part]| -> usize {
        parts.iter().filter(|(part, _)| wanted.contains(part)).map(|(_, tally)| tally.parameters).sum()
    };
    let total: usize = parts.values().map(|tally| tally.parameters).sum();
    let (trunk, unused) = (sum(&[Part::Trunk]), sum(&[Part::Unused]));
    let trained = sum(&[Part::Adapters, Part::Rfb, Part::Decoder]);
    lines.put("parameters", grouped(total));
    if trunk > 0 {
        lines.put("  trunk, frozen", grouped(trunk));
    }
    if trained > 0 {
        let and_unused = grouped(trained + unused);
        lines.put("  trainable", format!("{} ({and_unused} with up4, which is never used)", grouped(trained)));
    }
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

/// `what    value`, one a line.
#[derive(Default)]
struct Lines {
    text: String,
}

impl Lines {
    fn put(&mut self, what: &str, value: impl std::fmt::Display) {
        self.text.push_str(&format!("{what:<24}{value}\n"));
    }
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
