//! What must not compile, and the compiler's words about it.
//!
//! The messages belong to one toolchain (`rust-toolchain.toml`); `TRYBUILD=overwrite` writes them anew.

#[test]
fn compile_fail() {
    let cases = trybuild::TestCases::new();
    // A passing case makes trybuild run `cargo build` instead of `cargo check`: only then are the
    // `const` assertions inside generic functions evaluated.
    cases.pass("tests/compile_pass/*.rs");
    cases.compile_fail("tests/compile_fail/*.rs");
}
