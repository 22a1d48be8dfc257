//! What `torch.save` wrote before PyTorch 1.6: five pickles one after another, then the storages.
//!
//! The pickles are a magic number, the number of the protocol, facts about the machine, what was saved, and the names
//! of the storages in the order in which they follow: each as a count of 8 bytes and its numbers.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::contents::{Contents, Storages, short_storage};
use crate::checkpoint::error::Fault;
use crate::checkpoint::pickle::chain::{Chain, Number, Saved};
use crate::checkpoint::python::UNSAFE;
use crate::checkpoint::shown::{FILE, shown};
use crate::checkpoint::tensor::{Dtype, Location, Tensor};

/// The protocol of all such files.
const PROTOCOL: i64 = 1001;

pub(in crate::checkpoint) fn open(bytes: &[u8], section: Option<&str>) -> Result<Contents, Fault> {
    let mut chain = Chain::new(bytes);
    // the magic number has been seen; it has more digits than are read here
    chain.number()?;
    match chain.number()? {
        Number::Small(PROTOCOL) => {}
        _ => return Err(Fault::Damaged(format!("its second pickle does not say protocol {PROTOCOL}"))),
    }
    if chain.little_endian()? == Some(false) {
        return Err(Fault::Unsupported("was written on a big-endian machine; load and save it again there".into()));
    }
    let Saved { found, storages } = chain.saved(section)?;
    let order = chain.names()?;
    let stretches = stretches(bytes, chain.position(), &order, &storages)?;

    let index: HashMap<&str, usize> = order.iter().enumerate().map(|(i, name)| (name.as_str(), i)).collect();
    let mut tensors = BTreeMap::new();
    for (name, tensor) in found.tensors {
        let &storage = index.get(tensor.storage.as_str()).ok_or_else(|| {
            Fault::Damaged(format!("{}: its storage {} is not there", shown(&name), shown(&tensor.storage)))
        })?;
        let bytes = stretches[storage].len() as u64;
        if let Some(width) = tensor.dtype.bytes()
            && tensor.elements.checked_mul(width).is_none_or(|needed| needed > bytes)
        {
            return Err(short_storage(&name, &tensor.storage, tensor.elements, width, bytes));
        }
        let location =
            Location::Strided { storage, offset: tensor.offset, strides: tensor.strides, negative: tensor.negative };
        let in_file = name.clone();
        tensors.insert(name, Tensor { dtype: tensor.dtype, shape: tensor.shape, location, part: 0, in_file });
    }
    Ok(Contents { storages: Storages::Stretches(stretches), section: found.section, tensors, beside: found.beside })
}

/// Where each storage lies; `types` says of which type and how many numbers each is.
fn stretches(
    bytes: &[u8],
    mut position: usize,
    order: &[String],
    types: &HashMap<String, (Option<Dtype>, u64)>,
) -> Result<Vec<Range<usize>>, Fault> {
    let mut stretches = Vec::new();
    for name in order {
        let &(dtype, count) = types.get(name).ok_or_else(|| {
            Fault::Damaged(format!("its storage {} is announced, and no tensor is in it", shown(name)))
        })?;
        let width = width(dtype).ok_or_else(|| {
            Fault::Unsupported(format!(
                "holds numbers in storage {} whose type is not known here, so that what follows is not found; \
                 in Python: torch.save(torch.load({FILE}, weights_only=True), \"weights.pth\"){UNSAFE}",
                shown(name)
            ))
        })?;
        let cut = || {
            Fault::Damaged(format!("its storage {} of {count} numbers goes beyond the end (truncated?)", shown(name)))
        };
        let told = bytes.get(position..).and_then(|rest| rest.first_chunk::<8>()).ok_or_else(cut)?;
        let told = u64::from_le_bytes(*told);
        if told != count {
            return Err(Fault::Damaged(format!("its storage {} has {told} numbers, {count} were said", shown(name))));
        }
        let start = position + 8;
        let length = told.checked_mul(width).and_then(|length| usize::try_from(length).ok()).ok_or_else(cut)?;
        let end = start.checked_add(length).filter(|&end| end <= bytes.len()).ok_or_else(cut)?;
        stretches.push(start..end);
        position = end;
    }
    Ok(stretches)
}

/// Bytes of a number, of complex and quantised ones too: what follows them must be found.
fn width(dtype: Option<Dtype>) -> Option<u64> {
    match dtype {
        None => Some(1),
        Some(Dtype::Other("qint8" | "quint8")) => Some(1),
        Some(Dtype::Other("qint32")) => Some(4),
        Some(Dtype::Other("complex64")) => Some(8),
        Some(Dtype::Other("complex128")) => Some(16),
        Some(dtype) => dtype.bytes(),
    }
}
