//! Advice in Python that works with a file alone, without the code that wrote it.

use std::path::Path;

use super::format::Format;
use super::shown::quoted;

/// What gives the file's dictionary of weights.
fn loaded(path: &Path, format: Format, section: &[String]) -> String {
    let path = quoted(path);
    if format == Format::Safetensors {
        return format!("safetensors.torch.load_file({path})");
    }
    let steps = section.iter().map(|key| match key.starts_with(['[', '.']) {
        true => key.clone(),
        false => format!("[{key:?}]"),
    });
    format!("torch.load({path}, weights_only=False){}", steps.collect::<String>())
}

/// How to save every tensor `v` anew, as the expression `value` says.
pub(super) fn save_again(path: &Path, format: Format, section: &[String], value: &str) -> String {
    let loaded = loaded(path, format, section);
    format!("in Python: d = {loaded}; torch.save({{k: {value} for k, v in d.items()}}, \"weights.pth\")")
}

/// How to save those tensors whose names begin so.
pub(super) fn keep_only(path: &Path, format: Format, section: &[String], prefix: &str) -> String {
    let loaded = loaded(path, format, section);
    let kept = format!("{{k: v for k, v in d.items() if k.startswith({prefix:?})}}");
    format!("in Python: d = {loaded}; torch.save({kept}, \"weights.pth\")")
}
