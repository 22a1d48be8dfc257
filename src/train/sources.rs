//! Where a run's images come from, checked before training starts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;

use super::note::Note;
use super::settings::demo::{self, Demo};
use super::settings::of_classes::WeightsOfClasses;
use super::settings::settings::Settings;
use crate::data::class_warnings::{missing_class_warnings, pixels_of_classes};
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::dataset::Dataset;
use crate::data::description::open::DescribedSets;
use crate::data::duplicates::duplicates;
use crate::data::error::DataError;
use crate::data::folder::Folder;
use crate::data::inspect::{Inspection, OneReader, Readers, inspect, inspect_with, set_digest};
use crate::data::labels::kind::LabelKind;
use crate::data::names::{has_ending, name_as_text};
use crate::data::pair_facts::{LabelFacts, PairFacts};
use crate::data::pixels::Rgb;
use crate::data::report::SetReport;
use crate::data::shapes::Shapes;
use crate::data::sheet::labelled_sheet;
use crate::data::synthetic::Synthetic;
use crate::data::warning::{Warning, WarningCode};
use crate::digest::Digest;

/// There is nothing to train on, or to validate on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the {0} set holds no images")]
pub struct EmptySet(pub &'static str);

/// Why processes have no sets.
#[derive(Debug)]
pub(super) enum OpenError<E> {
    /// Files cannot be used.
    Data(DataError),
    /// The processes cannot go on together.
    Readers(E),
}

impl<E> From<DataError> for OpenError<E> {
    fn from(error: DataError) -> Self {
        Self::Data(error)
    }
}

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
    /// Pixels of the training set, where its files were read.
    pixels: Option<ClassPixels>,
    /// The form of the labels, where they are in files.
    labels: Option<LabelKind>,
    /// The sets that are in files.
    folders: Vec<Arc<Folder>>,
}

/// The folders of a run, all of whose files were read.
#[derive(Debug)]
pub struct InspectedFolders {
    training: InspectedFolder,
    validation: Option<InspectedFolder>,
    told: Vec<String>,
    /// Validation images that are training images, too.
    duplicates: Vec<PathBuf>,
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
    /// Which layout and which labels were found.
    pub found: Vec<String>,
    /// The training set.
    #[serde(flatten)]
    pub training: SetReport,
    /// The names of validation images that are training images, too, byte for byte.
    pub duplicates: Vec<String>,
    /// The validation set, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub validation: Option<SetReport>,
}

