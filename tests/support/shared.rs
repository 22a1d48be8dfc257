//! The files that tests compare with, which are not in the repository.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The path of a shared file; `None`, and a loud word, where this machine has no folder of them: `SAM2UNET_SHARED` is
/// empty or not set, and `../shared` is not there.
///
/// # Panics
/// When there is a folder and the file is not in it, or `SAM2UNET_SHARED` names no folder: a test that ended then
/// without having tested would not be missed.
#[track_caller]
pub fn shared(name: &str) -> Option<PathBuf> {
    let named = std::env::var_os("SAM2UNET_SHARED").map(PathBuf::from);
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared");
    match find(named.as_deref(), &beside, name) {
        Ok(None) => {
            skipped(&format!("{} is not there (SAM2UNET_SHARED says where)", beside.display()));
            None
        }
        Ok(path) => path,
        Err(message) => panic!("{message}"),
    }
}

/// A shared file in the folder that was `named`, else in the one `beside` the repository; `None` if there is no
/// folder. An empty name is none.
///
/// # Errors
/// What is missing, and what to do.
pub fn find(named: Option<&Path>, beside: &Path, name: &str) -> Result<Option<PathBuf>, String> {
    let named = named.filter(|folder| !folder.as_os_str().is_empty());
    let root = named.unwrap_or(beside);
    if !root.is_dir() {
        let absent = || format!("SAM2UNET_SHARED names no folder: {}; correct it or unset it", root.display());
        return if named.is_some() { Err(absent()) } else { Ok(None) };
    }
    let path = root.join(name);
    if !path.exists() {
        return Err(format!(
            "{} is not there, although the folder {} is: bring that folder up to date, or set SAM2UNET_SHARED to one \
             that has the file",
            path.display(),
            root.display()
        ));
    }
    Ok(Some(path))
}

/// Says, once in a test, that it ends without having tested all.
pub fn skipped(reason: &str) {
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    let thread = std::thread::current();
    let line = format!("SKIPPED: {}: {reason}\n", thread.name().unwrap_or("a test"));
    if SAID.lock().unwrap().insert(line.clone()) {
        // not `eprintln`, which the test harness keeps to itself while tests pass
        let _ = std::io::stderr().write_all(line.as_bytes());
    }
}
