//! Advice in Python that works with a file alone, without the code that wrote it.

use std::path::Path;

use super::format::Format;
use super::shown::{python_text, quoted};

/// So many classes that a file asks for are named.
const MAX_NAMED: usize = 3;

/// A file as Python loads it.
pub(super) struct Loading<'f> {
    pub path: &'f Path,
    pub format: Format,
    /// What leads to the weights in it.
    pub section: &'f [String],
    /// Classes and functions that it asks for, which only an unsafe load would run.
    pub not_run: &'f [String],
}

impl Loading<'_> {
    /// What gives the file's dictionary of weights.
    fn expression(&self) -> String {
        let path = quoted(self.path);
        if self.format == Format::Safetensors {
            return format!("safetensors.torch.load_file({path})");
        }
        let steps: String = self.section.iter().map(|key| step(key)).collect();
        let safe = if self.not_run.is_empty() { "True" } else { "False" };
        format!("torch.load({path}, weights_only={safe}){steps}")
    }
}

/// One step of a section. A name out of a file never stands as code.
fn step(key: &str) -> String {
    let word = |name: &str| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && name.starts_with(|c: char| !c.is_ascii_digit())
    };
    let digits = |number: &str| !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    let index = key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(digits);
    let attribute = key == ".state_dict()" || key.strip_prefix('.').is_some_and(word);
    if index || attribute { key.to_owned() } else { format!("[{}]", python_text(key)) }
}

/// The weights of all files as `d`, behind a caveat where that runs code.
fn loaded(files: &[Loading<'_>]) -> String {
    let mut asked: Vec<_> = files.iter().flat_map(|file| file.not_run).map(String::as_str).collect();
    asked.sort_unstable();
    asked.dedup();
    let more = asked.len().saturating_sub(MAX_NAMED);
    let and_more = if more > 0 { format!(" and {more} more") } else { String::new() };
    asked.truncate(MAX_NAMED);
    let caveat = match asked.is_empty() {
        true => String::new(),
        false => {
            format!("if you trust the file, as this runs code that it names (`{}`{and_more}), ", asked.join("`, `"))
        }
    };
    let each: Vec<_> = files.iter().map(Loading::expression).collect();
    match &each[..] {
        [one] => format!("{caveat}in Python: d = {one}"),
        several => format!("{caveat}in Python: d = {{**{}}}", several.join(", **")),
    }
}

/// How to save every tensor `v` anew, as the expression `value` says.
pub(super) fn save_again(files: &[Loading<'_>], value: &str) -> String {
    let kept = format!("{{k: {value} for k, v in d.items() if torch.is_tensor(v)}}");
    format!("{}; torch.save({kept}, \"weights.pth\")", loaded(files))
}

/// How to save those tensors whose names begin so, without those of the other models, which may lie below.
pub(super) fn keep_only(files: &[Loading<'_>], prefix: &str, others: &[String]) -> String {
    let starts = |prefix: &str| format!("k.startswith({})", python_text(prefix));
    let own = (!prefix.is_empty()).then(|| starts(prefix));
    let below = others.iter().filter(|other| other.len() > prefix.len() && other.starts_with(prefix));
    let conditions: Vec<_> = own.into_iter().chain(below.map(|other| format!("not {}", starts(other)))).collect();
    let kept = format!("{{k: v for k, v in d.items() if {}}}", conditions.join(" and "));
    format!("{}; torch.save({kept}, \"weights.pth\")", loaded(files))
}

/// What is said behind advice to load a file whose code is not known.
pub(super) const UNSAFE: &str =
    ". If Python refuses that, weights_only=False runs the code that the file holds: only if you trust it";
