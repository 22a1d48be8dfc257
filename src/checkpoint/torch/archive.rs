//! The archive that `torch.save` writes since PyTorch 1.6: a zip file with one pickle and one entry per storage.

use std::collections::{BTreeMap, HashMap};
use std::io::Cursor;

use zip::ZipArchive;
use zip::read::{ArchiveOffset, Config};

use super::contents::{Contents, Storages, short_storage};
use super::entries::{Archive, bad_entry, read_entry};
use crate::checkpoint::bytes::FileBytes;
use crate::checkpoint::error::Fault;
use crate::checkpoint::pickle::search::state_dict;
use crate::checkpoint::python::UNSAFE;
use crate::checkpoint::shown::{FILE, shown};
use crate::checkpoint::tensor::{Location, Tensor};

/// Largest compressed pickle that is unpacked, in bytes. That of a Large SAM2-UNet checkpoint has 0.3 MB, with an optimiser's state 1 MB.
const MAX_PICKLE: u64 = 64 << 20;

pub(in crate::checkpoint) fn open(bytes: FileBytes, section: Option<&str>) -> Result<Contents, Fault> {
    let length = bytes.as_ref().len() as u64;
    // PyTorch's archives begin with the file. A search for their start is misled by some names of that length.
    let config = Config { archive_offset: ArchiveOffset::Known(0) };
    let mut zip = ZipArchive::with_config(config, Cursor::new(bytes))
        .map_err(|error| Fault::Damaged(format!("not a whole zip archive ({error}); truncated?")))?;
    if zip.has_duplicate_names() {
        return Err(Fault::Damaged("two entries of the archive have the same name".into()));
    }
    if zip.has_overlapping_files().map_err(bad_entry)? {
        return Err(Fault::Damaged("entries of the archive lie over each other".into()));
    }
    let root = root(&zip)?;
    if let Some(order) = zip.index_for_name(&format!("{root}byteorder"))
        && read_entry(&mut zip, order, 64)? == b"big"
    {
        return Err(Fault::Unsupported(format!(
            "was written on a big-endian machine; in Python: \
             torch.save(torch.load({FILE}, weights_only=True), \"weights.pth\"){UNSAFE}"
        )));
    }
    let pickle_index = zip
        .index_for_name(&format!("{root}data.pkl"))
        .ok_or_else(|| Fault::Damaged("the archive lost its data.pkl".into()))?;
    let pickle = read_entry(&mut zip, pickle_index, MAX_PICKLE)?;
    let found = state_dict(&pickle, section)?;

    let mut archive = Archive::new(zip);
    let mut known: HashMap<String, usize> = HashMap::new();
    let mut tensors = BTreeMap::new();
    for (name, tensor) in found.tensors {
        let storage = match known.get(&tensor.storage) {
            Some(&storage) => storage,
            None => {
                let storage = archive.add(&root, &tensor.storage, length)?;
                known.insert(tensor.storage.clone(), storage);
                storage
            }
        };
        // types whose numbers have no known size are never read
        if let Some(width) = tensor.dtype.bytes()
            && tensor.elements.checked_mul(width).is_none_or(|needed| needed > archive.size(storage))
        {
            let bytes = archive.size(storage);
            return Err(short_storage(&name, &tensor.storage, tensor.elements, width, bytes));
        }
        let location =
            Location::Strided { storage, offset: tensor.offset, strides: tensor.strides, negative: tensor.negative };
        let in_file = name.clone();
        tensors.insert(name, Tensor { dtype: tensor.dtype, shape: tensor.shape, location, part: 0, in_file });
    }
    Ok(Contents { storages: Storages::Archive(archive), section: found.section, tensors, beside: found.beside })
}

/// What a zip archive without `data.pkl` is.
fn not_of_torch(zip: &ZipArchive<Cursor<FileBytes>>) -> Fault {
    let name = |endings: &[&str]| {
        let mut names = zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok());
        names.find(|name| endings.iter().any(|ending| name.ends_with(ending))).map(shown)
    };
    if let Some(name) = name(&[".pth", ".pt", ".ckpt", ".bin", ".safetensors"]) {
        return Fault::Unsupported(format!("is a zip archive around {name}; unpack it (unzip), and give that file"));
    }
    if name(&[".npy"]).is_some() {
        return Fault::Unsupported(format!(
            "is an archive of NumPy arrays (.npz); in Python: import numpy, torch; d = numpy.load({FILE}); \
             torch.save({{k: torch.as_tensor(d[k]) for k in d}}, \"weights.pth\")"
        ));
    }
    Fault::NotWeights("a zip archive that torch.save did not write (it has no data.pkl)".into())
}

/// The folder inside of the archive that everything lies in, with its slash; it may be empty.
fn root(zip: &ZipArchive<Cursor<FileBytes>>) -> Result<String, Fault> {
    let names = zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok());
    let mut roots = names.filter_map(|name| {
        let root = name.strip_suffix("data.pkl")?;
        (root.is_empty() || root.find('/') == Some(root.len() - 1)).then(|| root.to_owned())
    });
    let root = roots.next().ok_or_else(|| not_of_torch(zip))?;
    if let Some(other) = roots.next() {
        let (root, other) = (shown(&root), shown(&other));
        return Err(Fault::Damaged(format!("the archive has two pickles, {root}data.pkl and {other}data.pkl")));
    }
    if zip.index_for_name(&format!("{root}constants.pkl")).is_some() {
        return Err(Fault::Unsupported(format!(
            "a TorchScript archive, which holds code; save its weights in Python: \
             torch.save(torch.jit.load({FILE}).state_dict(), \"weights.pth\")"
        )));
    }
    Ok(root)
}
