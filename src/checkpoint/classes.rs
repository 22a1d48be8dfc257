//! The classes of the model that a file holds.

use std::fmt;

use crate::data::classes::class::{ClassKind, Classes};

use super::error::CheckpointError;
use super::file::WeightFile;
use super::load::classes_of;
use super::shown::shown;

/// So many names stand on a line.
const SHOWN: usize = 20;

/// The classes of the model that a file holds, in the order of its heads' channels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileClasses {
    /// One class without a name: the file tells of none, and its heads have one channel, or there are no heads.
    One,
    /// Those that the file tells.
    Told(Classes),
    /// The heads have several channels, of which the file tells nothing: classes that exclude each other, called `class 0`,
    /// `class 1` and so on.
    Assumed(Classes),
}

impl FileClasses {
    /// Of this file. Its metadata and the shape of its head are looked at, no weight is read.
    ///
    /// # Errors
    /// [`CheckpointError::Classes`] when the metadata are damaged, or tell of another number of classes than the heads have
    /// channels, and when there are more than 255 channels.
    pub fn of(file: &WeightFile) -> Result<Self, CheckpointError> {
        let wrong = |reason: String| CheckpointError::Classes { path: file.path().to_path_buf(), reason };
        let (told, channels) = (Classes::of_metadata(file.metadata()).map_err(wrong)?, classes_of(file));
        match (told, channels) {
            (Some(told), Some(channels)) if told.len() != channels => {
                Err(wrong(format!("`classes` names {}, but the heads have {channels} channels", told.len())))
            }
            (Some(told), _) => Ok(Self::Told(told)),
            (None, None | Some(1)) => Ok(Self::One),
            (None, Some(channels)) => {
                let names = (0..channels).map(|number| format!("class {number}"));
                let assumed = Classes::named(ClassKind::Exclusive, names);
                Ok(Self::Assumed(assumed.map_err(|error| wrong(error.to_string()))?))
            }
        }
    }

    /// The classes; `None`: it is one without a name.
    pub fn classes(&self) -> Option<&Classes> {
        match self {
            Self::One => None,
            Self::Told(classes) | Self::Assumed(classes) => Some(classes),
        }
    }

    /// How many channels a model's heads have for them.
    pub fn channels(&self) -> usize {
        self.classes().map_or(1, Classes::len)
    }
}

/// `3 classes that exclude each other: background, polyp, tool`.
impl fmt::Display for FileClasses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(classes) = self.classes() else { return f.write_str("one class") };
        let count = classes.len();
        match classes.kind {
            ClassKind::Exclusive => write!(f, "{count} classes that exclude each other")?,
            ClassKind::Overlapping if count == 1 => f.write_str("1 class")?,
            ClassKind::Overlapping => write!(f, "{count} classes that may overlap")?,
        }
        match self {
            Self::Assumed(_) => f.write_str(", which the file does not name"),
            _ => {
                let names: Vec<_> = classes.names().take(SHOWN).map(shown).collect();
                let more = if count > SHOWN { format!(" and {} more", count - SHOWN) } else { String::new() };
                write!(f, ": {}{more}", names.join(", "))
            }
        }
    }
}
