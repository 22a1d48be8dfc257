//! The search for the weights among the objects of a pickle.

use std::collections::HashSet;

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;

use super::found::StateDict;
use super::object::{Id, Object, PickledTensor};
use super::place::{Place, Step};
use super::stack::Machine;
use super::words::{OPTIMISER, STATE_DICT, is_name_of_copy, is_name_of_model, is_name_of_optimiser, is_of_trunk};

/// How deep a dictionary of tensors may lie inside other objects.
const MAX_SECTION_DEPTH: usize = 64;
/// So many sections are named where the one asked for is not there.
const MAX_SECTIONS: usize = 8;

/// How one came to an object.
struct Way {
    id: Id,
    /// The way to the object that it is in, and the step from there; the root has none.
    from: Option<(usize, Step)>,
    depth: usize,
    /// Whether no name on the way is one of a copy.
    own: bool,
}

/// How likely named tensors are the weights that are meant. The first that differs decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
    /// Whether they are read; what is not is looked at to say how to bring it.
    read: bool,
    /// Whether some have several numbers.
    weights: bool,
    /// Whether some are named as those of a trunk.
    trunk: bool,
    /// How many there are.
    count: usize,
    /// Whether the names that lead there are of no copy.
    own: bool,
    /// Whether the last of them is what models are called.
    named: bool,
}

/// What is counted of an object's named tensors.
#[derive(Default)]
struct Counted {
    /// Tensors of several numbers.
    weights: usize,
    all: usize,
    trunk: bool,
    /// What stands where a trunk has weights, and is not read.
    unread: usize,
}

/// Runs `pickle` and finds the weights, in the section that is asked for or where they likeliest are.
pub(in crate::checkpoint) fn state_dict(pickle: &[u8], section: Option<&str>) -> Result<StateDict, Fault> {
    let mut machine = Machine::new(pickle);
    let root = machine.run()?;
    machine.weights(root, section)
}

