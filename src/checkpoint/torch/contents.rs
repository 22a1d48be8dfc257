//! What a file of `torch.save` holds, and where its storages lie.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::entries::Archive;
use crate::checkpoint::error::Fault;
use crate::checkpoint::pickle::found::Beside;
use crate::checkpoint::shown::shown;
use crate::checkpoint::tensor::Tensor;

/// A file's tensors by name, and where in its pickle they lie.
pub(in crate::checkpoint) struct Contents {
    pub storages: Storages,
    pub section: Vec<String>,
    pub tensors: BTreeMap<String, Tensor>,
    pub beside: Beside,
}

/// Where the arrays lie that tensors are views of.
pub(in crate::checkpoint) enum Storages {
    /// The file has none: its tensors lie in its bytes.
    None,
    /// Entries of a zip archive.
    Archive(Archive),
    /// Stretches of the file.
    Stretches(Vec<Range<usize>>),
}

impl Storages {
    /// The bytes of a storage; `None` where there is none of that number, or it leaves the file.
    pub(in crate::checkpoint) fn bytes<'f>(
        &self,
        file: &'f [u8],
        storage: usize,
    ) -> Result<Option<Cow<'f, [u8]>>, Fault> {
        Ok(match self {
            Storages::None => None,
            Storages::Archive(archive) => Some(archive.bytes(file, storage)?),
            Storages::Stretches(all) => {
                all.get(storage).and_then(|stretch| file.get(stretch.clone())).map(Cow::Borrowed)
            }
        })
    }
}

/// A tensor whose storage has fewer bytes than its pickle says.
pub(super) fn short_storage(name: &str, storage: &str, numbers: u64, width: u64, bytes: u64) -> Fault {
    Fault::Damaged(format!(
        "{}: its storage {} must hold {numbers} numbers of {width} bytes, and has {bytes} bytes",
        shown(name),
        shown(storage)
    ))
}
