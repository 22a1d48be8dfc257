//! Where a run's images come from, checked before training starts.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::note::Note;
use super::settings::demo;
use super::settings::settings::Settings;
use crate::data::dataset::Dataset;
use crate::data::error::{BadFiles, DataError};
use crate::data::folder::{Folder, FolderOptions};
use crate::data::inspect::{Inspection, inspect};
use crate::data::names::StemRule;
use crate::data::report::SetReport;
use crate::data::synthetic::Synthetic;

/// There is nothing to train on, or to validate on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} set holds no images")]
pub struct EmptySet(pub &'static str);

/// The training set, and the validation set if there is one.
#[derive(Clone)]
pub struct Sources {
    /// What is trained on.
    pub training: Arc<dyn Dataset>,
    /// What `best` is chosen by.
    pub validation: Option<Arc<dyn Dataset>>,
    /// What is odd about them.
    pub notes: Vec<Note>,
    described: String,
}

/// The folders of a run, all of whose files were read.
#[derive(Debug)]
pub struct InspectedFolders {
    training: InspectedFolder,
    validation: Option<InspectedFolder>,
}

#[derive(Debug)]
struct InspectedFolder {
    /// `None`: its files cannot be paired.
    set: Option<Folder>,
    found: Inspection,
}

/// What the folders of a run hold. Displays as lines for people. As JSON it has the keys of the training set's [`SetReport`], and
/// under `validation` those of the validation set.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct DataReport {
    /// The training set.
    #[serde(flatten)]
    pub training: SetReport,
    /// The validation set, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<SetReport>,
}

impl InspectedFolders {
    /// Pairs up the files of the folders that `settings` name and decodes each file once, on `threads` threads; `None` if they name
    /// none. `kept` is a folder that remembers what was found, so that files that are as they were need not be decoded the next time;
    /// `progress` is told how many pairs of a set are done, of how many.
    ///
    /// What cannot be paired up or decoded is in the [`report`](Self::report).
    pub fn open(
        settings: &Settings,
        threads: usize,
        kept: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Option<Self> {
        let (training, validation) = pair(settings)?;
        let mut read = |paired: Result<Folder, DataError>| match paired {
            Ok(set) => InspectedFolder { found: inspect(&set, threads, kept, progress), set: Some(set) },
            Err(error) => InspectedFolder { set: None, found: Inspection::refused(error) },
        };
        let training = read(training);
        let validation = validation.map(read);
        Some(Self { training, validation })
    }

    /// What was found.
    pub fn report(&self) -> DataReport {
        let of = |folder: &InspectedFolder| SetReport::new(folder.set.as_ref(), &folder.found);
        DataReport { training: of(&self.training), validation: self.validation.as_ref().map(of) }
    }

    /// Why a run on them would be refused: all that cannot be used, grouped by cause. `None`: it would not be.
    pub fn into_errors(self) -> Option<DataError> {
        refusal(std::iter::once(self.training).chain(self.validation).map(|folder| folder.found)).0
    }
}

/// Why a run on sets in which this was found is refused, if it is; and what is odd about them.
fn refusal(found: impl Iterator<Item = Inspection>) -> (Option<DataError>, Vec<Note>) {
    let (mut of, mut errors, mut notes) = (0, Vec::new(), Vec::new());
    for found in found {
        of += found.pairs.len();
        errors.extend(found.bad);
        notes.extend(found.warnings.into_iter().map(Note::Data));
    }
    let error = match errors.len() {
        0 | 1 => errors.pop(),
        _ => Some(DataError::Bad(BadFiles { of, errors })),
    };
    (error, notes)
}

type Paired = Result<Folder, DataError>;

/// The pairs of the training set, and of the validation set if there is one; no file is opened. `None`: no folders are named.
fn pair(settings: &Settings) -> Option<(Paired, Option<Paired>)> {
    let Settings { images, masks, val_images, val_masks, recursive, resize_masks, .. } = settings;
    let (recursive, resize_masks, read) = (*recursive, *resize_masks, settings.reading());
    let stems = StemRule::with_mask_suffix(settings.mask_suffix.as_deref().unwrap_or_default());
    let options = FolderOptions { recursive, resize_masks, read, stems, ..FolderOptions::default() };
    let pair = |images: &Path, masks: &Path| Folder::open_with(images, masks, options.clone());
    let training = pair(images.as_ref()?, masks.as_ref()?);
    let validation = val_images.as_ref().zip(val_masks.as_ref()).map(|(images, masks)| pair(images, masks));
    Some((training, validation))
}

impl DataReport {
    /// Whether files cannot be used, so that a run would be refused.
    pub fn is_refused(&self) -> bool {
        self.sets().any(|(_, set)| !set.errors.is_empty())
    }

