//! Ways through the objects of a pickle.

use crate::checkpoint::error::Fault;

use super::object::{Id, Object};
use super::stack::Machine;
use super::words::{STATE_DICT, joined};

/// One step from an object to one in it.
#[derive(Clone, Copy)]
pub(super) enum Step {
    Key(Id),
    Attribute(Id),
    /// A number, as lists have them and dictionaries may.
    Index(i64),
}

/// Where the weights are: steps from the root, each with the object that it leads to.
pub(super) type Place = Vec<(Step, Id)>;

impl Machine<'_> {
    pub(super) fn text_of(&self, id: Id) -> Option<&str> {
        match self.object(id) {
            Object::Text(text) => Some(text),
            _ => None,
        }
    }

    /// What is in an object, and how one gets there.
    pub(super) fn inside(&self, id: Id) -> Result<Vec<(Step, Id)>, Fault> {
        let keys = |pairs: &[(Id, Id)], step: fn(Id) -> Step| {
            self.look(pairs.len())?;
            let step = |key: Id| match *self.object(key) {
                Object::Text(_) => Some(step(key)),
                Object::Int(number) => Some(Step::Index(number)),
                _ => None,
            };
            Ok(pairs.iter().filter_map(|&(key, value)| Some((step(key)?, value))).collect::<Vec<_>>())
        };
        let numbered = |items: &[Id]| {
            self.look(items.len())?;
            Ok(items.iter().zip(0..).map(|(&item, i)| (Step::Index(i), item)).collect::<Vec<_>>())
        };
        let attributes = |state: Id| match self.object(state) {
            Object::Dict(pairs) => keys(pairs, Step::Attribute),
            _ => Ok(Vec::new()),
        };
        match self.object(id) {
            Object::Dict(pairs) => keys(pairs, Step::Key),
            Object::Made(made) => {
                let mut inside = keys(&made.items, Step::Key)?;
                // of a class with `__slots__`: what is in its dictionary, and in its slots
                let both = match made.state.map(|state| self.object(state)) {
                    Some(Object::Tuple(both)) if both.len() == 2 => &both[..],
                    _ => made.state.as_slice(),
                };
                for &state in both {
                    inside.extend(attributes(state)?);
                }
                // a named tuple is called with its items
                if let Some(Object::Tuple(items)) = made.arguments.map(|arguments| self.object(arguments)) {
                    inside.extend(numbered(items)?);
                }
                Ok(inside)
            }
            Object::List(items) | Object::Tuple(items) => numbered(items),
            _ => {
                self.look(0)?;
                Ok(Vec::new())
            }
        }
    }

    pub(super) fn step_text(&self, step: Step) -> Option<&str> {
        match step {
            Step::Key(id) | Step::Attribute(id) => self.text_of(id),
            Step::Index(_) => None,
        }
    }

    /// Whether two steps from one object lead to the same, in Python.
    pub(super) fn is_same_step(&self, a: Step, b: Step) -> bool {
        match (a, b) {
            (Step::Key(a), Step::Key(b)) | (Step::Attribute(a), Step::Attribute(b)) => {
                self.text_of(a) == self.text_of(b)
            }
            (Step::Index(a), Step::Index(b)) => a == b,
            _ => false,
        }
    }

    /// The text of a key.
    pub(super) fn key_text(&self, step: Step) -> Option<&str> {
        match step {
            Step::Key(id) => self.text_of(id),
            Step::Attribute(_) | Step::Index(_) => None,
        }
    }

    /// A step as text: `model`, `.model`, `[0]`.
    pub(super) fn written(&self, step: Step) -> Result<String, Fault> {
        self.name(self.step_text(step).map_or(0, str::len))?;
        Ok(match step {
            Step::Key(id) => self.text_of(id).unwrap_or_default().to_owned(),
            Step::Attribute(id) => format!(".{}", self.text_of(id).unwrap_or_default()),
            Step::Index(index) => format!("[{index}]"),
        })
    }

    /// A place in one text.
    pub(super) fn section_text(&self, place: &Place, at: Id) -> Result<String, Fault> {
        let mut steps = place.iter().map(|&(step, _)| self.written(step)).collect::<Result<Vec<_>, _>>()?;
        if self.is_module(at) {
            steps.push(STATE_DICT.into());
        }
        Ok(joined(steps.iter().map(String::as_str)))
    }
}
