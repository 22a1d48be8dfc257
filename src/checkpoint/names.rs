//! What stands before all names of a model that was wrapped, found and taken away.
//!
//! Wrappers put words before names: `module.`, `_orig_mod.`, `model.`, or what the author called an attribute, in any
//! number and spelling. The trunk's names are known, so what stands before them is known too.

use std::collections::{BTreeMap, BTreeSet};

use super::error::Fault;
use super::layout::{Layout, Part, Spelling, published_part};
use super::pickle::words::{MAX_PREFIX, is_name_of_copy};
use super::shown::shown;
use super::tensor::Tensor;

/// Prefixes that wrappers of PyTorch put before every name, whatever the names are (DataParallel, `torch.compile`, FSDP and the
/// recomputation of activations).
const WRAPPERS: [&str; 5] =
    ["module.", "_orig_mod.", "_fsdp_wrapped_module.", "_fpw_module.", "_checkpoint_wrapped_module."];
/// The counter of an averaged model, which stands beside the model's own names.
const AVERAGED: &str = "n_averaged";
/// So many prefixes are looked into, those of most names first.
const MAX_PREFIXES: usize = 4;

/// Tensors under their own names.
pub(super) struct Unwrapped {
    pub tensors: BTreeMap<String, Tensor>,
    /// What was taken from the names.
    pub prefix: String,
    /// What was left out: counters that stood beside the names with the prefix, and what has not the prefix that was asked for.
    pub left_out: Vec<String>,
    /// Whether there are other tensors that have no such prefix; they keep their names.
    pub outside: bool,
    /// What stands before all names of whole models, where there are several.
    pub several: Vec<String>,
}

/// Takes away what stands before the names of a model: of the one that stands behind `asked`, if that is said.
pub(super) fn unwrap_names(mut tensors: BTreeMap<String, Tensor>, asked: Option<&str>) -> Result<Unwrapped, Fault> {
    let mut prefix = String::new();
    let mut left_out = Vec::new();
    if let Some(asked) = asked {
        // as a message may name it, without the words of wrappers
        if !tensors.keys().any(|name| name.starts_with(asked)) {
            tensors = unwrap_inside(tensors);
        }
        (tensors, left_out) = behind(tensors, asked)?;
        prefix += asked;
    }
    let mut wrapped = 0;
    while let Some(wrapper) =
        WRAPPERS.iter().find(|w| !tensors.is_empty() && tensors.keys().all(|k| k[wrapped..].starts_with(**w)))
        && wrapped < MAX_PREFIX
    {
        prefix += wrapper;
        wrapped += wrapper.len();
    }
    if wrapped > 0 {
        tensors = tensors.into_iter().map(|(name, tensor)| (name[wrapped..].to_owned(), tensor)).collect();
    }
    tensors = unwrap_inside(tensors);
    let names: Vec<_> = tensors.keys().map(String::as_str).collect();
    let mut found = prefixes(&names);
    let own = if found.is_empty() { String::new() } else { found.remove(0) };
    let mut several = Vec::new();
    if !found.is_empty() {
        several.extend([&own].into_iter().chain(&found).map(|each| format!("{prefix}{each}")));
    }
    let mut unwrapped = BTreeMap::new();
    let mut outside = false;
    for (name, tensor) in tensors {
        let rest = name.strip_prefix(&own);
        let one = tensor.shape.iter().all(|&size| size == 1);
        // a weight of the network stays, wherever it stands
        let counter = rest.is_none() && published_part(&name) == Part::Unknown || name == AVERAGED;
        if one && counter {
            left_out.push(tensor.in_file);
            continue;
        }
        outside |= rest.is_none();
        let name = rest.map(str::to_owned).unwrap_or(name);
        if unwrapped.contains_key(&name) {
            let both = shown(&name);
            return Err(Fault::Damaged(format!(
                "two tensors are called {both}, with and without what wraps the model"
            )));
        }
        unwrapped.insert(name, tensor);
    }
    Ok(Unwrapped { tensors: unwrapped, prefix: prefix + &own, left_out, outside, several })
}

/// The tensors whose names begin so, without that beginning, and the names of the others. What stands behind a longer beginning, before
/// the names of another model, is of the others.
fn behind(tensors: BTreeMap<String, Tensor>, asked: &str) -> Result<(BTreeMap<String, Tensor>, Vec<String>), Fault> {
    let names: Vec<_> = tensors.keys().filter_map(|name| name.strip_prefix(asked)).collect();
    if names.is_empty() {
        let all: Vec<_> = tensors.keys().map(String::as_str).collect();
        let found: Vec<_> = prefixes(&all).iter().map(|prefix| format!("`{}`", shown(prefix))).collect();
        let there = if found.is_empty() { "nothing that is known here".to_owned() } else { found.join(", ") };
        let asked = shown(asked);
        let reason =
            format!("has no tensor whose name begins with `{asked}`; before the names of its models stands {there}");
        return Err(Fault::Unsupported(reason));
    }
    let mut below: Vec<String> = prefixes(&names);
    let at_asked = below.iter().any(String::is_empty);
    below.retain(|place| at_asked && !place.is_empty());
    let (mut kept, mut others) = (BTreeMap::new(), Vec::new());
    for (name, tensor) in tensors {
        match name.strip_prefix(asked).filter(|rest| !below.iter().any(|place| rest.starts_with(&place[..]))) {
            Some(rest) => drop(kept.insert(rest.to_owned(), tensor)),
            None => others.push(tensor.in_file),
        }
    }
    Ok((kept, others))
}

