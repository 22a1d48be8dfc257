//! A weight file of any format, mapped into memory: its tensors by name, their values on demand.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::bytes::FileBytes;
use super::error::{CheckpointError, Fault};
use super::format::{Format, recognise};
use super::layout::{Layout, Spelling};
use super::names::{Unwrapped, unwrap_names};
use super::numbers::{counter, decoder, row_major, strided};
use super::parts::{Part, Read, loadings, mapped, read_one, read_parts};
use super::pickle::found::Beside;
use super::pickle::unread::Unread;
use super::pickle::words::{OPTIMISER, joined};
use super::python::save_again;
use super::selection::Selection;
use super::shards::of_part;
use super::shown::shown;
use super::tensor::{Dtype, Location, Tensor, TensorInfo};
use crate::kernels::encoded::{Decode, Encoded};

/// Largest tensor that may hold more numbers than its storage does (an expanded one), in numbers.
const MAX_EXPANDED: u64 = 1 << 24;

/// A weight file, opened: every tensor's name, type and shape is known and checked against the file's size; values are
/// read from the mapped file when they are asked for, one tensor at a time.
///
/// Do not change a file in place while it is open here (see [`WeightFile::open`]).
pub struct WeightFile {
    path: PathBuf,
    format: Format,
    /// The file itself, or those that an index names.
    parts: Vec<Part>,
    tensors: BTreeMap<String, Tensor>,
    metadata: BTreeMap<String, String>,
    prefix: String,
    /// Whether some of the names do not have the prefix.
    outside: bool,
    beside: Beside,
    spelling: Option<Spelling>,
    /// What of the file is meant.
    selection: Selection,
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
    /// Opens a `.safetensors` file, one of `torch.save` (`.pt`, `.pth`, `.bin`, `.ckpt`), or the index of a model in
    /// several files (`.index.json`), which lie beside it; the format is told by the content, not by the name.
    ///
    /// The file is mapped, not read. It must not be changed in place or cut short while it is open: on Unix a program that
    /// touches a page beyond the new end is killed by the system. Files that are replaced by renaming, as [`super::save`]
    /// and most other programs do, are safe. Where that cannot be promised, use [`WeightFile::from_bytes`].
    ///
    /// # Errors
    /// Anything that is not a whole, harmless weight file: see [`CheckpointError`].
    pub fn open(path: &Path) -> Result<Self, CheckpointError> {
        Self::open_selected(path, &Selection::default())
    }

    /// The same, of the section, the prefix and the tensors that a [`Selection`] names.
    ///
    /// # Errors
    /// As [`WeightFile::open`]; [`CheckpointError::Unsupported`] where nothing in it is what `selection` says.
    pub fn open_selected(path: &Path, selection: &Selection) -> Result<Self, CheckpointError> {
        Self::read(path, mapped(path)?, true, selection)
    }

    /// A weight file whose bytes are in memory; `name` stands in for the path in messages. No index: the files that it
    /// names are on a disk.
    ///
    /// # Errors
    /// As [`WeightFile::open`].
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, CheckpointError> {
        Self::read(Path::new(name), FileBytes::owned(bytes), false, &Selection::default())
    }

