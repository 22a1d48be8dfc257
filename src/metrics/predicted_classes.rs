//! The predictions of several classes, and what they are scored against.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use super::evaluation_error::EvaluationError;
use super::pairing::{BESIDE, FoundBeside, PairingOptions, pair_up, predictions_among};
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::folders::ClassFolders;
use crate::data::dataset::Dataset;
use crate::data::description::classes::GivenClasses;
use crate::data::description::describe::Description;
use crate::data::description::open::PredictedLabels;
use crate::data::error::DataError;
use crate::data::folder::Folder;
use crate::data::labels::kind::LabelKind;
use crate::data::layout::name_list::Selection;
use crate::data::layout::tree::Dir;
use crate::data::listing::Listing;
use crate::data::names::{StemRule, match_names, name_as_text};
use crate::data::pairs::Pair;
use crate::data::written::classes_of_prediction;

/// The predictions of several classes, and what they are scored against: a set whose images are the predictions.
#[derive(Clone, Debug)]
pub(super) struct PredictedClasses {
    /// The labels.
    pub set: Folder,
    /// For each pair its index map, or its mask of each class.
    pub predictions: Vec<Vec<PathBuf>>,
    /// For each pair its stem as text that no other stem has.
    pub names: Vec<String>,
}

impl PredictedClasses {
    /// Finds the predictions of described labels, and what is there beside them; `None` where masks are of one class.
    pub fn open(predictions: &Path, labels: &Description) -> Result<Option<(Self, FoundBeside)>, EvaluationError> {
        let told = classes_told(predictions);
        if told.is_none() && says_nothing(labels) {
            return Ok(None);
        }
        let mut description = completed(labels, told.as_ref());
        let place = Place::of(predictions, &description, told.as_ref())?;
        description.images = Some(place.images.clone());
        let form = description.form_of_one()?;
        let kinds_differ = |predicted: ClassKind, labels: ClassKind| {
            Err(EvaluationError::KindsDiffer { predictions: predictions.to_owned(), predicted, labels })
        };
        match (&told, form) {
            (Some(told), LabelKind::Binary) if told.kind == ClassKind::Exclusive => {
                return kinds_differ(told.kind, ClassKind::Overlapping);
            }
            (_, LabelKind::Binary) => return Ok(None),
            (Some(told), LabelKind::Index) if told.len() == 1 && says_nothing(labels) => {
                let masks = description.masks.unwrap_or_default();
                let class = told.names().collect();
                return Err(EvaluationError::OneClassUnclear { predictions: predictions.to_owned(), class, masks });
            }
            _ => {}
        }
        let (selection, mut found) = selected(&description, &place.images, form)?;
        let PredictedLabels { set, without_image } = description.open_predicted(selection, told.is_none())?;
        let kind = set.classes().map_or(ClassKind::Exclusive, |classes| classes.kind);
        if let Some(told) = &told {
            let names = |classes: &Classes| classes.names().map(String::from).collect::<Vec<_>>();
            let labels = set.classes().map(names).unwrap_or_default();
            if told.kind != kind {
                return kinds_differ(told.kind, kind);
            }
            if kind == ClassKind::Exclusive && names(told) != labels {
                let predictions = predictions.to_owned();
                return Err(EvaluationError::ClassesDiffer { predictions, predicted: names(told), labels });
            }
        }
        if !without_image.is_empty() {
            let files = |pair: &Pair| if form == LabelKind::Coco { 1 } else { pair.masks.len() };
            let masks = set.pairs().iter().map(files).sum::<usize>() + without_image.len();
            return Err(EvaluationError::MissingPrediction {
                without: without_image,
                predictions: place.images,
                masks,
            });
        }
        found.loosely_named = set.found().loosely_named.clone();
        let stems: Vec<OsString> = set.pairs().iter().map(|pair| place.stem(&pair.image)).collect();
        let files = match kind {
            ClassKind::Exclusive if place.by_class => {
                return Err(EvaluationError::NoIndexMaps { predictions: predictions.to_owned() });
            }
            ClassKind::Overlapping if place.by_class || set.classes().is_some_and(|classes| classes.len() > 1) => {
                let classes = set.classes().cloned().or(told.clone());
                of_each_class(predictions, classes.as_ref(), &stems, description.recursive, &mut found)?
            }
            _ => set.pairs().iter().map(|pair| vec![pair.image.clone()]).collect(),
        };
        let names = stems.iter().map(|stem| name_as_text(stem)).collect();
        Ok(Some((Self { set, predictions: files, names }, found)))
    }

