//! Masks of classes that may overlap: one file for each image and class, in folders or with suffixes.

use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use super::error::LayoutError;
use super::tree::{Dir, file_name, holds_images};
use crate::choice::choice;
use crate::data::listing::Listing;
use crate::data::names::match_names;

choice! {
    /// What tells the class of a mask.
    pub enum ClassNaming: "class naming" {
        /// Its folder: `MASKS/<class>/<stem>.png`.
        Folders = "folders",
        /// The end of its stem: `MASKS/<stem>_<class>.png`.
        Suffixes = "suffixes",
    }
}

impl ClassNaming {
    fn looked_for(self) -> &'static str {
        match self {
            Self::Folders => "folders with the names of classes, with masks in them",
            Self::Suffixes => "files called as an image, with `_` and a class behind it (IMAGE_polyp.png)",
        }
    }
}

/// The name of the masks whose white pixels are ignored in every class.
pub const IGNORE: &str = "ignore";

/// Which masks of which classes the images of a folder have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClassMasks {
    /// The classes, in the order of their planes: as they were given, otherwise in bytewise order.
    pub classes: Vec<String>,
    /// For each image, in the order of the listing, its mask of each class. An image without a file shows nothing of
    /// that class.
    pub masks: Vec<Vec<Option<PathBuf>>>,
    /// For each image its mask of ignored pixels.
    pub ignored: Vec<Option<PathBuf>>,
    /// For each class, how many images have no mask of it.
    pub images_without: Vec<usize>,
    /// Images (their indices) without a mask of any class.
    pub unlabelled: Vec<usize>,
    /// Images (their indices) with a mask whose name differs in case or Unicode's form.
    pub loosely_named: Vec<usize>,
    /// Masks of these classes that belong to no image.
    pub masks_without_image: Vec<PathBuf>,
    /// Classes of which there are masks, but which were not among those given.
    pub other_classes: Vec<String>,
}

/// Finds the masks of each class. With `classes` these are taken, in that order; otherwise those that there are. A
/// further one called `ignore` holds what is ignored.
///
/// Where the end of a mask's name could be read in two ways (images `a` and `a_1`, mask `a_1_polyp`), the longer image
/// counts.
///
/// # Errors
///
/// When there are no masks of classes, when a class has no mask of any image (unless not `all` need one), when a class is given twice or called
/// `ignore`, when a mask may be of two of the given classes, and when the masks' folder cannot be listed.
pub fn class_masks(
    images: &Listing,
    masks: &Path,
    naming: ClassNaming,
    classes: Option<&[String]>,
    recursive: bool,
    all: bool,
) -> Result<ClassMasks, LayoutError> {
    classes.map_or(Ok(()), check_names)?;
    let stems = images.stems();
    let mut files = match naming {
        ClassNaming::Folders => in_folders(masks, &stems, classes, recursive)?,
        ClassNaming::Suffixes => with_suffixes(masks, &stems, classes, recursive)?,
    };
    let ignore = files.by_class.remove(IGNORE).unwrap_or_default();
    let none = || LayoutError::NoClasses {
        masks: masks.to_owned(),
        looked_for: naming.looked_for(),
        there: Dir::read(masks).map_or(String::new(), |dir| dir.told()),
    };
    let there: Vec<String> = files.by_class.keys().cloned().collect();
    let classes = classes.map_or_else(|| there.clone(), <[String]>::to_vec);
    if classes.is_empty() {
        return Err(none());
    }
    let mut found = ClassMasks {
        masks: vec![Vec::new(); stems.len()],
        masks_without_image: files.unclaimed,
        ..ClassMasks::default()
    };
    let mut without_file = Vec::new();
    for class in &classes {
        let masks = found.take(&stems, files.by_class.remove(class).unwrap_or_default());
        if masks.iter().all(Option::is_none) {
            without_file.push(class.clone());
        }
        found.images_without.push(masks.iter().filter(|mask| mask.is_none()).count());
        found.masks.iter_mut().zip(masks).for_each(|(all, mask)| all.push(mask));
    }
    if all && !without_file.is_empty() {
        let there = there.into_iter().filter(|class| !without_file.contains(class)).collect();
        let looked_for = match naming {
            ClassNaming::Folders => format!("{}/IMAGE", without_file[0]),
            ClassNaming::Suffixes => format!("IMAGE_{}", without_file[0]),
        };
        return Err(LayoutError::ClassWithoutFile {
            classes: without_file,
            masks: masks.to_owned(),
            looked_for,
            there,
        });
    }
    found.ignored = found.take(&stems, ignore);
    found.other_classes = files.by_class.into_keys().collect();
    found.unlabelled = (0..stems.len()).filter(|at| found.masks[*at].iter().all(Option::is_none)).collect();
    found.loosely_named.sort_unstable();
    found.loosely_named.dedup();
    found.masks_without_image.sort_unstable();
    found.classes = classes;
    Ok(found)
}

impl ClassMasks {
    /// The masks of one class, each at its image's place.
    fn take(&mut self, stems: &[OsString], files: Vec<(OsString, PathBuf)>) -> Vec<Option<PathBuf>> {
        let (names, mut files): (Vec<_>, Vec<_>) = files.into_iter().map(|(stem, file)| (stem, Some(file))).unzip();
        let matched = match_names(stems, &names);
        self.loosely_named.extend(matched.loose);
        self.masks_without_image.extend(matched.left.iter().filter_map(|at| files[*at].take()));
        matched.candidates.iter().map(|at| at.and_then(|at| files[at].take())).collect()
    }
}