    fn read(path: &Path, bytes: FileBytes, on_disk: bool, selection: &Selection) -> Result<Self, CheckpointError> {
        let at = |fault: Fault| fault.at(path);
        let format = recognise(path, bytes.as_ref()).map_err(at)?;
        let section = selection.section.as_deref();
        let mut parts = Vec::new();
        let Read { tensors, metadata, mut beside, part } = match format {
            Format::Index if !on_disk => {
                let reason = "is an index of several files, which are not in memory; open it by its path";
                return Err(at(Fault::Unsupported(reason.into())));
            }
            Format::Index => read_parts(path, bytes, section, &mut parts)?,
            format => read_one(path, format, bytes, section)?,
        };
        parts.push(part);
        if tensors.is_empty()
            && let Some(what) = beside.unread.values().find(|what| what.as_tensor().is_some())
            && let Some(value) = as_tensor([what])
        {
            let advice = save_again(&loadings(&parts), &value);
            let reason =
                format!("where its weights are named stands {what} in place of each, which is not read; {advice}");
            return Err(at(Fault::Unsupported(reason)));
        }
        let unwrapped = unwrap_names(tensors, selection.prefix.as_deref()).map_err(at)?;
        if let [first, second, ..] = &unwrapped.several[..] {
            let (one, other) = (shown(first), shown(second));
            let places = match one.is_empty() {
                true => format!("at the top and under `{other}`"),
                false => format!("under `{one}` and `{other}`"),
            };
            let command = Selection { prefix: Some(first.clone()), ..selection.clone() }.command(path);
            let reason = format!("holds several models, {places}; keep one of them, as with {command}");
            return Err(at(Fault::Unsupported(reason)));
        }
        beside.keys.extend(unwrapped.left_out.iter().map(|name| shown(name)));
        let Unwrapped { tensors, prefix, outside, .. } = unwrapped;
        let spelling = Spelling::recognise(tensors.keys().map(String::as_str));
        let (path, selection) = (path.to_path_buf(), selection.clone());
        Ok(WeightFile { path, format, parts, tensors, metadata, prefix, outside, beside, spelling, selection })
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

    /// What leads to the weights in a file of PyTorch: `model` for the key `["model"]`, `[0]` for the first of a list,
    /// `.name` for an attribute. Empty where they lie at the top.
    pub fn section(&self) -> &[String] {
        self.parts.first().map_or(&[], |part| &part.section)
    }

    /// The same in one text that is fit to be shown: `model`, `states[0].ema`.
    pub fn shown_section(&self) -> String {
        shown(&joined(self.section().iter().map(String::as_str)))
    }

    /// What stood before all names and was taken from them, as wrappers put it there (`module.`, `model._orig_mod.`).
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Whether tensors that a model does not ask for are to be left out, and no error.
    pub(super) fn known_only(&self) -> bool {
        self.selection.known_only
    }

    /// What lies beside the weights and is not read.
    pub(super) fn beside(&self) -> &Beside {
        &self.beside
    }

    /// The tensors' names in bytewise order, without [`prefix`](Self::prefix).
    pub fn names(&self) -> impl ExactSizeIterator<Item = &str> {
        self.tensors.keys().map(String::as_str)
    }

    /// Type and shape of the tensor called `name`.
    pub fn info(&self, name: &str) -> Option<TensorInfo<'_>> {
        self.tensors.get(name).map(|tensor| TensorInfo { dtype: tensor.dtype, shape: &tensor.shape })
    }

    /// The values of a tensor of real numbers, row-major, in single precision: other types are cast as PyTorch casts
    /// them.
    ///
    /// # Errors
    /// No such tensor, a type that is not read (complex, quantised), or (in an archive) damaged bytes.
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

    /// Gives the memory back that bytes of this file take, as [`encoded`](Self::encoded) lent them.
    pub(super) fn let_go(&self, read: &[u8]) {
        self.parts.iter().for_each(|part| part.bytes.let_go(read));
    }

