//! A Python with torch, if one is named.

use super::shared::skipped;

/// A Python with torch, if one is named.
pub fn python() -> Option<String> {
    let python = std::env::var("SAM2UNET_PYTHON").ok();
    if python.is_none() {
        skipped("SAM2UNET_PYTHON names no Python with torch");
    }
    python
}
