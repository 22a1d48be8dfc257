//! Rules of the source tree, read from its text: which folder may know what, and that imports make no circle.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// A source file.
struct Source {
    /// Below the repository's root, with `/`.
    path: String,
    text: String,
    /// The text without comments, strings and test modules, each replaced by blanks.
    code: String,
    /// Its place among the crate's modules: `src/nn/ops/mod.rs` and `src/nn/ops.rs` are both `nn::ops`.
    module: Vec<String>,
}

impl Source {
    fn is_mod(&self) -> bool {
        self.path.ends_with("/mod.rs") || self.path == "src/lib.rs"
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.ends_with("_tests.rs")
    }

    fn line(&self, position: usize) -> String {
        format!("{}:{}", self.path, self.code[..position].matches('\n').count() + 1)
    }
}

/// Every Rust file below `folder`.
fn sources(folder: &str) -> Vec<Source> {
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
fn item_end(code: &str) -> usize {
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
struct Named {
    at: usize,
    segments: Vec<String>,
    /// Whether it stands in a `use`.
    imported: bool,
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
fn paths(source: &Source) -> Vec<Named> {
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
fn resolve<'s>(files: &BTreeMap<Vec<String>, &'s Source>, from: &Source, named: &Named) -> Option<(&'s Source, usize)> {
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

fn library() -> Vec<Source> {
    sources("src").into_iter().filter(|s| !s.path.starts_with("src/bin/") && !s.is_test()).collect()
}

fn by_module(sources: &[Source]) -> BTreeMap<Vec<String>, &Source> {
    sources.iter().map(|s| (s.module.clone(), s)).collect()
}

/// Which file imports which, and where.
fn imports(sources: &[Source]) -> BTreeMap<(&str, &str), String> {
    let files = by_module(sources);
    let mut arrows = BTreeMap::new();
    for source in sources.iter().filter(|s| !s.is_mod()) {
        for named in paths(source) {
            if let Some((target, _)) = resolve(&files, source, &named)
                && target.path != source.path
            {
                arrows.entry((&source.path[..], &target.path[..])).or_insert_with(|| source.line(named.at));
            }
        }
    }
    arrows
}

fn none(what: &str, found: &[String]) {
    assert!(found.is_empty(), "{what}: {} places\n{}", found.len(), found.join("\n"));
}

/// Lines of code with one of these words.
fn lines_with(sources: &[Source], searched: &[&str]) -> Vec<String> {
    let of = |source: &Source| -> Vec<String> {
        let hit = |line: &str| searched.iter().any(|word| line.contains(word));
        let lines = source.code.lines().enumerate().filter(|(_, line)| hit(line));
        lines.map(|(i, line)| format!("{}:{}: {}", source.path, i + 1, line.trim())).collect()
    };
    sources.iter().flat_map(of).collect()
}

#[test]
fn kernels_know_no_dfdx() {
    let naming = |source: &Source| source.text.contains("dfdx");
    let found: Vec<String> = sources("src/kernels").into_iter().filter(naming).map(|s| s.path).collect();
    none("`dfdx` in src/kernels", &found);
}

#[test]
fn network_and_kernels_touch_no_file() {
    let all: Vec<Source> = sources("src/nn").into_iter().chain(sources("src/kernels")).collect();
    none(
        "files opened in src/nn or src/kernels",
        &lines_with(&all, &["std::fs", "File::", "fs::", "OpenOptions", "memmap2", "tempfile", "image::"]),
    );
}

/// The network reaches kernels through the device's traits.
#[test]
fn the_network_names_no_device_of_the_kernels() {
    let network: Vec<Source> =
        sources("src/nn").into_iter().filter(|s| !s.path.starts_with("src/nn/backend/")).collect();
    none("kernels of one device in src/nn", &lines_with(&network, &["kernels::cpu", "kernels::cuda"]));
}

#[test]
fn the_library_prints_nothing() {
    let library: Vec<Source> = library().into_iter().filter(|s| !s.path.starts_with("src/cli/")).collect();
    none("prints in the library", &lines_with(&library, &["println!", "eprintln!", "print!(", "dbg!"]));
}

#[test]
fn data_metrics_and_checkpoints_know_no_dfdx() {
    let found = ["src/data", "src/metrics", "src/checkpoint", "src/files"]
        .map(|folder| lines_with(&sources(folder), &["dfdx"]));
    none("`dfdx` beside the network", &found.concat());
}

#[test]
fn only_the_command_line_reads_flags_and_draws_progress() {
    let others: Vec<Source> = sources("src").into_iter().filter(|s| !s.path.starts_with("src/cli/")).collect();
    none("the command line outside src/cli", &lines_with(&others, &["clap", "indicatif", "ctrlc"]));
}

/// A `mod.rs` declares modules and names what users outside the crate see.
#[test]
fn module_roots_define_nothing() {
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|s| s.is_mod()) {
        let mut rest = &source.code[..];
        while let trimmed = rest.trim_start()
            && !trimmed.is_empty()
        {
            let at = source.code.len() - trimmed.len();
            let bare = trimmed.strip_prefix("pub").unwrap_or(trimmed).trim_start();
            let bare = if bare.starts_with('(') { bare[bare.find(')').unwrap() + 1..].trim_start() } else { bare };
            let (end, fine) = if trimmed.starts_with('#') {
                (trimmed.find(']').map_or(trimmed.len(), |end| end + 1), true)
            } else if bare.starts_with("use ") || bare.starts_with("mod ") {
                let end = trimmed.find(';').map_or(trimmed.len(), |end| end + 1);
                (end, bare.starts_with("use ") || !trimmed[..end].contains('{'))
            } else {
                (item_end(trimmed), false)
            };
            if !fine {
                found.push(format!("{}: {}", source.line(at), trimmed.lines().next().unwrap_or_default()));
            }
            rest = &trimmed[end..];
        }
    }
    none("definitions in a mod.rs", &found);
}

/// Inside the crate an item is imported from the file that defines it.
#[test]
fn nothing_is_imported_from_a_module_root() {
    let sources = library();
    let files = by_module(&sources);
    let mut found = Vec::new();
    for source in sources.iter().filter(|s| !s.is_mod()) {
        for named in paths(source).iter().filter(|n| n.imported) {
            if let Some((target, _)) = resolve(&files, source, named)
                && target.is_mod()
            {
                found.push(format!("{}: {} is in {}", source.line(named.at), named.segments.join("::"), target.path));
            }
        }
    }
    none("imports from a mod.rs", &found);
}

#[test]
fn names_are_imported_one_by_one() {
    let allowed = ["dfdx::prelude", "rayon::prelude", "proptest::prelude", "std::arch::x86_64"];
    let mut found = Vec::new();
    for source in sources("src").iter().filter(|s| !s.is_test()) {
        for named in paths(source).iter().filter(|n| n.imported) {
            if let [path @ .., last] = &named.segments[..]
                && last == "*"
                && !allowed.contains(&&path.join("::")[..])
            {
                found.push(format!("{}: {}", source.line(named.at), named.segments.join("::")));
            }
        }
    }
    none("glob imports", &found);
}

#[test]
fn nearly_no_file_is_long() {
    let all = sources("src").into_iter().filter(|s| !s.is_test());
    let lines = all.map(|s| (s.text.lines().count(), s.path));
    let long: Vec<String> =
        lines.filter(|(lines, _)| *lines > 500).map(|(lines, path)| format!("{path}: {lines} lines")).collect();
    assert!(long.len() <= 3, "more than three files of over 500 lines:\n{}", long.join("\n"));
}

/// The layers, bottom up; those of one row may know each other, as long as that makes no circle of files.
const LAYERS: [&[&str]; 6] = [
    &["choice", "files", "kernels"],
    &["data", "nn"],
    &["checkpoint", "metrics", "device"],
    &["train", "predict"],
    &["cli"],
    &["bin"],
];

fn layer(path: &str) -> Option<usize> {
    let name = path.strip_prefix("src/")?.split(['/', '.']).next()?;
    LAYERS.iter().position(|layer| layer.contains(&name))
}

#[test]
fn no_layer_imports_one_above_it() {
    let sources = library();
    let unknown: Vec<String> =
        sources.iter().filter(|s| s.path != "src/lib.rs" && layer(&s.path).is_none()).map(|s| s.path.clone()).collect();
    none("files of no layer", &unknown);
    let arrows = imports(&sources);
    let up = |(from, to): &(&str, &str)| layer(to).is_none_or(|to| layer(from).is_some_and(|from| to > from));
    let found: Vec<String> =
        arrows.iter().filter(|(arrow, _)| up(arrow)).map(|((_, to), line)| format!("{line} imports {to}")).collect();
    none("imports that go up", &found);
}

#[test]
fn imports_make_no_circle() {
    let sources = library();
    let arrows = imports(&sources);
    let mut after: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for (from, to) in arrows.keys() {
        after.entry(from).or_default().insert(to);
    }
    let reach = |start: &str| {
        let (mut seen, mut open) = (BTreeSet::new(), vec![start]);
        while let Some(file) = open.pop() {
            for next in after.get(file).into_iter().flatten() {
                if seen.insert(*next) {
                    open.push(next);
                }
            }
        }
        seen
    };
    let reached: BTreeMap<&str, BTreeSet<&str>> = after.keys().map(|file| (*file, reach(file))).collect();
    let both = |a: &str, b: &str| {
        reached.get(a).is_some_and(|r| r.contains(b)) && reached.get(b).is_some_and(|r| r.contains(a))
    };
    let circles: BTreeSet<Vec<&str>> = reached
        .keys()
        .filter(|file| both(file, file))
        .map(|file| reached.keys().copied().filter(|other| both(file, other)).collect())
        .collect();
    let shown = |circle: &Vec<&str>| {
        let inside = |(from, to): &(&str, &str)| circle.contains(from) && circle.contains(to);
        let inner =
            arrows.iter().filter(|(arrow, _)| inside(arrow)).map(|((_, to), line)| format!("  {line} imports {to}"));
        format!("{}\n{}", circle.join(", "), inner.collect::<Vec<_>>().join("\n"))
    };
    none("circles of files", &circles.iter().map(shown).collect::<Vec<_>>());
}

#[test]
fn the_resolver_sees_what_it_should() {
    let code = without_tests(&without_words(
        "// use crate::a;\nuse crate::{b::{self, c}, d as e};\nlet s = \"use x;\";\nlet c = ';'; fn f<'a>() { super::g::h(); \
         $crate::i::j } pub(in crate::k) struct L;\n#[cfg(test)]\nmod tests { use super::*; }\nuse super::m::*;",
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
