//! The archive that `torch.save` writes since PyTorch 1.6: a zip file with one pickle and one entry per storage.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use zip::read::{ArchiveOffset, Config};
use zip::{CompressionMethod, ZipArchive};

use super::contents::{Contents, Storages, short_storage};
use crate::checkpoint::bytes::FileBytes;
use crate::checkpoint::error::Fault;
use crate::checkpoint::pickle::found::state_dict;
use crate::checkpoint::pickle::input::MAX_PICKLE;
use crate::checkpoint::python::FILE;
use crate::checkpoint::shown::shown;
use crate::checkpoint::tensor::{Location, Tensor};

/// Largest compressed storage that is unpacked, in bytes. The largest weight of Large has 21 MB.
const MAX_UNPACKED: u64 = 1 << 30;
/// Bytes unpacked from one file, storages asked for again included: more than any model that was packed on purpose.
const MAX_UNPACKED_IN_ALL: u64 = 8 << 30;
/// Deflate makes nothing smaller than by this factor; whoever claims more is lying about a size.
const MAX_RATIO: u64 = 1032;

/// The opened archive: what is needed to read a storage later.
pub(in crate::checkpoint) struct Archive {
    zip: ZipArchive<Cursor<FileBytes>>,
    storages: Vec<Stored>,
    /// Bytes unpacked so far.
    unpacked: AtomicU64,
}

/// One storage: where its bytes lie.
struct Stored {
    name: String,
    index: usize,
    size: u64,
    /// Where the bytes lie in the file, unless they are compressed.
    plain: Option<Range<usize>>,
    /// Whether the checksum is still to be compared. An archive written without (`set_crc32_options(False)`) says 0.
    unchecked: AtomicBool,
}

pub(in crate::checkpoint) fn open(bytes: FileBytes) -> Result<Contents, Fault> {
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
             torch.save(torch.load({FILE}, weights_only=False), \"weights.pth\")"
        )));
    }
    let pickle_index = zip
        .index_for_name(&format!("{root}data.pkl"))
        .ok_or_else(|| Fault::Damaged("the archive lost its data.pkl".into()))?;
    let pickle = read_entry(&mut zip, pickle_index, MAX_PICKLE)?;
    let found = state_dict(&pickle)?;

    let mut archive = Archive { zip, storages: Vec::new(), unpacked: AtomicU64::new(0) };
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
            && tensor.elements.checked_mul(width).is_none_or(|needed| needed > archive.storages[storage].size)
        {
            let bytes = archive.storages[storage].size;
            return Err(short_storage(&name, &tensor.storage, tensor.elements, width, bytes));
        }
        let location =
            Location::Strided { storage, offset: tensor.offset, strides: tensor.strides, negative: tensor.negative };
        tensors.insert(name, Tensor { dtype: tensor.dtype, shape: tensor.shape, location, part: 0 });
    }
    Ok(Contents { storages: Storages::Archive(archive), section: found.section, tensors, beside: found.beside })
}

/// The folder inside of the archive that everything lies in, with its slash; it may be empty.
fn root(zip: &ZipArchive<Cursor<FileBytes>>) -> Result<String, Fault> {
    let mut names = zip.file_names_raw().filter_map(|name| std::str::from_utf8(name).ok());
    let root = names
        .find_map(|name| {
            let root = name.strip_suffix("data.pkl")?;
            (root.is_empty() || root.find('/') == Some(root.len() - 1)).then(|| root.to_owned())
        })
        .ok_or_else(|| Fault::NotWeights("a zip archive that torch.save did not write (it has no data.pkl)".into()))?;
    if zip.index_for_name(&format!("{root}constants.pkl")).is_some() {
        return Err(Fault::Unsupported(format!(
            "a TorchScript archive, which holds code; save its weights in Python: \
             torch.save(torch.jit.load({FILE}).state_dict(), \"weights.pth\")"
        )));
    }
    Ok(root)
}

fn bad_entry(error: zip::result::ZipError) -> Fault {
    Fault::Damaged(format!("an entry of the archive cannot be read: {}", shown(&error.to_string())))
}

