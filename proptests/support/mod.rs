//! What these tests share with those in `tests`.

#[path = "../../tests/support/archive.rs"]
pub mod archive;
#[cfg(feature = "cuda")]
#[path = "../../tests/support/gpu.rs"]
pub mod gpu;
#[path = "../../tests/support/run_folder.rs"]
pub mod run_folder;
#[path = "../../tests/support/run_log.rs"]
pub mod run_log;
#[path = "../../tests/support/shared.rs"]
pub mod shared;
#[path = "../../tests/support/toy.rs"]
pub mod toy;
