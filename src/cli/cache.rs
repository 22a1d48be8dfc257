//! Where what was found of image files is remembered.

use std::env;
use std::path::PathBuf;

/// `sam2unet/data` in the user's cache folder: `XDG_CACHE_HOME`, `LOCALAPPDATA` or `HOME/.cache`. `None` where none is set.
pub(super) fn cache_folder() -> Option<PathBuf> {
    let named = |name: &str| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = named("XDG_CACHE_HOME").or_else(|| named("LOCALAPPDATA"));
    let cache = cache.or_else(|| named("HOME").map(|home| home.join(".cache")))?;
    Some(cache.join("sam2unet").join("data"))
}
