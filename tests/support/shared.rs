//! The files that tests compare with, which are not in the repository.

use std::io::Write;
use std::path::{Path, PathBuf};

/// The path of a shared file, or `None` and a loud word where there is none.
pub fn shared(name: &str) -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    let root = std::env::var_os("SAM2UNET_SHARED").map_or(beside, PathBuf::from);
    let path = root.join(name);
    if !path.exists() {
        skipped(&format!("{} is not there (SAM2UNET_SHARED says where)", path.display()));
        return None;
    }
    Some(path)
}

/// Says that a test ends without having tested.
pub fn skipped(reason: &str) {
    // not `eprintln`, which the test harness keeps to itself while tests pass
    let _ = writeln!(std::io::stderr(), "SKIPPED: {reason}");
}
