//! What the allowed classes and functions stand for.

use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;
use crate::checkpoint::tensor::Dtype;

use super::object::{Id, Known, Object, PickledTensor, Storage};
use super::stack::Machine;

/// Most dimensions of a tensor; PyTorch allows 64, weights have 4.
const MAX_DIMENSIONS: usize = 16;
/// Longest name of a storage, in bytes; torch.save counts them: `0`, `1`, ...
const MAX_STORAGE_NAME: usize = 64;

impl<'p> Machine<'p> {
    /// The storage that a persistent id names: `("storage", type, key, location, count)`.
    pub(super) fn storage(&self, id: Id) -> Result<Storage, Fault> {
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
    pub(super) fn call(&self, callable: Id, arguments: Id) -> Result<Object<'p>, Fault> {
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
