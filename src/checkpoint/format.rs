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
    // torch.save before PyTorch 1.6 began with a pickle of this number (0x1950a86a20f9469cfc6c), in protocol 0 and 1 as a text
    const LEGACY_TEXT: &[u8] = b"L119547037146038801333356L\n.";
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
        _ if bytes.starts_with(b"PK\x05\x06") => Fault::NotWeights("it is a zip archive with nothing in it".into()),
        _ if bytes.starts_with(LEGACY_TEXT) => return Ok(Format::TorchLegacy),
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
        _ if bytes.get(257..262) == Some(b"ustar") && is_of_pytorch_0(bytes) => Fault::Unsupported(format!(
            "is a tar archive as PyTorch 0.1 wrote it; if you trust it, as this runs whatever code it holds, in Python: \
             torch.save(torch.load({FILE}, weights_only=False), \"weights.pth\")"
        )),
        _ if let Some((what, way)) = packed(bytes) => {
            Fault::Unsupported(format!("is {what}; unpack it ({way}), and give the weight file that is in it"))
        }
        _ if let Some(what) = of_another_kind(bytes) => Fault::NotWeights(format!(
            "it is {what}; where the model was made, save its state_dict with torch.save or as safetensors"
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

/// Whether a tar archive begins with what PyTorch 0.1 put first.
fn is_of_pytorch_0(bytes: &[u8]) -> bool {
    ["sys_info", "pickle", "storages", "tensors"].iter().any(|name| {
        let name = name.as_bytes();
        bytes.starts_with(name) && matches!(bytes.get(name.len()), Some(0))
    })
}

/// What packs files of any kind, and what unpacks it.
fn packed(bytes: &[u8]) -> Option<(&'static str, &'static str)> {
    const KINDS: [(&[u8], &str, &str); 6] = [
        (b"\x1f\x8b", "packed by gzip", "tar -xzf for a .tar.gz, gunzip for others"),
        (b"BZh", "packed by bzip2", "tar -xjf for a .tar.bz2, bunzip2 for others"),
        (b"\xfd7zXZ\0", "packed by xz", "tar -xJf for a .tar.xz, unxz for others"),
        (b"\x28\xb5\x2f\xfd", "packed by zstd", "unzstd"),
        (b"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"),
        (b"Rar!\x1a\x07", "a RAR archive", "unrar x"),
    ];
    let kind = KINDS.iter().find(|(magic, ..)| bytes.starts_with(magic)).map(|&(_, what, way)| (what, way));
    let tar = bytes.get(257..262) == Some(b"ustar");
    kind.or(tar.then_some(("a tar archive", "tar -xf")))
}

/// What a file of other programs is.
fn of_another_kind(bytes: &[u8]) -> Option<&'static str> {
    const KINDS: [(&[u8], &str); 5] = [
        (b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes"),
        (b"\x93NUMPY", "an array of NumPy"),
        (b"GGUF", "a GGUF file"),
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
    ];
    KINDS.iter().find(|(magic, _)| bytes.starts_with(magic)).map(|&(_, what)| what)
}

fn is_text(bytes: &[u8]) -> bool {
    let start = &bytes[..bytes.len().min(512)];
    start.iter().all(|b| matches!(b, b'\t' | b'\n' | b'\r' | 0x20..=0x7e | 0x80..))
        && start.utf8_chunks().all(|chunk| chunk.invalid().is_empty() || start.len() == 512)
}
