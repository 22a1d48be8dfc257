//! The weights among what a pickle holds, and what lies beside them.

use std::collections::{BTreeMap, HashSet};

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;

use super::object::{Id, Object, PickledTensor};
use super::place::{Place, Step};
use super::stack::Machine;
use super::unread::Unread;
use super::words::{STATE_DICT, joined};

/// So many things beside the weights are named.
const MAX_NAMED: usize = 64;
/// So many things among the weights that are no tensors are remembered.
const MAX_UNREAD: usize = 10_000;

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

impl Machine<'_> {
    /// The tensors at a place that was found, and what lies beside them.
    pub(super) fn state_dict(&self, root: Id, place: &Place) -> Result<StateDict, Fault> {
        let mut beside = Beside { not_run: self.foreign.clone(), plain: self.plain, ..Beside::default() };
        let mut section: Vec<String> = Vec::new();
        let mut at = root;
        for &(step, into) in place {
            let text = self.written(step)?;
            let mut times = 0;
            for (other, value) in self.inside(at)? {
                if self.is_same_step(other, step) {
                    times += 1;
                } else if beside.keys.len() < MAX_NAMED {
                    beside.keys.push(self.named(&section, other, value)?);
                } else {
                    beside.more += 1;
                }
            }
            // Python would keep the last of them
            if times > 1 {
                return Err(Fault::Damaged(format!("its pickle gives {} two values", shown(&text))));
            }
            section.push(text);
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
    fn named(&self, section: &[String], step: Step, value: Id) -> Result<String, Fault> {
        let name = shown(&joined(section.iter().map(String::as_str).chain([&self.written(step)?[..]])));
        if let Some(class) = self.what(value) {
            return Ok(format!("{name} ({class})"));
        }
        let Object::Dict(pairs) = self.object(value) else { return Ok(name) };
        Ok(match pairs.iter().filter(|(_, value)| matches!(self.object(*value), Object::Tensor(_))).count() {
            0 => name,
            tensors => format!("{name} ({tensors} tensors)"),
        })
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
}
