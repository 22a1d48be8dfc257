//! The Python that checkpoints are loaded in.

use super::shared::skipped;

/// The one that `SAM2UNET_PYTHON` names, with torch; `None`, and a loud word, if it names none.
pub fn python() -> Option<String> {
    let python = std::env::var("SAM2UNET_PYTHON").ok().filter(|python| !python.is_empty());
    if python.is_none() {
        skipped("SAM2UNET_PYTHON names no Python with torch");
    }
    python
}
