//! From a description to sets of images and labels.

use crate::data::names::has_ending;
use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::classes::GivenClasses;
use super::describe::Description;
use super::parts::{Place, Places, Where};
use super::values::{index, table};
use crate::data::annotations::annotated::Annotated;
use crate::data::annotations::coco::file::Coco;
use crate::data::annotations::files::files_beside;
use crate::data::annotations::labelme::Labelme;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::values::ValueTable;
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::folder::Folder;
use crate::data::labels::kind::LabelKind;
use crate::data::labels::source::LabelSource;
use crate::data::layout::class_masks::ClassNaming;
use crate::data::layout::kind::LayoutKind;
use crate::data::layout::name_list::Selection;
use crate::data::layout::parts::Layout;
use crate::data::layout::tree::Dir;
use crate::data::listing::Listing;

/// The sets that a description is of, each of which may not be usable.
#[derive(Debug)]
pub struct DescribedSets {
    /// What is trained on.
    pub training: Result<Folder, DataError>,
    /// What is validated on, if anything is.
    pub validation: Option<Result<Folder, DataError>>,
    /// The form of the labels.
    pub labels: LabelKind,
    /// What was found, for people: the layout, the form of the labels, what is held out.
    pub told: Vec<String>,
}

/// The labels of predictions.
#[derive(Debug)]
pub(crate) struct PredictedLabels {
    /// The predictions with their labels.
    pub set: Folder,
    /// Masks, images of a file of annotations, or files of annotations that no prediction belongs to.
    pub without_image: Vec<PathBuf>,
}

impl Description {
    /// Finds the images and labels that are described. Lists folders, reads lists and annotations; opens no picture.
    ///
    /// # Errors
    /// When what is described does not go together, or no layout is found. What is wrong with one of the sets is that set's error.
    pub fn open(&self) -> Result<DescribedSets, DataError> {
        let Places { training, validation, layout, mut told } = self.places()?;
        let labels = self.form(&training, layout.as_ref())?;
        self.check_form(labels)?;
        if labels != LabelKind::Binary {
            told.push(format!("labels: {}{}", labels.told(), if self.labels.is_none() { " (found)" } else { "" }));
        }
        let mut opening =
            Opening { description: self, layout: layout.as_ref(), labels, all: true, coco: BTreeMap::new() };
        let names = opening.names_of_both(&training, validation.as_ref());
        let trained = opening.set(&training, names.map(Known::Names));
        let validated = match &validation {
            None => None,
            Some(place) => {
                opening.labels = self.form(place, layout.as_ref())?;
                let classes = trained.as_ref().ok().and_then(Folder::classes).cloned();
                Some(opening.set(place, classes.map(Known::Classes)))
            }
        };
        let places: Vec<&Place> = std::iter::once(&training).chain(&validation).collect();
        let whole = |place: &Place, set: Folder| opening.check_all_there(place, &places).map(|()| set);
        let trained = trained.and_then(|set| whole(&training, set));
        let validated = validated.zip(validation.as_ref());
        let validated = validated.map(|(set, place)| set.and_then(|set| whole(place, set)));
        Ok(DescribedSets { training: trained, validation: validated, labels, told })
    }

    /// The labels of one folder of images alone: of predictions, say, which stand for the images that they are of.
    ///
    /// # Errors
    /// As [`open`](Self::open), and when the set cannot be used.
    pub fn open_one(&self) -> Result<(Folder, LabelKind), DataError> {
        let DescribedSets { training, labels, .. } = self.open()?;
        Ok((training?, labels))
    }

    /// The form of the labels of one folder of images alone. Lists folders; opens no picture.
    ///
    /// # Errors
    /// When what is described does not go together.
    pub(crate) fn form_of_one(&self) -> Result<LabelKind, DataError> {
        self.form(&self.places()?.training, None)
    }

