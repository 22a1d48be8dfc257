//! The part of Python's pickle that `torch.save` writes, read without running anything.
//!
//! A pickle is a program for a small stack machine (the opcodes are documented in CPython's `pickletools.py`). Here the
//! machine builds plain data only: the classes and functions that it may name stand in one table, [`allowed`], and
//! "calling" one of them fills in a Rust value. Everything else is refused by name.
//!
//! Objects live in one list and refer to each other by number, so sharing and cycles cost nothing and no depth of
//! nesting can overflow the stack.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use super::error::{Fault, shown};
use super::file::Dtype;

/// Largest pickle read, in bytes. That of a Large SAM2-UNet checkpoint has 0.3 MB, with an optimiser's state 1 MB.
pub(super) const MAX_PICKLE: u64 = 64 << 20;
/// Most objects built.
const MAX_OBJECTS: usize = 1_000_000;
/// Most dimensions of a tensor; PyTorch allows 64, weights have 4.
const MAX_DIMENSIONS: usize = 16;
/// Longest name of a storage, in bytes; torch.save counts them: `0`, `1`, ...
const MAX_STORAGE_NAME: usize = 64;
/// How deep a dictionary of tensors may lie inside other dictionaries.
const MAX_SECTION_DEPTH: usize = 4;

/// A tensor as the pickle describes it: a strided view of a storage that lies elsewhere in the archive.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct PickledTensor {
    pub dtype: Dtype,
    /// Name of the storage: the archive's entry `data/<storage>`.
    pub storage: String,
    /// How many numbers the storage must hold.
    pub elements: u64,
    /// First number of the view.
    pub offset: u64,
    pub shape: Vec<usize>,
    /// Distance between neighbours along each dimension, in numbers.
    pub strides: Vec<u64>,
}

/// The dictionary of tensors found in a pickle.
#[derive(Debug)]
pub(super) struct StateDict {
    /// Keys that lead to it from the root (`model`); empty for the root itself.
    pub section: Vec<String>,
    /// In the file's order.
    pub tensors: Vec<(String, PickledTensor)>,
}

/// Runs `pickle` and finds the dictionary with the most tensors (the first of them where several are equal).
pub(super) fn state_dict(pickle: &[u8]) -> Result<StateDict, Fault> {
    let mut machine = Machine { input: Input { bytes: pickle, position: 0 }, ..Machine::default() };
    let root = machine.run()?;
    machine.most_tensors(root)
}

/// Number of an object in [`Machine::objects`].
type Id = u32;

enum Object<'p> {
    None,
    Int(i64),
    Text(Cow<'p, str>),
    /// Data that nobody asks for here: a float, bytes, a truth value, a device.
    Plain,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    Known(Known),
    Storage(Storage),
    Tensor(Box<PickledTensor>),
}

#[derive(Clone)]
struct Storage {
    /// `None` for bytes without a type.
    dtype: Option<Dtype>,
    key: String,
    /// Numbers, or bytes where there is no type.
    elements: u64,
}

/// What the names of the allow-list stand for.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Dict,
    PlainValue,
    Size,
    StorageOf(Option<Dtype>),
    Type(Dtype),
    /// `torch._utils._rebuild_tensor` and `_v2`, which begin with the same four arguments.
    Tensor,
    /// `torch._utils._rebuild_tensor_v3`: the type stands apart, the storage is bytes.
    TypedTensor,
    Parameter,
}