    /// Each set with what it is for.
    pub fn sets(&self) -> impl Iterator<Item = (&'static str, &SetReport)> {
        std::iter::once(("training", &self.training)).chain(self.validation.iter().map(|set| ("validation", set)))
    }
}

impl fmt::Display for DataReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (number, (name, set)) in self.sets().enumerate() {
            write!(f, "{}{:<10} {name}\n{set}", if number == 0 { "" } else { "\n\n" }, "set")?;
        }
        Ok(())
    }
}

impl Sources {
    /// Opens and reads the folders of `settings`, as [`InspectedFolders::open`] does, or generates scenes where there are none.
    ///
    /// # Errors
    /// When files cannot be paired up, or cannot be used: all of them.
    pub fn open(
        settings: &Settings,
        threads: usize,
        kept: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DataError> {
        let Some((training, validation)) = pair(settings) else { return Ok(Self::generated(settings)) };
        // a set that cannot be paired is refused before the other one is read
        let (training, validation) = (training?, validation.transpose()?);
        let mut found = Vec::new();
        for set in std::iter::once(&training).chain(&validation) {
            found.push(inspect(set, threads, kept, progress));
        }
        let (error, notes) = refusal(found.into_iter());
        if let Some(error) = error {
            return Err(error);
        }
        let from = |path: &Option<_>| path.as_deref().map_or(String::new(), |path: &Path| path.display().to_string());
        let mut described = format!("{} images from {}", training.len(), from(&settings.images));
        described += &match &validation {
            Some(set) => format!("; validation on {} images from {}", set.len(), from(&settings.val_images)),
            None => "; nothing is held out (no `val_images`)".to_string(),
        };
        let validation = validation.map(|set| Arc::new(set) as Arc<dyn Dataset>);
        Ok(Self { notes, training: Arc::new(training), validation, described })
    }

    /// Whether there is something to train on and, if there is a validation set, to validate on.
    ///
    /// # Errors
    /// When a set holds no images.
    pub(super) fn check_not_empty(&self) -> Result<(), EmptySet> {
        if self.training.is_empty() {
            return Err(EmptySet("training"));
        }
        match &self.validation {
            Some(set) if set.is_empty() => Err(EmptySet("validation")),
            _ => Ok(()),
        }
    }

    fn generated(settings: &Settings) -> Self {
        let (images, val_images) = settings.generated.map_or((0, 0), |sets| (sets.images, sets.val_images));
        let described = format!("{images} generated scenes; validation on {val_images} others (no `images` given)");
        let training = Arc::new(Synthetic::new(demo::TRAINING_SEED, images, settings.size));
        let validation = Arc::new(Synthetic::new(demo::VALIDATION_SEED, val_images, settings.size));
        Self { training, validation: Some(validation), notes: Vec::new(), described }
    }

    /// Sets of one's own.
    pub fn of(training: Arc<dyn Dataset>, validation: Option<Arc<dyn Dataset>>) -> Self {
        let described = match &validation {
            Some(set) => format!("{} images; validation on {}", training.len(), set.len()),
            None => format!("{} images; nothing is held out", training.len()),
        };
        Self { training, validation, notes: Vec::new(), described }
    }
}

/// One line: how many images from where.
impl fmt::Display for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.described)
    }
}

impl fmt::Debug for Sources {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sources").field(&self.described).finish()
    }
}
