//! What stands where weights do, and is no tensor of plain numbers.

use std::fmt;

use super::object::{Id, Made, Object};
use super::stack::Machine;

/// What stands in the place of a tensor.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::checkpoint) enum Unread {
    /// `torch.quantize_per_tensor` and the like made it.
    Quantised,
    /// Only its numbers that are not 0 are kept.
    Sparse,
    /// Of NumPy.
    Array,
    /// Of Python.
    List,
    /// Of a class that is not run, by its name.
    Class(String),
    /// Other data.
    Data,
}

impl Unread {
    /// What makes a plain tensor of such a `v` in Python; of one that is plain too.
    pub(in crate::checkpoint) fn as_tensor(&self) -> Option<&'static str> {
        match self {
            Unread::Quantised => Some("v.dequantize()"),
            Unread::Sparse => Some("v.to_dense()"),
            Unread::Array | Unread::List => Some("torch.as_tensor(v)"),
            Unread::Class(_) | Unread::Data => None,
        }
    }
}

impl fmt::Display for Unread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Unread::Quantised => f.write_str("a quantised tensor"),
            Unread::Sparse => f.write_str("a sparse tensor"),
            Unread::Array => f.write_str("an array of NumPy"),
            Unread::List => f.write_str("a list"),
            Unread::Class(name) => f.write_str(name),
            Unread::Data => f.write_str("no tensor"),
        }
    }
}

impl Machine<'_> {
    /// What a value among weights is that is no tensor; `None` for what may stand there, a number or nothing.
    pub(super) fn unread(&self, value: Id) -> Option<Unread> {
        let class = match *self.object(value) {
            Object::List(_) => return Some(Unread::List),
            Object::Made(Made { class, .. }) | Object::Foreign(class) => self.foreign.get(class as usize)?,
            _ => return None,
        };
        Some(match class.as_str() {
            "torch._utils._rebuild_qtensor" => Unread::Quantised,
            "torch._utils._rebuild_sparse_tensor" => Unread::Sparse,
            // NumPy 2 and 1
            "numpy._core.multiarray._reconstruct" | "numpy.core.multiarray._reconstruct" => Unread::Array,
            _ => Unread::Class(class.clone()),
        })
    }
}
