//! A weight file of any format, mapped into memory: its tensors by name, their values on demand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::path::{Path, PathBuf};

use half::{bf16, f16};

use super::bytes::FileBytes;
use super::error::{CheckpointError, Fault};
use super::format::{Format, recognise};
use super::layout::{Layout, Spelling};
use super::numbers::{decode, first, row_major, strided};
use super::safetensors::read::read_header;
use super::shown::shown;
use super::tensor::{Dtype, Location, Tensor, TensorInfo};
use super::torch;
use super::version::{MODEL_FORMAT, newer};
use crate::kernels::encoded::{Decode, Encoded};

/// Prefixes that wrappers of PyTorch put before every name (DataParallel, `torch.compile`).
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Largest tensor that may hold more numbers than its storage does (an expanded one), in numbers.
const MAX_EXPANDED: u64 = 1 << 24;

/// A weight file, opened: every tensor's name, type and shape is known and checked against the file's size; values are
/// read from the mapped file when they are asked for, one tensor at a time.
///
/// Do not change a file in place while it is open here (see [`WeightFile::open`]).
pub struct WeightFile {
    path: PathBuf,
    format: Format,
    bytes: FileBytes,
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
    section: Vec<String>,
    archive: Option<torch::Archive>,
    spelling: Option<Spelling>,
}

impl fmt::Debug for WeightFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WeightFile")
            .field("path", &self.path)
            .field("format", &self.format)
            .field("tensors", &self.tensors.len())
            .finish_non_exhaustive()
    }
}

