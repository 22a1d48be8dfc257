//! The weights among what a pickle holds, and what lies beside them.

use std::collections::{BTreeMap, HashSet};

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;

use super::object::{Id, Object, PickledTensor};
use super::stack::Machine;

/// How deep a dictionary of tensors may lie inside other objects.
const MAX_SECTION_DEPTH: usize = 6;
/// So many items of a list are looked into.
const MAX_LIST: usize = 64;
/// So many things beside the weights are named.
const MAX_NAMED: usize = 64;
/// So many things among the weights that are no tensors are remembered.
const MAX_UNREAD: usize = 10_000;
/// So many bytes of a name are looked at for what it is the name of.
const MAX_LOOKED: usize = 64;

/// The named tensors found in a pickle.
#[derive(Debug)]
pub(in crate::checkpoint) struct StateDict {
    /// What leads to them from the root: `model` for `["model"]`, `[0]`, `.attribute`; empty for the root itself.
    pub section: Vec<String>,
    /// In the file's order.
    pub tensors: Vec<(String, PickledTensor)>,
    /// What is not read.
    pub beside: Beside,
}

/// What a pickle holds beside the weights. All names are fit to be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::checkpoint) struct Beside {
    /// Keys, with the class of what is of a class that is not run.
    pub keys: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Classes and functions that the pickle asks for, none of which was run.
    pub not_run: Vec<String>,
    /// Things among the weights that are no tensors, with what they are.
    pub unread: BTreeMap<String, String>,
}

/// One step from an object to one in it.
#[derive(Clone, Copy)]
enum Step {
    Key(Id),
    Attribute(Id),
    Index(usize),
}

/// How likely named tensors are the weights that are meant. The first that differs decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Score {
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

/// An object with named tensors.
struct Candidate {
    score: Score,
    path: Vec<Step>,
}

/// Runs `pickle` and finds the weights.
///
/// They are the dictionary, or the module, with most tensors of several numbers, before all others one with a trunk's names. Of those
/// that are equal, one that is not called a copy, then one that is called as models are, the outermost and first: an averaged
/// model, which has a counter more, is not preferred.
pub(in crate::checkpoint) fn state_dict(pickle: &[u8]) -> Result<StateDict, Fault> {
    let mut machine = Machine::new(pickle);
    let root = machine.run()?;
    machine.weights(root)
}

