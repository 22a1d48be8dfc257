//! A run's settings: each is written once, in the list of [`Settings`]; files, flags and help texts follow from it.

pub(in crate::train) mod check;
pub(in crate::train) mod data_table;
mod declare;
pub mod demo;
pub(crate) mod error;
pub(in crate::train) mod file;
pub(crate) mod key;
pub(crate) mod layers;
pub(in crate::train) mod of_classes;
pub(crate) mod origin;
pub mod preset;
#[expect(clippy::module_inception, reason = "the settings themselves, beside what belongs to them")]
pub(crate) mod settings;
mod sides;
#[cfg(test)]
mod tests;
pub(in crate::train) mod value;

pub use demo::Demo;
pub use error::{Difference, Problem, SettingsError};
pub use key::{Change, Flag, Group, Key};
pub use layers::{Layer, Resolved, resolve, resolve_for_own_images, resume};
pub use of_classes::{IgnoredValues, WeightsOfClasses};
pub use origin::Origin;
pub use settings::{Generated, KEYS, Settings};
pub use value::SettingValue;
