//! Writing `.safetensors` files: atomically, one array at a time, the same bytes for the same weights.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::ser::{Serialize, SerializeMap, Serializer};

use crate::nn::weights::spec::{Role, Value, WeightSpec};

use crate::checkpoint::error::CheckpointError;
use crate::files::folder::parent;
use crate::files::replace::Replacement;
use crate::files::temporary::sweep;

/// Writes one `.safetensors` file under a temporary name in the same folder; [`Writer::finish`] puts it in its place.
///
/// Names and shapes are announced first; then every array is put once, in any order, so that no second copy of a model
/// is ever held. In the file the counts come first (they need alignment to 8 bytes) and names follow bytewise, as
/// PyTorch's `safetensors` writes them. Dropped unfinished, it leaves nothing behind.
#[derive(Debug)]
pub struct Writer {
    path: PathBuf,
    file: Replacement<File>,
    slots: BTreeMap<String, Slot>,
    /// Where the next byte goes if nothing seeks.
    position: u64,
    buffer: Vec<u8>,
}

/// Where an array goes.
#[derive(Debug)]
struct Slot {
    count: bool,
    len: usize,
    start: u64,
    written: bool,
}

impl Writer {
    /// Begins the file `path` with the arrays of `specs`: counts (`i64`) for [`Role::Counter`], `f32` for every other role.
    ///
    /// # Errors
    /// The folder is missing or not writable, the disk is full, or `specs` names an array twice.
    pub fn create(
        path: &Path,
        specs: &[WeightSpec],
        metadata: &BTreeMap<String, String>,
    ) -> Result<Self, CheckpointError> {
        writable(path)?;
        let failed = |source| CheckpointError::Write { path: path.to_path_buf(), source };
        let (header, slots) = header(specs, metadata).map_err(|reason| inconsistent(path, reason))?;
        // what a killed process left
        sweep(parent(path));
        let mut file = Replacement::file(path).map_err(failed)?;
        file.write_all(&header).map_err(failed)?;
        let position = header.len() as u64;
        Ok(Writer { path: path.to_path_buf(), file, slots, position, buffer: Vec::new() })
    }

    /// Writes the real numbers of array `name`, row-major.
    ///
    /// # Errors
    /// The name or the number of values is not as announced, it was put before, or the disk is full.
    pub fn put(&mut self, name: &str, values: &[f32]) -> Result<(), CheckpointError> {
        const PIECE: usize = 1 << 16;
        let start = self.claim(name, false, values.len())?;
        self.seek(start)?;
        for piece in values.chunks(PIECE) {
            self.buffer.clear();
            self.buffer.extend(piece.iter().flat_map(|value| value.to_le_bytes()));
            self.write()?;
        }
        Ok(())
    }

    /// Writes the count `name`.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put_count(&mut self, name: &str, count: i64) -> Result<(), CheckpointError> {
        let start = self.claim(name, true, 1)?;
        self.seek(start)?;
        self.buffer.clear();
        self.buffer.extend(count.to_le_bytes());
        self.write()
    }

    /// Writes a value of either kind.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put_value(&mut self, name: &str, value: &Value) -> Result<(), CheckpointError> {
        match value {
            Value::Real(values) => self.put(name, values),
            Value::Count(count) => self.put_count(name, *count),
        }
    }

    /// Brings the bytes to the disk and renames the file to its name, over an older one. Only after this does anything
    /// exist under that name that did not before, and it is whole.
    ///
    /// # Errors
    /// An announced array was not put, or the disk is full.
    pub fn finish(self) -> Result<(), CheckpointError> {
        if let Some((name, _)) = self.slots.iter().find(|(_, slot)| !slot.written) {
            return Err(inconsistent(&self.path, format!("{name} was announced and not given")));
        }
        let Writer { path, file, .. } = self;
        file.commit().map_err(|source| CheckpointError::Write { path, source })
    }

    fn claim(&mut self, name: &str, count: bool, len: usize) -> Result<u64, CheckpointError> {
        let problem = match self.slots.get_mut(name) {
            None => "was not announced".to_owned(),
            Some(slot) if slot.count != count => "is a count where numbers were announced, or the reverse".to_owned(),
            Some(slot) if slot.len != len => format!("has {len} numbers, {} were announced", slot.len),
            Some(slot) if slot.written => "was given twice".to_owned(),
            Some(slot) => {
                slot.written = true;
                return Ok(slot.start);
            }
        };
        Err(inconsistent(&self.path, format!("{name} {problem}")))
    }

    fn seek(&mut self, start: u64) -> Result<(), CheckpointError> {
        if start != self.position {
            let sought = self.file.seek(SeekFrom::Start(start));
            self.position = sought.map_err(|source| CheckpointError::Write { path: self.path.clone(), source })?;
        }
        Ok(())
    }

    fn write(&mut self) -> Result<(), CheckpointError> {
        let written = self.file.write_all(&self.buffer);
        written.map_err(|source| CheckpointError::Write { path: self.path.clone(), source })?;
        self.position += self.buffer.len() as u64;
        Ok(())
    }
}

