//! What these tests share with those in `tests`.

#[path = "../../tests/support/archive.rs"]
pub mod archive;
#[cfg(feature = "cuda")]
#[path = "../../tests/support/gpu.rs"]
pub mod gpu;
#[path = "../../tests/support/numbers.rs"]
#[allow(dead_code, reason = "the tests compare more")]
pub mod numbers;
#[path = "../../tests/support/run_folder.rs"]
pub mod run_folder;
#[path = "../../tests/support/run_log.rs"]
pub mod run_log;
#[path = "../../tests/support/shared.rs"]
pub mod shared;
#[path = "../../tests/support/split_pass.rs"]
pub mod split_pass;
#[path = "../../tests/support/toy.rs"]
pub mod toy;