impl Machine<'_> {
    /// The weights reachable from `root`.
    pub(in crate::checkpoint) fn weights(&self, root: Id) -> Result<StateDict, Fault> {
        if let Object::Tensor(tensor) = self.object(root) {
            return Err(Fault::Unsupported(format!(
                "holds a single tensor of shape {:?}, not named weights; the file that is meant is another one",
                tensor.shape
            )));
        }
        let mut best: Option<Candidate> = None;
        let (mut optimiser, mut nameless) = (false, 0);
        let mut seen = HashSet::from([root]);
        let mut level = vec![(root, Vec::new())];
        for _ in 0..=MAX_SECTION_DEPTH {
            let mut next = Vec::new();
            for (id, path) in level {
                let inside = self.inside(id)?;
                if self.is_optimiser(&inside) {
                    optimiser = true;
                    continue;
                }
                if self.is_module(id) {
                    let (tensors, _) = self.module(id)?;
                    let weights = tensors.iter().filter(|(_, tensor)| !is_one(tensor)).count();
                    let trunk = tensors.iter().any(|(name, _)| is_of_trunk(name));
                    self.keep_better(&mut best, (weights, tensors.len(), trunk), &path);
                    continue;
                }
                let (mut weights, mut all, mut trunk) = (0, 0, false);
                for (step, value) in inside {
                    match self.object(value) {
                        Object::Tensor(tensor) if matches!(step, Step::Key(_)) => {
                            all += 1;
                            weights += usize::from(!is_one(tensor));
                            trunk |= self.step_text(step).is_some_and(is_of_trunk);
                        }
                        Object::Tensor(_) => nameless += 1,
                        Object::Dict(_) | Object::List(_) | Object::Tuple(_) | Object::Made(_) => {
                            if self.is_of_optimiser(step) {
                                optimiser = true;
                            } else if seen.insert(value) {
                                next.push((value, [&path[..], &[step]].concat()));
                            }
                        }
                        _ => {}
                    }
                }
                self.keep_better(&mut best, (weights, all, trunk), &path);
            }
            level = next;
        }
        match best {
            Some(found) => self.state_dict(root, &found),
            None if optimiser => Err(Fault::Unsupported(OPTIMISER.into())),
            None if !self.foreign.is_empty() => {
                Err(Fault::Code(self.foreign[..self.foreign.len().min(3)].join("`, `")))
            }
            None if nameless > 0 => {
                let reason = format!("its pickle holds {nameless} tensors without names; a state_dict has names");
                Err(Fault::NotWeights(reason))
            }
            None => Err(Fault::NotWeights("its pickle holds no dictionary of named tensors".into())),
        }
    }

    /// Of named tensors there are so many of several numbers, so many in all, and maybe a trunk's.
    fn keep_better(&self, best: &mut Option<Candidate>, found: (usize, usize, bool), path: &[Step]) {
        let (weights, all, trunk) = found;
        if all == 0 {
            return;
        }
        let own = !path.iter().filter_map(|&step| self.step_text(step)).any(is_name_of_copy);
        let named = path.last().is_none_or(|&step| self.step_text(step).is_some_and(is_name_of_model));
        let count = if weights > 0 { weights } else { all };
        let score = Score { weights: weights > 0, trunk, count, own, named };
        if best.as_ref().is_none_or(|best| score > best.score) {
            *best = Some(Candidate { score, path: path.to_vec() });
        }
    }

    /// What is in an object, and how one gets there.
    fn inside(&self, id: Id) -> Result<Vec<(Step, Id)>, Fault> {
        let keys = |pairs: &[(Id, Id)], step: fn(Id) -> Step| {
            let texts = pairs.iter().filter(|(key, _)| matches!(self.object(*key), Object::Text(_)));
            texts.map(|&(key, value)| (step(key), value)).collect::<Vec<_>>()
        };
        let inside = match self.object(id) {
            Object::Dict(pairs) => keys(pairs, Step::Key),
            Object::Made(made) => {
                let attributes = match made.state.map(|state| self.object(state)) {
                    Some(Object::Dict(pairs)) => keys(pairs, Step::Attribute),
                    _ => Vec::new(),
                };
                [keys(&made.items, Step::Key), attributes].concat()
            }
            Object::List(items) | Object::Tuple(items) => {
                items.iter().take(MAX_LIST).enumerate().map(|(i, &item)| (Step::Index(i), item)).collect()
            }
            _ => Vec::new(),
        };
        self.look(inside.len())?;
        Ok(inside)
    }

    /// Whether it is what an optimiser's `state_dict` gives, or an optimiser.
    fn is_optimiser(&self, inside: &[(Step, Id)]) -> bool {
        let has = |name| inside.iter().any(|(step, _)| self.step_text(*step) == Some(name));
        has("state") && has("param_groups")
    }

    fn is_of_optimiser(&self, step: Step) -> bool {
        self.step_text(step).is_some_and(is_name_of_optimiser)
    }

    fn step_text(&self, step: Step) -> Option<&str> {
        match step {
            Step::Key(id) | Step::Attribute(id) => self.text_of(id),
            Step::Index(_) => None,
        }
    }

    pub(super) fn text_of(&self, id: Id) -> Option<&str> {
        match self.object(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    fn state_dict(&self, root: Id, found: &Candidate) -> Result<StateDict, Fault> {
        let mut beside = Beside { not_run: self.foreign.clone(), ..Beside::default() };
        let mut section: Vec<String> = Vec::new();
        let mut at = root;
        for &step in &found.path {
            let mut into = None;
            for (other, value) in self.inside(at)? {
                if other.is(step) {
                    into = Some(value);
                } else if beside.keys.len() < MAX_NAMED {
                    beside.keys.push(self.named(&section, other, value));
                } else {
                    beside.more += 1;
                }
            }
            section.push(self.written(step));
            at = into.unwrap_or(at);
        }
        let mut tensors = Vec::new();
        if self.is_module(at) {
            section.push(".state_dict()".into());
            (tensors, beside.unread) = self.module(at)?;
        } else {
            for (step, value) in self.inside(at)? {
                let Step::Key(key) = step else { continue };
                let Some(name) = self.text_of(key) else { continue };
                self.name(name.len())?;
                match self.object(value) {
                    Object::Tensor(tensor) => tensors.push((name.to_owned(), &**tensor)),
                    _ if beside.unread.len() < MAX_UNREAD => {
                        beside.unread.insert(shown(name), self.what(value).unwrap_or("no tensor").to_owned());
                    }
                    _ => {}
                }
            }
        }
        let mut names = HashSet::new();
        if let Some((name, _)) = tensors.iter().find(|(name, _)| !names.insert(name.as_str())) {
            return Err(Fault::Damaged(format!("two tensors are called {}", shown(name))));
        }
        let tensors = tensors.into_iter().map(|(name, tensor)| (name, tensor.clone())).collect();
        Ok(StateDict { section, tensors, beside })
    }

    /// A thing beside the weights: `args (argparse.Namespace)`, `ema (616 tensors)`.
    fn named(&self, section: &[String], step: Step, value: Id) -> String {
        let name = shown(&joined(section.iter().map(String::as_str).chain([&self.written(step)[..]])));
        if let Some(class) = self.what(value) {
            return format!("{name} ({class})");
        }
        let Object::Dict(pairs) = self.object(value) else { return name };
        match pairs.iter().filter(|(_, value)| matches!(self.object(*value), Object::Tensor(_))).count() {
            0 => name,
            tensors => format!("{name} ({tensors} tensors)"),
        }
    }

    /// The class of what is of a class that is not run.
    pub(super) fn what(&self, value: Id) -> Option<&str> {
        let class = match self.object(value) {
            Object::Made(made) => made.class,
            Object::Foreign(class) => *class,
            _ => return None,
        };
        self.foreign.get(class as usize).map(String::as_str)
    }

    fn written(&self, step: Step) -> String {
        match step {
            Step::Key(id) => self.text_of(id).unwrap_or_default().to_owned(),
            Step::Attribute(id) => format!(".{}", self.text_of(id).unwrap_or_default()),
            Step::Index(index) => format!("[{index}]"),
        }
    }
}

impl Step {
    fn is(self, other: Step) -> bool {
        match (self, other) {
            (Step::Key(a), Step::Key(b)) | (Step::Attribute(a), Step::Attribute(b)) => a == b,
            (Step::Index(a), Step::Index(b)) => a == b,
            _ => false,
        }
    }
}

/// What is said of files without weights that an optimiser wrote.
pub(in crate::checkpoint) const OPTIMISER: &str =
    "holds the state of an optimiser only, no weights: these are in another file of the same training";

/// `model.state[0].x`: keys with points between them.
pub(in crate::checkpoint) fn joined<'s>(section: impl Iterator<Item = &'s str>) -> String {
    let mut text = String::new();
    for key in section {
        if !text.is_empty() && !key.starts_with(['[', '.']) {
            text.push('.');
        }
        text.push_str(key);
    }
    text
}

