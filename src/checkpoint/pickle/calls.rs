//! What the allowed classes and functions stand for.

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;
use crate::checkpoint::tensor::Dtype;

use super::object::{Id, Known, Made, Object, PickledTensor, Storage};
use super::stack::Machine;

/// Most dimensions of a tensor, in PyTorch too.
const MAX_DIMENSIONS: usize = 64;
/// Longest name of a storage, in bytes; torch.save counts them: `0`, `1`, ...
const MAX_STORAGE_NAME: usize = 64;

/// A tensor without its dimensions takes as much memory as so many items of a list.
const TENSOR_ITEMS: usize = 32;

/// How PyTorch marks a tensor whose numbers are not what its storage holds.
#[derive(Default)]
struct Marks {
    negative: bool,
    conjugate: bool,
    other: Option<String>,
}

impl<'p> Machine<'p> {
    /// Puts what a persistent id stands for on the stack: `("storage", type, key, location, count)`, with a view behind
    /// it in files of old; `("module", class, file, source)` is that class.
    pub(super) fn persistent(&mut self, id: Id) -> Result<(), Fault> {
        let outside = || Fault::Damaged("its pickle refers to something outside that is no storage".into());
        let &[tag, ref rest @ ..] = self.tuple(id)? else { return Err(outside()) };
        let is = |word: &str| matches!(self.object(tag), Object::Text(tag) if tag == word);
        if is("module")
            && let &[class, ..] = rest
        {
            return self.push_id(class);
        }
        if !is("storage") {
            return Err(outside());
        }
        let storage = self.storage(rest)?;
        self.push(Object::Storage(storage))
    }

    fn storage(&self, id: &[Id]) -> Result<Storage, Fault> {
        let &[kind, key, _location, count, ref view @ ..] = id else {
            return Err(Fault::Damaged("its pickle describes a storage in too few words".into()));
        };
        let &Object::Known(Known::StorageOf(dtype)) = self.object(kind) else {
            return Err(Fault::Damaged("its pickle gives a storage no type".into()));
        };
        if let Object::Text(key) = self.object(key)
            && key.len() > MAX_STORAGE_NAME
        {
            return Err(Fault::Damaged("its pickle gives a storage a name that no archive has".into()));
        }
        let (key, elements) = (self.owned_text(key)?, self.unsigned(count)?);
        let view = match view {
            &[view, ..] if !matches!(self.object(view), Object::None) => {
                let &[_key, offset, size] = self.tuple(view)? else {
                    return Err(Fault::Damaged("its pickle describes a part of a storage in too few words".into()));
                };
                (self.unsigned(offset)?, self.unsigned(size)?)
            }
            _ => (0, elements),
        };
        if view.0.checked_add(view.1).is_none_or(|end| end > elements) {
            return Err(Fault::Damaged(format!("a part of storage {} does not lie within it", shown(&key))));
        }
        Ok(Storage { dtype, key, elements, view })
    }