impl InspectedFolders {
    /// Finds the images and labels that `settings` describe and reads each file once, on `threads` threads; `None` if they describe
    /// none. `kept` is a folder that remembers what was found, so that files that are as they were need not be decoded the next time;
    /// `progress` is told how many pairs of a set are done, of how many.
    ///
    /// What cannot be paired up or read is in the [`report`](Self::report).
    pub fn open(
        settings: &Settings,
        threads: usize,
        kept: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Option<Self> {
        let sets = match settings.description()?.open() {
            Ok(sets) => sets,
            Err(error) => {
                let training = InspectedFolder { set: None, found: Inspection::refused(error) };
                return Some(Self { training, validation: None, told: Vec::new(), duplicates: Vec::new() });
            }
        };
        let mut read = |set: Result<Folder, DataError>| match set {
            Ok(set) => InspectedFolder { found: inspect(&set, threads, kept, progress), set: Some(set) },
            Err(error) => InspectedFolder { set: None, found: Inspection::refused(error) },
        };
        let training = read(sets.training);
        let validation = sets.validation.map(read);
        Some(Self::settled(training, validation, sets.told))
    }

    /// Sets that were read, with what follows of both of them.
    fn settled(training: InspectedFolder, validation: Option<InspectedFolder>, told: Vec<String>) -> Self {
        let mut folders = Self { training, validation, told, duplicates: Vec::new() };
        folders.settle_classes();
        if let Some(validation) = &mut folders.validation
            && let (Some(first), Some(second)) = (&folders.training.set, &validation.set)
        {
            folders.duplicates = duplicates(first, second);
            let warning = Warning::about(WarningCode::Duplicates, folders.duplicates.clone(), second.len(), "");
            validation.found.warnings.extend(warning);
        }
        folders
    }

    /// Where values of masks are numbers of classes that nobody named, the largest one tells how many there are. Then, what is wrong
    /// with the classes.
    fn settle_classes(&mut self) {
        let Some(set) = &self.training.set else { return };
        let pixels = |folder: &InspectedFolder| pixels_of_classes(&folder.found.pairs);
        let (training, validation) = (pixels(&self.training), self.validation.as_ref().map(pixels));
        if set.has_unnamed_classes() {
            match found_classes(&training, validation.as_deref()) {
                Ok(classes) => {
                    let both = [Some(&mut self.training), self.validation.as_mut()];
                    let sets = both.into_iter().flatten().filter_map(|folder| folder.set.as_mut());
                    let refused = sets.filter_map(|set| set.set_classes(classes.clone()).err()).next();
                    self.training.found.bad.extend(refused);
                }
                // files that cannot be read say more
                Err(error) if self.training.found.bad.is_empty() => self.training.found.bad.push(error),
                Err(_) => {}
            }
        }
        if let Some(classes) = self.training.set.as_ref().and_then(Dataset::classes) {
            let warnings = missing_class_warnings(classes, &training, validation.as_deref());
            self.training.found.warnings.extend(warnings);
        }
    }

    /// What was found.
    pub fn report(&self) -> DataReport {
        DataReport {
            found: self.told.clone(),
            training: self.training.report(),
            duplicates: self.duplicates.iter().map(|path| name_as_text(path.as_os_str())).collect(),
            validation: self.validation.as_ref().map(InspectedFolder::report),
        }
    }

    /// A picture of up to `most` training images with their labels; `None` where none can be used.
    pub fn sheet(&self, most: usize) -> Option<Rgb> {
        let (set, pairs) = (self.training.set.as_ref()?, &self.training.found.pairs);
        let usable: Vec<usize> = (0..pairs.len()).filter(|index| pairs[*index].is_some()).collect();
        (!usable.is_empty()).then(|| labelled_sheet(set, &usable, most))
    }

    /// Whether images or masks of the sets lie in this folder.
    pub fn holds_files_of(&self, folder: &Path) -> bool {
        let Ok(folder) = folder.canonicalize() else { return false };
        let sets = [self.training.set.as_ref(), self.validation.as_ref().and_then(|folder| folder.set.as_ref())];
        let pairs = sets.into_iter().flatten().flat_map(Folder::pairs);
        // annotations may lie anywhere
        let is_picture = |path: &&PathBuf| !["json", "txt"].iter().any(|ending| has_ending(path, ending));
        let files = pairs.flat_map(|pair| std::iter::once(&pair.image).chain(&pair.masks)).filter(is_picture);
        let places: BTreeSet<&Path> = files.filter_map(|file| file.parent()).collect();
        places.into_iter().any(|place| place.canonicalize().is_ok_and(|place| place == folder))
    }

    /// Why a run on them would be refused: all that cannot be used, grouped by cause. `None`: it would not be.
    pub fn into_errors(self) -> Option<DataError> {
        refusal(std::iter::once(self.training).chain(self.validation).map(|folder| folder.found)).0
    }
}

impl InspectedFolder {
    fn report(&self) -> SetReport {
        SetReport::new(self.set.as_ref(), &self.found)
    }
}

/// Classes by their numbers, as many as the masks show.
fn found_classes(training: &[u64], validation: Option<&[u64]>) -> Result<Classes, DataError> {
    let count = training.len().max(validation.map_or(0, <[u64]>::len));
    let sets = [Some(training), validation];
    let seen = |class: &usize| sets.iter().flatten().any(|pixels| pixels.get(*class).is_some_and(|pixels| *pixels > 0));
    let shown: Vec<usize> = (0..count).filter(seen).collect();
    let values = || shown.iter().map(usize::to_string).collect::<Vec<_>>().join(", ");
    if count < 2 {
        return Err(DataError::Description(format!(
            "read as numbers of classes, the values of the masks ({}) show one class only; for masks of one class set `labels` to \
             \"binary\", otherwise name the classes (`classes`)",
            values()
        )));
    }
    if 2 * shown.len() < count {
        return Err(DataError::Description(format!(
            "read as numbers of classes, the values of the masks ({}) would make {count} classes, most of which no pixel shows; say \
             which value means which class (`classes` with a file: background = 0, polyp = 128)",
            values()
        )));
    }
    let name = |class: usize| if class == 0 { "background".to_string() } else { format!("class {class}") };
    Ok(Classes::named(ClassKind::Exclusive, (0..count).map(name))?)
}

/// Why a run on sets in which this was found is refused, if it is; and what is odd about them.
fn refusal(found: impl Iterator<Item = Inspection>) -> (Option<DataError>, Vec<Note>) {
    let (mut of, mut errors, mut notes) = (0, Vec::new(), Vec::new());
    for found in found {
        of += found.pairs.len();
        errors.extend(found.bad);
        notes.extend(found.warnings.into_iter().map(Note::Data));
    }
    (DataError::all(errors, of), notes)
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
        for line in &self.found {
            writeln!(f, "{:<10} {line}", "found")?;
        }
        for (number, (name, set)) in self.sets().enumerate() {
            write!(f, "{}{:<10} {name}\n{set}", if number == 0 { "" } else { "\n\n" }, "set")?;
        }
        Ok(())
    }
}

