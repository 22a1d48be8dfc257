//! A module of PyTorch that was pickled whole: its `state_dict`, out of its attributes.

use std::collections::{BTreeMap, HashSet};

use crate::checkpoint::error::Fault;

use super::object::{Id, Object, PickledTensor};
use super::stack::Machine;
use super::unread::Unread;

/// How deep modules may lie in each other.
const MAX_DEPTH: usize = 64;
/// So many attributes are looked at for those that every module has, which come first.
const MAX_ATTRIBUTES: usize = 64;
/// Most modules, those that stand in two places counted twice.
const MAX_MODULES: usize = 100_000;

/// Named tensors, and what stands in place of others.
type Found<'m> = (Vec<(String, &'m PickledTensor)>, BTreeMap<String, Unread>);

impl Machine<'_> {
    /// Whether it has what every `torch.nn.Module` has.
    pub(super) fn is_module(&self, id: Id) -> bool {
        matches!(self.object(id), Object::Made(_))
            && ["_parameters", "_modules"].iter().all(|name| self.attribute(id, name).is_some())
    }

    fn attribute(&self, id: Id, name: &str) -> Option<Id> {
        let Object::Made(made) = self.object(id) else { return None };
        let Object::Dict(pairs) = self.object(made.state?) else { return None };
        pairs.iter().take(MAX_ATTRIBUTES).find(|(key, _)| self.text_of(*key) == Some(name)).map(|&(_, value)| value)
    }

    /// Names and values in an attribute that is a dictionary.
    fn named_in(&self, id: Id, attribute: &str) -> Result<Vec<(&str, Id)>, Fault> {
        let Some(Object::Dict(pairs)) = self.attribute(id, attribute).map(|id| self.object(id)) else {
            return Ok(Vec::new());
        };
        self.look(pairs.len())?;
        Ok(pairs.iter().filter_map(|&(key, value)| Some((self.text_of(key)?, value))).collect())
    }

    /// Names of buffers that a `state_dict` leaves out.
    fn left_out(&self, id: Id) -> Result<HashSet<&str>, Fault> {
        let mut set = self.attribute(id, "_non_persistent_buffers_set");
        if let Some(&Object::SetOf(list)) = set.map(|id| self.object(id)) {
            set = Some(list);
        }
        let Some(Object::List(names)) = set.map(|id| self.object(id)) else { return Ok(HashSet::new()) };
        self.look(names.len())?;
        let mut left_out = HashSet::new();
        for name in names.iter().filter_map(|&name| self.text_of(name)) {
            self.name(name.len())?;
            left_out.insert(name);
        }
        Ok(left_out)
    }

    /// What `module.state_dict()` would give.
    ///
    /// # Errors
    /// Modules too deep in each other, in each other's circle, or too many.
    pub(super) fn module(&self, id: Id) -> Result<Found<'_>, Fault> {
        let (mut tensors, mut others) = (Vec::new(), BTreeMap::new());
        let mut open = vec![(id, String::new(), 0)];
        let mut modules = 0;
        while let Some((id, prefix, depth)) = open.pop() {
            modules += 1;
            if depth > MAX_DEPTH || modules > MAX_MODULES {
                return Err(Fault::Damaged(format!(
                    "its modules are deeper in each other than {MAX_DEPTH}, or more than {MAX_MODULES}"
                )));
            }
            let left_out = self.left_out(id)?;
            let buffers = self.named_in(id, "_buffers")?.into_iter().filter(|(name, _)| !left_out.contains(name));
            let mut inner = Vec::new();
            let all = self.named_in(id, "_parameters")?.into_iter().chain(buffers);
            for (name, value) in all.chain(self.named_in(id, "_modules")?) {
                self.name(prefix.len() + name.len() + 1)?;
                let full = || format!("{prefix}{name}");
                match self.object(value) {
                    Object::None => {}
                    Object::Tensor(tensor) => tensors.push((full(), &**tensor)),
                    _ if self.is_module(value) => inner.push((value, full() + ".", depth + 1)),
                    _ => drop(others.insert(full(), self.unread(value).unwrap_or(Unread::Data))),
                }
            }
            // the first is taken first
            open.extend(inner.into_iter().rev());
        }
        Ok((tensors, others))
    }
}
