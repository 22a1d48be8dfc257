//! The state of the stack machine, and the moves on its stack.

use std::collections::HashMap;

use crate::checkpoint::error::Fault;

use super::input::Input;
use super::object::{Id, Object};

/// Most objects built.
pub(super) const MAX_OBJECTS: usize = 1_000_000;

/// The stack machine: its objects, its stack and its memo.
#[derive(Default)]
pub(super) struct Machine<'p> {
    pub(super) input: Input<'p>,
    pub(super) objects: Vec<Object<'p>>,
    pub(super) stack: Vec<Id>,
    /// Where each open mark stands in `stack`.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Id>,
}

impl<'p> Machine<'p> {
    pub(super) fn object(&self, id: Id) -> &Object<'p> {
        // ids are only made by `push`, and objects are never removed
        &self.objects[id as usize]
    }

    pub(super) fn push(&mut self, object: Object<'p>) -> Result<(), Fault> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(too_much());
        }
        let id = self.objects.len() as Id;
        self.objects.push(object);
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: Id) -> Result<(), Fault> {
        if self.stack.len() >= MAX_OBJECTS {
            return Err(too_much());
        }
        self.stack.push(id);
        Ok(())
    }

    /// The topmost object, which must lie above the last mark.
    pub(super) fn top(&self) -> Result<Id, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(underflow());
        }
        self.stack.last().copied().ok_or_else(underflow)
    }

    pub(super) fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    pub(super) fn pop_to_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    pub(super) fn long(&mut self, length: usize) -> Result<(), Fault> {
        let bytes = self.input.take(length)?;
        let object = if length <= 8 {
            // two's complement, little end first
            let negative = bytes.last().is_some_and(|&b| b >= 0x80);
            let mut wide = [if negative { 0xff } else { 0 }; 8];
            wide[..length].copy_from_slice(bytes);
            Object::Int(i64::from_le_bytes(wide))
        } else {
            Object::Plain
        };
        self.push(object)
    }

    pub(super) fn text(&mut self, length: usize) -> Result<(), Fault> {
        let bytes = self.input.take(length)?;
        self.push(Object::Text(String::from_utf8_lossy(bytes)))
    }

    pub(super) fn bytes(&mut self, length: usize) -> Result<(), Fault> {
        self.input.take(length)?;
        self.push(Object::Plain)
    }

    pub(super) fn extend_list(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        let top = self.top()? as usize;
        match &mut self.objects[top] {
            Object::List(list) => list.extend(items),
            Object::Plain => {}
            _ => return Err(Fault::Damaged("its pickle appends to something that is no list".into())),
        }
        Ok(())
    }

    pub(super) fn extend_dict(&mut self, pairs: Vec<(Id, Id)>) -> Result<(), Fault> {
        let top = self.top()? as usize;
        match &mut self.objects[top] {
            Object::Dict(dict) => dict.extend(pairs),
            Object::Plain => {}
            _ => return Err(Fault::Damaged("its pickle sets items of something that is no dictionary".into())),
        }
        Ok(())
    }

    pub(super) fn remember(&mut self, slot: u32) -> Result<(), Fault> {
        let top = self.top()?;
        if self.memo.len() >= MAX_OBJECTS {
            return Err(too_much());
        }
        self.memo.insert(slot, top);
        Ok(())
    }

    pub(super) fn recall(&mut self, slot: u32) -> Result<(), Fault> {
        let id = self
            .memo
            .get(&slot)
            .copied()
            .ok_or_else(|| Fault::Damaged(format!("its pickle recalls object {slot}, which it never stored")))?;
        self.push_id(id)
    }

    pub(super) fn owned_text(&self, id: Id) -> Result<String, Fault> {
        match self.object(id) {
            Object::Text(text) => Ok(text.to_string()),
            _ => Err(Fault::Damaged("its pickle has something else where a name belongs".into())),
        }
    }
}

pub(super) fn underflow() -> Fault {
    Fault::Damaged("its pickle takes more from the stack than it put there".into())
}

pub(super) fn too_much() -> Fault {
    Fault::Damaged(format!("its pickle builds more than {MAX_OBJECTS} objects"))
}
