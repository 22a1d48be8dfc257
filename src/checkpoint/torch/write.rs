//! Writing an archive as `torch.save` does: a dictionary of plain tensors, which `torch.load(weights_only=True)` reads.

use std::collections::HashSet;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

use crate::checkpoint::error::CheckpointError;
use crate::checkpoint::safetensors::write::writable;
use crate::files::folder::parent;
use crate::files::replace::Replacement;
use crate::files::temporary::sweep;
use crate::nn::weights::spec::{Role, Value, WeightSpec};

/// PyTorch's storages begin at multiples of so many bytes.
const ALIGNMENT: u16 = 64;
/// The folder in the archive. PyTorch takes any; this one depends on nothing.
const ROOT: &str = "archive";

/// Writes an archive under a temporary name in the same folder; [`finish`](Self::finish) puts it in its place.
pub(in crate::checkpoint) struct TorchWriter {
    path: PathBuf,
    zip: ZipWriter<Replacement<File>>,
    /// What was announced and is still to come, the next one last.
    open: Vec<(String, Role, usize)>,
    written: usize,
}

impl TorchWriter {
    /// Begins the file with its pickle; the arrays of `specs` are then put in this order, counts as `i64`, all others as
    /// `f32`.
    ///
    /// # Errors
    /// The folder is missing or not writable, the disk is full, or `specs` names an array twice.
    pub(in crate::checkpoint) fn create(path: &Path, specs: &[WeightSpec]) -> Result<Self, CheckpointError> {
        writable(path)?;
        let failed = |source| CheckpointError::Write { path: path.to_path_buf(), source };
        let pickle = pickle(specs).map_err(|reason| inconsistent(path, reason))?;
        sweep(parent(path));
        let zip = ZipWriter::new(Replacement::file(path).map_err(failed)?);
        let open = specs.iter().rev().map(|spec| (spec.name.clone(), spec.role, spec.len())).collect();
        let mut writer = TorchWriter { path: path.to_path_buf(), zip, open, written: 0 };
        for (name, bytes) in [("data.pkl", &pickle[..]), ("byteorder", b"little")] {
            writer.entry(name, bytes.len() as u64, |zip| zip.write_all(bytes))?;
        }
        Ok(writer)
    }

    /// Writes the next value.
    ///
    /// # Errors
    /// It is not the one announced, or the disk is full.
    pub(in crate::checkpoint) fn put_value(&mut self, name: &str, value: &Value) -> Result<(), CheckpointError> {
        const PIECE: usize = 1 << 14;
        let (announced, role, length) =
            self.open.pop().ok_or_else(|| inconsistent(&self.path, format!("{name} was not announced")))?;
        let (count, numbers) = match value {
            Value::Real(values) => (false, values.len()),
            Value::Count(_) => (true, 1),
        };
        if announced != name || count != (role == Role::Counter) || numbers != length {
            let reason = format!("{name} of {numbers} numbers came where {announced} of {length} was announced");
            return Err(inconsistent(&self.path, reason));
        }
        let entry = format!("data/{}", self.written);
        self.written += 1;
        match value {
            Value::Count(count) => self.entry(&entry, 8, |zip| zip.write_all(&count.to_le_bytes())),
            Value::Real(values) => self.entry(&entry, 4 * numbers as u64, |zip| {
                values.chunks(PIECE).try_for_each(|piece| {
                    let bytes: Vec<u8> = piece.iter().flat_map(|value| value.to_le_bytes()).collect();
                    zip.write_all(&bytes)
                })
            }),
        }
    }

    /// Brings the archive to the disk and renames it to its name, over an older file.
    ///
    /// # Errors
    /// An announced array was not put, or the disk is full.
    pub(in crate::checkpoint) fn finish(mut self) -> Result<(), CheckpointError> {
        if let Some((name, ..)) = self.open.last() {
            return Err(inconsistent(&self.path, format!("{name} was announced and not given")));
        }
        self.entry("version", 2, |zip| zip.write_all(b"3\n"))?;
        let TorchWriter { path, zip, .. } = self;
        let written = zip.finish().map_err(io::Error::from).and_then(Replacement::<File>::commit);
        written.map_err(|source| CheckpointError::Write { path, source })
    }

    fn entry(
        &mut self,
        name: &str,
        size: u64,
        write: impl FnOnce(&mut ZipWriter<Replacement<File>>) -> io::Result<()>,
    ) -> Result<(), CheckpointError> {
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .with_alignment(ALIGNMENT)
            .large_file(size >= u64::from(u32::MAX));
        let begun = self.zip.start_file(format!("{ROOT}/{name}"), options).map_err(io::Error::from);
        let written = begun.and_then(|()| write(&mut self.zip));
        written.map_err(|source| CheckpointError::Write { path: self.path.clone(), source })
    }
}

fn inconsistent(path: &Path, reason: String) -> CheckpointError {
    CheckpointError::Inconsistent { path: path.to_path_buf(), reason }
}

/// A pickle of protocol 2: names and tensors, each with a storage of its own.
fn pickle(specs: &[WeightSpec]) -> Result<Vec<u8>, String> {
    let mut pickle = Out(vec![0x80, 2, b'}', b'(']);
    let mut names = HashSet::new();
    for (number, spec) in specs.iter().enumerate() {
        let too_large = || format!("{} has the shape {:?}, too large for a file", spec.name, spec.shape);
        if !names.insert(&spec.name) {
            return Err(format!("two arrays are called {}", spec.name));
        }
        let mut strides = vec![1usize; spec.shape.len()];
        let mut length = 1usize;
        for (stride, &size) in strides.iter_mut().zip(&spec.shape).rev() {
            *stride = length.max(1);
            length = length.checked_mul(size).ok_or_else(too_large)?;
        }
        let kind = if spec.role == Role::Counter { "LongStorage" } else { "FloatStorage" };
        pickle.text(&spec.name);
        pickle.global("torch._utils", "_rebuild_tensor_v2");
        pickle.0.extend(b"((");
        pickle.text("storage");
        pickle.global("torch", kind);
        pickle.text(&number.to_string());
        pickle.text("cpu");
        pickle.int(length);
        pickle.0.extend(b"tQ");
        pickle.int(0);
        for numbers in [&spec.shape, &strides] {
            pickle.0.push(b'(');
            numbers.iter().for_each(|&number| pickle.int(number));
            pickle.0.push(b't');
        }
        // it asks for no gradient, and has no hooks
        pickle.0.push(0x89);
        pickle.global("collections", "OrderedDict");
        pickle.0.extend(b")RtR");
    }
    pickle.0.extend(b"u.");
    Ok(pickle.0)
}

/// The bytes of a pickle.
struct Out(Vec<u8>);

impl Out {
    fn text(&mut self, text: &str) {
        self.0.push(b'X');
        self.0.extend((text.len() as u32).to_le_bytes());
        self.0.extend(text.as_bytes());
    }

    fn global(&mut self, module: &str, name: &str) {
        self.0.extend(format!("c{module}\n{name}\n").as_bytes());
    }

    fn int(&mut self, number: usize) {
        match i32::try_from(number) {
            Ok(number) => {
                self.0.push(b'J');
                self.0.extend(number.to_le_bytes());
            }
            // LONG1 of 8 bytes: no size of an array in memory has its upper bit set
            Err(_) => {
                self.0.extend([0x8a, 8]);
                self.0.extend((number as u64).to_le_bytes());
            }
        }
    }
}