    /// The bytes of a tensor whose numbers stand one after another, row by row.
    fn stretch(&self, name: &str) -> Result<Option<Cow<'_, [u8]>>, CheckpointError> {
        let (tensor, width) = (self.tensor(name)?, self.width(name)?);
        let outside = || self.outside(name);
        let length = tensor.shape.iter().product::<usize>().checked_mul(width).ok_or_else(outside)?;
        let part = self.part(tensor, name)?;
        match &tensor.location {
            Location::Contiguous(range) => {
                let bytes = part.bytes.as_ref().get(range.clone()).filter(|bytes| bytes.len() == length);
                Ok(Some(Cow::Borrowed(bytes.ok_or_else(outside)?)))
            }
            Location::Strided { .. } if length == 0 => Ok(Some(Cow::Borrowed(&[]))),
            Location::Strided { storage, offset, strides, .. } if row_major(&tensor.shape, strides) => {
                let start = usize::try_from(*offset).ok().and_then(|offset| offset.checked_mul(width));
                let range = start.and_then(|start| Some(start..start.checked_add(length)?)).ok_or_else(outside)?;
                Ok(Some(match self.storage(part, name, *storage)? {
                    Cow::Borrowed(bytes) => Cow::Borrowed(bytes.get(range).ok_or_else(outside)?),
                    Cow::Owned(bytes) => Cow::Owned(bytes.get(range).ok_or_else(outside)?.to_vec()),
                }))
            }
            Location::Strided { .. } => Ok(None),
        }
    }

    fn part(&self, tensor: &Tensor, name: &str) -> Result<&Part, CheckpointError> {
        self.parts.get(tensor.part).ok_or_else(|| self.outside(name))
    }

    fn storage<'f>(&self, part: &'f Part, name: &str, storage: usize) -> Result<Cow<'f, [u8]>, CheckpointError> {
        let bytes = part.storages.bytes(part.bytes.as_ref(), storage).map_err(|fault| fault.at(&part.path))?;
        bytes.ok_or_else(|| self.outside(name))
    }

    /// Bytes of one of a tensor's numbers.
    fn width(&self, name: &str) -> Result<usize, CheckpointError> {
        let width = self.tensor(name)?.dtype.bytes().map(|width| width as usize);
        width.ok_or_else(|| self.wrong_dtype(name))
    }

    fn decoder(&self, name: &str) -> Result<Decode, CheckpointError> {
        let tensor = self.tensor(name)?;
        decoder(tensor.dtype, is_negative(tensor)).ok_or_else(|| self.wrong_dtype(name))
    }

    fn outside(&self, name: &str) -> CheckpointError {
        let reason = format!("{}: its numbers do not lie within the file", shown(self.in_file(name)));
        Fault::Damaged(reason).at(self.path_of(name))
    }

    /// The count in a tensor of one number (`num_batches_tracked`), of any type: PyTorch casts it. What is no number,
    /// or became infinite in half precision, is 0.
    ///
    /// # Errors
    /// No such tensor, a type that is not read, more than one number, or damaged bytes.
    pub fn count(&self, name: &str) -> Result<i64, CheckpointError> {
        let tensor = self.tensor(name)?;
        let (count, negative) = (counter(tensor.dtype).ok_or_else(|| self.wrong_dtype(name))?, is_negative(tensor));
        match self.numbers(name, count)?[..] {
            [count] if negative => Ok(count.saturating_neg()),
            [count] => Ok(count),
            ref several => {
                let reason =
                    format!("{}: a count is one number, this has {}", shown(self.in_file(name)), several.len());
                Err(Fault::Unsupported(reason).at(self.path_of(name)))
            }
        }
    }

    fn tensor(&self, name: &str) -> Result<&Tensor, CheckpointError> {
        self.tensors.get(name).ok_or_else(|| CheckpointError::NoTensor { path: self.path.clone(), key: shown(name) })
    }

    fn wrong_dtype(&self, name: &str) -> CheckpointError {
        let dtype = self.tensors.get(name).map_or_else(String::new, |tensor| tensor.dtype.to_string());
        let (path, key) = (self.path_of(name).to_path_buf(), shown(self.in_file(name)));
        CheckpointError::Dtype { path, key, dtype, advice: self.as_floats() }
    }

    /// How to bring numbers of a type that is not read.
    fn as_floats(&self) -> String {
        save_again(&loadings(&self.parts), "v.float()")
    }

    /// One of a tensor's numbers where these are doubles, as it is in the file.
    pub(super) fn double(&self, name: &str, at: usize) -> Option<f64> {
        if self.info(name)?.dtype != Dtype::F64 {
            return None;
        }
        let sign = if is_negative(self.tensor(name).ok()?) { -1.0 } else { 1.0 };
        let double = |bytes: &[u8]| bytes.first_chunk().map_or(f64::NAN, |bytes| f64::from_le_bytes(*bytes));
        self.numbers(name, double).ok()?.get(at).map(|number| sign * number)
    }

    /// A weight's name as the file has it, with all that stands before it and in it.
    pub(super) fn in_file<'n>(&'n self, name: &'n str) -> &'n str {
        self.tensors.get(name).map_or(name, |tensor| &tensor.in_file)
    }

    /// The file that holds a weight: this one, or one of those that it names.
    pub(super) fn path_of(&self, name: &str) -> &Path {
        self.tensors.get(name).and_then(|tensor| self.parts.get(tensor.part)).map_or(&self.path, |part| &part.path)
    }

    /// What is known of the reason why weights are missing or cannot be read, behind a semicolon each.
    pub(super) fn hint(&self, missing: &[String], types: bool, unexpected: bool) -> String {
        let mut hints = Vec::new();
        let unread = missing.iter().filter_map(|key| self.beside.unread.get_key_value(key));
        let unread: Vec<(&String, &Unread)> = unread.collect();
        hints.extend(
            unread.iter().take(3).map(|(key, what)| format!("{} is there, as {what}, which is not read", shown(key))),
        );
        let value = as_tensor(unread.iter().map(|(_, what)| *what));
        hints.extend(value.map(|value| save_again(&loadings(&self.parts), &value)));
        if types {
            hints.push(self.as_floats());
        }
        if !missing.is_empty() {
            hints.extend(of_part(&self.path));
        }
        if unexpected && self.outside {
            let command = Selection { prefix: Some(self.prefix.clone()), ..self.selection.clone() }.command(&self.path);
            hints.push(format!("the model is what `{}` stands before: {command} takes it alone", shown(&self.prefix)));
        } else if unexpected && missing.is_empty() {
            let command = Selection { known_only: true, ..self.selection.clone() }.command(&self.path);
            hints.push(format!("{command} leaves out what is unexpected"));
        }
        hints.into_iter().map(|hint| format!("; {hint}")).collect()
    }

    /// What a file without weights of a network holds instead, where that is known.
    pub(super) fn instead(&self) -> Option<String> {
        let moments = self.tensors.keys().filter(|name| name.contains("exp_avg") || name.contains("momentum_buffer"));
        if !self.tensors.is_empty() && moments.count() * 2 >= self.tensors.len() {
            return Some(OPTIMISER.into());
        }
        None
    }

    fn numbers<T>(&self, name: &str, decode: impl Fn(&[u8]) -> T) -> Result<Vec<T>, CheckpointError> {
        if let Some(bytes) = self.stretch(name)? {
            return Ok(bytes.chunks_exact(self.width(name)?).map(decode).collect());
        }
        let (tensor, width, outside) = (self.tensor(name)?, self.width(name)?, || self.outside(name));
        let Location::Strided { storage, offset, strides, .. } = &tensor.location else { return Err(outside()) };
        let bytes = self.storage(self.part(tensor, name)?, name, *storage)?;
        let count: usize = tensor.shape.iter().product();
        if count as u64 > MAX_EXPANDED.max((bytes.len() / width) as u64) {
            let reason = format!(
                "{}: shape {:?} repeats the {} numbers of its storage; {}",
                shown(self.in_file(name)),
                tensor.shape,
                bytes.len() / width,
                save_again(&loadings(&self.parts), "v.contiguous()")
            );
            return Err(Fault::Unsupported(reason).at(self.path_of(name)));
        }
        strided(&bytes, width, *offset, &tensor.shape, strides, decode).ok_or_else(outside)
    }
}

/// What makes plain tensors of all of these `v` in Python; `None` where nothing is known to.
fn as_tensor<'u>(unread: impl IntoIterator<Item = &'u Unread>) -> Option<String> {
    let mut ways: Vec<_> = unread.into_iter().filter_map(Unread::as_tensor).collect();
    ways.sort_unstable();
    ways.dedup();
    // what makes a tensor comes first in the alphabet, and innermost
    (!ways.is_empty()).then(|| ways.iter().fold("v".to_owned(), |inner, way| way.replace('v', &inner)))
}

fn is_negative(tensor: &Tensor) -> bool {
    matches!(tensor.location, Location::Strided { negative: true, .. })
}
