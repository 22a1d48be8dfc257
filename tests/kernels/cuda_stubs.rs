//! Who defines functions under NVIDIA's names: every program and test binary, and not the library. This reads the
//! source; `scripts/check-cuda.sh` reads the symbols of what is built from it.

use std::fs;
use std::path::{Path, PathBuf};

const LINE: &str = "load_cuda_libraries_late!();";

/// Every Rust file below a folder of the repository.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|e| e == "rs")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn every_program_and_test_binary_has_the_line() {
    let programs = rust_files(&root().join("src/bin"));
    assert!(!programs.is_empty());
    for path in programs.into_iter().chain(["tests/main.rs", "proptests/main.rs"].map(|p| root().join(p))) {
        let lines = fs::read_to_string(&path).unwrap().lines().filter(|l| *l == format!("sam2unet::{LINE}")).count();
        assert!(lines == 1, "{}: {lines} lines `sam2unet::{LINE}`, and a program needs one", path.display());
    }
}

#[test]
fn the_library_has_it_for_its_unit_tests_alone() {
    let mut expanded = 0;
    for path in rust_files(&root().join("src")) {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap();
        let own = name.ends_with("kernels/cuda_stubs.rs");
        assert!(own || !text.contains("global_asm!"), "{} may define symbols", name.display());
        if name.starts_with("src/bin") {
            continue;
        }
        let mut before = "";
        for line in text.lines() {
            if line.contains(LINE) && !line.trim_start().starts_with("//") {
                assert!(before == "#[cfg(test)]", "{}: `{LINE}` in the library itself", name.display());
                expanded += 1;
            }
            before = line;
        }
    }
    assert!(expanded == 1, "{expanded} lines `{LINE}` for the unit tests");
}
