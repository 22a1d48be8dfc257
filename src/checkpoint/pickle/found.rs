//! The weights among what a pickle holds, and what lies beside them.

use std::collections::{BTreeMap, HashSet};

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;

use super::object::{Id, Object, PickledTensor};
use super::search::{Place, Step};
use super::stack::Machine;
use super::unread::Unread;

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

/// What a pickle holds beside the weights. Keys and classes are fit to be shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::checkpoint) struct Beside {
    /// Keys, with the class of what is of a class that is not run.
    pub keys: Vec<String>,
    /// How many more there are.
    pub more: usize,
    /// Classes and functions that the pickle asks for, none of which was run.
    pub not_run: Vec<String>,
    /// Whether all but what is not run is such that `torch.load(weights_only=True)` reads it.
    pub plain: bool,
    /// Things among the weights that are no tensors, by the file's names.
    pub unread: BTreeMap<String, Unread>,
}

/// Runs `pickle` and finds the weights, in the section that is asked for or where they likeliest are.
pub(in crate::checkpoint) fn state_dict(pickle: &[u8], section: Option<&str>) -> Result<StateDict, Fault> {
    let mut machine = Machine::new(pickle);
    let root = machine.run()?;
    machine.weights(root, section)
}

impl Machine<'_> {
    pub(super) fn text_of(&self, id: Id) -> Option<&str> {
        match self.object(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The tensors at a place that was found, and what lies beside them.
    pub(super) fn state_dict(&self, root: Id, place: &Place) -> Result<StateDict, Fault> {
        let mut beside = Beside { not_run: self.foreign.clone(), plain: self.plain, ..Beside::default() };
        let mut section: Vec<String> = Vec::new();
        let mut at = root;
        for &(step, into) in place {
            for (other, value) in self.inside(at)? {
                if other == step {
                    continue;
                }
                if beside.keys.len() < MAX_NAMED {
                    beside.keys.push(self.named(&section, other, value));
                } else {
                    beside.more += 1;
                }
            }
            section.push(self.written(step));
            at = into;
        }
        let mut tensors = Vec::new();
        if self.is_module(at) {
            section.push(STATE_DICT.into());
            (tensors, beside.unread) = self.module(at)?;
        } else {
            for (step, value) in self.inside(at)? {
                let Some(name) = self.key_text(step) else { continue };
                self.name(name.len())?;
                match self.object(value) {
                    Object::Tensor(tensor) => tensors.push((name.to_owned(), &**tensor)),
                    _ if beside.unread.len() < MAX_UNREAD => {
                        beside.unread.insert(name.to_owned(), self.unread(value).unwrap_or(Unread::Data));
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

    /// A place in one text.
    pub(super) fn section_text(&self, place: &Place, at: Id) -> String {
        let mut steps: Vec<_> = place.iter().map(|&(step, _)| self.written(step)).collect();
        if self.is_module(at) {
            steps.push(STATE_DICT.into());
        }
        joined(steps.iter().map(String::as_str))
    }
}

/// How the weights of a module are had in Python.
pub(in crate::checkpoint) const STATE_DICT: &str = ".state_dict()";

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
pub(super) fn is_name_of_optimiser(key: &str) -> bool {
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
pub(super) fn is_name_of_model(key: &str) -> bool {
    const MODELS: [&str; 8] =
        ["model", "state_dict", "model_state_dict", "model_state", "net", "network", "weights", "student"];
    MODELS.contains(&key) || key[..key.floor_char_boundary(MAX_LOOKED)].to_ascii_lowercase().contains("best")
}

/// Whether a weight is named as those of SAM2's trunk are, or of another network of its kind.
pub(super) fn is_of_trunk(name: &str) -> bool {
    ["blocks.", "patch_embed."].iter().any(|word| name.contains(word))
}