    /// How many pairs there are.
    pub fn pairs(&self) -> usize {
        self.set.pairs().len()
    }

    /// How its classes go together.
    pub fn kind(&self) -> ClassKind {
        // numbers of classes that nobody named exclude each other
        self.set.classes().map_or(ClassKind::Exclusive, |classes| classes.kind)
    }
}

/// Whether the labels are masks of one class, for all that is said.
fn says_nothing(labels: &Description) -> bool {
    let Description { labels, classes, ignore, annotations, .. } = labels;
    matches!(labels, None | Some(LabelKind::Binary)) && classes.is_none() && ignore.is_none() && annotations.is_none()
}

/// So many pictures are looked into for what they tell of their classes: a stray one, or one of another model, may come first.
const LOOKED_INTO: usize = 64;

/// What the first prediction that tells its classes says of them.
fn classes_told(predictions: &Path) -> Option<Classes> {
    let mut left = LOOKED_INTO;
    told_in(predictions, 6, &mut left)
}

/// The same of a folder and of those in it, so many levels deep.
fn told_in(folder: &Path, depth: usize, left: &mut usize) -> Option<Classes> {
    let dir = Dir::read(folder).ok()?;
    for path in dir.images() {
        *left = left.checked_sub(1)?;
        // what cannot be read is told when it is to be scored
        if let Ok(Some(classes)) = classes_of_prediction(path) {
            return Some(classes);
        }
    }
    let deeper = depth.checked_sub(1)?;
    dir.folders.iter().find_map(|inner| told_in(inner, deeper, left))
}

/// The first picture that is no overlay.
fn first_prediction(dir: &Dir) -> Option<PathBuf> {
    let is_overlay = |path: &Path| {
        let stem = path.file_stem().unwrap_or_default();
        BESIDE.iter().any(|end| stem.as_encoded_bytes().ends_with(end))
    };
    dir.images().find(|path| !is_overlay(path)).map(Path::to_owned)
}

/// What is said, and beside it what the predictions tell.
fn completed(labels: &Description, told: Option<&Classes>) -> Description {
    // predictions are one set, wherever the images lie
    let mut labels = Description {
        root: None,
        val_images: None,
        val_masks: None,
        val_fraction: None,
        train_list: None,
        val_list: None,
        ..labels.clone()
    };
    let Some(told) = told.filter(|_| labels.labels != Some(LabelKind::Binary)) else { return labels };
    let exclusive = told.kind == ClassKind::Exclusive;
    let of_masks = labels.annotations.is_none() && !labels.classes.as_ref().is_some_and(GivenClasses::has_values);
    if labels.classes.is_none() {
        labels.classes = Some(GivenClasses::known(told));
    }
    labels.overlapping |= labels.annotations.is_some() && !exclusive;
    if labels.labels.is_none() && of_masks {
        labels.labels = match exclusive {
            true => Some(LabelKind::Index),
            // where folders in folders count, nothing else tells those of classes
            false if labels.recursive => Some(LabelKind::Folders),
            false => None,
        };
    }
    labels
}

/// Where predictions lie.
struct Place {
    /// The folder that stands for the images: of the predictions, or of those of one class.
    images: PathBuf,
    by_class: bool,
}

impl Place {
    fn of(predictions: &Path, labels: &Description, told: Option<&Classes>) -> Result<Self, EvaluationError> {
        let flat = || Ok(Self { images: predictions.to_owned(), by_class: false });
        // a folder that is not there is told where it is listed
        let Ok(dir) = Dir::read(predictions) else { return flat() };
        let folders = dir.folders_with_images();
        if first_prediction(&dir).is_some() || folders.is_empty() {
            return flat();
        }
        let is_exclusive = told.is_some_and(|told| told.kind == ClassKind::Exclusive)
            || matches!(labels.labels, Some(LabelKind::Index | LabelKind::Table))
            || labels.classes.as_ref().is_some_and(GivenClasses::has_values);
        match is_exclusive {
            true if labels.recursive => flat(),
            true => Err(EvaluationError::NoIndexMaps { predictions: predictions.to_owned() }),
            false => {
                let names = labels.classes.as_ref().map(GivenClasses::names).unwrap_or_default();
                let classes = told.cloned().or_else(|| Classes::named(ClassKind::Overlapping, names).ok());
                let of_classes = classes.iter().flat_map(|classes| folders_of(&dir, classes));
                let named = of_classes.filter_map(|(_, folder)| folder.map(Path::to_owned)).next();
                let images = named.unwrap_or_else(|| folders[0].to_owned());
                Ok(Self { images, by_class: true })
            }
        }
    }

