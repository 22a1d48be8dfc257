//! The instructions of a pickle (opcodes: CPython's `pickletools.py`).

use crate::checkpoint::error::Fault;

use super::allowed::allowed;
use super::object::{Id, Known, Object};
use super::stack::{Machine, underflow};

/// The protocol that `torch.load(weights_only=True)` reads, and those of its instructions that it does not know: POP, POP_MARK, DUP,
/// LIST, DICT, LONG4, BINSTRING.
const PLAIN_PROTOCOL: u8 = 2;
const NOT_PLAIN: [u8; 7] = [b'0', b'1', b'2', b'l', b'd', 0x8b, b'T'];

impl<'p> Machine<'p> {
    /// Executes instructions until `STOP`; gives the object left on the stack.
    pub(super) fn run(&mut self) -> Result<Id, Fault> {
        loop {
            let at = self.input.position;
            let code = self.input.byte()?;
            self.plain &= !NOT_PLAIN.contains(&code);
            match code {
                // PROTO, FRAME: nothing to do
                0x80 => {
                    let protocol = self.input.byte()?;
                    if protocol > 5 {
                        return Err(Fault::Damaged(format!("its pickle says protocol {protocol}; there are 5")));
                    }
                    self.plain &= protocol == PLAIN_PROTOCOL;
                }
                0x95 => {
                    self.input.take(8)?;
                }
                b'.' => return self.pop(),
                // MARK, POP, POP_MARK, DUP
                b'(' => self.mark()?,
                b'0' => {
                    self.pop()?;
                }
                b'1' => {
                    self.pop_to_mark()?;
                }
                b'2' => {
                    let top = self.top()?;
                    self.push_id(top)?;
                }
                // NONE, NEWTRUE, NEWFALSE
                b'N' => self.push(Object::None)?,
                code @ (0x88 | 0x89) => self.push(Object::Bool(code == 0x88))?,
                // BININT, BININT1, BININT2, LONG1, LONG4
                b'J' => {
                    let value = i32::from_le_bytes(self.input.array()?);
                    self.push(Object::Int(value.into()))?;
                }
                b'K' => {
                    let value = self.input.byte()?;
                    self.push(Object::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.input.array()?);
                    self.push(Object::Int(value.into()))?;
                }
                0x8a => {
                    let length = self.input.byte()?.into();
                    self.long(length)?;
                }
                0x8b => {
                    let length = self.input.length4()?;
                    self.long(length)?;
                }
                // BINFLOAT
                b'G' => {
                    self.input.take(8)?;
                    self.push(Object::Plain)?;
                }
                // BINUNICODE, SHORT_BINUNICODE, BINUNICODE8; BINSTRING and SHORT_BINSTRING are Python 2's texts
                b'X' | b'T' => {
                    let length = self.input.length4()?;
                    self.text(length)?;
                }
                0x8c | b'U' => {
                    let length = self.input.byte()?.into();
                    self.text(length)?;
                }
                0x8d => {
                    let length = self.input.length8()?;
                    self.text(length)?;
                }
                // BINBYTES, SHORT_BINBYTES, BINBYTES8 and BYTEARRAY8
                b'B' => {
                    let length = self.input.length4()?;
                    self.bytes(length)?;
                }
                b'C' => {
                    let length = self.input.byte()?.into();
                    self.bytes(length)?;
                }
                0x8e | 0x96 => {
                    let length = self.input.length8()?;
                    self.bytes(length)?;
                }
                // EMPTY_LIST, LIST, APPEND, APPENDS
                b']' => self.push(Object::List(Vec::new()))?,
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.extend_list(items)?;
                }
                // EMPTY_TUPLE, TUPLE, TUPLE1, TUPLE2, TUPLE3
                b')' => self.push(Object::Tuple(Vec::new()))?,
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::Tuple(items))?;
                }
                code @ 0x85..=0x87 => {
                    let count = usize::from(code - 0x84);
                    let start = self.stack.len().checked_sub(count).ok_or_else(underflow)?;
                    if self.marks.last().is_some_and(|&mark| mark > start) {
                        return Err(underflow());
                    }
                    let items = self.stack.split_off(start);
                    self.push(Object::Tuple(items))?;
                }
                // EMPTY_DICT, DICT, SETITEM, SETITEMS
                b'}' => self.push(Object::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.pop_to_mark()?;
                    let pairs = pairs(&items)?;
                    self.push(Object::Dict(pairs))?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.extend_dict(vec![(key, value)])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    let pairs = pairs(&items)?;
                    self.extend_dict(pairs)?;
                }
                // EMPTY_SET, ADDITEMS, FROZENSET: lists will do
                0x8f => self.push(Object::List(Vec::new()))?,
                0x90 => {
                    let items = self.pop_to_mark()?;
                    self.extend_list(items)?;
                }
                0x91 => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::List(items))?;
                }
                // GLOBAL, STACK_GLOBAL
                b'c' => {
                    let (module, name) = (self.input.line()?, self.input.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (module, name) = (self.global_name(module)?, self.global_name(name)?);
                    self.global(&module, &name)?;
                }
                // REDUCE, NEWOBJ, NEWOBJ_EX (whose keyword arguments only a class that is not run has)
                code @ (b'R' | 0x81 | 0x92) => {
                    if code == 0x92 {
                        self.pop()?;
                    }
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    self.plain &= code == b'R';
                    let made = self.call(callable, arguments)?;
                    self.push(made)?;
                }
                // BUILD
                b'b' => {
                    let state = self.pop()?;
                    let top = self.top()? as usize;
                    match &mut self.objects[top] {
                        Object::Made(made) => made.state = Some(state),
                        // attributes of an OrderedDict or a parameter (`_metadata`): no weights
                        Object::Dict(_) | Object::Tensor(_) | Object::Plain => {}
                        _ => {
                            return Err(Fault::Damaged(format!(
                                "its pickle sets attributes of plain data, at byte {at}"
                            )));
                        }
                    }
                }
                // BINPERSID
                b'Q' => {
                    let id = self.pop()?;
                    self.persistent(id)?;
                }
                // BINPUT, LONG_BINPUT, MEMOIZE, BINGET, LONG_BINGET
                b'q' => {
                    let slot = self.input.byte()?.into();
                    self.remember(slot)?;
                }
                b'r' => {
                    let slot = u32::from_le_bytes(self.input.array()?);
                    self.remember(slot)?;
                }
                0x94 => {
                    let slot = u32::try_from(self.memo.len()).map_err(|_| self.too_much())?;
                    self.remember(slot)?;
                }
                b'h' => {
                    let slot = self.input.byte()?.into();
                    self.recall(slot)?;
                }
                b'j' => {
                    let slot = u32::from_le_bytes(self.input.array()?);
                    self.recall(slot)?;
                }
                other => {
                    self.plain = false;
                    self.rare(other, at)?;
                }
            }
        }
    }

    /// What a module and a name in it stand for.
    pub(super) fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        let object = match allowed(module, name) {
            Some(known) => {
                self.plain &= is_plain(module, name, known);
                Object::Known(known)
            }
            None => Object::Foreign(self.foreign(module, name)?),
        };
        self.push(object)
    }
}

/// Whether `torch.load(weights_only=True)` knows it too.
fn is_plain(module: &str, name: &str, known: Known) -> bool {
    match (module, name) {
        ("builtins", name) => ["set", "complex"].contains(&name),
        ("__builtin__", name) => name == "set",
        ("collections", "defaultdict") | ("torch.nn.parameter", "Buffer") => false,
        _ => known != Known::Reconstruct,
    }
}

pub(super) fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::Damaged("its pickle has a key without a value".into()));
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}
