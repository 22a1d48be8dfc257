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
    set: Folder,
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
    /// # Errors
    /// When files cannot be paired up. What cannot be decoded is in the [`report`](Self::report).
    pub fn open(
        settings: &Settings,
        threads: usize,
        kept: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Option<Self>, DataError> {
        let Settings { images, masks, val_images, val_masks, .. } = settings;
        let options = FolderOptions {
            recursive: settings.recursive,
            resize_masks: settings.resize_masks,
            read: settings.reading(),
            ..FolderOptions::default()
        };
        let (Some(images), Some(masks)) = (images, masks) else { return Ok(None) };
        let training = Folder::open_with(images, masks, options.clone())?;
        // before files are read, which takes long
        let validation = match (val_images, val_masks) {
            (Some(images), Some(masks)) => Some(Folder::open_with(images, masks, options)?),
            _ => None,
        };
        let mut read = |set: Folder| InspectedFolder { found: inspect(&set, threads, kept, progress), set };
        let training = read(training);
        let validation = validation.map(read);
        Ok(Some(Self { training, validation }))
    }

    /// What was found.
    pub fn report(&self) -> DataReport {
        let of = |folder: &InspectedFolder| SetReport::new(&folder.set, &folder.found);
        DataReport { training: of(&self.training), validation: self.validation.as_ref().map(of) }
    }

    /// The sets to train on.
    ///
    /// # Errors
    /// When files cannot be used: all of them.
    fn sources(self, settings: &Settings) -> Result<Sources, DataError> {
        let of = self.training.set.len() + self.validation.as_ref().map_or(0, |folder| folder.set.len());
        let (mut errors, mut notes) = (Vec::new(), Vec::new());
        let mut take = |InspectedFolder { set, found }: InspectedFolder| -> Arc<dyn Dataset> {
            errors.extend(found.bad);
            notes.extend(found.warnings.into_iter().map(Note::Data));
            Arc::new(set)
        };
        let training = take(self.training);
        let validation = self.validation.map(take);
        if !errors.is_empty() {
            return Err(DataError::Bad(BadFiles { of, errors }));
        }
        let from = |path: &Option<_>| path.as_deref().map_or(String::new(), |path: &Path| path.display().to_string());
        let mut described = format!("{} images from {}", training.len(), from(&settings.images));
        described += &match &validation {
            Some(set) => format!("; validation on {} images from {}", set.len(), from(&settings.val_images)),
            None => "; nothing is held out (no `val_images`)".to_string(),
        };
        Ok(Sources { notes, training, validation, described })
    }
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
        match InspectedFolders::open(settings, threads, kept, progress)? {
            Some(folders) => folders.sources(settings),
            None => Ok(Self::generated(settings)),
        }
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