    /// The labels of predictions, which stand for the images that they are of: of those that are selected. `all` says whether a class
    /// that no image shows is an error.
    ///
    /// # Errors
    /// As [`open_one`](Self::open_one), but for labels of images that are not there.
    pub(crate) fn open_predicted(&self, selection: Selection, all: bool) -> Result<PredictedLabels, DataError> {
        let Places { mut training, .. } = self.places()?;
        training.options.selection = selection;
        let labels = self.form(&training, None)?;
        let mut opening = Opening { description: self, layout: None, labels, all, coco: BTreeMap::new() };
        let set = opening.set(&training, None)?;
        let mut without_image = set.found().masks_without_image.clone();
        match &training.labels {
            Where::Coco(path) => {
                let listing = Listing::of(&training.images, training.options.recursive)?;
                let missing = |file: &Arc<Coco>| file.matched(listing.folder(), listing.files()).missing;
                if let Some(file) = opening.coco.get(path) {
                    let names = missing(file).into_iter().map(|image| PathBuf::from(&file.listed()[image].file_name));
                    without_image.extend(names);
                }
            }
            Where::Labelme(Some(folder)) => without_image.extend(left_over(folder, &set)?),
            _ => {}
        }
        Ok(PredictedLabels { set, without_image })
    }

    /// The form of the labels: what is said, or what is there.
    fn form(&self, place: &Place, layout: Option<&Layout>) -> Result<LabelKind, DataError> {
        let found = match &place.labels {
            Where::Masks(masks) => self.form_of_masks(place, masks, layout)?,
            Where::ClassFolders(_) => LabelKind::Folders,
            Where::Polygons(_) => LabelKind::Polygons,
            Where::Coco(_) => LabelKind::Coco,
            Where::Labelme(_) => LabelKind::Labelme,
        };
        let Some(said) = self.labels else {
            return match &place.labels {
                // nobody said that there would be annotations
                Where::Labelme(None) if !has_json(&place.images) => {
                    let reason = "`images` needs `masks` or `annotations`: the folder with the mask of each image, or the \
                                  file of annotations";
                    Err(DataError::Description(reason.to_string()))
                }
                _ => Ok(found),
            };
        };
        let of_masks = [LabelKind::Binary, LabelKind::Index, LabelKind::Table, LabelKind::Folders, LabelKind::Suffixes];
        let fits = match &place.labels {
            Where::Masks(_) | Where::ClassFolders(_) => of_masks.contains(&said),
            _ => said == found,
        };
        match fits {
            true => Ok(said),
            false => Err(DataError::Description(format!(
                "`labels` is {said}, which does not go with what is given, {}: {}",
                found.told(),
                match said {
                    LabelKind::Coco => "give the JSON file (`annotations`)",
                    LabelKind::Labelme =>
                        "give the folder of the JSON files (`annotations`), or no `masks` where they lie \
                                           beside the images",
                    LabelKind::Polygons => "give the YAML file of the set (`data`)",
                    _ => "give the folder of the masks (`masks`)",
                }
            ))),
        }
    }

    /// That nothing is given that labels of this form would pass over.
    fn check_form(&self, labels: LabelKind) -> Result<(), DataError> {
        use LabelKind::{Binary, Coco, Folders, Index, Labelme, Polygons, Suffixes, Table};
        let of_values = matches!(labels, Index | Table);
        let told = labels.told();
        let has_values = self.classes.as_ref().is_some_and(GivenClasses::has_values);
        let reason = match () {
            () if self.ignore.is_some() && !of_values => format!(
                "`ignore` is for masks whose values mean classes, but the labels are {told}; leave it out, or set `labels` to \
                 \"index\" or \"table\""
            ),
            () if labels == Binary && self.overlapping => {
                "`overlapping` is for several classes, but the labels are masks of one".to_string()
            }
            () if of_values && self.overlapping => {
                "`overlapping`: a value of a mask means one class, so its classes cannot overlap; give a folder of masks for \
                 each class"
                    .to_string()
            }
            () if labels == Binary && self.classes.is_some() => {
                "`labels` is binary, which is one class without a name; set `labels` to \"index\" or \"table\", or leave `classes` out"
                    .to_string()
            }
            () if has_values && !of_values => format!(
                "`classes` gives values of masks, but the labels are {told}; leave the values out, or set `labels` to \"table\""
            ),
            () if self.mask_suffix.is_some() && matches!(labels, Folders | Suffixes | Coco | Labelme | Polygons) => {
                format!("`mask_suffix` is for one mask an image, but the labels are {told}; leave it out")
            }
            () if labels == Polygons && self.classes.is_some() => {
                "`classes`: the YAML file names the classes of its polygons (`names`); leave it out".to_string()
            }
            () => return Ok(()),
        };
        Err(DataError::Description(reason))
    }

