//! Reads Rust: source files without words and tests, the paths that they name, and the files in which these end.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
pub struct Source {
    /// Below the repository's root, with `/`.
    pub path: String,
    pub text: String,
    /// The text without comments, strings and test modules, each replaced by blanks.
    pub code: String,
    /// Its place among the crate's modules: `src/nn/ops/mod.rs` and `src/nn/ops.rs` are both `nn::ops`.
    pub module: Vec<String>,
}

impl Source {
    pub fn is_mod(&self) -> bool {
        self.path.ends_with("/mod.rs") || self.path == "src/lib.rs"
    }

    pub fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs")
    }

    pub fn line(&self, position: usize) -> String {
        format!("{}:{}", self.path, self.code[..position].matches('\n').count() + 1)
    }
}

/// Every Rust file below `folder`.
pub fn sources(folder: &str) -> Vec<Source> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    walk(&root.join(folder), &mut paths);
    paths.sort();
    let read = |path: PathBuf| {
        let text = fs::read_to_string(&path).unwrap();
        let parts: Vec<_> = path.strip_prefix(root).unwrap().iter().map(|p| p.to_str().unwrap()).collect();
        let mut module: Vec<String> = parts[1..].iter().map(|p| p.trim_end_matches(".rs").to_string()).collect();
        if module.last().is_some_and(|last| last == "mod" || last == "lib") {
            module.pop();
        }
        Source { path: parts.join("/"), code: without_tests(&without_words(&text)), text, module }
    };
    paths.into_iter().map(read).collect()
}

/// Blanks of the same length, with the same lines.
fn blank(text: &str) -> String {
    text.chars().map(|c| if c == '\n' { "\n".to_string() } else { " ".repeat(c.len_utf8()) }).collect()
}

/// Rust without its comments, strings and characters.
fn without_words(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let before = code.chars().next_back().unwrap_or(' ');
        let raw = rest.trim_start_matches('r').trim_start_matches('#').starts_with('"') && rest.starts_with('r');
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if raw && !(before.is_alphanumeric() || before == '_') {
            let hashes = rest[1..].chars().take_while(|c| *c == '#').count();
            let open = hashes + 2;
            let close = format!("\"{}", "#".repeat(hashes));
            rest[open..].find(&close).map_or(rest.len(), |end| open + end + close.len())
        } else if first == '"' {
            string_end(rest, '"')
        } else if first == '\'' && is_character(rest) {
            string_end(rest, '\'')
        } else {
            code.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        };
        code.push_str(&blank(&rest[..length]));
        rest = &rest[length..];
    }
    code
}

/// Whether a quote begins a character, not a lifetime.
fn is_character(text: &str) -> bool {
    let mut chars = text.chars().skip(1);
    match chars.next() {
        Some('\\') => true,
        Some(_) => chars.next() == Some('\''),
        None => false,
    }
}

/// Where a string that begins here has ended.
fn string_end(text: &str, quote: char) -> usize {
    let mut escaped = false;
    for (i, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == quote => return i + 1,
            _ => {}
        }
    }
    text.len()
}

/// The end of the item that begins here: its last brace, or its semicolon.
pub fn item_end(code: &str) -> usize {
    let mut depth = 0;
    for (i, c) in code.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => {
                depth -= 1;
                if depth == 0 {
                    return i + 1;
                }
            }
            ';' if depth == 0 => return i + 1,
            _ => {}
        }
    }
    code.len()
}

/// Code without what is compiled for unit tests only.
fn without_tests(code: &str) -> String {
    let (mut kept, mut rest) = (String::new(), code);
    while let Some(start) = rest.find("#[cfg(test)]") {
        let end = start + item_end(&rest[start..]);
        kept.push_str(&rest[..start]);
        kept.push_str(&blank(&rest[start..end]));
        rest = &rest[end..];
    }
    kept + rest
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// Where a word stands as a whole word.
fn words<'a>(code: &'a str, word: &'a str) -> impl Iterator<Item = usize> + 'a {
    code.match_indices(word)
        .map(|(at, _)| at)
        .filter(move |at| !code[..*at].ends_with(is_word) && !code[at + word.len()..].starts_with(is_word))
}

/// A path in the code, and where it stands.
pub struct Named {
    pub at: usize,
    pub segments: Vec<String>,
    /// Whether it stands in a `use`.
    pub imported: bool,
}

/// The paths of a tree of imports: `a::{b, c::d}` is `a::b` and `a::c::d`.
fn expand(tree: &str, prefix: &[String]) -> Vec<Vec<String>> {
    let tree = tree.trim();
    let (head, inner) = match tree.find('{') {
        Some(open) => (&tree[..open], Some(&tree[open + 1..tree.rfind('}').unwrap()])),
        None => (tree.split(" as ").next().unwrap(), None),
    };
    let mut path = prefix.to_vec();
    path.extend(head.split("::").map(str::trim).filter(|s| !s.is_empty()).map(String::from));
    let Some(inner) = inner else { return vec![path] };
    let (mut parts, mut depth, mut start) = (Vec::new(), 0, 0);
    for (i, c) in inner.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&inner[start..i]);
                start = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&inner[start..]);
    parts.into_iter().filter(|p| !p.trim().is_empty()).flat_map(|part| expand(part, &path)).collect()
}

