//! A run's settings: what was asked for ([`Choices`]), made complete by presets ([`Settings`]).

pub(in crate::train) mod check;
pub(crate) mod choices;
pub mod demo;
pub(crate) mod error;
pub(in crate::train) mod file;
pub(in crate::train) mod resume;
#[expect(clippy::module_inception, reason = "the settings themselves, beside what belongs to them")]
pub(crate) mod settings;
mod sides;
#[cfg(test)]
mod tests;

pub use choices::Choices;
pub use error::SettingsError;
pub use settings::{Generated, Settings};