impl Sources {
    /// Opens and reads what `settings` describe, as [`InspectedFolders::open`] does, or generates scenes where they describe nothing.
    ///
    /// # Errors
    /// When files cannot be paired up, or cannot be used: all of them.
    pub fn open(
        settings: &Settings,
        threads: usize,
        kept: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
    ) -> Result<Self, DataError> {
        Self::open_with(settings, threads, kept, progress, &OneReader).map_err(|error| match error {
            OpenError::Data(error) => error,
            OpenError::Readers(never) => match never {},
        })
    }

    /// [`open`](Self::open) by several processes, each of which reads a part; all get the same. Only the first one has, or fills, `kept`.
    ///
    /// # Errors
    /// As there, and when the processes cannot go on together.
    pub(super) fn open_with<R: Readers>(
        settings: &Settings,
        threads: usize,
        kept: Option<&Path>,
        progress: &mut dyn FnMut(usize, usize),
        readers: &R,
    ) -> Result<Self, OpenError<R::Error>> {
        let Some(description) = settings.description() else { return Ok(Self::generated(settings)) };
        let DescribedSets { training, validation, told, labels } = description.open()?;
        // a set that cannot be paired is refused before the other one is read
        let (training, validation) = (training?, validation.transpose()?);
        let mut read = |set: Folder| {
            let found = inspect_with(&set, threads, kept, progress, readers).map_err(OpenError::Readers)?;
            Ok::<_, OpenError<R::Error>>(InspectedFolder { found, set: Some(set) })
        };
        let training = read(training)?;
        let validation = validation.map(read).transpose()?;
        let folders = InspectedFolders::settled(training, validation, told);
        let classes = folders.training.report().told_classes();
        let InspectedFolders { training, validation, told, .. } = folders;
        let (mut found, mut sets) = (Vec::new(), Vec::new());
        for InspectedFolder { set, found: of_set } in std::iter::once(training).chain(validation) {
            found.push(of_set);
            sets.extend(set);
        }
        let pixels = found.first().map(|found| class_pixels(&found.pairs));
        let (error, mut notes) = refusal(found.into_iter());
        if let Some(error) = error {
            return Err(error.into());
        }
        notes.splice(0..0, told.into_iter().chain(classes).map(Note::Described));
        let mut sets = sets.into_iter();
        let (Some(training), validation) = (sets.next(), sets.next()) else {
            return Err(DataError::Description("no images are given".to_string()).into());
        };
        let place = |set: &Folder| set.pairs().first().and_then(|pair| pair.image.parent()).map(Path::to_owned);
        let from = |given: &Option<PathBuf>, set: &Folder| {
            given.clone().or_else(|| place(set)).unwrap_or_default().display().to_string()
        };
        let mut described = format!("{} images from {}", training.len(), from(&settings.images, &training));
        described += &match &validation {
            Some(set) => format!("; validation on {} images from {}", set.len(), from(&settings.val_images, set)),
            None => "; nothing is held out (no `val_images`)".to_string(),
        };
        let (training, validation) = (Arc::new(training), validation.map(Arc::new));
        let folders = std::iter::once(training.clone()).chain(validation.clone()).collect();
        let validation = validation.map(|set| set as Arc<dyn Dataset>);
        Ok(Self { notes, training, validation, described, pixels, labels: Some(labels), folders })
    }

    /// The form of labels of several classes in files, and the names of the classes: what a run keeps, so that it finds the same
    /// when it goes on.
    pub(super) fn found_classes(&self) -> Option<(LabelKind, Vec<String>)> {
        let (labels, classes) = (self.labels?, self.training.classes()?);
        // a layout's YAML file names the classes of its polygons, whatever else is said
        let kept = labels != LabelKind::Binary && labels != LabelKind::Polygons;
        kept.then(|| (labels, classes.names().map(String::from).collect()))
    }