/// Writes a `.safetensors` file of the arrays `specs`, whose values `each_value` hands over in any order, each once.
///
/// Serves a model (`save(path, &specs, |put| model.each_value(put), &metadata)`) and any other set of `f32` arrays,
/// such as an optimiser's moments.
///
/// # Errors
/// As [`Writer`]'s functions; the file that was there before is then untouched.
pub fn save(
    path: &Path,
    specs: &[WeightSpec],
    each_value: impl FnOnce(&mut dyn FnMut(WeightSpec, Value)),
    metadata: &BTreeMap<String, String>,
) -> Result<(), CheckpointError> {
    let mut writer = Writer::create(path, specs, metadata)?;
    let mut result = Ok(());
    each_value(&mut |spec, value| {
        if result.is_ok() {
            result = writer.put_value(&spec.name, &value);
        }
    });
    result?;
    writer.finish()
}

/// Whether a file may come under that name: it is no folder, and lies in one.
pub(in crate::checkpoint) fn writable(path: &Path) -> Result<(), CheckpointError> {
    let failed = |source| Err(CheckpointError::Write { path: path.to_path_buf(), source });
    if path.is_dir() {
        return failed(io::Error::new(io::ErrorKind::IsADirectory, "it is a folder; name a file in it"));
    }
    let folder = parent(path);
    if !folder.is_dir() {
        let reason = format!("the folder {} does not exist", folder.display());
        return failed(io::Error::new(io::ErrorKind::NotFound, reason));
    }
    Ok(())
}

fn inconsistent(path: &Path, reason: String) -> CheckpointError {
    CheckpointError::Inconsistent { path: path.to_path_buf(), reason }
}

/// The file's first bytes (length and JSON), and where each array goes.
fn header(
    specs: &[WeightSpec],
    metadata: &BTreeMap<String, String>,
) -> Result<(Vec<u8>, BTreeMap<String, Slot>), String> {
    let mut order: Vec<_> = specs.iter().map(|spec| (spec.role != Role::Counter, spec)).collect();
    order.sort_by(|(a, x), (b, y)| (a, &x.name).cmp(&(b, &y.name)));

    let mut end = 0u64;
    let mut entries = Vec::new();
    let mut slots = BTreeMap::new();
    for (real, spec) in order {
        let too_large = || format!("{} has the shape {:?}, too large for a file", spec.name, spec.shape);
        let len = spec.shape.iter().try_fold(1usize, |n, &size| n.checked_mul(size)).ok_or_else(too_large)?;
        let bytes = (len as u64).checked_mul(if real { 4 } else { 8 }).ok_or_else(too_large)?;
        let start = end;
        end = start.checked_add(bytes).ok_or_else(too_large)?;
        if spec.name == "__metadata__" {
            return Err("an array cannot be called __metadata__".into());
        }
        let dtype = if real { "F32" } else { "I64" };
        entries.push((&spec.name, Entry { dtype, shape: &spec.shape, data_offsets: [start, end] }));
        let slot = Slot { count: !real, len, start, written: false };
        if slots.insert(spec.name.clone(), slot).is_some() {
            return Err(format!("two arrays are called {}", spec.name));
        }
    }
    let json = serde_json::to_vec(&Header { metadata, entries }).map_err(|error| error.to_string())?;
    let padded = json.len().next_multiple_of(8);
    let mut header = Vec::with_capacity(8 + padded);
    header.extend((padded as u64).to_le_bytes());
    header.extend(json);
    header.resize(8 + padded, b' ');
    for slot in slots.values_mut() {
        slot.start += header.len() as u64;
    }
    Ok((header, slots))
}

/// The JSON of a safetensors header; its keys in the order of the data.
struct Header<'a> {
    metadata: &'a BTreeMap<String, String>,
    entries: Vec<(&'a String, Entry<'a>)>,
}

#[derive(serde::Serialize)]
struct Entry<'a> {
    dtype: &'static str,
    shape: &'a [usize],
    data_offsets: [u64; 2],
}

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        if !self.metadata.is_empty() {
            map.serialize_entry("__metadata__", self.metadata)?;
        }
        for (name, entry) in &self.entries {
            map.serialize_entry(name, entry)?;
        }
        map.end()
    }
}