/// Every class and function that a pickle may name.
fn allowed(module: &str, name: &str) -> Option<Known> {
    Some(match (module, name) {
        ("collections", "OrderedDict") => Known::Dict,
        ("collections", "Counter") | ("builtins" | "__builtin__", "set" | "frozenset") => Known::PlainValue,
        ("torch", "device") => Known::PlainValue,
        ("torch", "Size") => Known::Size,
        ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Known::Tensor,
        ("torch._utils", "_rebuild_tensor_v3") => Known::TypedTensor,
        ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Known::Parameter,
        ("torch.storage" | "torch", "UntypedStorage") => Known::StorageOf(None),
        ("torch" | "torch.cuda", storage) if storage.ends_with("Storage") => Known::StorageOf(Some(match storage {
            "FloatStorage" => Dtype::F32,
            "HalfStorage" => Dtype::F16,
            "BFloat16Storage" => Dtype::BF16,
            "DoubleStorage" => Dtype::F64,
            "LongStorage" => Dtype::I64,
            "IntStorage" => Dtype::I32,
            "ShortStorage" => Dtype::I16,
            "CharStorage" => Dtype::I8,
            "ByteStorage" => Dtype::U8,
            "BoolStorage" => Dtype::Bool,
            "ComplexFloatStorage" => Dtype::Other("complex64"),
            "ComplexDoubleStorage" => Dtype::Other("complex128"),
            _ => return None,
        })),
        ("torch", name) => Known::Type(match name {
            "float32" => Dtype::F32,
            "float16" => Dtype::F16,
            "bfloat16" => Dtype::BF16,
            "float64" => Dtype::F64,
            "int64" => Dtype::I64,
            "int32" => Dtype::I32,
            "int16" => Dtype::I16,
            "int8" => Dtype::I8,
            "uint8" => Dtype::U8,
            "bool" => Dtype::Bool,
            "complex64" => Dtype::Other("complex64"),
            "complex128" => Dtype::Other("complex128"),
            "uint16" => Dtype::Other("uint16"),
            "uint32" => Dtype::Other("uint32"),
            "uint64" => Dtype::Other("uint64"),
            "float8_e4m3fn" => Dtype::Other("float8_e4m3fn"),
            "float8_e5m2" => Dtype::Other("float8_e5m2"),
            _ => return None,
        }),
        _ => return None,
    })
}

#[derive(Default)]
struct Input<'p> {
    bytes: &'p [u8],
    position: usize,
}

impl<'p> Input<'p> {
    fn take(&mut self, count: usize) -> Result<&'p [u8], Fault> {
        let taken = self.bytes.get(self.position..).and_then(|rest| rest.get(..count)).ok_or_else(|| {
            Fault::Damaged(format!("its pickle ends in the middle of an instruction, at byte {}", self.position))
        })?;
        self.position += count;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    fn byte(&mut self) -> Result<u8, Fault> {
        Ok(self.array::<1>()?[0])
    }

    /// A length of 4 or 8 bytes. One that is too long for memory is also too long for the file.
    fn length4(&mut self) -> Result<usize, Fault> {
        Ok(u32::from_le_bytes(self.array()?) as usize)
    }

