//! The dictionary of named tensors in a pickle.

use std::collections::HashSet;

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;

use super::input::Input;
use super::object::{Id, Object, PickledTensor};
use super::stack::{Machine, underflow};

/// How deep a dictionary of tensors may lie inside other dictionaries.
const MAX_SECTION_DEPTH: usize = 4;

/// The dictionary of tensors found in a pickle.
#[derive(Debug)]
pub(in crate::checkpoint) struct StateDict {
    /// Keys that lead to it from the root (`model`); empty for the root itself.
    pub section: Vec<String>,
    /// In the file's order.
    pub tensors: Vec<(String, PickledTensor)>,
}

/// Runs `pickle` and finds the dictionary with the most tensors (the first of them where several are equal).
pub(in crate::checkpoint) fn state_dict(pickle: &[u8]) -> Result<StateDict, Fault> {
    let mut machine = Machine { input: Input { bytes: pickle, position: 0 }, ..Machine::default() };
    let root = machine.run()?;
    machine.most_tensors(root)
}

impl Machine<'_> {
    /// Walks the dictionaries reachable by text keys, nearest first, and takes the one that holds most tensors itself.
    fn most_tensors(&self, root: Id) -> Result<StateDict, Fault> {
        if matches!(self.object(root), Object::Tensor(_)) {
            return Err(Fault::Unsupported(
                "holds a single tensor, not named weights; save a state_dict: torch.save(model.state_dict(), path)"
                    .into(),
            ));
        }
        let mut best: Option<(usize, Id, Vec<Id>)> = None;
        let mut seen = HashSet::from([root]);
        let mut level = vec![(root, Vec::new())];
        for _ in 0..MAX_SECTION_DEPTH {
            let mut next = Vec::new();
            for (id, section) in level {
                let Object::Dict(pairs) = self.object(id) else { continue };
                let mut tensors = 0;
                for &(key, value) in pairs {
                    if !matches!(self.object(key), Object::Text(_)) {
                        continue;
                    }
                    match self.object(value) {
                        Object::Tensor(_) => tensors += 1,
                        Object::Dict(_) if seen.insert(value) => {
                            let mut section = section.clone();
                            section.push(key);
                            next.push((value, section));
                        }
                        _ => {}
                    }
                }
                if tensors > best.as_ref().map_or(0, |b| b.0) {
                    best = Some((tensors, id, section));
                }
            }
            level = next;
        }
        let Some((_, dict, section)) = best else {
            return Err(Fault::NotWeights("its pickle holds no dictionary of named tensors".into()));
        };
        let Object::Dict(pairs) = self.object(dict) else { return Err(underflow()) };
        let mut names = HashSet::new();
        let mut tensors = Vec::new();
        for &(key, value) in pairs {
            if let (Object::Text(name), Object::Tensor(tensor)) = (self.object(key), self.object(value)) {
                if !names.insert(name.as_ref()) {
                    return Err(Fault::Damaged(format!("two tensors are called {}", shown(name))));
                }
                tensors.push((name.to_string(), (**tensor).clone()));
            }
        }
        let section = section.into_iter().map(|key| self.owned_text(key)).collect::<Result<_, _>>()?;
        Ok(StateDict { section, tensors })
    }
}