/// Masks by class: each with the stem of the image that it would be of.
struct Files {
    by_class: BTreeMap<String, Vec<(OsString, PathBuf)>>,
    /// Files of no class.
    unclaimed: Vec<PathBuf>,
}

fn check_names(classes: &[String]) -> Result<(), LayoutError> {
    for (at, name) in classes.iter().enumerate() {
        let reason = match name {
            name if classes[..at].contains(name) => "another one has this name; give each its own",
            name if name == IGNORE => "this name is for masks of pixels that are ignored; no class may have it",
            name if name.is_empty() => "a class must have a name",
            _ => continue,
        };
        return Err(LayoutError::ClassName { name: name.clone(), reason });
    }
    Ok(())
}

/// What a folder or suffix stands for, and whether it was asked for: `ignore` in any case; a class that is given, in
/// its own spelling; otherwise what it says, which was asked for where no classes are given.
fn class_of(found: &str, classes: Option<&[String]>) -> (String, bool) {
    if found.eq_ignore_ascii_case(IGNORE) {
        return (IGNORE.to_string(), true);
    }
    let Some(classes) = classes else { return (found.to_string(), true) };
    // the one that is equal, otherwise the only one that differs in case
    let equal = classes.iter().find(|class| *class == found);
    let alike = || {
        let mut alike = classes.iter().filter(|class| class.to_lowercase() == found.to_lowercase());
        alike.next().filter(|_| alike.next().is_none())
    };
    match equal.or_else(alike) {
        Some(class) => (class.clone(), true),
        None => (found.to_string(), false),
    }
}

fn in_folders(
    masks: &Path,
    stems: &[OsString],
    classes: Option<&[String]>,
    recursive: bool,
) -> Result<Files, LayoutError> {
    let mut files = Files { by_class: BTreeMap::new(), unclaimed: Vec::new() };
    let deep = recursive || stems.iter().any(|stem| Path::new(stem).components().count() > 1);
    for folder in &Dir::read(masks)?.folders {
        // a class's name goes into reports and checkpoints
        let Some(name) = file_name(folder).to_str() else { continue };
        let of_class = files.by_class.entry(class_of(name, classes).0).or_default();
        if holds_images(folder) {
            let listing = Listing::of(folder, deep)?;
            of_class.extend(listing.stems().into_iter().zip(listing.files().iter().cloned()));
        }
    }
    Ok(files)
}

fn with_suffixes(
    masks: &Path,
    stems: &[OsString],
    classes: Option<&[String]>,
    recursive: bool,
) -> Result<Files, LayoutError> {
    let listing = Listing::of(masks, recursive)?;
    let images: HashSet<&OsStr> = stems.iter().map(OsString::as_os_str).collect();
    let mut files = Files { by_class: BTreeMap::new(), unclaimed: Vec::new() };
    let mut left = Vec::new();
    for (stem, file) in listing.stems().into_iter().zip(listing.files()) {
        let ways: Vec<Way> = splits(&stem, classes);
        let of_image = || ways.iter().filter(|way| images.contains(way.image.as_os_str()));
        let asked: Vec<&Way> = of_image().filter(|way| way.is_asked_for).collect();
        if let ([first, second, ..], Some(_)) = (&asked[..], classes) {
            let classes = [first.class.clone(), second.class.clone()];
            return Err(LayoutError::ClassUnclear { mask: file.clone(), classes });
        }
        match asked.first().copied().or_else(|| of_image().next()) {
            Some(way) => files.by_class.entry(way.class.clone()).or_default().push((way.image.clone(), file.clone())),
            None => left.push((ways, file)),
        }
    }
    // no image has just this name: it may differ in case, if the class is given, or was seen with others
    for (ways, file) in left {
        let is_known = |way: &&Way| match classes {
            Some(_) => way.is_asked_for,
            None => files.by_class.contains_key(&way.class),
        };
        match ways.iter().find(is_known) {
            Some(way) => files.by_class.entry(way.class.clone()).or_default().push((way.image.clone(), file.clone())),
            None => files.unclaimed.push(file.clone()),
        }
    }
    Ok(files)
}

/// A way to read a mask's stem.
struct Way {
    image: OsString,
    class: String,
    is_asked_for: bool,
}

/// The ways to read a mask's stem as an image and a class, the longest image first: at each `_` with something on both
/// sides.
fn splits(stem: &OsStr, classes: Option<&[String]>) -> Vec<Way> {
    let bytes = stem.as_encoded_bytes();
    let at = (1..bytes.len().saturating_sub(1)).rev().filter(|at| bytes[*at] == b'_');
    let way = |at: usize| {
        let found = std::str::from_utf8(&bytes[at + 1..]).ok().filter(|name| !name.contains(MAIN_SEPARATOR))?;
        let (class, is_asked_for) = class_of(found, classes);
        Some(Way { image: prefix(stem, at)?, class, is_asked_for })
    };
    at.filter_map(way).collect()
}

/// The first `length` bytes of a name, which end before a `_`.
fn prefix(stem: &OsStr, length: usize) -> Option<OsString> {
    match stem.to_str() {
        Some(text) => text.get(..length).map(OsString::from),
        #[cfg(unix)]
        None => {
            use std::os::unix::ffi::OsStrExt;
            Some(OsStr::from_bytes(&stem.as_bytes()[..length]).to_owned())
        }
        #[cfg(not(unix))]
        None => None,
    }
}