    /// What each class counts in the loss: `given`, or so that all classes count alike, however many pixels they have.
    ///
    /// # Errors
    /// When `given` does not go with the classes, or the pixels cannot be counted.
    pub(super) fn class_weights(&self, given: &WeightsOfClasses) -> Result<WeightsOfClasses, DataError> {
        let classes = self.training.classes().map_or(1, Classes::len);
        let refused = |reason: String| Err(DataError::Description(reason));
        if classes == 1 {
            return refused("`class_weights` needs several classes, but there is one".to_string());
        }
        match given.numbers() {
            Some(numbers) if numbers.len() != classes => refused(format!(
                "`class_weights` has {} numbers, but there are {classes} classes: {}",
                numbers.len(),
                self.training.classes().map_or(String::new(), |classes| classes.names().collect::<Vec<_>>().join(", "))
            )),
            Some(_) => Ok(given.clone()),
            None => {
                let ClassPixels { classes: pixels, all } = match &self.pixels {
                    Some(pixels) => pixels.clone(),
                    None => counted(&*self.training)?,
                };
                let weight = |class: usize| match pixels.get(class) {
                    Some(&own) if own > 0 => all as f64 / (classes as f64 * own as f64),
                    _ => 0.0,
                };
                Ok(WeightsOfClasses::Found((0..classes).map(weight).collect()))
            }
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

    /// What tells these sets from others, in files elsewhere too: the names of the images, and how long their files are.
    pub(super) fn digest(&self) -> u64 {
        let mut digest = Digest::new();
        for set in std::iter::once(&self.training).chain(&self.validation) {
            (0..set.len()).for_each(|index| digest.text(set.name(index)));
            digest.bytes(&set.len().to_le_bytes());
        }
        self.folders.iter().for_each(|set| digest.bytes(&set_digest(set).to_le_bytes()));
        digest.number()
    }

    fn generated(settings: &Settings) -> Self {
        let (images, val_images) = settings.generated.map_or((0, 0), |sets| (sets.images, sets.val_images));
        let [training, validation] = [(demo::TRAINING_SEED, images), (demo::VALIDATION_SEED, val_images)];
        let set = |(seed, count)| -> Arc<dyn Dataset> {
            match settings.demo {
                None | Some(Demo::Blobs) => Arc::new(Synthetic::new(seed, count, settings.size)),
                Some(Demo::Classes) => Arc::new(Shapes::new(seed, count, settings.size)),
            }
        };
        let described = format!("{images} generated scenes; validation on {val_images} others (no `images` given)");
        let (training, validation) = (set(training), Some(set(validation)));
        Self { training, validation, notes: Vec::new(), described, pixels: None, labels: None, folders: Vec::new() }
    }

    /// Sets of one's own.
    pub fn of(training: Arc<dyn Dataset>, validation: Option<Arc<dyn Dataset>>) -> Self {
        let described = match &validation {
            Some(set) => format!("{} images; validation on {}", training.len(), set.len()),
            None => format!("{} images; nothing is held out", training.len()),
        };
        Self { training, validation, notes: Vec::new(), described, pixels: None, labels: None, folders: Vec::new() }
    }
}

/// Pixels of each class of a set, and all that are not ignored.
#[derive(Clone, Debug, Default)]
struct ClassPixels {
    classes: Vec<u64>,
    all: u64,
}

/// Of files that were read.
fn class_pixels(pairs: &[Option<PairFacts>]) -> ClassPixels {
    let known = |facts: &PairFacts| ((facts.size.0 * facts.size.1) as u64).saturating_sub(facts.labels.ignored);
    ClassPixels { classes: pixels_of_classes(pairs), all: pairs.iter().flatten().map(known).sum() }
}

/// Of a set that is no files.
fn counted(set: &dyn Dataset) -> Result<ClassPixels, DataError> {
    let count = set.classes().map(Classes::len);
    let mut pixels = ClassPixels { classes: vec![0; count.unwrap_or(1)], all: 0 };
    for index in 0..set.len() {
        let truth = set.truth(index)?;
        let (facts, (width, height)) = (LabelFacts::of(&truth, &[], count, BTreeMap::new()), truth.size());
        pixels.classes.iter_mut().zip(facts.classes).for_each(|(sum, own)| *sum += own);
        pixels.all += ((width * height) as u64).saturating_sub(facts.ignored);
    }
    Ok(pixels)
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