/// Every path that a file imports, or names from the crate's root or its parent.
pub fn paths(source: &Source) -> Vec<Named> {
    let (mut code, mut found) = (source.code.clone(), Vec::new());
    let uses: Vec<usize> = words(&source.code, "use").collect();
    for at in uses {
        let after = &source.code[at + 3..];
        if after.trim_start().starts_with('<') {
            continue; // `impl Trait + use<'a>`
        }
        let end = after.find(';').unwrap_or(after.len());
        let all = expand(&after[..end], &[]);
        found.extend(all.into_iter().map(|segments| Named { at, segments, imported: true }));
        code.replace_range(at..at + 3 + end, &blank(&source.code[at..at + 3 + end]));
    }
    while let Some(at) = code.find("pub(in ") {
        let end = at + code[at..].find(')').unwrap();
        code.replace_range(at..end, &" ".repeat(end - at));
    }
    for start in ["crate", "super"] {
        for at in words(&code, start) {
            let before = code[..at].trim_end();
            if before.ends_with('$') || before.ends_with("::") || !code[at + start.len()..].starts_with("::") {
                continue;
            }
            let path = code[at..].split(|c| !is_word(c) && c != ':').next().unwrap();
            let segments = path.split("::").filter(|s| !s.is_empty()).map(String::from).collect();
            found.push(Named { at, segments, imported: false });
        }
    }
    found
}

/// How many inline modules of a file stand around a place in it.
fn inline_depth(code: &str, at: usize) -> usize {
    let modules = words(code, "mod").filter(|start| *start < at);
    modules
        .filter(|start| {
            let item = &code[*start..];
            let name_ends = item.find(['{', ';']).unwrap_or(item.len());
            item[name_ends..].starts_with('{') && start + item_end(item) > at
        })
        .count()
}

/// The file of this crate in which a path ends, and what is left of the path there; `None` for paths of other crates.
pub fn resolve<'s>(
    files: &BTreeMap<Vec<String>, &'s Source>,
    from: &Source,
    named: &Named,
) -> Option<(&'s Source, usize)> {
    let mut place = from.module.clone();
    let mut segments = named.segments.iter().map(String::as_str).peekable();
    match *segments.peek()? {
        "crate" => {
            place.clear();
            segments.next();
        }
        "super" => {
            let mut inside = inline_depth(&from.code, named.at);
            while segments.next_if_eq(&"super").is_some() {
                if inside > 0 {
                    inside -= 1;
                } else {
                    place.pop();
                }
            }
        }
        _ => return None,
    }
    let mut left = 0;
    for segment in segments {
        let mut longer = place.clone();
        longer.push(segment.to_string());
        if left == 0 && files.contains_key(&longer) {
            place = longer;
        } else if segment != "self" {
            left += 1;
        }
    }
    files.get(&place).map(|file| (*file, left))
}

#[test]
fn the_resolver_sees_what_it_should() {
    let code = without_tests(&without_words(
        "// use crate::a;\nuse crate::{b::{self, c}, d as e};\nlet s = \"use x;\";\nlet c = ';'; fn f<'a>() { \
         super::g::h(); $crate::i::j } pub(in crate::k) struct L;\n\
         #[cfg(test)]\nmod tests { use super::*; }\nuse super::m::*;",
    ));
    let source = Source { path: "src/z/y.rs".into(), text: String::new(), code, module: vec!["z".into(), "y".into()] };
    let found: Vec<String> = paths(&source).into_iter().map(|n| n.segments.join("::")).collect();
    assert_eq!(found, ["crate::b::self", "crate::b::c", "crate::d", "super::m::*", "super::g::h"]);
    let named = |path: &str| Named { at: 0, segments: path.split("::").map(String::from).collect(), imported: true };
    let other = Source {
        path: "src/z/m.rs".into(),
        text: String::new(),
        code: String::new(),
        module: vec!["z".into(), "m".into()],
    };
    let root =
        Source { path: "src/z/mod.rs".into(), text: String::new(), code: String::new(), module: vec!["z".into()] };
    let files = BTreeMap::from([(other.module.clone(), &other), (root.module.clone(), &root)]);
    let end = |path: &str| resolve(&files, &source, &named(path)).map(|(file, left)| (&file.path[..], left));
    assert_eq!(end("super::m::Item"), Some(("src/z/m.rs", 1)));
    assert_eq!(end("crate::z::m"), Some(("src/z/m.rs", 0)));
    assert_eq!(end("crate::z::Item"), Some(("src/z/mod.rs", 1)));
    assert_eq!(end("std::fs::File"), None);
}
