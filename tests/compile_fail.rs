//! What must not compile, and the compiler's words about it.
//!
//! The messages belong to one toolchain (`rust-toolchain.toml`); `TRYBUILD=overwrite` writes them anew.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The names in a folder that end so, without the ending.
fn names(folder: &str, ending: &str) -> BTreeSet<String> {
    let entries = fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter_map(|name| Some(name.strip_suffix(ending)?.to_string())).collect()
}

#[test]
fn compile_fail() {
    // trybuild is content with an empty folder, and with words for a case that is gone
    let fails = names("tests/compile_fail", ".rs");
    assert!(fails.len() >= 16 && !names("tests/compile_pass", ".rs").is_empty(), "cases are missing: {fails:?}");
    assert_eq!(fails, names("tests/compile_fail", ".stderr"));
    let cases = trybuild::TestCases::new();
    // A passing case makes trybuild run `cargo build` instead of `cargo check`: only then are the
    // `const` assertions inside generic functions evaluated.
    cases.pass("tests/compile_pass/*.rs");
    cases.compile_fail("tests/compile_fail/*.rs");
}
