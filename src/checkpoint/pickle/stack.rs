//! The state of the stack machine, and the moves on its stack.

use std::cell::Cell;
use std::collections::HashMap;

use crate::checkpoint::error::Fault;
use crate::checkpoint::python::CODE;
use crate::checkpoint::shown::{FILE, shown};

use super::input::Input;
use super::object::{Id, Made, Object};

/// Most objects built, whatever the pickle's length.
pub(super) const MAX_OBJECTS: usize = 16_000_000;
/// So many a pickle of any length may build. Longer ones may have one for every [`BYTES_OF_OBJECT`] bytes.
const FEW_OBJECTS: usize = 1_000_000;
const BYTES_OF_OBJECT: usize = 4;
/// Whole numbers below this are one object each, however often they stand there.
const SHARED_INTS: i64 = 256;
/// Most different classes and functions that are not run.
const MAX_FOREIGN: usize = 1000;
/// So many items are looked at in the search for weights. Objects that share items could make it endless.
const MAX_LOOKS: usize = 2 * MAX_OBJECTS;
/// Longest name of a class or function, in bytes.
const MAX_GLOBAL: usize = 1024;
/// Most bytes that names of weights have in all.
const MAX_NAMES: usize = 64 << 20;

/// The stack machine: its objects, its stack and its memo.
pub(super) struct Machine<'p> {
    pub(super) input: Input<'p>,
    pub(super) objects: Vec<Object<'p>>,
    pub(super) stack: Vec<Id>,
    /// Where each open mark stands in `stack`.
    pub(super) marks: Vec<usize>,
    pub(super) memo: HashMap<u32, Id>,
    /// Classes and functions that the pickle asks for and that are not run, fit to be shown.
    pub(super) foreign: Vec<String>,
    /// Items copied from one object into another: these alone can be more than the pickle has bytes.
    pub(super) copied: usize,
    looked: Cell<usize>,
    /// Bytes of the names of weights that were looked at.
    named: Cell<usize>,
    known_foreign: HashMap<String, u32>,
    /// Most objects that may be built, stacked, remembered or copied.
    limit: usize,
    /// Whether the pickle has only what `torch.load(weights_only=True)` reads, as far as what is not run goes unasked.
    pub(super) plain: bool,
    /// Objects that many places share, once they were built: by their numbers in [`shared`](Self::shared).
    shared: [Option<Id>; 4 + SHARED_INTS as usize],
}

impl<'p> Machine<'p> {
    /// Before the first instruction of `pickle`.
    pub(super) fn new(pickle: &'p [u8]) -> Self {
        let limit = (FEW_OBJECTS + pickle.len() / BYTES_OF_OBJECT).min(MAX_OBJECTS);
        Self {
            input: Input { bytes: pickle, position: 0 },
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            foreign: Vec::new(),
            copied: 0,
            looked: Cell::new(0),
            named: Cell::new(0),
            known_foreign: HashMap::new(),
            limit,
            plain: true,
            shared: [None; _],
        }
    }

