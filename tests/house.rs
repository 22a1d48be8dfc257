//! Rules of the source tree, read from its text: which folder may know what, and that imports make no circle.

use crate::support::source::{Source, item_end, paths, resolve, sources};
use std::collections::{BTreeMap, BTreeSet};

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
    none("the command line outside src/cli", &lines_with(&others, &["clap", "indicatif", "signal_hook"]));
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
    &["choice", "digest", "files", "group", "kernels", "shard", "shell"],
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

/// rustfmt leaves long comments and strings as they are.
#[test]
fn lines_have_at_most_120_columns() {
    let all = ["tests", "proptests", "examples"].map(sources).into_iter().flatten();
    let long = |source: Source| -> Vec<String> {
        let lines = source.text.lines().enumerate().filter(|(_, line)| line.chars().count() > 120);
        lines.map(|(i, line)| format!("{}:{}: {}", source.path, i + 1, line.trim())).collect()
    };
    none("lines of over 120 columns", &all.flat_map(long).collect::<Vec<_>>());
}