/// Unpacks an entry whose size is at most `limit`; the zip crate compares size and checksum with what it declares.
fn read_entry(zip: &mut ZipArchive<Cursor<FileBytes>>, index: usize, limit: u64) -> Result<Vec<u8>, Fault> {
    let (size, unchecked) = {
        let entry = zip.by_index_raw(index).map_err(bad_entry)?;
        let (size, compressed) = (entry.size(), entry.compressed_size());
        let name = entry.name().map(|name| shown(&name)).unwrap_or_default();
        if size > limit {
            return Err(Fault::Damaged(format!("its entry {name} claims {size} bytes; at most {limit} are read")));
        }
        if size > compressed.saturating_mul(MAX_RATIO).saturating_add(MAX_RATIO) {
            return Err(Fault::Damaged(format!("its entry {name} claims to unpack {compressed} bytes into {size}")));
        }
        (size, entry.crc32() == 0 && entry.compression() == CompressionMethod::Stored)
    };
    let mut unpacked = Vec::new();
    if unchecked {
        zip.by_index_raw(index).map_err(bad_entry)?.take(size).read_to_end(&mut unpacked)
    } else {
        zip.by_index(index).map_err(bad_entry)?.take(size + 1).read_to_end(&mut unpacked)
    }
    .map_err(|error| bad_entry(error.into()))?;
    if unpacked.len() as u64 != size {
        return Err(Fault::Damaged(format!("an entry of the archive has {} bytes and claims {size}", unpacked.len())));
    }
    Ok(unpacked)
}

impl Archive {
    fn add(&mut self, root: &str, key: &str, file_length: u64) -> Result<usize, Fault> {
        let name = format!("{root}data/{key}");
        let index = self
            .zip
            .index_for_name(&name)
            .ok_or_else(|| Fault::Damaged(format!("the archive lost its entry {}", shown(&name))))?;

        let entry = self.zip.by_index_raw(index).map_err(bad_entry)?;
        let size = entry.size();
        let plain = match entry.compression() {
            CompressionMethod::Stored => {
                let range = entry.data_start().and_then(|start| {
                    let end = start.checked_add(size)?;
                    (size == entry.compressed_size() && end <= file_length)
                        .then_some(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
                });
                Some(range.ok_or_else(|| {
                    Fault::Damaged(format!("its entry {} does not lie within the file", shown(&name)))
                })?)
            }
            CompressionMethod::Deflated => None,
            other => {
                return Err(Fault::Unsupported(format!(
                    "its entry {} is compressed by {other}; pack the archive again without compression",
                    shown(&name)
                )));
            }
        };
        let unchecked = AtomicBool::new(entry.crc32() != 0);
        drop(entry);
        self.storages.push(Stored { name, index, size, plain, unchecked });
        Ok(self.storages.len() - 1)
    }

    /// The bytes of a storage: mapped, or unpacked. The checksum is compared when they are first asked for.
    pub(super) fn bytes<'f>(&self, file: &'f [u8], storage: usize) -> Result<Cow<'f, [u8]>, Fault> {
        let stored = &self.storages[storage];
        let Some(plain) = stored.plain.clone() else {
            let before = self.unpacked.fetch_add(stored.size, Ordering::Relaxed);
            if before.saturating_add(stored.size) > MAX_UNPACKED_IN_ALL {
                let name = shown(&stored.name);
                let limit = MAX_UNPACKED_IN_ALL >> 30;
                return Err(Fault::Damaged(format!(
                    "its tensors, the last of them in {name}, unpack to more than {limit} GiB; \
                     save it in Python with torch.save, which packs nothing"
                )));
            }
            return Ok(Cow::Owned(read_entry(&mut self.zip.clone(), stored.index, MAX_UNPACKED)?));
        };
        if stored.unchecked.load(Ordering::Relaxed) {
            let mut zip = self.zip.clone();
            let mut entry = zip.by_index(stored.index).map_err(bad_entry)?;
            std::io::copy(&mut entry, &mut std::io::sink())
                .map_err(|error| Fault::Damaged(format!("its entry {}: {error}", shown(&stored.name))))?;
            stored.unchecked.store(false, Ordering::Relaxed);
        }
        Ok(Cow::Borrowed(&file[plain]))
    }
}
