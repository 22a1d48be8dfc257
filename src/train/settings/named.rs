//! Choices that files and flags know by a name.

use super::error::SettingsError;
use super::multi_scale::MultiScale;
use crate::device::DeviceChoice;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::kernels::structure_loss::LossFlavour;
use crate::metrics::task::Task;

/// A choice that files and flags know by a name.
pub trait Named: Copy + PartialEq + 'static {
    /// What is chosen, for messages.
    const WHAT: &'static str;
    /// Every name with its meaning.
    const NAMES: &'static [(&'static str, Self)];

    /// The name of this choice.
    fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, choice)| *choice == self).map_or("", |(name, _)| name)
    }

    /// The choice of that name.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    fn parse(text: &str) -> Result<Self, SettingsError> {
        Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, choice)| *choice).ok_or_else(|| {
            SettingsError::Choice { what: Self::WHAT, found: text.to_string(), choices: choices::<Self>() }
        })
    }
}

fn choices<T: Named>() -> String {
    T::NAMES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

impl Named for MultiScale {
    const WHAT: &'static str = "multi-scale";
    const NAMES: &'static [(&'static str, Self)] =
        &[("off", Self::Off), ("random", Self::Random), ("both", Self::Both)];
}

impl Named for DeviceChoice {
    const WHAT: &'static str = "device";
    const NAMES: &'static [(&'static str, Self)] = &[("auto", Self::Auto), ("cpu", Self::Cpu), ("cuda", Self::Cuda)];
}

impl Named for Precision {
    const WHAT: &'static str = "precision";
    const NAMES: &'static [(&'static str, Self)] = Self::NAMES;
}

impl Named for MemoryUse {
    const WHAT: &'static str = "memory";
    const NAMES: &'static [(&'static str, Self)] =
        &[("small", Self::Small), ("balanced", Self::Balanced), ("fast", Self::Fast)];
}

impl Named for LossFlavour {
    const WHAT: &'static str = "loss";
    const NAMES: &'static [(&'static str, Self)] =
        &[("paper", Self::Paper), ("published-script", Self::PublishedScript)];
}

impl Named for Task {
    const WHAT: &'static str = "task";
    const NAMES: &'static [(&'static str, Self)] = &[
        (Self::Camouflage.name(), Self::Camouflage),
        (Self::Salient.name(), Self::Salient),
        (Self::Marine.name(), Self::Marine),
        (Self::Mirror.name(), Self::Mirror),
        (Self::Polyp.name(), Self::Polyp),
    ];
}