/// Without the words of wrappers that stand within names: parts of a network were wrapped by themselves (`encoder.module.blocks`,
/// `encoder.blocks.3._orig_mod`). What stands before all names is left to them.
fn unwrap_inside(tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    let is_wrapper = |word: &&str| WRAPPERS.iter().any(|wrapper| wrapper.strip_suffix('.') == Some(*word));
    let names: Vec<_> = tensors.keys().map(String::as_str).collect();
    if !names.iter().any(|name| name.split('.').any(|word| is_wrapper(&word))) {
        return tensors;
    }
    let bare = |name: &str| name.split('.').filter(|word| !is_wrapper(word)).collect::<Vec<_>>().join(".");
    let own = prefixes(&names).into_iter().next().unwrap_or_default();
    let behind_own = |name: &str| match name.strip_prefix(&own[..]) {
        Some(rest) => format!("{own}{}", bare(rest)),
        None => name.to_string(),
    };
    let before = known(&names);
    // how many are known then; none where two names become one
    let known_as = |unwrapped: &dyn Fn(&str) -> String| {
        let unwrapped: BTreeSet<String> = names.iter().map(|name| unwrapped(name)).collect();
        let unwrapped: Vec<_> = unwrapped.iter().map(String::as_str).collect();
        if unwrapped.len() == names.len() { known(&unwrapped) } else { 0 }
    };
    let unwrapped: &dyn Fn(&str) -> String = if known_as(&bare) > before {
        &bare
    } else if known_as(&behind_own) >= before.max(1) {
        // no published name has such a word
        &behind_own
    } else {
        return tensors;
    };
    tensors.into_iter().map(|(name, tensor)| (unwrapped(&name), tensor)).collect()
}

/// How many of the names are of SAM2 or a SAM2-UNet.
fn known(names: &[&str]) -> usize {
    let own = prefixes(names).into_iter().next().unwrap_or_default();
    let names = names.iter().map(|name| name.strip_prefix(&own[..]).unwrap_or(name));
    let Some(spelling) = Spelling::recognise(names.clone()) else { return 0 };
    names.filter(|name| spelling.part(name) != Part::Unknown).count()
}

/// What stands before the names of a trunk, where it is not what a layout puts there. Several where as many names of a
/// trunk stand behind each of them; none where there is no trunk.
fn prefixes(names: &[&str]) -> Vec<String> {
    let mut before: BTreeMap<&str, usize> = BTreeMap::new();
    for name in names {
        if let Some(start) = trunk_start(name) {
            *before.entry(&name[..start]).or_default() += 1;
        }
    }
    let mut before: Vec<_> = before.into_iter().collect();
    before.sort_by_key(|&(_, count)| std::cmp::Reverse(count));
    // for each place of a trunk: what is before the layout's own words, and how many names are known then
    let mut places: Vec<(usize, &str)> = Vec::new();
    for (place, _) in before.into_iter().take(MAX_PREFIXES) {
        let keys = || names.iter().filter_map(|key| key.strip_prefix(place));
        let mut known: BTreeMap<Layout, usize> = BTreeMap::new();
        let mut best: Option<(usize, &str)> = None;
        for (layout, words) in Spelling::all() {
            let Some(prefix) = place.strip_suffix(words) else { continue };
            let count = || keys().filter(|key| Spelling::at(layout, "").is_trunk(key)).count();
            let count = *known.entry(layout).or_insert_with(count);
            let better =
                |(most, shortest): (usize, &str)| count > most || count == most && prefix.len() < shortest.len();
            if count > 0 && best.is_none_or(better) {
                best = Some((count, prefix));
            }
        }
        places.extend(best);
    }
    let most = places.iter().map(|place| place.0).max().unwrap_or_default();
    let mut prefixes: Vec<_> = places.into_iter().filter(|place| place.0 == most).map(|place| place.1).collect();
    // an averaged copy is called so, or has the longer one
    prefixes.sort_unstable_by_key(|prefix| (is_name_of_copy(prefix), prefix.len(), *prefix));
    prefixes.into_iter().map(str::to_owned).collect()
}

/// Where the part of a name begins that all layouts share.
fn trunk_start(name: &str) -> Option<usize> {
    let positions = ["pos_embed", "pos_embed_window"].iter().find_map(|end| name.strip_suffix(end)).map(str::len);
    let start = positions.or_else(|| ["blocks.", "patch_embed."].iter().filter_map(|word| name.find(word)).min())?;
    (start <= MAX_PREFIX).then_some(start)
}
