//! Pickles one after another, as PyTorch wrote them before its archives.

use std::collections::{HashMap, HashSet};

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;
use crate::checkpoint::tensor::Dtype;

use super::found::StateDict;
use super::object::{Id, Object};
use super::stack::Machine;

/// Pickles one after another at the start of some bytes.
pub(in crate::checkpoint) struct Chain<'p> {
    bytes: &'p [u8],
    position: usize,
    /// Whether all so far is such that `torch.load(weights_only=True)` reads it.
    plain: bool,
}

/// A number in a pickle.
#[derive(Debug, PartialEq)]
pub(in crate::checkpoint) enum Number {
    Small(i64),
    /// One of more than 64 bits.
    Large,
}

/// What one of the pickles says of weights.
pub(in crate::checkpoint) struct Saved {
    pub found: StateDict,
    /// Type, and count of numbers (of bytes where there is no type), of every storage that it names.
    pub storages: HashMap<String, (Option<Dtype>, u64)>,
}

impl<'p> Chain<'p> {
    pub(in crate::checkpoint) fn new(bytes: &'p [u8]) -> Self {
        Self { bytes, position: 0, plain: true }
    }

    /// Where the next pickle begins, or what follows the last.
    pub(in crate::checkpoint) fn position(&self) -> usize {
        self.position
    }

    fn next(&mut self) -> Result<(Machine<'p>, Id), Fault> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let mut machine = Machine::new(rest);
        let root = machine.run()?;
        self.position += machine.input.position;
        self.plain &= machine.plain;
        Ok((machine, root))
    }

    /// One that holds no weights, and has no use for classes: Python would run what it names.
    fn next_of_data(&mut self) -> Result<(Machine<'p>, Id), Fault> {
        let (machine, root) = self.next()?;
        match machine.foreign.first() {
            None => Ok((machine, root)),
            Some(class) => Err(Fault::Damaged(format!("a pickle beside that of its weights asks for {class}"))),
        }
    }

    /// A pickle of a number.
    pub(in crate::checkpoint) fn number(&mut self) -> Result<Number, Fault> {
        let (machine, root) = self.next_of_data()?;
        match machine.object(root) {
            Object::Int(number) => Ok(Number::Small(*number)),
            Object::Plain => Ok(Number::Large),
            _ => Err(Fault::Damaged("one of its first pickles is no number".into())),
        }
    }

    /// A pickle of facts about a machine: whether its numbers begin with the little end; `None` if it does not say.
    pub(in crate::checkpoint) fn little_endian(&mut self) -> Result<Option<bool>, Fault> {
        let (machine, root) = self.next_of_data()?;
        let Object::Dict(pairs) = machine.object(root) else { return Ok(None) };
        let said = pairs.iter().find(|(key, _)| machine.text_of(*key) == Some("little_endian"));
        Ok(said.and_then(|&(_, value)| match machine.object(value) {
            Object::Bool(little) => Some(*little),
            _ => None,
        }))
    }

    /// A pickle with weights.
    pub(in crate::checkpoint) fn saved(&mut self, section: Option<&str>) -> Result<Saved, Fault> {
        let (machine, root) = self.next()?;
        let mut found = machine.weights(root, section)?;
        found.beside.plain = self.plain;
        let mut storages = HashMap::new();
        for object in &machine.objects {
            let Object::Storage(storage) = object else { continue };
            let said = (storage.dtype, storage.elements);
            if storages.insert(storage.key.clone(), said).is_some_and(|before| before != said) {
                let key = shown(&storage.key);
                return Err(Fault::Damaged(format!("its pickle gives storage {key} two types or sizes")));
            }
        }
        Ok(Saved { found, storages })
    }

    /// A pickle of names, each once.
    pub(in crate::checkpoint) fn names(&mut self) -> Result<Vec<String>, Fault> {
        let (machine, root) = self.next_of_data()?;
        let Object::List(items) = machine.object(root) else {
            return Err(Fault::Damaged("its last pickle is no list of storages".into()));
        };
        let mut seen = HashSet::new();
        let mut names = Vec::new();
        for &item in items {
            let name = machine.text_of(item).filter(|name| seen.insert(*name));
            names.push(name.ok_or_else(|| Fault::Damaged("its list of storages has one twice".into()))?.to_owned());
        }
        Ok(names)
    }
}
