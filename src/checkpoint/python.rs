//! Advice in Python that works with a file alone, without the code that wrote it.

use std::path::Path;

use super::format::Format;
use super::pickle::words::STATE_DICT;
use super::shown::{OUTPUT, output_beside, python_text, quoted};

/// So many classes that a file asks for are named.
const MAX_NAMED: usize = 3;

/// A file as Python loads it.
pub(super) struct Loading<'f> {
    pub path: &'f Path,
    pub format: Format,
    /// What leads to the weights in it.
    pub section: &'f [String],
    /// Classes and functions that it asks for and that are not run here.
    pub not_run: &'f [String],
    /// Whether all else is such that `weights_only=True` reads it.
    pub plain: bool,
}

impl Loading<'_> {
    /// What it asks for that `weights_only=True` refuses.
    fn asked(&self) -> impl Iterator<Item = &str> {
        self.not_run.iter().map(String::as_str).filter(|name| !is_pytorchs(name))
    }

    /// What gives the file's dictionary of weights.
    fn expression(&self) -> String {
        let path = quoted(self.path);
        if self.format == Format::Safetensors {
            return format!("safetensors.torch.load_file({path})");
        }
        let steps: String = self.section.iter().map(|key| step(key)).collect();
        let how = if self.lacks_classes() {
            "weights_only=False, pickle_module=P"
        } else if self.plain && self.asked().next().is_none() {
            "weights_only=True"
        } else {
            "weights_only=False"
        };
        format!("torch.load({path}, {how}){steps}")
    }

    /// Whether it asks for classes that not everybody has who has the file. A whole module cannot do without them.
    fn lacks_classes(&self) -> bool {
        let whole_module = self.section.last().is_some_and(|step| step == STATE_DICT);
        !whole_module && self.asked().any(|name| !EVERYWHERE.iter().any(|module| is_in(name, module)))
    }
}

/// What is there wherever PyTorch is.
const EVERYWHERE: [&str; 12] = [
    "torch",
    "numpy",
    "builtins",
    "__builtin__",
    "collections",
    "_codecs",
    "copyreg",
    "copy_reg",
    "argparse",
    "datetime",
    "functools",
    "types",
];
/// What loads a file with stand-ins for the classes that are not there: dictionaries that take whatever they are given.
const STAND_INS: &str = "import pickle, types; \
    N = type(\"N\", (dict,), {\"__new__\": lambda c, *a, **k: (s := dict.__new__(c), dict.update(s, enumerate(a)))[0], \"__init__\": lambda s, *a, **k: None, \
    \"__setstate__\": lambda s, x: [vars(s).update(y) for y in (x if isinstance(x, tuple) else (x,)) if isinstance(y, dict)] and None, \"__call__\": lambda s, *a, **k: s, \
    \"__hash__\": object.__hash__, \"append\": lambda s, x: None, \"extend\": lambda s, x: None}); \
    U = type(\"U\", (pickle.Unpickler,), {\"find_class\": lambda s, m, n: pickle.Unpickler.find_class(s, m, n) \
    if m.split(\".\")[0] in (\"torch\", \"numpy\", \"builtins\", \"__builtin__\", \"collections\", \"_codecs\", \"copyreg\", \"copy_reg\") else N}); \
    P = types.SimpleNamespace(Unpickler=U, load=pickle.load, __name__=\"pickle\"); ";

/// Whether a class or function is of that module, or of one in it.
fn is_in(name: &str, module: &str) -> bool {
    name.strip_prefix(module).is_some_and(|rest| rest.starts_with('.'))
}

/// Whether `weights_only=True` takes it, although nothing is made of it here.
fn is_pytorchs(name: &str) -> bool {
    const OTHERS: [&str; 18] = [
        "torch._utils._rebuild_qtensor",
        "torch._utils._rebuild_sparse_tensor",
        "torch._utils._rebuild_meta_tensor_no_storage",
        "torch._utils._rebuild_wrapper_subclass",
        "torch._utils._rebuild_device_tensor_from_numpy",
        "torch._utils._rebuild_device_tensor_from_cpu_tensor",
        "torch.complex32",
        "torch.float8_e8m0fnu",
        "torch.qint8",
        "torch.quint8",
        "torch.qint32",
        "torch.serialization._get_layout",
        "torch.per_tensor_affine",
        "torch.per_tensor_symmetric",
        "torch.per_channel_affine",
        "torch.per_channel_symmetric",
        "torch.per_channel_affine_float_qparams",
        "builtins.bytearray",
    ];
    OTHERS.contains(&name)
}

/// One step of a section. A name out of a file never stands as code.
fn step(key: &str) -> String {
    let word = |name: &str| {
        name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') && name.starts_with(|c: char| !c.is_ascii_digit())
    };
    let digits = |number: &str| {
        let number = number.strip_prefix('-').unwrap_or(number);
        !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit())
    };
    let index = key.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).is_some_and(digits);
    let attribute = key == STATE_DICT || key.strip_prefix('.').is_some_and(word);
    if index || attribute { key.to_owned() } else { format!("[{}]", python_text(key)) }
}

/// The weights of all files as `d`, behind a caveat where that runs code.
fn loaded(files: &[Loading<'_>]) -> String {
    let mut asked: Vec<_> = files.iter().flat_map(Loading::asked).collect();
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
    let stand_ins = if files.iter().any(Loading::lacks_classes) { STAND_INS } else { "" };
    let each: Vec<_> = files.iter().map(Loading::expression).collect();
    match &each[..] {
        [one] => format!("{caveat}in Python: {stand_ins}d = {one}"),
        several => format!("{caveat}in Python: {stand_ins}d = {{**{}}}", several.join(", **")),
    }
}

/// How to save every tensor `v` anew, as the expression `value` says.
pub(super) fn save_again(files: &[Loading<'_>], value: &str) -> String {
    // what is not yet a tensor has to become one
    let tensors = match value.contains("as_tensor") {
        true => "not isinstance(v, (str, dict, type(None)))",
        false => "torch.is_tensor(v)",
    };
    let kept = format!("{{k: {value} for k, v in d.items() if {tensors}}}");
    let output = files.iter().map(|file| output_beside(file.path)).find(|output| *output != OUTPUT).unwrap_or(OUTPUT);
    format!("{}; torch.save({kept}, {})", loaded(files), python_text(output))
}

/// What is said behind advice to load a file whose code is not known.
pub(super) const UNSAFE: &str =
    ". If Python refuses that, weights_only=False runs the code that the file holds: only if you trust it";
/// What is said behind advice that runs it.
pub(super) const CODE: &str = " (this runs the code that the file holds: only if you trust it)";
