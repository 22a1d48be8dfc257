//! The plain data that a pickle is made into.

use std::borrow::Cow;

use crate::checkpoint::tensor::Dtype;

/// A tensor as the pickle describes it: a strided view of a storage that lies elsewhere in the archive.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::checkpoint) struct PickledTensor {
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

/// Number of an object in [`Machine`](super::stack::Machine).
pub(super) type Id = u32;

/// What an instruction puts on the stack.
pub(super) enum Object<'p> {
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

/// An array of numbers that lies elsewhere in the archive.
#[derive(Clone)]
pub(super) struct Storage {
    /// `None` for bytes without a type.
    pub(super) dtype: Option<Dtype>,
    pub(super) key: String,
    /// Numbers, or bytes where there is no type.
    pub(super) elements: u64,
}

/// What the names of the allow-list stand for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Known {
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
