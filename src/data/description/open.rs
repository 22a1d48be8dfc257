//! From a description to sets of images and labels.

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::classes::GivenClasses;
use super::describe::Description;
use super::parts::{Place, Places, Where};
use crate::data::annotations::coco::file::Coco;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::values::{IGNORED, PixelValue, ValueTable};
use crate::data::dataset::Dataset;
use crate::data::error::DataError;
use crate::data::folder::Folder;
use crate::data::labels::kind::LabelKind;
use crate::data::labels::source::LabelSource;
use crate::data::layout::class_masks::ClassNaming;
use crate::data::layout::kind::LayoutKind;
use crate::data::layout::name_list::Selection;
use crate::data::layout::parts::{ClassTable, Layout};
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
        let mut opening = Opening { description: self, layout: layout.as_ref(), labels, coco: BTreeMap::new() };
        let training_set = opening.set(&training, None);
        let classes = training_set.as_ref().ok().and_then(Folder::classes).cloned();
        let validation = validation.map(|place| opening.set(&place, classes.as_ref()));
        if let (Where::Coco(_), Ok(set)) = (&training.labels, &training_set) {
            opening.check_all_there(&training, set, validation.as_ref().and_then(|set| set.as_ref().ok()))?;
        }
        Ok(DescribedSets { training: training_set, validation, labels, told })
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

    /// The labels of predictions, which stand for the images that they are of: of those that are selected.
    ///
    /// # Errors
    /// As [`open_one`](Self::open_one), but for labels of images that are not there.
    pub(crate) fn open_predicted(&self, selection: Selection) -> Result<PredictedLabels, DataError> {
        let Places { mut training, .. } = self.places()?;
        training.options.selection = selection;
        let labels = self.form(&training, None)?;
        let mut opening = Opening { description: self, layout: None, labels, coco: BTreeMap::new() };
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
        let refused = |reason: String| Err(DataError::Description(reason));
        let of_values = [LabelKind::Index, LabelKind::Table].contains(&labels);
        if self.ignore.is_some() && !of_values {
            return refused(format!(
                "`ignore` is for masks whose values mean classes, but the labels are {}; leave it out, or set `labels` to \"index\" or \
                 \"table\"",
                labels.told()
            ));
        }
        if labels != LabelKind::Binary {
            return Ok(());
        }
        if self.overlapping {
            return refused("`overlapping` is for several classes, but the labels are masks of one".to_string());
        }
        match self.classes.as_ref().map(|classes| classes.names().len()) {
            None | Some(1) => Ok(()),
            Some(count) => refused(format!(
                "`labels` is binary, so there is one class, but `classes` names {count}; set `labels` to \"index\" or \"table\", or \
                 leave `classes` out"
            )),
        }
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
    let is_json = |path: &PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    let files = Dir::read(folder)?.files;
    Ok(files.into_iter().filter(|path| is_json(path) && !used.contains(path)).collect())
}

/// Whether Labelme's files may lie among the images.
fn has_json(images: &Path) -> bool {
    let is_json = |path: &PathBuf| path.extension().is_some_and(|ending| ending.eq_ignore_ascii_case("json"));
    Dir::read(images).is_ok_and(|dir| dir.files.iter().any(is_json))
}

/// Whether no mask is called as an image, but some are called as one with a class behind it.
fn has_suffixes(place: &Place, masks: &Path, classes: &[String]) -> bool {
    let listed = |folder: &Path| Listing::of(folder, place.options.recursive).map(|listing| listing.stems());
    let (Ok(images), Ok(masks)) = (listed(&place.images), listed(masks)) else { return false };
    let masks: std::collections::BTreeSet<_> = masks.into_iter().collect();
    let suffixed = |image: &std::ffi::OsString, class: &String| {
        let mut name = image.clone();
        name.push(format!("_{class}"));
        masks.contains(&name)
    };
    let called_alike = images.iter().any(|image| masks.contains(image));
    !called_alike && images.iter().any(|image| classes.iter().any(|class| suffixed(image, class)))
}