/// `optimizer`, `optim_state_dict`, `optimizer_0`, and not `optimal_model`, `optimizer_ema_model`.
fn is_name_of_optimiser(key: &str) -> bool {
    const FIRST: [&str; 5] = ["optim", "optimizer", "optimizers", "optimiser", "optimisers"];
    const BEHIND: [&str; 5] = ["state", "states", "dict", "dicts", "group"];
    let mut words = key.split(['_', '.', '-']);
    let is_one_of = |word: &str, list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(word));
    key.len() <= MAX_LOOKED
        && words.next().is_some_and(|word| is_one_of(word, &FIRST))
        && words.all(|word| word.len() <= 1 || is_one_of(word, &BEHIND))
}

/// What is called as copies of a model are: averaged ones, earlier ones, numbers of each weight.
pub(in crate::checkpoint) fn is_name_of_copy(key: &str) -> bool {
    const COPIES: [&str; 13] = [
        "swa",
        "shadow",
        "target",
        "init",
        "initial",
        "old",
        "prev",
        "fisher",
        "momentum",
        "grad",
        "grads",
        "gradient",
        "gradients",
    ];
    let key = key[..key.floor_char_boundary(MAX_LOOKED)].to_ascii_lowercase();
    let mut words = key.split(|c: char| !c.is_ascii_alphanumeric());
    let copy = |word: &str| word.starts_with("ema") || word.ends_with("ema") || COPIES.contains(&word);
    words.any(copy) || key.contains("averag") || key.contains("teacher")
}

/// What is called as models are, or as the best of them.
fn is_name_of_model(key: &str) -> bool {
    const MODELS: [&str; 8] =
        ["model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights", "student"];
    MODELS.contains(&key) || key[..key.floor_char_boundary(MAX_LOOKED)].to_ascii_lowercase().contains("best")
}

/// Whether a weight is named as those of SAM2's trunk are, or of another network of its kind.
fn is_of_trunk(name: &str) -> bool {
    ["blocks.", "patch_embed."].iter().any(|word| name.contains(word))
}

fn is_one(tensor: &PickledTensor) -> bool {
    tensor.shape.iter().all(|&size| size == 1)
}
