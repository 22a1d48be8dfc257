//! The bytes of a weight file: mapped, or in memory.

use std::fs::File;
use std::sync::Arc;

use memmap2::Mmap;

/// The file's bytes, mapped or owned.
enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

/// A handle to the file's bytes that readers can keep.
#[derive(Clone)]
pub(super) struct FileBytes(Arc<Bytes>);

impl FileBytes {
    /// The bytes of `file`, mapped, not read.
    pub(super) fn mapped(file: &File) -> std::io::Result<Self> {
        Ok(Self(Arc::new(Bytes::Mapped(map_weight_file(file)?))))
    }

    /// Bytes that are in memory already.
    pub(super) fn owned(bytes: Vec<u8>) -> Self {
        Self(Arc::new(Bytes::Owned(bytes)))
    }

    /// Gives the memory back that these of a mapped file's bytes take, as they were read and are not needed again soon. They can be
    /// read all the same. Bytes that are not of this file are left alone.
    pub(super) fn let_go(&self, read: &[u8]) {
        let Bytes::Mapped(map) = &*self.0 else { return };
        let of = |bytes: &[u8]| bytes.as_ptr().addr();
        if let Some(from) = of(read).checked_sub(of(map))
            && from + read.len() <= map.len()
        {
            release(map, from, read.len());
        }
    }
}

impl AsRef<[u8]> for FileBytes {
    fn as_ref(&self) -> &[u8] {
        match &*self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// Maps a weight file, read-only: the one place of the crate that does so.
fn map_weight_file(file: &File) -> std::io::Result<Mmap> {
    // SAFETY: a map is sound as long as the file's bytes do not change under it. This process never writes to a weight
    // file in place: `Writer` writes a new file and renames it over the old one, whose bytes the map keeps. That no
    // other process changes the file in place is asked of the caller, in the documentation of `WeightFile::open`; a
    // file system offers no lock that would enforce it. Nothing beyond the values themselves rests on the bytes staying
    // equal: they are only read as `u8`, and every offset is bounds-checked against the map's fixed length when used.
    unsafe { Mmap::map(file) }
}

/// Takes stretches of the map out of this process's memory; that it fails costs memory only.
#[cfg(unix)]
fn release(map: &Mmap, from: usize, length: usize) {
    // SAFETY: the map is of a file, shared and read-only (`Mmap::map`), so `MADV_DONTNEED` changes no byte of it: pages that are
    // touched again come from the file, as they did the first time, under the promise that `map_weight_file` rests on.
    let _ = unsafe { map.unchecked_advise_range(memmap2::UncheckedAdvice::DontNeed, from, length) };
}

#[cfg(not(unix))]
fn release(_: &Mmap, _: usize, _: usize) {}