    fn length8(&mut self) -> Result<usize, Fault> {
        Ok(usize::try_from(u64::from_le_bytes(self.array()?)).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<Cow<'p, str>, Fault> {
        let rest = self.bytes.get(self.position..).unwrap_or_default();
        let length = rest.iter().position(|&b| b == b'\n').unwrap_or(rest.len());
        let line = self.take(length)?;
        self.take(1)?;
        Ok(String::from_utf8_lossy(line))
    }
}

#[derive(Default)]
struct Machine<'p> {
    input: Input<'p>,
    objects: Vec<Object<'p>>,
    stack: Vec<Id>,
    /// Where each open mark stands in `stack`.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'p> Machine<'p> {
    /// Executes instructions until `STOP`; gives the object left on the stack.
    fn run(&mut self) -> Result<Id, Fault> {
        loop {
            let at = self.input.position;
            match self.input.byte()? {
                // PROTO, FRAME: nothing to do
                0x80 => {
                    let protocol = self.input.byte()?;
                    if protocol > 5 {
                        return Err(Fault::Damaged(format!("its pickle says protocol {protocol}; there are 5")));
                    }
                }
                0x95 => {
                    self.input.take(8)?;
                }
                b'.' => return self.pop(),
                // MARK, POP, POP_MARK, DUP
                b'(' => {
                    if self.marks.len() >= MAX_OBJECTS {
                        return Err(too_much());
                    }
                    self.marks.push(self.stack.len());
                }
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
                0x88 | 0x89 => self.push(Object::Plain)?,
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
                // EMPTY_SET, ADDITEMS, FROZENSET
                0x8f => self.push(Object::Plain)?,
                0x90 => {
                    self.pop_to_mark()?;
                    self.top()?;
                }
                0x91 => {
                    self.pop_to_mark()?;
                    self.push(Object::Plain)?;
                }
                // GLOBAL, STACK_GLOBAL; INST names a class as GLOBAL does, and is refused like it
                b'c' => {
                    let (module, name) = (self.input.line()?, self.input.line()?);
                    self.global(&module, &name)?;
                }
                0x93 => {
                    let (name, module) = (self.pop()?, self.pop()?);
                    let (module, name) = (self.owned_text(module)?, self.owned_text(name)?);
                    self.global(&module, &name)?;
                }
                b'i' => {
                    let (module, name) = (self.input.line()?, self.input.line()?);
                    return Err(Fault::Code(shown(&format!("{module}.{name}"))));
                }
                // REDUCE, NEWOBJ, BUILD
                b'R' | 0x81 => {
                    let (arguments, callable) = (self.pop()?, self.pop()?);
                    let made = self.call(callable, arguments)?;
                    self.push(made)?;
                }
                b'b' => {
                    // attributes of an OrderedDict or a parameter (`_metadata`): no weights
                    self.pop()?;
                    let top = self.top()?;
                    if !matches!(self.object(top), Object::Dict(_) | Object::Tensor(_) | Object::Plain) {
                        return Err(Fault::Damaged(format!("its pickle sets attributes of plain data, at byte {at}")));
                    }
                }
                // BINPERSID
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(Object::Storage(storage))?;
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
                    let slot = u32::try_from(self.memo.len()).map_err(|_| too_much())?;
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
                    return Err(Fault::Unsupported(format!(
                        "its pickle uses instruction 0x{other:02x} at byte {at}, which torch.save does not write; \
                         save the weights again with torch.save(state_dict, path)"
                    )));
                }
            }
        }
    }

    fn object(&self, id: Id) -> &Object<'p> {
        // ids are only made by `push`, and objects are never removed
        &self.objects[id as usize]
    }

    fn push(&mut self, object: Object<'p>) -> Result<(), Fault> {
        if self.objects.len() >= MAX_OBJECTS {
            return Err(too_much());
        }
        let id = self.objects.len() as Id;
        self.objects.push(object);
        self.push_id(id)
    }

    fn push_id(&mut self, id: Id) -> Result<(), Fault> {
        if self.stack.len() >= MAX_OBJECTS {
            return Err(too_much());
        }
        self.stack.push(id);
        Ok(())
    }

    /// The topmost object, which must lie above the last mark.
    fn top(&self) -> Result<Id, Fault> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err(underflow());
        }
        self.stack.last().copied().ok_or_else(underflow)
    }

    fn pop(&mut self) -> Result<Id, Fault> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Id>, Fault> {
        let mark = self.marks.pop().ok_or_else(underflow)?;
        Ok(self.stack.split_off(mark))
    }

    fn long(&mut self, length: usize) -> Result<(), Fault> {
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

    fn text(&mut self, length: usize) -> Result<(), Fault> {
        let bytes = self.input.take(length)?;
        self.push(Object::Text(String::from_utf8_lossy(bytes)))
    }

    fn bytes(&mut self, length: usize) -> Result<(), Fault> {
        self.input.take(length)?;
        self.push(Object::Plain)
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Result<(), Fault> {
        let top = self.top()? as usize;
        match &mut self.objects[top] {
            Object::List(list) => list.extend(items),
            Object::Plain => {}
            _ => return Err(Fault::Damaged("its pickle appends to something that is no list".into())),
        }
        Ok(())
    }

    fn extend_dict(&mut self, pairs: Vec<(Id, Id)>) -> Result<(), Fault> {
        let top = self.top()? as usize;
        match &mut self.objects[top] {
            Object::Dict(dict) => dict.extend(pairs),
            Object::Plain => {}
            _ => return Err(Fault::Damaged("its pickle sets items of something that is no dictionary".into())),
        }
        Ok(())
    }

    fn remember(&mut self, slot: u32) -> Result<(), Fault> {
        let top = self.top()?;
        if self.memo.len() >= MAX_OBJECTS {
            return Err(too_much());
        }
        self.memo.insert(slot, top);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), Fault> {
        let id = self
            .memo
            .get(&slot)
            .copied()
            .ok_or_else(|| Fault::Damaged(format!("its pickle recalls object {slot}, which it never stored")))?;
        self.push_id(id)
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), Fault> {
        match allowed(module, name) {
            Some(known) => self.push(Object::Known(known)),
            None => Err(Fault::Code(shown(&format!("{module}.{name}")))),
        }
    }

    fn owned_text(&self, id: Id) -> Result<String, Fault> {
        match self.object(id) {
            Object::Text(text) => Ok(text.to_string()),
            _ => Err(Fault::Damaged("its pickle has something else where a name belongs".into())),
        }
    }

    fn tuple(&self, id: Id) -> Result<&[Id], Fault> {
        match self.object(id) {
            Object::Tuple(items) => Ok(items),
            _ => Err(Fault::Damaged("its pickle has something else where arguments belong".into())),
        }
    }

    fn unsigned(&self, id: Id) -> Result<u64, Fault> {
        match self.object(id) {
            Object::Int(value) => u64::try_from(*value)
                .map_err(|_| Fault::Damaged(format!("a tensor's size, offset or stride is {value}"))),
            _ => Err(Fault::Damaged("its pickle has something else where a number belongs".into())),
        }
    }

    fn unsigned_list(&self, id: Id) -> Result<Vec<u64>, Fault> {
        let items = match self.object(id) {
            Object::Tuple(items) | Object::List(items) => items,
            _ => return Err(Fault::Damaged("its pickle has something else where a shape belongs".into())),
        };
        if items.len() > MAX_DIMENSIONS {
            return Err(Fault::Damaged(format!(
                "a tensor has {} dimensions; at most {MAX_DIMENSIONS} are read",
                items.len()
            )));
        }
        items.iter().map(|&item| self.unsigned(item)).collect()
    }

    /// The storage that a persistent id names: `("storage", type, key, location, count)`.
    fn storage(&self, id: Id) -> Result<Storage, Fault> {
        let &[tag, kind, key, _location, count, ..] = self.tuple(id)? else {
            return Err(Fault::Damaged("its pickle describes a storage in too few words".into()));
        };
        if !matches!(self.object(tag), Object::Text(tag) if tag == "storage") {
            return Err(Fault::Damaged("its pickle refers to something outside that is no storage".into()));
        }
        let &Object::Known(Known::StorageOf(dtype)) = self.object(kind) else {
            return Err(Fault::Damaged("its pickle gives a storage no type".into()));
        };
        let key = self.owned_text(key)?;
        if key.len() > MAX_STORAGE_NAME {
            return Err(Fault::Damaged("its pickle gives a storage a name that no archive has".into()));
        }
        Ok(Storage { dtype, key, elements: self.unsigned(count)? })
    }

    /// What `callable(*arguments)` stands for.
    fn call(&self, callable: Id, arguments: Id) -> Result<Object<'p>, Fault> {
        let &Object::Known(known) = self.object(callable) else {
            return Err(Fault::Damaged("its pickle calls something that is no function".into()));
        };
        let arguments = self.tuple(arguments)?;
        Ok(match (known, arguments) {
            (Known::Dict, []) => Object::Dict(Vec::new()),
            (Known::PlainValue, _) => Object::Plain,
            (Known::Size, &[size]) => match self.object(size) {
                Object::Tuple(items) if items.len() <= MAX_DIMENSIONS => Object::Tuple(items.clone()),
                _ => return Err(Fault::Damaged("its pickle gives a torch.Size no plausible numbers".into())),
            },
            (Known::Tensor, &[storage, offset, size, strides, ..]) => {
                self.tensor(storage, offset, size, strides, None)?
            }
            (Known::TypedTensor, &[storage, offset, size, strides, _requires_grad, _hooks, dtype, ..]) => {
                let &Object::Known(Known::Type(dtype)) = self.object(dtype) else {
                    return Err(Fault::Damaged("its pickle gives a tensor no type".into()));
                };
                self.tensor(storage, offset, size, strides, Some(dtype))?
            }
            (Known::Parameter, &[data, ..]) => match self.object(data) {
                Object::Tensor(tensor) => Object::Tensor(tensor.clone()),
                _ => return Err(Fault::Damaged("its pickle makes a parameter of something that is no tensor".into())),
            },
            _ => return Err(Fault::Damaged("its pickle calls a function with arguments that do not suit it".into())),
        })
    }

    fn tensor(
        &self,
        storage: Id,
        offset: Id,
        size: Id,
        strides: Id,
        dtype: Option<Dtype>,
    ) -> Result<Object<'p>, Fault> {
        let Object::Storage(storage) = self.object(storage) else {
            return Err(Fault::Damaged("its pickle makes a tensor of something that is no storage".into()));
        };
        let (dtype, elements) = match (storage.dtype, dtype) {
            (Some(dtype), None) => (dtype, storage.elements),
            (None, Some(dtype)) => (dtype, storage.elements / dtype.bytes().unwrap_or(1)),
            _ => {
                return Err(Fault::Damaged(format!(
                    "storage {} and its tensor disagree about their type",
                    shown(&storage.key)
                )));
            }
        };
        let (offset, sizes, strides) =
            (self.unsigned(offset)?, self.unsigned_list(size)?, self.unsigned_list(strides)?);
        if sizes.len() != strides.len() {
            return Err(Fault::Damaged(format!("a tensor has {} sizes and {} strides", sizes.len(), strides.len())));
        }
        let impossible = || {
            Fault::Damaged(format!(
                "a tensor of shape {sizes:?}, strides {strides:?} and offset {offset} does not lie within the {elements} numbers of storage {}",
                shown(&storage.key)
            ))
        };
        // also the product of the sizes must be a number that memory could hold
        let count = sizes.iter().try_fold(1u64, |n, &s| n.checked_mul(s)).ok_or_else(impossible)?;
        if isize::try_from(count.saturating_mul(8)).is_err() {
            return Err(impossible());
        }
        if count > 0 {
            let last = sizes
                .iter()
                .zip(&strides)
                .try_fold(offset, |at, (&size, &stride)| at.checked_add((size - 1).checked_mul(stride)?))
                .ok_or_else(impossible)?;
            if last >= elements {
                return Err(impossible());
            }
        }
        let shape =
            sizes.iter().map(|&s| usize::try_from(s)).collect::<Result<Vec<_>, _>>().map_err(|_| impossible())?;
        Ok(Object::Tensor(Box::new(PickledTensor {
            dtype,
            storage: storage.key.clone(),
            elements,
            offset,
            shape,
            strides,
        })))
    }

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

fn pairs(items: &[Id]) -> Result<Vec<(Id, Id)>, Fault> {
    let (pairs, rest) = items.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(Fault::Damaged("its pickle has a key without a value".into()));
    }
    Ok(pairs.iter().map(|&[key, value]| (key, value)).collect())
}

fn underflow() -> Fault {
    Fault::Damaged("its pickle takes more from the stack than it put there".into())
}

fn too_much() -> Fault {
    Fault::Damaged(format!("its pickle builds more than {MAX_OBJECTS} objects"))
}