    pub(super) fn object(&self, id: Id) -> &Object<'p> {
        // ids are only made by `push`, and objects are never removed
        &self.objects[id as usize]
    }

    pub(super) fn push(&mut self, object: Object<'p>) -> Result<(), Fault> {
        // long lists of numbers would be mostly these
        let place = match object {
            Object::None => Some(0),
            Object::Bool(value) => Some(1 + usize::from(value)),
            Object::Plain => Some(3),
            Object::Int(value @ 0..SHARED_INTS) => Some(4 + value as usize),
            _ => None,
        };
        if let Some(id) = place.and_then(|place| self.shared[place]) {
            return self.push_id(id);
        }
        if self.objects.len() >= self.limit {
            return Err(self.too_much());
        }
        let id = self.objects.len() as Id;
        self.objects.push(object);
        if let Some(place) = place {
            self.shared[place] = Some(id);
        }
        self.push_id(id)
    }

    pub(super) fn push_id(&mut self, id: Id) -> Result<(), Fault> {
        if self.stack.len() >= self.limit {
            return Err(self.too_much());
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
            Object::Plain | Object::Made(_) => {}
            _ => return Err(Fault::Damaged("its pickle appends to something that is no list".into())),
        }
        Ok(())
    }

    pub(super) fn extend_dict(&mut self, pairs: Vec<(Id, Id)>) -> Result<(), Fault> {
        let top = self.top()? as usize;
        match &mut self.objects[top] {
            Object::Dict(dict) => dict.extend(pairs),
            Object::Made(made) => made.items.extend(pairs),
            Object::Plain => {}
            _ => return Err(Fault::Damaged("its pickle sets items of something that is no dictionary".into())),
        }
        Ok(())
    }

    /// Begins a stretch that others close, at the top of the stack.
    pub(super) fn mark(&mut self) -> Result<(), Fault> {
        if self.marks.len() >= self.limit {
            return Err(self.too_much());
        }
        self.marks.push(self.stack.len());
        Ok(())
    }

    /// An object of a class that is not run.
    pub(super) fn made(class: u32) -> Object<'p> {
        Object::Made(Made { class, arguments: None, items: Vec::new(), state: None })
    }

    /// A class or function that is not run.
    pub(super) fn foreign(&mut self, module: &str, name: &str) -> Result<u32, Fault> {
        let name = shown(&format!("{module}.{name}"));
        if let Some(&number) = self.known_foreign.get(&name) {
            return Ok(number);
        }
        if self.foreign.len() >= MAX_FOREIGN {
            return Err(Fault::Damaged(format!("its pickle names more than {MAX_FOREIGN} classes and functions")));
        }
        let number = self.foreign.len() as u32;
        self.foreign.push(name.clone());
        self.known_foreign.insert(name, number);
        Ok(number)
    }

    /// A module's or a class's name on the stack.
    pub(super) fn global_name(&self, id: Id) -> Result<String, Fault> {
        match self.object(id) {
            Object::Text(text) if text.len() > MAX_GLOBAL => {
                Err(Fault::Damaged(format!("its pickle names a class in {} bytes", text.len())))
            }
            _ => self.owned_text(id),
        }
    }

    /// Counts items that are copied.
    pub(super) fn copy(&mut self, items: usize) -> Result<(), Fault> {
        self.copied = self.copied.saturating_add(items);
        if self.copied > self.limit { Err(self.too_much()) } else { Ok(()) }
    }

    /// Counts items that are looked at.
    pub(super) fn look(&self, items: usize) -> Result<(), Fault> {
        self.looked.set(self.looked.get().saturating_add(items).saturating_add(1));
        if self.looked.get() > MAX_LOOKS {
            return Err(Fault::Damaged(format!("its pickle has more than {MAX_LOOKS} ways to its objects")));
        }
        Ok(())
    }

    /// Counts bytes of names of weights. Objects that share a long name could make them endless.
    pub(super) fn name(&self, bytes: usize) -> Result<(), Fault> {
        self.named.set(self.named.get().saturating_add(bytes));
        if self.named.get() > MAX_NAMES {
            return Err(Fault::Damaged(format!("the names of its weights have more than {MAX_NAMES} bytes")));
        }
        Ok(())
    }

    pub(super) fn remember(&mut self, slot: u32) -> Result<(), Fault> {
        let top = self.top()?;
        if self.memo.len() >= self.limit {
            return Err(self.too_much());
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

    pub(super) fn too_much(&self) -> Fault {
        Fault::Unsupported(format!(
            "its pickle handles more than {} objects, more than are read of one of its length; save its weights alone, where they \
             are d[\"model\"], in Python: d = torch.load({FILE}, weights_only=False); torch.save(d[\"model\"], \"weights.pth\"){CODE}",
            self.limit
        ))
    }
}

pub(super) fn underflow() -> Fault {
    Fault::Damaged("its pickle takes more from the stack than it put there".into())
}