/// Opens the sets of a description, each file of annotations once.
struct Opening<'a> {
    description: &'a Description,
    layout: Option<&'a Layout>,
    labels: LabelKind,
    coco: BTreeMap<PathBuf, Arc<Coco>>,
}

impl Opening<'_> {
    /// A set; `known` are the classes of another set, which this one must have, too.
    fn set(&mut self, place: &Place, known: Option<&Classes>) -> Result<Folder, DataError> {
        let source = self.source(place, known)?;
        let mut set = Folder::open_labelled(&place.images, &source, place.options.clone())?;
        if let Some(classes) = set.classes().cloned() {
            let names: Vec<String> = classes.names().map(String::from).collect();
            let coloured = match (known, &self.description.classes) {
                (Some(known), _) => known.clone(),
                (None, Some(given)) => given.coloured(classes.kind, &names)?,
                (None, None) => classes,
            };
            set.set_classes(coloured);
        }
        Ok(set)
    }

    fn kind(&self) -> ClassKind {
        if self.description.overlapping { ClassKind::Overlapping } else { ClassKind::Exclusive }
    }

    fn source(&mut self, place: &Place, known: Option<&Classes>) -> Result<LabelSource, DataError> {
        let Description { classes, ignore, .. } = self.description;
        let given: Option<Vec<String>> = match (known, classes) {
            // of the set that the others follow, without the background where it is not named among them
            (Some(known), _) => Some(known.names().map(String::from).collect()),
            (None, Some(given)) => Some(given.names()),
            (None, None) => None,
        };
        let folder = || match &place.labels {
            Where::Masks(path) | Where::ClassFolders(path) | Where::Polygons(path) | Where::Coco(path) => path.clone(),
            Where::Labelme(path) => path.clone().unwrap_or_else(|| place.images.clone()),
        };
        Ok(match self.labels {
            LabelKind::Binary => LabelSource::Masks(folder()),
            LabelKind::Index => self.index(folder(), ignore.as_deref())?,
            LabelKind::Table => self.table(folder(), ignore.as_deref())?,
            LabelKind::Folders | LabelKind::Suffixes => {
                let naming =
                    if self.labels == LabelKind::Folders { ClassNaming::Folders } else { ClassNaming::Suffixes };
                // a validation set need not show each class
                LabelSource::ClassMasks { masks: folder(), naming, classes: given, all: known.is_none() }
            }
            LabelKind::Coco => {
                let path = folder();
                let file = match self.coco.get(&path) {
                    Some(file) => file.clone(),
                    None => Arc::new(Coco::read(&path, given.as_deref())?),
                };
                self.coco.insert(path, file.clone());
                LabelSource::Coco { file, kind: self.kind() }
            }
            LabelKind::Labelme => {
                let folder = if let Where::Labelme(folder) = &place.labels { folder.clone() } else { None };
                LabelSource::Labelme { folder, classes: given, kind: self.kind() }
            }
            LabelKind::Polygons => {
                let numbered = self.layout.and_then(|layout| layout.classes.as_ref()).map(|table| table.names.clone());
                let classes = numbered.or(given).ok_or_else(|| {
                    DataError::Description(
                        "polygons need the names of their classes (`names` in the YAML file)".to_string(),
                    )
                })?;
                LabelSource::Polygons { folder: folder(), classes, kind: self.kind() }
            }
        })
    }

    /// Masks whose values are numbers of classes.
    fn index(&self, masks: PathBuf, ignore: Option<&[PixelValue]>) -> Result<LabelSource, DataError> {
        let given = self.description.classes.as_ref();
        let of_layout = self.layout.and_then(|layout| layout.classes.as_ref());
        let usual = [PixelValue::Number(i64::from(IGNORED))];
        let ignored = ignore.unwrap_or(&usual);
        let (table, classes) = match (given, of_layout) {
            (None, None) => (ValueTable::index_table(&indices(usize::from(IGNORED)), ignored)?, None),
            (Some(given), None) => {
                let names = given.names();
                let all: Vec<PixelValue> = match ignore {
                    None if !given.ignored().is_empty() => given.ignored(),
                    _ => ignored.iter().copied().chain(given.ignored()).collect(),
                };
                match names.len() {
                    // one class, the background without a name, and what is ignored
                    1 => {
                        let table = ValueTable::index_table(&indices(2), &all)?;
                        (table, Some(given.coloured(ClassKind::Overlapping, &names)?))
                    }
                    count => {
                        let table = ValueTable::index_table(&indices(count), &all)?;
                        (table, Some(given.coloured(ClassKind::Exclusive, &names)?))
                    }
                }
            }
            (given, Some(ClassTable { names, values })) => {
                let names = given.map_or_else(|| names.clone(), GivenClasses::names);
                let mut of_class: Vec<Vec<PixelValue>> = indices(names.len());
                let mut ignored: Vec<PixelValue> = ignore.map(<[_]>::to_vec).unwrap_or_default();
                for (value, class) in values {
                    let value = PixelValue::Number(*value);
                    of_class.iter_mut().for_each(|own| own.retain(|other| *other != value));
                    match class {
                        Some(class) => of_class.get_mut(*class).into_iter().for_each(|own| own.push(value)),
                        None => ignored.push(value),
                    }
                }
                if ignore.is_none() && !of_class.iter().flatten().any(|value| *value == usual[0]) {
                    ignored.extend(usual);
                }
                ignored.sort_unstable();
                ignored.dedup();
                let table = ValueTable::index_table(&of_class, &ignored)?;
                let classes = given.cloned().unwrap_or_default().coloured(ClassKind::Exclusive, &names)?;
                (table, Some(classes))
            }
        };
        self.no_overlap()?;
        Ok(LabelSource::Values { masks, table, classes })
    }

    /// Masks whose values mean classes by a table.
    fn table(&self, masks: PathBuf, ignore: Option<&[PixelValue]>) -> Result<LabelSource, DataError> {
        let Some(given) = self.description.classes.as_ref().filter(|given| given.has_values()) else {
            let reason = "`labels` is table, which needs the values of each class: `classes` with a file like \
                          `background = 0`, `polyp = [255, 0, 0]`";
            return Err(DataError::Description(reason.to_string()));
        };
        let (names, values) = (given.names(), given.values());
        if let Some((name, _)) = names.iter().zip(&values).find(|(_, values)| values.is_empty()) {
            return Err(DataError::Description(format!(
                "the class `{name}` has no values, but others have; give it its own"
            )));
        }
        let ignored: Vec<PixelValue> = ignore.unwrap_or_default().iter().copied().chain(given.ignored()).collect();
        let table = ValueTable::table(&values, &ignored)?;
        self.no_overlap()?;
        Ok(LabelSource::Values { masks, table, classes: Some(given.coloured(ClassKind::Exclusive, &names)?) })
    }

    fn no_overlap(&self) -> Result<(), DataError> {
        match self.description.overlapping {
            false => Ok(()),
            true => Err(DataError::Description(
                "`overlapping`: a value of a mask means one class, so its classes cannot overlap; give a folder of masks for \
                 each class"
                    .to_string(),
            )),
        }
    }

    /// That each image that the training set's file lists is in one of the two sets' folders.
    fn check_all_there(&self, place: &Place, training: &Folder, validation: Option<&Folder>) -> Result<(), DataError> {
        let Where::Coco(path) = &place.labels else { return Ok(()) };
        let Some(file) = self.coco.get(path) else { return Ok(()) };
        let listing = Listing::of(&place.images, place.options.recursive)?;
        let mut found = file.matched(listing.folder(), listing.files());
        // one file may list the images of both folders
        for pair in validation.iter().flat_map(|set| set.pairs()).filter(|pair| pair.masks.contains(path)) {
            let name = pair.image.file_name().unwrap_or_default();
            found.missing.retain(|image| Path::new(&file.listed()[*image].file_name).file_name() != Some(name));
        }
        debug_assert!(!training.is_empty());
        Ok(file.all_there(&found, listing.folder())?)
    }
}

/// The numbers 0 to `count - 1`, each a class's.
fn indices(count: usize) -> Vec<Vec<PixelValue>> {
    (0..count).map(|index| vec![PixelValue::Number(index as i64)]).collect()
}
