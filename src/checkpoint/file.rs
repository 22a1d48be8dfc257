//! A weight file of any format, mapped into memory: its tensors by name, their values on demand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use half::{bf16, f16};
use memmap2::Mmap;

use super::error::{CheckpointError, Fault, shown};
use super::layout::{Layout, Spelling};
use super::{safetensors, torch};
use crate::nn::weights::{Decode, Encoded};

/// Prefixes that wrappers of PyTorch put before every name (DataParallel, `torch.compile`).
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// Largest tensor that may hold more numbers than its storage does (an expanded one), in numbers.
const MAX_EXPANDED: u64 = 1 << 24;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// <https://huggingface.co/docs/safetensors>.
    Safetensors,
    /// The zip archive that `torch.save` writes since PyTorch 1.6 (`.pt`, `.pth`).
    Torch,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::Torch => "PyTorch archive",
        })
    }
}

/// Type of a tensor's numbers. Real values are read of `F32`, `F16` and `BF16`, counts of `I64`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Dtype {
    /// IEEE 754 single precision.
    F32,
    /// IEEE 754 half precision.
    F16,
    /// The upper half of a single.
    BF16,
    /// IEEE 754 double precision.
    F64,
    /// 64-bit integer.
    I64,
    /// 32-bit integer.
    I32,
    /// 16-bit integer.
    I16,
    /// 8-bit integer.
    I8,
    /// Byte.
    U8,
    /// Truth value.
    Bool,
    /// Any other, by name; its size is not known here.
    Other(&'static str),
}

impl Dtype {
    /// Size of one number in bytes, where known.
    pub(super) fn bytes(self) -> Option<u64> {
        match self {
            Dtype::F64 | Dtype::I64 => Some(8),
            Dtype::F32 | Dtype::I32 => Some(4),
            Dtype::F16 | Dtype::BF16 | Dtype::I16 => Some(2),
            Dtype::I8 | Dtype::U8 | Dtype::Bool => Some(1),
            Dtype::Other(_) => None,
        }
    }

    /// Whether [`WeightFile::values`] reads it.
    pub fn is_real(self) -> bool {
        matches!(self, Dtype::F32 | Dtype::F16 | Dtype::BF16)
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Dtype::F32 => "f32",
            Dtype::F16 => "f16",
            Dtype::BF16 => "bf16",
            Dtype::F64 => "f64",
            Dtype::I64 => "i64",
            Dtype::I32 => "i32",
            Dtype::I16 => "i16",
            Dtype::I8 => "i8",
            Dtype::U8 => "u8",
            Dtype::Bool => "bool",
            Dtype::Other(name) => name,
        })
    }
}

/// Type and shape of one tensor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TensorInfo<'f> {
    /// Type of its numbers.
    pub dtype: Dtype,
    /// Shape, outermost dimension first; empty for a scalar.
    pub shape: &'f [usize],
}

/// One tensor: type, shape, and where its numbers lie.
pub(super) struct Tensor {
    pub dtype: Dtype,
    pub shape: Vec<usize>,
    pub place: Place,
}

pub(super) enum Place {
    /// Row-major in the file.
    Bytes(Range<usize>),
    /// A view of a storage of the archive, offset and strides in numbers.
    Strided { storage: usize, offset: u64, strides: Vec<u64> },
}

/// The file's bytes, mapped or owned.
enum Bytes {
    Mapped(Mmap),
    Owned(Vec<u8>),
}

/// A handle to the file's bytes that readers can keep.
#[derive(Clone)]
pub(super) struct Shared(Arc<Bytes>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        match &*self.0 {
            Bytes::Mapped(map) => map,
            Bytes::Owned(bytes) => bytes,
        }
    }
}

