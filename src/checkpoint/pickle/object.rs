//! The plain data that a pickle is made into.

use std::borrow::Cow;

use crate::checkpoint::tensor::Dtype;

/// A tensor as the pickle describes it: a strided view of a storage that lies elsewhere in the file.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::checkpoint) struct PickledTensor {
    pub dtype: Dtype,
    /// Name of the storage: in an archive the entry `data/<storage>`.
    pub storage: String,
    /// How many numbers the storage must hold.
    pub elements: u64,
    /// First number of the view.
    pub offset: u64,
    pub shape: Vec<usize>,
    /// Distance between neighbours along each dimension, in numbers.
    pub strides: Vec<u64>,
    /// Whether each number stands for its negative (PyTorch's lazy negation).
    pub negative: bool,
}

/// Number of an object in [`Machine`](super::stack::Machine).
pub(super) type Id = u32;

/// What an instruction puts on the stack.
pub(super) enum Object<'p> {
    None,
    Bool(bool),
    Int(i64),
    Text(Cow<'p, str>),
    /// Data that nobody asks for here: a float, bytes, a device.
    Plain,
    List(Vec<Id>),
    Tuple(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A set of the things in a list.
    SetOf(Id),
    Known(Known),
    /// A class or function that is not run, by its number in [`Machine::foreign`](super::stack::Machine::foreign).
    Foreign(u32),
    /// What a foreign class or function would have made.
    Made(Made),
    Storage(Storage),
    Tensor(Box<PickledTensor>),
}

/// What a class or function that is not run would have made: what it was given can be looked at, and no more.
pub(super) struct Made {
    /// The class or function.
    pub(super) class: u32,
    /// What it was called with, if that stood in one object.
    pub(super) arguments: Option<Id>,
    /// What was set as in a dictionary.
    pub(super) items: Vec<(Id, Id)>,
    /// Its attributes, if they were set.
    pub(super) state: Option<Id>,
}

/// An array of numbers that lies elsewhere in the file.
#[derive(Clone)]
pub(super) struct Storage {
    /// `None` for bytes without a type.
    pub(super) dtype: Option<Dtype>,
    pub(super) key: String,
    /// Numbers, or bytes where there is no type.
    pub(super) elements: u64,
    /// The part of it that is meant: first number and how many. Files of PyTorch before 0.4 have such views.
    pub(super) view: (u64, u64),
}

/// What the names of the allow-list stand for.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Known {
    Dict,
    /// A dictionary made of something else, as `defaultdict(list)`.
    DictOf,
    Set,
    PlainValue,
    /// `copyreg._reconstructor`: an object of the class that is its first argument.
    Reconstruct,
    Size,
    StorageOf(Option<Dtype>),
    Type(Dtype),
    /// `torch._utils._rebuild_tensor` and `_v2`, which begin with the same four arguments.
    Tensor,
    /// `torch._utils._rebuild_tensor_v3`: the type stands apart, the storage is bytes.
    TypedTensor,
    /// `torch._tensor._rebuild_from_type_v2`: a tensor with attributes, made by the function that is its first
    /// argument.
    FromType,
    Parameter,
}
