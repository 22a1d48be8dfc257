//! Flags in the place of settings' keys.

use crate::train::settings::key::Flag;
use crate::train::settings::settings::KEYS;
use std::fmt::Display;

/// A text of the library with flags in the place of settings' keys: `` `resize_masks` `` becomes `` `--resize-masks` ``.
pub(crate) fn with_flags(text: impl Display) -> String {
    let mut text = text.to_string();
    for key in KEYS.iter().filter(|key| !matches!(key.flag, Flag::Off(_))) {
        if let Some(flag) = key.flag_name() {
            text = text.replace(&format!("`{}`", key.name), &format!("`--{flag}`"));
        }
    }
    text
}
