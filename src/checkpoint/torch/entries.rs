//! The entries of an archive of `torch.save`: bytes in the file, or compressed.

use std::borrow::Cow;
use std::io::{Cursor, Read};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use zip::{CompressionMethod, ZipArchive};

use crate::checkpoint::bytes::FileBytes;
use crate::checkpoint::error::Fault;
use crate::checkpoint::shown::shown;

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

pub(super) fn bad_entry(error: zip::result::ZipError) -> Fault {
    Fault::Damaged(format!("an entry of the archive cannot be read: {}", shown(&error.to_string())))
}

/// Unpacks an entry whose size is at most `limit`, or what it takes in the file; the zip crate compares size and checksum
/// with what it declares.
pub(super) fn read_entry(zip: &mut ZipArchive<Cursor<FileBytes>>, index: usize, limit: u64) -> Result<Vec<u8>, Fault> {
    let (size, unchecked) = {
        let entry = zip.by_index_raw(index).map_err(bad_entry)?;
        let (size, compressed) = (entry.size(), entry.compressed_size());
        let name = entry.name().map(|name| shown(&name)).unwrap_or_default();
        if size > limit.max(compressed) {
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
    /// Before any storage is added.
    pub(super) fn new(zip: ZipArchive<Cursor<FileBytes>>) -> Self {
        Self { zip, storages: Vec::new(), unpacked: AtomicU64::new(0) }
    }

    /// Bytes of a storage that was added.
    pub(super) fn size(&self, storage: usize) -> u64 {
        self.storages[storage].size
    }

    /// Finds the entry of a storage, and gives it a number.
    pub(super) fn add(&mut self, root: &str, key: &str, file_length: u64) -> Result<usize, Fault> {
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
