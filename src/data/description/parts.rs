//! Which images a described set trains on and validates on, and where their labels are.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::describe::Description;
use crate::data::error::DataError;
use crate::data::layout::find::find_layout;
use crate::data::layout::held_out::hold_out;
use crate::data::layout::name_list::{NameList, Selection};
use crate::data::layout::parts::{Labels, Layout, Part};
use crate::data::listing::Listing;
use crate::data::names::StemRule;
use crate::data::pairs::FolderOptions;

/// A set of images, and where their labels are.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub images: PathBuf,
    pub labels: Where,
    pub options: FolderOptions,
}

/// Where labels are.
#[derive(Clone, Debug)]
pub(super) enum Where {
    /// In a folder of masks, whatever their form.
    Masks(PathBuf),
    /// In a folder with a folder of masks for each class.
    ClassFolders(PathBuf),
    /// In a folder of text files with polygons.
    Polygons(PathBuf),
    /// In a JSON file for all images.
    Coco(PathBuf),
    /// In a JSON file for each image: in this folder, or beside the image.
    Labelme(Option<PathBuf>),
}

/// The sets of a description.
pub(super) struct Places {
    pub training: Place,
    pub validation: Option<Place>,
    pub layout: Option<Layout>,
    /// What was found, for people.
    pub told: Vec<String>,
}

impl Description {
    /// The sets that are described. Lists folders and reads lists; opens no picture.
    pub(super) fn places(&self) -> Result<Places, DataError> {
        if self.root.is_some() && (self.images.is_some() || self.masks.is_some()) {
            let reason = "`data` and `images` exclude each other: the first finds the second";
            return Err(DataError::Description(reason.to_string()));
        }
        let layout = self.root.as_deref().map(find_layout).transpose()?;
        let mut told = Vec::new();
        let (mut training, mut validation) = match &layout {
            Some(layout) => {
                told.push(layout.name());
                let place = |part: &Part| self.place_of(part);
                let nothing = || {
                    let root = layout.root.display();
                    DataError::Description(format!(
                        "{root} holds nothing to train on, only {}; set `data` to the folder that has the training images",
                        layout.parts().map(|(what, _)| what).collect::<Vec<_>>().join(" and ")
                    ))
                };
                (layout.training.as_ref().map(place).ok_or_else(nothing)?, layout.validation.as_ref().map(place))
            }
            None => (self.given(self.images.as_deref(), self.masks.as_deref())?, None),
        };
        if let Some(images) = &self.val_images {
            validation = Some(self.given(Some(images), self.val_masks.as_deref())?);
        }
        let has_own = validation.is_some() && self.val_images.is_none();
        if let Some(list) = &self.train_list {
            training.options.selection = Selection::Only(NameList::read(list)?);
        }
        match (&self.val_list, self.val_fraction) {
            (Some(list), None) => {
                let list = NameList::read(list)?;
                match &mut validation {
                    Some(validation) if self.val_images.is_some() => {
                        validation.options.selection = Selection::Only(list)
                    }
                    _ => validation = Some(self.split_by_list(&mut training, list)?),
                }
            }
            (None, Some(fraction)) => {
                validation = Some(self.hold_out(&mut training, fraction)?);
                let share = (1e6 * fraction).round() / 1e4;
                told.push(format!("{share} % of the images are held out for validation, by name and seed"));
            }
            (Some(_), Some(_)) => {
                let reason = "`val_list` and `val_fraction` exclude each other: both say what to validate on";
                return Err(DataError::Description(reason.to_string()));
            }
            (None, None) => {}
        }
        if let Some(validation) = &validation {
            check_apart(&training, validation)?;
        }
        if has_own && (self.val_list.is_some() || self.val_fraction.is_some()) {
            told.push("the layout's own validation images are not used".to_string());
        }
        Ok(Places { training, validation, layout, told })
    }

    /// How files are read and paired, before a set says more.
    fn options(&self) -> FolderOptions {
        FolderOptions {
            recursive: self.recursive,
            resize_masks: self.resize_masks,
            read: self.read,
            stems: StemRule::with_mask_suffix(self.mask_suffix.as_deref().unwrap_or_default()),
            selection: Selection::All,
        }
    }

