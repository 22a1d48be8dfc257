//! Which variant a file is of.

use std::fmt::{self, Display};

use crate::nn::weights::spec::{Role, WeightSpec};

use super::error::CheckpointError;
use super::file::WeightFile;
use super::load::{Scope, compare, known_layout};
use super::shards::of_part;

/// The one of `candidates` (names and weights of variants) whose trunk is the file's.
///
/// # Errors
/// [`CheckpointError::Variant`], which says what was seen against each candidate and how the closest one differs.
pub fn detect<N: Copy + Display>(file: &WeightFile, candidates: &[(N, Vec<WeightSpec>)]) -> Result<N, CheckpointError> {
    known_layout(file)?;
    let mut reports = Vec::new();
    for (variant, specs) in candidates {
        let (_, mut report) = compare(file, specs, Scope::Trunk)?;
        // a variant is told by names and shapes; other types are `load`'s to report
        report.wrong_dtype.clear();
        if report.fits() {
            return Ok(*variant);
        }
        reports.push((report, *variant));
    }
    let seen =
        TrunkSize::of(file.names().filter_map(|key| Some((file.spelling()?.published(key)?, file.info(key)?.shape))));
    let sizes: Vec<_> = candidates
        .iter()
        .map(|(_, specs)| TrunkSize::of(specs.iter().filter(|s| s.in_trunk()).map(|s| (s.name.clone(), &s.shape[..]))))
        .collect();
    let known: Vec<_> = candidates.iter().zip(&sizes).map(|((variant, _), size)| format!("{variant} {size}")).collect();
    // with another number of channels every weight differs: no use in listing them
    let closest = reports
        .iter()
        .zip(&sizes)
        .filter(|(_, size)| size.channels == seen.channels || seen.channels.is_none() && size.blocks == seen.blocks)
        .min_by_key(|((report, _), _)| report.problems())
        .map_or_else(String::new, |((report, variant), _)| format!("; closest is {variant}: {report}"));
    let part = of_part(file.path()).map_or_else(String::new, |part| format!("; {part}"));
    let reason = format!("it has {seen}; known are {}{closest}{part}", known.join(", "));
    Err(CheckpointError::Variant { path: file.path().to_path_buf(), reason })
}

/// The trunk's weights as the file's own size demands, for a trunk of a size that no candidate has (a variant that a user
/// declared). `None` where a candidate has as many channels: such a file is that variant, or a damaged one.
pub(super) fn own_trunk<N>(file: &WeightFile, candidates: &[(N, Vec<WeightSpec>)]) -> Option<Vec<WeightSpec>> {
    let spelling = file.spelling()?;
    let shape = |published: &str| file.info(&spelling.spelled(published)).map(|info| info.shape);
    let maps = [shape("encoder.pos_embed")?, shape("encoder.pos_embed_window")?];
    let &[_, channels, ..] = maps[0] else { return None };
    let names = || file.names().filter_map(|key| spelling.published(key));
    let TrunkSize { blocks, .. } = TrunkSize::of(names().map(|name| (name, &[][..])));
    let known = |(_, specs): &(N, Vec<WeightSpec>)| {
        specs.iter().any(|s| s.name == "encoder.pos_embed" && s.shape.get(1) == Some(&channels))
    };
    if candidates.iter().any(known) || blocks > file.names().len() {
        return None;
    }
    let mut specs = Vec::new();
    let mut add = |name: String, shape: Vec<usize>| specs.push(WeightSpec { name, shape, role: Role::Frozen });
    let mut module = |name: String, weight: Vec<usize>| {
        add(format!("{name}.bias"), weight[..1].to_vec());
        add(format!("{name}.weight"), weight);
    };
    module("encoder.patch_embed.proj".into(), vec![channels, 3, 7, 7]);
    let mut from = channels;
    for block in 0..blocks {
        let name = |module: &str| format!("encoder.blocks.{block}.block.{module}");
        let grows = shape(&name("proj.weight")).is_some();
        let to = if grows { from.checked_mul(2)? } else { from };
        module(name("norm1"), vec![from]);
        module(name("attn.qkv"), vec![to.checked_mul(3)?, from]);
        module(name("attn.proj"), vec![to, to]);
        module(name("norm2"), vec![to]);
        module(name("mlp.layers.0"), vec![to.checked_mul(4)?, to]);
        module(name("mlp.layers.1"), vec![to, to.checked_mul(4)?]);
        if grows {
            module(name("proj"), vec![to, from]);
        }
        from = to;
    }
    for (name, map) in ["encoder.pos_embed", "encoder.pos_embed_window"].into_iter().zip(maps) {
        let &[.., height, width] = map else { return None };
        add(name.into(), vec![1, channels, height, width]);
    }
    Some(specs)
}

/// What tells variants apart at a glance.
struct TrunkSize {
    blocks: usize,
    channels: Option<usize>,
}

impl TrunkSize {
    fn of<'s>(weights: impl Iterator<Item = (String, &'s [usize])>) -> Self {
        let mut size = TrunkSize { blocks: 0, channels: None };
        for (name, shape) in weights {
            if name == "encoder.pos_embed" {
                size.channels = shape.get(1).copied();
            }
            let number = name.strip_prefix("encoder.blocks.").and_then(|rest| rest.split('.').next()?.parse().ok());
            size.blocks = size.blocks.max(number.map_or(0, |n: usize| n.saturating_add(1)));
        }
        size
    }
}

impl fmt::Display for TrunkSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} blocks from ", self.blocks)?;
        match self.channels {
            Some(channels) => write!(f, "{channels} channels"),
            None => f.write_str("unknown channels"),
        }
    }
}
