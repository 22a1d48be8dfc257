//! The files that hold a model's tensors: one, or those that an index names.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};

use super::bytes::FileBytes;
use super::error::{CheckpointError, Fault};
use super::format::{Format, recognise};
use super::pickle::found::Beside;
use super::pickle::words::joined;
use super::python::Loading;
use super::safetensors::read::read_header;
use super::shards::Index;
use super::shown::shown;
use super::tensor::Tensor;
use super::torch::contents::{Contents, Storages};
use super::torch::{archive, legacy};
use super::version::{MODEL_FORMAT, newer};

/// One file with its tensors' bytes.
pub(super) struct Part {
    pub path: PathBuf,
    pub format: Format,
    pub section: Vec<String>,
    /// What it asks for and is not run.
    pub not_run: Vec<String>,
    /// Whether PyTorch reads all else without running code.
    pub plain: bool,
    pub bytes: FileBytes,
    pub storages: Storages,
}

/// What one file says of its tensors.
pub(super) struct Read {
    pub part: Part,
    pub tensors: BTreeMap<String, Tensor>,
    pub metadata: BTreeMap<String, String>,
    pub beside: Beside,
}

/// The files as Python loads them.
pub(super) fn loadings(parts: &[Part]) -> Vec<Loading<'_>> {
    let each = parts.iter().map(|Part { path, format, section, not_run, plain, .. }| Loading {
        path,
        format: *format,
        section,
        not_run,
        plain: *plain,
    });
    each.collect()
}

/// The bytes of a file on disk.
pub(super) fn mapped(path: &Path) -> Result<FileBytes, CheckpointError> {
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
    FileBytes::mapped(&file).map_err(read_error)
}

/// The tensors of a file that is whole in itself, of the section that is asked for.
pub(super) fn read_one(
    path: &Path,
    format: Format,
    bytes: FileBytes,
    section: Option<&str>,
) -> Result<Read, CheckpointError> {
    let at = |fault: Fault| fault.at(path);
    let (contents, metadata) = match format {
        Format::Safetensors | Format::Index => {
            if let Some(section) = section.filter(|section| !section.is_empty()) {
                let reason = format!("has no section `{}`: a safetensors file has none", shown(section));
                return Err(at(Fault::Unsupported(reason)));
            }
            let (tensors, metadata) = read_header(bytes.as_ref()).map_err(at)?;
            let (storages, section, beside) = (Storages::None, Vec::new(), Beside::default());
            (Contents { storages, section, tensors, beside }, metadata)
        }
        Format::Torch => (archive::open(bytes.clone(), section).map_err(at)?, BTreeMap::new()),
        Format::TorchLegacy => (legacy::open(bytes.as_ref(), section).map_err(at)?, BTreeMap::new()),
    };
    if let Some(found) = newer(&metadata) {
        return Err(CheckpointError::Newer { path: path.to_path_buf(), found, known: MODEL_FORMAT });
    }
    let Contents { storages, section, tensors, beside } = contents;
    let (path, not_run) = (path.to_path_buf(), beside.not_run.clone());
    let part = Part { path, format, section, not_run, plain: beside.plain, bytes, storages };
    Ok(Read { part, tensors, metadata, beside })
}

/// The tensors of the files that the index `path` names: all but the last go into `parts`.
///
/// A weight comes from the file that the index names for it. One that the index does not name is taken where it is, as long as it is in
/// one file only.
pub(super) fn read_parts(
    path: &Path,
    index: FileBytes,
    section: Option<&str>,
    parts: &mut Vec<Part>,
) -> Result<Read, CheckpointError> {
    let at = |fault: Fault| fault.at(path);
    let index = Index::read(index.as_ref()).map_err(at)?;
    let mut all: Option<Read> = None;
    for (number, name) in index.files.iter().enumerate() {
        let place = path.parent().unwrap_or(Path::new("")).join(name);
        let bytes = mapped(&place).map_err(|error| {
            let files = index.files.len();
            at(Fault::Unsupported(format!("is the index of {files} files, which must lie where it says: {error}")))
        })?;
        let format = recognise(&place, bytes.as_ref()).map_err(|fault| fault.at(&place))?;
        if format == Format::Index {
            return Err(at(Fault::Damaged(format!("it names another index, {}", shown(name)))));
        }
        let mut read = read_one(&place, format, bytes, section)?;
        let of_this = |weight: &String| index.weights.get(weight).is_none_or(|&file| file == number);
        read.tensors.retain(|weight, _| of_this(weight));
        read.beside.unread.retain(|weight, _| of_this(weight));
        read.tensors.values_mut().for_each(|tensor| tensor.part = number);
        match &mut all {
            None => all = Some(read),
            Some(all) => {
                // a safetensors file has no sections
                let of_torch = |part: &&Part| part.format != Format::Safetensors;
                let earlier = parts.iter().chain([&all.part]).find(of_torch);
                if let Some(earlier) =
                    earlier.filter(|earlier| of_torch(&&read.part) && earlier.section != read.part.section)
                {
                    let texts = [&earlier.section, &read.part.section]
                        .map(|section| shown(&joined(section.iter().map(String::as_str))));
                    let (before, name) = (shown(&earlier.path.display().to_string()), shown(name));
                    return Err(at(Fault::Unsupported(format!(
                        "in {before} the likeliest weights are in section `{}`, in {name} in `{}`; say which are meant with \
                         `sam2unet convert --section`",
                        texts[0], texts[1]
                    ))));
                }
                parts.push(std::mem::replace(&mut all.part, read.part));
                if let Some(twice) = read.tensors.keys().find(|weight| all.tensors.contains_key(*weight)) {
                    let (twice, name) = (shown(twice), shown(name));
                    let reason =
                        format!("{twice} is in {name} and in another of its files, and it does not say which is meant");
                    return Err(at(Fault::Damaged(reason)));
                }
                all.tensors.extend(read.tensors);
                for (key, value) in read.metadata {
                    all.metadata.entry(key).or_insert(value);
                }
                all.beside.keys.extend(read.beside.keys);
                all.beside.more += read.beside.more;
                all.beside.unread.extend(read.beside.unread);
                let asked = read.beside.not_run.into_iter().filter(|name| !all.beside.not_run.contains(name));
                let asked: Vec<_> = asked.collect();
                all.beside.not_run.extend(asked);
            }
        }
    }
    let all = all.ok_or_else(|| at(Fault::Damaged("it names no file".into())))?;
    if let Some((weight, &file)) = index
        .weights
        .iter()
        .find(|(weight, _)| !all.tensors.contains_key(*weight) && !all.beside.unread.contains_key(*weight))
    {
        let file = shown(&index.files[file]);
        return Err(at(Fault::Damaged(format!("it says that {file} holds {}, which it does not", shown(weight)))));
    }
    Ok(all)
}