impl WeightFile {
    /// Opens a `.safetensors`, `.pt` or `.pth` file; the format is told by the content, not by the name.
    ///
    /// The file is mapped, not read. It must not be changed in place or cut short while it is open: on Unix a program that
    /// touches a page beyond the new end is killed by the system. Files that are replaced by renaming, as [`super::save`]
    /// and most other programs do, are safe. Where that cannot be promised, use [`WeightFile::from_bytes`].
    ///
    /// # Errors
    /// Anything that is not a whole, harmless weight file: see [`CheckpointError`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        let read_error = |source| CheckpointError::Read { path: path.to_path_buf(), source };
        // before opening, since opening a pipe would wait for its writer
        let kind = std::fs::metadata(path).map_err(read_error)?;
        if kind.is_dir() {
            return Err(Fault::NotWeights("it is a folder; name the file in it".into()).at(path));
        }
        if !kind.is_file() {
            return Err(Fault::NotWeights("it is a device or pipe, not a file on disk".into()).at(path));
        }
        let file = File::open(path).map_err(read_error)?;
        if file.metadata().map_err(read_error)?.len() == 0 {
            return Err(Fault::NotWeights("it is empty".into()).at(path));
        }
        Self::read(path, FileBytes::mapped(&file).map_err(read_error)?)
    }

    /// A weight file whose bytes are in memory; `name` stands in for the path in messages.
    ///
    /// # Errors
    /// As [`WeightFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::read(Path::new(name), FileBytes::owned(bytes))
    }

    fn read(path: &Path, bytes: FileBytes) -> Result<Self, CheckpointError> {
        let at = |fault: Fault| fault.at(path);
        let format = recognise(path, bytes.as_ref()).map_err(at)?;
        let (tensors, metadata, section, archive) = match format {
            Format::Safetensors => {
                let (tensors, metadata) = read_header(bytes.as_ref()).map_err(at)?;
                (tensors, metadata, Vec::new(), None)
            }
            Format::Torch => {
                let contents = torch::open(bytes.clone()).map_err(at)?;
                (contents.tensors, BTreeMap::new(), contents.section, Some(contents.archive))
            }
        };
        if let Some(found) = newer(&metadata) {
            return Err(CheckpointError::Newer { path: path.to_path_buf(), found, known: MODEL_FORMAT });
        }
        let tensors = unwrap_names(tensors);
        let spelling = Spelling::recognise(tensors.keys().map(String::as_str));
        Ok(WeightFile { path: path.to_path_buf(), format, bytes, tensors, metadata, section, archive, spelling })
    }

    /// The path it was opened by.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// How it is written.
    pub fn format(&self) -> Format {
        self.format
    }

    /// How it spells the names of SAM2's trunk; `None` where no such name was found.
    pub fn layout(&self) -> Option<Layout> {
        self.spelling.map(Spelling::layout)
    }

    pub(super) fn spelling(&self) -> Option<Spelling> {
        self.spelling
    }

    /// The `__metadata__` of a safetensors file; empty for others.
    pub fn metadata(&self) -> &BTreeMap<String, String> {
        &self.metadata
    }

    /// Keys under which a PyTorch archive holds its weights (`["model"]`); empty where they lie at the top.
    pub fn section(&self) -> &[String] {
        &self.section
    }

    /// The tensors' names in bytewise order, without `module.` and the like.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Type and shape of the tensor called `name`.
    pub fn info(&self, name: &str) -> Option<TensorInfo<'_>> {
        self.tensors.get(name).map(|tensor| TensorInfo { dtype: tensor.dtype, shape: &tensor.shape })
    }

    /// The values of an `f32`, `f16` or `bf16` tensor, row-major.
    ///
    /// # Errors
    /// No such tensor, another type, or (in an archive) damaged bytes.
    pub fn values(&self, name: &str) -> Result<Vec<f32>, CheckpointError> {
        if let Some(encoded) = self.encoded(name)? {
            return Ok(encoded.to_vec());
        }
        let decode = self.decoder(name)?;
        self.numbers(name, |bytes| {
            let mut number = [0.0];
            decode(bytes, &mut number);
            number[0]
        })
    }

    /// The same values where they stand in the file; `None` where they do not stand one after another.
    ///
    /// # Errors
    /// As [`values`](Self::values).
    pub fn encoded(&self, name: &str) -> Result<Option<Encoded<'_>>, CheckpointError> {
        let (decode, width) = (self.decoder(name)?, self.width(name)?);
        Ok(self.stretch(name)?.map(|bytes| Encoded::new(bytes, width, decode)))
    }

    /// The bytes of a tensor whose numbers stand one after another, row by row.
    fn stretch(&self, name: &str) -> Result<Option<Cow<'_, [u8]>>, CheckpointError> {
        let (tensor, width) = (self.tensor(name)?, self.width(name)?);
        let outside = || self.outside(name);
        let length = tensor.shape.iter().product::<usize>().checked_mul(width).ok_or_else(outside)?;
        match (&tensor.location, &self.archive) {
            (Location::Contiguous(range), _) => {
                let bytes = self.bytes.as_ref().get(range.clone()).filter(|bytes| bytes.len() == length);
                Ok(Some(Cow::Borrowed(bytes.ok_or_else(outside)?)))
            }
            (Location::Strided { .. }, _) if length == 0 => Ok(Some(Cow::Borrowed(&[]))),
            (Location::Strided { storage, offset, strides }, Some(archive)) if row_major(&tensor.shape, strides) => {
                let start = usize::try_from(*offset).ok().and_then(|offset| offset.checked_mul(width));
                let range = start.and_then(|start| Some(start..start.checked_add(length)?)).ok_or_else(outside)?;
                let bytes = archive.bytes(self.bytes.as_ref(), *storage).map_err(|fault| fault.at(&self.path))?;
                Ok(Some(match bytes {
                    Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).ok_or_else(outside)?),
                    Cow::Owned(bytes) => Cow::Owned(bytes.get(range).ok_or_else(outside)?.to_vec()),
                }))
            }
            _ => Ok(None),
        }
    }

    /// Bytes of one of a tensor's numbers.
    fn width(&self, name: &str) -> Result<usize, CheckpointError> {
        self.tensor(name)?.dtype.bytes().map(|width| width as usize).ok_or_else(|| self.outside(name))
    }

    fn decoder(&self, name: &str) -> Result<Decode, CheckpointError> {
        match self.tensor(name)?.dtype {
            Dtype::F32 => Ok(|bytes, to| decode(bytes, to, f32::from_le_bytes)),
            Dtype::F16 => Ok(|bytes, to| decode(bytes, to, |b| f16::from_le_bytes(b).to_f32())),
            Dtype::BF16 => Ok(|bytes, to| decode(bytes, to, |b| bf16::from_le_bytes(b).to_f32())),
            _ => Err(self.wrong_dtype(name, "real values only as f32, f16 or bf16")),
        }
    }

    fn outside(&self, name: &str) -> CheckpointError {
        Fault::Damaged(format!("{}: its numbers do not lie within the file", shown(name))).at(&self.path)
    }

    /// The count in an `i64` tensor of one number (`num_batches_tracked`).
    ///
    /// # Errors
    /// No such tensor, another type, more than one number, or damaged bytes.
    pub fn count(&self, name: &str) -> Result<i64, CheckpointError> {
        if self.tensor(name)?.dtype != Dtype::I64 {
            return Err(self.wrong_dtype(name, "counts only as i64"));
        }
        match self.numbers(name, |b| i64::from_le_bytes(first(b)))?[..] {
            [count] => Ok(count),
            ref several => {
                let reason = format!("{}: a count is one number, this has {}", shown(name), several.len());
                Err(Fault::Unsupported(reason).at(&self.path))
            }
        }
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, CheckpointError> {
        self.tensors.get(name).ok_or_else(|| CheckpointError::NoTensor { path: self.path.clone(), key: shown(name) })
    }

    fn wrong_dtype(&self, name: &str, expected: &'static str) -> CheckpointError {
        let dtype = self.tensors.get(name).map_or_else(String::new, |tensor| tensor.dtype.to_string());
        CheckpointError::Dtype { path: self.path.clone(), key: shown(name), dtype, expected }
    }

    fn numbers<T>(&self, name: &str, decode: impl Fn(&[u8]) -> T) -> Result<Vec<T>, CheckpointError> {
        if let Some(bytes) = self.stretch(name)? {
            return Ok(bytes.chunks_exact(self.width(name)?).map(decode).collect());
        }
        let (tensor, width, outside) = (self.tensor(name)?, self.width(name)?, || self.outside(name));
        match (&tensor.location, &self.archive) {
            (Location::Strided { storage, offset, strides }, Some(archive)) => {
                let bytes = archive.bytes(self.bytes.as_ref(), *storage).map_err(|fault| fault.at(&self.path))?;
                let count: usize = tensor.shape.iter().product();
                if count as u64 > MAX_EXPANDED.max((bytes.len() / width) as u64) {
                    let reason = format!(
                        "{}: shape {:?} repeats the {} numbers of its storage; save it with .contiguous()",
                        shown(name),
                        tensor.shape,
                        bytes.len() / width
                    );
                    return Err(Fault::Unsupported(reason).at(&self.path));
                }
                strided(&bytes, width, *offset, &tensor.shape, strides, decode).ok_or_else(outside)
            }
            _ => Err(outside()),
        }
    }
}

fn unwrap_names(mut tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    while let Some(wrapper) =
        WRAPPERS.iter().find(|w| !tensors.is_empty() && tensors.keys().all(|k| k.starts_with(**w)))
    {
        tensors = tensors.into_iter().map(|(name, tensor)| (name[wrapper.len()..].to_owned(), tensor)).collect();
    }
    tensors
}