    fn place_of(&self, part: &Part) -> Place {
        let labels = match &part.labels {
            Labels::Masks(path) => Where::Masks(path.clone()),
            Labels::ClassFolders(path) => Where::ClassFolders(path.clone()),
            Labels::Polygons(path) => Where::Polygons(path.clone()),
            Labels::Coco(path) => Where::Coco(path.clone()),
            Labels::Labelme(_) => Where::Labelme(None),
        };
        Place { images: part.images.clone(), labels, options: part.options(self.options()) }
    }

    /// A set of folders that are given.
    fn given(&self, images: Option<&Path>, masks: Option<&Path>) -> Result<Place, DataError> {
        let images =
            images.ok_or_else(|| DataError::Description("no images are given (`images`, or `data`)".to_string()))?;
        let labels = match (masks, &self.annotations) {
            (Some(masks), None) => Where::Masks(masks.to_owned()),
            (None, Some(path)) if path.is_dir() => Where::Labelme(Some(path.clone())),
            (None, Some(path)) => Where::Coco(path.clone()),
            (None, None) => Where::Labelme(None),
            (Some(_), Some(_)) => {
                let reason = "masks and `annotations` are both given: labels come from one of them";
                return Err(DataError::Description(reason.to_string()));
            }
        };
        Ok(Place { images: images.to_owned(), labels, options: self.options() })
    }

    /// The images of the training set that a list names become a set of their own, and the training set loses them, unless it has a
    /// list of its own.
    fn split_by_list(&self, training: &mut Place, list: NameList) -> Result<Place, DataError> {
        let mut validation = training.clone();
        validation.options.selection = Selection::Only(list.clone());
        match &training.options.selection {
            Selection::Only(own) if self.train_list.is_some() => {
                own.check_apart(&list, &Listing::of(&training.images, training.options.recursive)?)?;
            }
            // the list of a layout: what it names, but for what is held out
            Selection::Only(own) => {
                let listing = Listing::of(&training.images, training.options.recursive)?;
                let held = list.find(&listing)?;
                let left = own.find(&listing)?.into_iter().filter(|at| held.binary_search(at).is_err());
                let left: BTreeSet<OsString> = left.map(|at| listing.stem(at)).collect();
                if left.is_empty() {
                    return Err(DataError::Description(format!(
                        "{} names all images that {} has for training, so that none is left",
                        list.source(),
                        own.source()
                    )));
                }
                training.options.selection = Selection::Stems(left);
            }
            _ => {
                // what is wrong with the list is wrong with both sets
                list.find(&Listing::of(&training.images, training.options.recursive)?)?;
                training.options.selection = Selection::Except(list);
            }
        }
        Ok(validation)
    }

    /// A share of the training set becomes a set of its own.
    fn hold_out(&self, training: &mut Place, fraction: f64) -> Result<Place, DataError> {
        let listing = Listing::of(&training.images, training.options.recursive)?;
        let used = training.options.selection.of(&listing)?;
        let names: Vec<OsString> = used.iter().map(|at| listing.stem(*at)).collect();
        let held = hold_out(&names, fraction, self.seed)?;
        let list = |wanted: bool| {
            let is_held = |at: &usize| held.binary_search(at).is_ok();
            let names = names.iter().enumerate().filter(|(at, _)| is_held(at) == wanted).map(|(_, name)| name.clone());
            Selection::Stems(names.collect())
        };
        let mut validation = training.clone();
        validation.options.selection = list(true);
        training.options.selection = list(false);
        Ok(validation)
    }
}

/// That no image is trained on and validated on.
fn check_apart(training: &Place, validation: &Place) -> Result<(), DataError> {
    let place = |place: &Place| place.images.canonicalize().unwrap_or_else(|_| place.images.clone());
    if place(training) != place(validation) || training.options.selection == validation.options.selection {
        // what is the same through and through is told as duplicates
        return Ok(());
    }
    // a folder that cannot be listed is told when its set is opened
    let used = |place: &Place| {
        let listing = Listing::of(&place.images, place.options.recursive).ok()?;
        let used = place.options.selection.of(&listing).ok()?;
        Some(used.into_iter().map(|at| listing.stem(at)).collect::<BTreeSet<_>>())
    };
    let (Some(training), Some(validation)) = (used(training), used(validation)) else { return Ok(()) };
    let both: Vec<String> = training.intersection(&validation).map(|stem| stem.display().to_string()).collect();
    match both.len() {
        0 => Ok(()),
        count => Err(DataError::Description(format!(
            "{count} images would be trained on and validated on; take them out of one of the two lists: {}",
            both.join(", ")
        ))),
    }
}