impl Machine<'_> {
    /// The weights reachable from `root`: in the section that is asked for, or the likeliest ones.
    ///
    /// These are the dictionary, or the module, with most tensors of several numbers, before all others one with a trunk's names. Of
    /// those that are equal, one that is not called a copy, then one that is called as models are, the outermost and first: an averaged
    /// model, which has a counter more, is not preferred.
    pub(in crate::checkpoint) fn weights(&self, root: Id, section: Option<&str>) -> Result<StateDict, Fault> {
        if let Object::Tensor(tensor) = self.object(root) {
            return Err(Fault::Unsupported(format!(
                "holds a single tensor of shape {:?}, not named weights; the file that is meant is another one",
                tensor.shape
            )));
        }
        let mut best: Option<(Score, usize)> = None;
        let mut others = Vec::new();
        let (mut optimiser, mut nameless) = (false, 0);
        let mut seen = HashSet::from([root]);
        let mut ways = vec![Way { id: root, from: None, depth: 0, own: true }];
        let mut at = 0;
        // those of one depth after those of the one before
        while let Some(&Way { id, depth, own, .. }) = ways.get(at) {
            let mut counted = Counted::default();
            let inside = self.inside(id)?;
            if self.is_optimiser(&inside) && section.is_none() {
                optimiser = true;
            } else if self.is_module(id) {
                counted = self.counted_in_module(id)?;
            } else {
                for (step, value) in inside {
                    match self.object(value) {
                        Object::Tensor(tensor) => match self.key_text(step) {
                            Some(name) => counted.add(name, tensor),
                            None => nameless += 1,
                        },
                        Object::Dict(_) | Object::List(_) | Object::Tuple(_) | Object::Made(_) => {
                            let could_be = |value| self.unread(value).is_some_and(|what| what.as_tensor().is_some());
                            if self.key_text(step).is_some_and(is_of_trunk) && could_be(value) {
                                counted.unread += 1;
                            }
                            if section.is_none() && self.step_text(step).is_some_and(is_name_of_optimiser) {
                                optimiser = true;
                            } else if depth < MAX_SECTION_DEPTH && seen.insert(value) {
                                let own = own && !self.step_text(step).is_some_and(is_name_of_copy);
                                ways.push(Way { id: value, from: Some((at, step)), depth: depth + 1, own });
                            }
                        }
                        _ => {}
                    }
                }
            }
            if counted.all + counted.unread > 0 {
                let score = self.score(&counted, &ways[at]);
                match section {
                    None if best.is_some_and(|(best, _)| score <= best) => {}
                    None => best = Some((score, at)),
                    Some(asked) => {
                        let text = self.section_text(&self.place(&ways, at), id)?;
                        if asked == text || text.strip_suffix(STATE_DICT) == Some(asked) {
                            if best.is_some() {
                                let reason =
                                    format!("has two dictionaries of tensors that are called `{}`", shown(asked));
                                return Err(Fault::Unsupported(reason));
                            }
                            best = Some((score, at));
                        } else if counted.all > 0 && others.len() <= MAX_SECTIONS {
                            others.push(text);
                        }
                    }
                }
            }
            at += 1;
        }
        match (best, section) {
            (Some((_, way)), _) => self.state_dict(root, &self.place(&ways, way)),
            (None, Some(section)) => Err(no_section(section, others)),
            (None, None) if optimiser => Err(Fault::Unsupported(OPTIMISER.into())),
            (None, None) if !self.foreign.is_empty() => {
                Err(Fault::Code(self.foreign[..self.foreign.len().min(3)].join("`, `")))
            }
            (None, None) if nameless > 0 => {
                let reason = format!("its pickle holds {nameless} tensors without names; a state_dict has names");
                Err(Fault::NotWeights(reason))
            }
            (None, None) => Err(Fault::NotWeights("its pickle holds no dictionary of named tensors".into())),
        }
    }

    fn counted_in_module(&self, id: Id) -> Result<Counted, Fault> {
        let mut counted = Counted::default();
        let (tensors, unread) = self.module(id)?;
        tensors.iter().for_each(|(name, tensor)| counted.add(name, tensor));
        counted.unread = unread.keys().filter(|name| is_of_trunk(name)).count();
        Ok(counted)
    }

    fn score(&self, counted: &Counted, way: &Way) -> Score {
        let &Counted { weights, all, trunk, unread } = counted;
        let (own, last) = (way.own, way.from.map(|(_, step)| step));
        let named = last.is_none_or(|step| self.step_text(step).is_some_and(is_name_of_model));
        let count = if weights > 0 { weights } else { all.max(unread) };
        Score { read: all > 0, weights: weights > 0, trunk: trunk || unread > 0, count, own, named }
    }

    /// The steps that lead to one of the objects that were found.
    fn place(&self, ways: &[Way], mut at: usize) -> Place {
        let mut place = Vec::new();
        while let Some((before, step)) = ways[at].from {
            place.push((step, ways[at].id));
            at = before;
        }
        place.reverse();
        place
    }

    /// Whether it is what an optimiser's `state_dict` gives, or an optimiser.
    fn is_optimiser(&self, inside: &[(Step, Id)]) -> bool {
        let has = |name| inside.iter().any(|(step, _)| self.step_text(*step) == Some(name));
        has("state") && has("param_groups")
    }
}

impl Counted {
    fn add(&mut self, name: &str, tensor: &PickledTensor) {
        self.all += 1;
        self.weights += usize::from(tensor.shape.iter().any(|&size| size != 1));
        self.trunk |= is_of_trunk(name);
    }
}

/// There are weights, and not where they were asked for.
fn no_section(asked: &str, mut others: Vec<String>) -> Fault {
    let more = if others.len() > MAX_SECTIONS { ", and more" } else { "" };
    others.truncate(MAX_SECTIONS);
    let named: Vec<_> = others
        .iter()
        .map(|section| match section.is_empty() {
            true => "at the top (\"\")".to_owned(),
            false => format!("`{}`", shown(section)),
        })
        .collect();
    Fault::Unsupported(match &named[..] {
        [] => format!("has no named tensors in section `{}`, and none elsewhere", shown(asked)),
        _ => format!("has no named tensors in section `{}`; they are in: {}{more}", shown(asked), named.join(", ")),
    })
}