    /// What `callable(*arguments)` stands for.
    pub(super) fn call(&mut self, callable: Id, arguments: Id) -> Result<Object<'p>, Fault> {
        if let &Object::Foreign(class) = self.object(callable) {
            return Ok(Object::Made(Made { class, arguments: Some(arguments), items: Vec::new(), state: None }));
        }
        let arguments = self.tuple(arguments)?.to_vec();
        self.copy(arguments.len())?;
        self.call_with(callable, &arguments)
    }

    /// The same with arguments that are no object.
    pub(super) fn call_with(&mut self, callable: Id, arguments: &[Id]) -> Result<Object<'p>, Fault> {
        let known = match *self.object(callable) {
            Object::Known(known) => known,
            Object::Foreign(class) => return Ok(Self::made(class)),
            // a method of an object that was not made, or what a function that is not run would have given
            Object::Made(Made { class, .. }) => return Ok(Self::made(class)),
            _ => return Err(Fault::Damaged("its pickle calls something that is no function".into())),
        };
        let object = match (known, arguments) {
            (Known::Dict, []) | (Known::DictOf, _) => Object::Dict(Vec::new()),
            // Python 2 hands over a list of pairs
            (Known::Dict, &[list]) => Object::Dict(self.pairs_in(list)?),
            (Known::Set, []) => Object::List(Vec::new()),
            (Known::Set, &[list]) => Object::SetOf(list),
            (Known::PlainValue, _) => Object::Plain,
            (Known::Reconstruct, &[class, ref rest @ ..]) => match *self.object(class) {
                Object::Foreign(class) => {
                    // of a dictionary's kind: with what is in it
                    let items = match rest.get(1).map(|&state| self.object(state)) {
                        Some(Object::Dict(pairs)) => pairs.clone(),
                        _ => Vec::new(),
                    };
                    self.copy(items.len())?;
                    Object::Made(Made { class, arguments: None, items, state: None })
                }
                _ => Object::Plain,
            },
            (Known::FromType, &[function, _type, inner, ..]) => match *self.object(function) {
                // not through itself: that would be a recursion as deep as the file says
                Object::Known(Known::Tensor | Known::TypedTensor | Known::Parameter) => {
                    let inner = self.tuple(inner)?.to_vec();
                    self.copy(inner.len())?;
                    self.call_with(function, &inner)?
                }
                Object::Foreign(class) => Self::made(class),
                _ => return Err(Fault::Damaged("its pickle makes a tensor by something that makes none".into())),
            },
            (Known::Size, &[size]) => match self.object(size) {
                Object::Tuple(items) if items.len() <= MAX_DIMENSIONS => Object::Tuple(items.clone()),
                _ => return Err(Fault::Damaged("its pickle gives a torch.Size no plausible numbers".into())),
            },
            (Known::Tensor, &[storage, offset, size, strides, ref rest @ ..]) => {
                let marks = self.marks_of(rest.get(2).copied())?;
                self.tensor(storage, offset, size, strides, None, marks)?
            }
            (Known::TypedTensor, &[storage, offset, size, strides, _requires_grad, _hooks, dtype, ref rest @ ..]) => {
                match *self.object(dtype) {
                    Object::Known(Known::Type(dtype)) => {
                        let marks = self.marks_of(rest.first().copied())?;
                        self.tensor(storage, offset, size, strides, Some(dtype), marks)?
                    }
                    // numbers of a type that is not known, which may lie beside the weights
                    Object::Foreign(class) => Self::made(class),
                    _ => return Err(Fault::Damaged("its pickle gives a tensor no type".into())),
                }
            }
            (Known::Parameter, &[data, ..]) => match self.object(data) {
                Object::Tensor(tensor) => Object::Tensor(tensor.clone()),
                &Object::Made(Made { class, .. }) => Self::made(class),
                _ => return Err(Fault::Damaged("its pickle makes a parameter of something that is no tensor".into())),
            },
            _ => return Err(Fault::Damaged("its pickle calls a function with arguments that do not suit it".into())),
        };
        match &object {
            Object::Tensor(tensor) => self.copy(2 * tensor.shape.len() + TENSOR_ITEMS)?,
            Object::Tuple(items) => self.copy(items.len())?,
            _ => {}
        }
        Ok(object)
    }

    /// Keys and values in a list of pairs.
    fn pairs_in(&mut self, list: Id) -> Result<Vec<(Id, Id)>, Fault> {
        let items = match self.object(list) {
            Object::List(items) | Object::Tuple(items) => items,
            Object::Dict(pairs) => {
                let pairs = pairs.clone();
                self.copy(pairs.len())?;
                return Ok(pairs);
            }
            _ => return Err(Fault::Damaged("its pickle makes a dictionary of something that is no pairs".into())),
        };
        let pair = |&item: &Id| match self.object(item) {
            Object::List(pair) | Object::Tuple(pair) if pair.len() == 2 => Ok((pair[0], pair[1])),
            _ => Err(Fault::Damaged("its pickle has a key without a value".into())),
        };
        let pairs = items.iter().map(pair).collect::<Result<Vec<_>, _>>()?;
        self.copy(pairs.len())?;
        Ok(pairs)
    }

    /// What PyTorch marks a tensor with: a dictionary of truth values.
    fn marks_of(&self, metadata: Option<Id>) -> Result<Marks, Fault> {
        let mut marks = Marks::default();
        let Some(metadata) = metadata else { return Ok(marks) };
        let pairs = match self.object(metadata) {
            Object::None => return Ok(marks),
            Object::Dict(pairs) => pairs,
            _ => return Err(Fault::Damaged("its pickle marks a tensor by something that is no dictionary".into())),
        };
        for &(key, value) in pairs {
            let set = match *self.object(value) {
                Object::Bool(set) => set,
                Object::Int(number) => number != 0,
                _ => {
                    return Err(Fault::Damaged(
                        "its pickle marks a tensor by something that is not true or false".into(),
                    ));
                }
            };
            match self.object(key) {
                Object::Text(mark) if mark == "neg" => marks.negative = set,
                Object::Text(mark) if mark == "conj" => marks.conjugate = set,
                _ if !set => {}
                Object::Text(mark) => marks.other = Some(shown(mark)),
                _ => return Err(Fault::Damaged("its pickle marks a tensor by something that has no name".into())),
            }
        }
        Ok(marks)
    }

    fn tensor(
        &self,
        storage: Id,
        offset: Id,
        size: Id,
        strides: Id,
        dtype: Option<Dtype>,
        marks: Marks,
    ) -> Result<Object<'p>, Fault> {
        let Object::Storage(storage) = self.object(storage) else {
            return Err(Fault::Damaged("its pickle makes a tensor of something that is no storage".into()));
        };
        let (first, within) = storage.view;
        let (dtype, elements, within) = match (storage.dtype, dtype) {
            (Some(dtype), None) => (dtype, storage.elements, within),
            (None, Some(dtype)) => {
                let width = dtype.bytes().unwrap_or(1);
                (dtype, storage.elements / width, within / width)
            }
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
                "a tensor of shape {sizes:?}, strides {strides:?} and offset {offset} does not lie within the {within} \
                 numbers of storage {}",
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
            if last >= within {
                return Err(impossible());
            }
        }
        // a mark that nobody knows here may change every number: such a tensor has a type that is not read
        let dtype = match (marks.other, marks.conjugate, dtype) {
            (Some(_), ..) => Dtype::Other("marked in a way that is not known here"),
            (None, true, Dtype::Other(_)) | (None, false, _) => dtype,
            (None, true, _) => return Err(Fault::Damaged("its pickle conjugates a tensor that is not complex".into())),
        };
        let offset = offset.checked_add(first).ok_or_else(impossible)?;
        let shape =
            sizes.iter().map(|&s| usize::try_from(s)).collect::<Result<Vec<_>, _>>().map_err(|_| impossible())?;
        Ok(Object::Tensor(Box::new(PickledTensor {
            dtype,
            storage: storage.key.clone(),
            elements,
            offset,
            shape,
            strides,
            negative: marks.negative,
        })))
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
}