    fn form_of_masks(&self, place: &Place, masks: &Path, layout: Option<&Layout>) -> Result<LabelKind, DataError> {
        let described = |kind| {
            [LayoutKind::Voc, LayoutKind::NnUnet, LayoutKind::Cityscapes, LayoutKind::Ultralytics].contains(&kind)
        };
        if self.classes.as_ref().is_some_and(GivenClasses::has_values) {
            return Ok(LabelKind::Table);
        }
        if layout.is_some_and(|layout| described(layout.kind)) {
            return Ok(LabelKind::Index);
        }
        let names = self.classes.as_ref().map(GivenClasses::names);
        // a folder that is not there is told where it is listed
        let Ok(dir) = Dir::read(masks) else { return Ok(LabelKind::Binary) };
        let has_masks = dir.images().next().is_some();
        if !has_masks && !place.options.recursive && !dir.folders_with_images().is_empty() {
            return Ok(LabelKind::Folders);
        }
        match names {
            Some(names) if has_suffixes(place, masks, &names) => Ok(LabelKind::Suffixes),
            Some(_) => Ok(LabelKind::Index),
            None if self.ignore.is_some() => Ok(LabelKind::Index),
            None => Ok(LabelKind::Binary),
        }
    }
}

/// Files of Labelme that no image of the set has.
fn left_over(folder: &Path, set: &Folder) -> Result<Vec<PathBuf>, DataError> {
    let used: HashSet<&PathBuf> = set.pairs().iter().flat_map(|pair| &pair.masks).collect();
    let is_json = |path: &PathBuf| has_ending(path, "json");
    let files = Dir::read(folder)?.files;
    Ok(files.into_iter().filter(|path| is_json(path) && !used.contains(path)).collect())
}

/// Whether Labelme's files may lie among the images.
fn has_json(images: &Path) -> bool {
    let is_json = |path: &PathBuf| has_ending(path, "json");
    Dir::read(images).is_ok_and(|dir| dir.files.iter().any(is_json))
}

/// Whether no mask is called as an image, but some are called as one with a class behind it.
fn has_suffixes(place: &Place, masks: &Path, classes: &[String]) -> bool {
    let listed = |folder: &Path| Listing::of(folder, place.options.recursive).map(|listing| listing.stems());
    let (Ok(images), Ok(masks)) = (listed(&place.images), listed(masks)) else { return false };
    let masks: HashSet<OsString> = masks.into_iter().collect();
    let suffixed = |image: &OsString, class: &String| {
        let mut name = image.clone();
        name.push(format!("_{class}"));
        masks.contains(&name)
    };
    let called_alike = images.iter().any(|image| masks.contains(image));
    !called_alike && images.iter().any(|image| classes.iter().any(|class| suffixed(image, class)))
}

/// What is known of the classes of a set that is opened.
enum Known {
    /// Their names.
    Names(Vec<String>),
    /// The classes of the training set, which this one need not all show.
    Classes(Classes),
}

/// Opens the sets of a description, each file of annotations once.
struct Opening<'a> {
    description: &'a Description,
    layout: Option<&'a Layout>,
    labels: LabelKind,
    /// Whether each class must be there.
    all: bool,
    coco: BTreeMap<PathBuf, Arc<Coco>>,
}

