//! How a weight file is written, told by its first bytes.

use serde::Serialize;
use std::fmt;
use std::path::Path;

use super::error::Fault;
use super::shards::is_index;
use super::shown::FILE;

/// How a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// <https://huggingface.co/docs/safetensors>.
    Safetensors,
    /// The zip archive that `torch.save` writes since PyTorch 1.6 (`.pt`, `.pth`, `.bin`, `.ckpt`).
    Torch,
    /// What `torch.save` wrote before.
    TorchLegacy,
    /// A model in several files, and the index that names them (`.index.json`).
    Index,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Format::Safetensors => "safetensors",
            Format::Torch => "PyTorch archive",
            Format::TorchLegacy => "PyTorch file of before 1.6",
            Format::Index => "index of several files",
        })
    }
}

/// Tells the format by the first bytes; for other files says what they are.
pub(super) fn recognise(path: &Path, bytes: &[u8]) -> Result<Format, Fault> {
    // torch.save before PyTorch 1.6 began with a pickle of this number (0x1950a86a20f9469cfc6c)
    const LEGACY: &[u8] = &[0x8a, 0x0a, 0x6c, 0xfc, 0x9c, 0x46, 0xf9, 0x20, 0x6a, 0xa8, 0x50, 0x19];
    if bytes.starts_with(b"PK\x03\x04") {
        return Ok(Format::Torch);
    }
    if is_index(bytes) {
        return Ok(Format::Index);
    }
    if bytes.get(8) == Some(&b'{') {
        return Ok(Format::Safetensors);
    }
    Err(match bytes {
        [] => Fault::NotWeights("it is empty".into()),
        [0x80, _, rest @ ..] if rest.starts_with(LEGACY) => return Ok(Format::TorchLegacy),
        // of protocol 4 and 5, in a frame whose length is told first
        [0x80, _, 0x95, _, _, _, _, _, _, _, _, rest @ ..] if rest.starts_with(LEGACY) => {
            return Ok(Format::TorchLegacy);
        }
        // not with torch.load, which refuses it
        [0x80, 2..=5, ..] => Fault::Unsupported(format!(
            "is a bare pickle, not a file of torch.save; if you trust it, as this runs whatever code it holds, in Python: import pickle, torch; \
             torch.save(pickle.load(open({FILE}, \"rb\")), \"weights.pth\")"
        )),
        _ if bytes.get(257..262) == Some(b"ustar") => Fault::Unsupported(format!(
            "is a tar archive; if PyTorch 0.1 wrote it, and you trust it, as this runs whatever code it holds, in Python: \
             torch.save(torch.load({FILE}, weights_only=False), \"weights.pth\")"
        )),
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