    fn stem(&self, image: &Path) -> OsString {
        image.strip_prefix(&self.images).unwrap_or(image).with_extension("").into_os_string()
    }
}

/// Which predictions are scored, if not all: those that have a mask, where each image has one; and no overlays.
fn selected(
    description: &Description,
    images: &Path,
    form: LabelKind,
) -> Result<(Selection, FoundBeside), EvaluationError> {
    let only = |stems: Vec<OsString>| Selection::Stems(stems.into_iter().collect());
    if let (LabelKind::Index | LabelKind::Table, Some(masks)) = (form, &description.masks) {
        let stems = StemRule::with_mask_suffix(description.mask_suffix.as_deref().unwrap_or_default());
        let options = PairingOptions { recursive: description.recursive, read: description.read, stems };
        let (pairs, found) = pair_up(images, masks, &options)?;
        return Ok((only(pairs.into_iter().map(|pair| pair.stem).collect()), found));
    }
    let listing = Listing::of(images, description.recursive)?;
    let stems = listing.stems();
    let all: Vec<usize> = (0..stems.len()).collect();
    let used: Vec<usize> = predictions_among(&all, &stems).collect();
    let found = FoundBeside { among_predictions: listing.unused().clone(), ..FoundBeside::default() };
    match used.len() == all.len() {
        true => Ok((Selection::All, found)),
        false => Ok((only(used.into_iter().map(|at| stems[at].clone()).collect()), found)),
    }
}

/// The folder of each class: as `predict` calls it, as the class itself is called, or so in another case if that is no other's.
fn folders_of<'a>(dir: &'a Dir, classes: &'a Classes) -> Vec<(&'a str, Option<&'a Path>)> {
    let called = ClassFolders::of(classes);
    let exact = |name: &str| dir.folders.iter().find(|path| path.file_name() == Some(OsStr::new(name)));
    let first: Vec<Option<&PathBuf>> = called.names().iter().map(|name| exact(name)).collect();
    let named = |(number, class): (usize, &'a str)| {
        let loose = || {
            let found = dir.folder(class)?;
            let others = first.iter().enumerate().filter(|(other, _)| *other != number);
            let taken = others.filter_map(|(_, folder)| *folder).any(|folder| folder == found);
            (!taken).then_some(found)
        };
        (class, first[number].map(PathBuf::as_path).or_else(loose))
    };
    classes.names().enumerate().map(named).collect()
}

/// The prediction of each class for each stem; notes those that belong to none.
fn of_each_class(
    predictions: &Path,
    classes: Option<&Classes>,
    stems: &[OsString],
    recursive: bool,
    found: &mut FoundBeside,
) -> Result<Vec<Vec<PathBuf>>, EvaluationError> {
    let dir = Dir::read(predictions).map_err(DataError::from)?;
    let folders: Vec<(&str, Option<&Path>)> = classes.map_or_else(Vec::new, |classes| folders_of(&dir, classes));
    let classes = folders.len();
    let without: Vec<String> =
        folders.iter().filter(|(_, folder)| folder.is_none()).map(|(class, _)| class.to_string()).collect();
    if !without.is_empty() {
        let there = dir.told();
        return Err(EvaluationError::MissingClasses { classes: without, predictions: predictions.to_owned(), there });
    }
    let mut files: Vec<Vec<PathBuf>> = vec![Vec::new(); stems.len()];
    let mut missing = Vec::new();
    for folder in folders.iter().filter_map(|(_, folder)| *folder) {
        let listing = Listing::of(folder, recursive)?;
        let there = listing.stems();
        let matched = match_names(stems, &there);
        for ((stem, files), at) in stems.iter().zip(&mut files).zip(matched.candidates) {
            match at {
                Some(at) => files.push(listing.files()[at].clone()),
                None => {
                    let mut file = folder.join(stem).into_os_string();
                    file.push(".png");
                    missing.push(file.into());
                }
            }
        }
        let left = predictions_among(&matched.left, &there).map(|at| listing.files()[at].clone());
        found.without_mask.extend(left);
    }
    match missing.is_empty() {
        true => Ok(files),
        false => Err(EvaluationError::MissingOfClass { files: missing, of: stems.len() * classes }),
    }
}