/// A weight file, opened: every tensor's name, type and shape is known and checked against the file's size; values are
/// read from the mapped file when they are asked for, one tensor at a time.
///
/// Do not change a file in place while it is open here (see [`WeightFile::open`]).
pub struct WeightFile {
    path: PathBuf,
    format: Format,
    bytes: Shared,
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
        let map = map_weight_file(&file).map_err(read_error)?;
        Self::read(path, Shared(Arc::new(Bytes::Mapped(map))))
    }

    /// A weight file whose bytes are in memory; `name` stands in for the path in messages.
    ///
    /// # Errors
    /// As [`WeightFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::read(Path::new(name), Shared(Arc::new(Bytes::Owned(bytes))))
    }

    fn read(path: &Path, bytes: Shared) -> Result<Self, CheckpointError> {
        let at = |fault: Fault| fault.at(path);
        let format = recognise(path, bytes.as_ref()).map_err(at)?;
        let (tensors, metadata, section, archive) = match format {
            Format::Safetensors => {
                let (tensors, metadata) = safetensors::read_header(bytes.as_ref()).map_err(at)?;
                (tensors, metadata, Vec::new(), None)
            }
            Format::Torch => {
                let contents = torch::open(bytes.clone()).map_err(at)?;
                (contents.tensors, BTreeMap::new(), contents.section, Some(contents.archive))
            }
        };
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
        match (&tensor.place, &self.archive) {
            (Place::Bytes(range), _) => {
                let bytes = self.bytes.as_ref().get(range.clone()).filter(|bytes| bytes.len() == length);
                Ok(Some(Cow::Borrowed(bytes.ok_or_else(outside)?)))
            }
            (Place::Strided { .. }, _) if length == 0 => Ok(Some(Cow::Borrowed(&[]))),
            (Place::Strided { storage, offset, strides }, Some(archive)) if row_major(&tensor.shape, strides) => {
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
        match (&tensor.place, &self.archive) {
            (Place::Strided { storage, offset, strides }, Some(archive)) => {
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

/// Row-major numbers of a strided view; `None` where it leaves `bytes`.
fn strided<T>(
    bytes: &[u8],
    width: usize,
    offset: u64,
    shape: &[usize],
    strides: &[u64],
    decode: impl Fn(&[u8]) -> T,
) -> Option<Vec<T>> {
    let count: usize = shape.iter().product();
    let offset = usize::try_from(offset).ok()?;
    let strides = strides.iter().map(|&s| usize::try_from(s).ok()).collect::<Option<Vec<_>>>()?;
    let mut values = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    for _ in 0..count {
        let at = index
            .iter()
            .zip(&strides)
            .try_fold(offset, |at, (&i, &stride): (&usize, _)| at.checked_add(i.checked_mul(stride)?))?;
        let start = at.checked_mul(width)?;
        values.push(decode(bytes.get(start..start.checked_add(width)?)?));
        for (i, &size) in index.iter_mut().zip(shape).rev() {
            *i += 1;
            if *i < size {
                break;
            }
            *i = 0;
        }
    }
    Some(values)
}

/// Whether numbers stand row by row, one after another. A dimension of one number may have any stride.
fn row_major(shape: &[usize], strides: &[u64]) -> bool {
    let mut expected = 1u64;
    shape.iter().zip(strides).rev().all(|(&size, &stride)| {
        let fits = size == 1 || stride == expected;
        expected = expected.saturating_mul(size as u64);
        fits
    })
}

fn decode<const N: usize>(bytes: &[u8], to: &mut [f32], number: impl Fn([u8; N]) -> f32) {
    for (to, bytes) in to.iter_mut().zip(bytes.as_chunks::<N>().0) {
        *to = number(*bytes);
    }
}

/// The first `N` bytes; callers cut chunks of that size.
fn first<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&bytes[..N]);
    array
}

fn unwrap_names(mut tensors: BTreeMap<String, Tensor>) -> BTreeMap<String, Tensor> {
    while let Some(wrapper) =
        WRAPPERS.iter().find(|w| !tensors.is_empty() && tensors.keys().all(|k| k.starts_with(**w)))
    {
        tensors = tensors.into_iter().map(|(name, tensor)| (name[wrapper.len()..].to_owned(), tensor)).collect();
    }
    tensors
}

/// Tells the format by the first bytes; for other files says what they are.
fn recognise(path: &Path, bytes: &[u8]) -> Result<Format, Fault> {
    // torch.save before PyTorch 1.6 began with a pickle of this number (0x1950a86a20f9469cfc6c)
    const LEGACY: &[u8] = &[0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Format::Torch);
    }
    if bytes.get(8) == Some(&b'{') {
        return Ok(Format::Safetensors);
    }
    let again = "in Python: torch.save(torch.load(path, weights_only=True), \"weights.pth\")";
    Err(match bytes {
        [] => Fault::NotWeights("it is empty".into()),
        [0x80, _, rest @ ..] if rest.starts_with(LEGACY) => Fault::Unsupported(format!(
            "is in the format that torch.save wrote before PyTorch 1.6; save it again {again}"
        )),
        [0x80, 2..=5, ..] => {
            Fault::Unsupported(format!("is a bare pickle, not an archive of torch.save; save it again {again}"))
        }
        _ if bytes.starts_with(b"version https://git-lfs") => {
            Fault::NotWeights("it is a Git LFS pointer; fetch the file itself with `git lfs pull`".into())
        }
        _ if bytes.trim_ascii_start().starts_with(b"<") && is_text(bytes) => {
            Fault::NotWeights("it is a web page; the download went wrong".into())
        }
        _ if is_text(bytes) => Fault::NotWeights("it is a text file".into()),
        // the reader of its header says what is wrong
        _ if bytes.len() > 8 && path.extension().is_some_and(|e| e == "safetensors") => return Ok(Format::Safetensors),
        _ => Fault::NotWeights("neither a safetensors file nor a PyTorch archive".into()),
    })
}

fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    start.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..))
        && start.utf8_chunks().all(|chunk| chunk.invalid().is_empty() || start.len() == 512)
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