impl Opening<'_> {
    /// The names of the classes of Labelme's files of both sets, where nobody gives them: one set may show a class that the other
    /// does not. `None` where there is no second set, and where the files say what is wrong with them when they are read.
    fn names_of_both(&self, training: &Place, validation: Option<&Place>) -> Option<Vec<String>> {
        let validation = validation?;
        if self.labels != LabelKind::Labelme || self.description.classes.is_some() {
            return None;
        }
        let mut files = Vec::new();
        for place in [training, validation] {
            let Where::Labelme(folder) = &place.labels else { return None };
            let listing = Listing::of(&place.images, place.options.recursive).ok()?;
            let used = place.options.selection.of(&listing).ok()?;
            let images: Vec<PathBuf> = used.iter().map(|at| listing.files()[*at].clone()).collect();
            files.extend(files_beside(&images, listing.folder(), folder.as_deref(), "json"));
        }
        let classes = Labelme::read(&files, None).ok()?;
        Some(match self.kind() {
            ClassKind::Exclusive => classes.classes().with_background().into_iter().map(String::from).collect(),
            ClassKind::Overlapping => classes.classes().names().to_vec(),
        })
    }

    /// A set, with what is known of its classes.
    fn set(&mut self, place: &Place, known: Option<Known>) -> Result<Folder, DataError> {
        let source = self.source(place, known.as_ref())?;
        let mut set = Folder::open_labelled(&place.images, &source, place.options.clone())?;
        if let Some(classes) = set.classes().cloned() {
            let names: Vec<String> = classes.names().map(String::from).collect();
            match (known, &self.description.classes) {
                // other classes than those of the training set are told where both are compared
                (Some(Known::Classes(known)), _) if known.is_like(&classes) => set.set_classes(known)?,
                (_, Some(given)) => set.set_classes(given.coloured(classes.kind, &names)?)?,
                _ => {}
            }
        }
        Ok(set)
    }

    fn kind(&self) -> ClassKind {
        if self.description.overlapping { ClassKind::Overlapping } else { ClassKind::Exclusive }
    }

    fn source(&mut self, place: &Place, known: Option<&Known>) -> Result<LabelSource, DataError> {
        let Description { classes, ignore, .. } = self.description;
        let given: Option<Vec<String>> = match (known, classes) {
            (Some(Known::Classes(known)), _) => Some(known.names().map(String::from).collect()),
            (Some(Known::Names(names)), _) => Some(names.clone()),
            (None, Some(given)) => Some(given.names()),
            (None, None) => None,
        };
        // a validation set need not show each class
        let all = self.all && !matches!(known, Some(Known::Classes(_)));
        let of_layout = self.layout.and_then(|layout| layout.classes.as_ref());
        let values = |masks: PathBuf, (table, classes): (ValueTable, Option<Classes>)| LabelSource::Values {
            masks,
            table,
            classes,
        };
        let folder = || match &place.labels {
            Where::Masks(path) | Where::ClassFolders(path) | Where::Polygons(path) | Where::Coco(path) => path.clone(),
            Where::Labelme(path) => path.clone().unwrap_or_else(|| place.images.clone()),
        };
        Ok(match self.labels {
            LabelKind::Binary => LabelSource::Masks(folder()),
            LabelKind::Index => values(folder(), index(classes.as_ref(), of_layout, ignore.as_deref())?),
            LabelKind::Table => values(folder(), table(classes.as_ref(), ignore.as_deref())?),
            LabelKind::Folders | LabelKind::Suffixes => {
                let naming =
                    if self.labels == LabelKind::Folders { ClassNaming::Folders } else { ClassNaming::Suffixes };
                LabelSource::ClassMasks { masks: folder(), naming, classes: given, all }
            }
            LabelKind::Coco => {
                let path = folder();
                let file = match self.coco.get(&path) {
                    Some(file) => file.clone(),
                    None => Arc::new(match &given {
                        Some(names) if !all => Coco::read_some(&path, names)?,
                        _ => Coco::read(&path, given.as_deref())?,
                    }),
                };
                self.coco.insert(path, file.clone());
                LabelSource::Coco { file, kind: self.kind() }
            }
            LabelKind::Labelme => {
                let folder = if let Where::Labelme(folder) = &place.labels { folder.clone() } else { None };
                LabelSource::Labelme { folder, classes: given, kind: self.kind() }
            }
            LabelKind::Polygons => {
                let numbered = of_layout.map(|table| table.names.clone());
                let classes = numbered.or(given).ok_or_else(|| {
                    DataError::Description(
                        "polygons need the names of their classes (`names` in the YAML file)".to_string(),
                    )
                })?;
                LabelSource::Polygons { folder: folder(), classes, kind: self.kind() }
            }
        })
    }

    /// That all images that the place's COCO file lists are in a folder of one of the sets.
    fn check_all_there(&self, place: &Place, places: &[&Place]) -> Result<(), DataError> {
        let Where::Coco(path) = &place.labels else { return Ok(()) };
        let Some(file) = self.coco.get(path) else { return Ok(()) };
        let mut missing: Vec<usize> = (0..file.listed().len()).collect();
        // one file may list the images of several folders
        for other in places.iter().filter(|other| matches!(&other.labels, Where::Coco(other) if other == path)) {
            let listing = Listing::of(&other.images, other.options.recursive)?;
            let not_here: HashSet<usize> =
                file.matched(listing.folder(), listing.files()).missing.into_iter().collect();
            missing.retain(|image| not_here.contains(image));
        }
        Ok(file.all_there(&missing, &place.images)?)
    }
}
