//! What a crate compiles that uses the library alone.

use std::process::Command;

/// The crates below this one, as cargo knows them without asking anybody.
fn tree(more: &[&str]) -> String {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["tree", "--offline", "--locked", "-e", "normal", "--prefix", "none"]).args(more);
    let output = command.current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_library_alone_compiles_nothing_of_the_command_line() {
    let has = |tree: &str, name: &str| tree.lines().any(|line| line.starts_with(name));
    let (alone, programs) = (tree(&["--no-default-features"]), tree(&[]));
    assert!(has(&alone, "dfdx ") && has(&programs, "dfdx "));
    for name in ["clap", "indicatif", "signal-hook"] {
        assert!(has(&programs, name), "{name}: {programs}");
        assert!(!has(&alone, name), "{name}: {alone}");
    }
}
