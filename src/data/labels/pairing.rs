//! Which files hold the labels of each image of a folder.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::reader::LabelReader;
use super::source::LabelSource;
use crate::data::annotations::annotated::Annotated;
use crate::data::annotations::coco::file::Coco;
use crate::data::annotations::files::files_beside;
use crate::data::annotations::labelme::Labelme;
use crate::data::annotations::polygon_text::PolygonText;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::error::DataError;
use crate::data::layout::class_masks::{ClassNaming, class_masks};
use crate::data::listing::Listing;
use crate::data::names::{Alike, Matched, StemRule, common_suffix, has_ending, match_names};
use crate::data::pairs::{FolderOptions, Found, Pair};
use crate::data::unused::{Unused, UnusedKind};

/// Images with the files of their labels, and how these are read.
pub(crate) struct Paired {
    pub pairs: Vec<Pair>,
    pub reader: LabelReader,
    pub found: Found,
}

/// Finds the files of the labels of each image that is used. Reads annotations and no picture.
pub(crate) fn pair_up(images: &Path, labels: &LabelSource, options: &FolderOptions) -> Result<Paired, DataError> {
    let masks = |masks: &Path, reader: LabelReader| {
        let (pairs, found) = one_mask_each(images, masks, options)?;
        Ok(Paired { pairs, reader, found })
    };
    match labels {
        LabelSource::Masks(folder) => masks(folder, LabelReader::OneClass),
        LabelSource::Values { masks: folder, table, classes } => {
            masks(folder, LabelReader::Values { table: table.clone(), classes: classes.clone() })
        }
        LabelSource::ClassMasks { masks, naming, classes, all } => {
            a_mask_for_each_class(images, masks, *naming, classes.as_deref(), *all, options)
        }
        LabelSource::Coco { file, kind } => {
            let (listing, used) = listed(images, options)?;
            coco(&listing, used, file, *kind)
        }
        LabelSource::Labelme { folder, classes, kind } => {
            let (listing, used) = listed(images, options)?;
            let files = beside(&listing, &used, folder.as_deref(), "json");
            let place = ("IMAGE.json", folder.as_deref());
            let read = |files: &[Option<PathBuf>]| Ok(Labelme::read(files, classes.as_deref())?);
            drawn(&listing, used, files, read, *kind, place)
        }
        LabelSource::Polygons { folder, classes, kind } => {
            let (listing, used) = listed(images, options)?;
            let files = beside(&listing, &used, Some(folder), "txt");
            let read = |files: &[Option<PathBuf>]| Ok(PolygonText::read(files, classes)?);
            let mut paired = drawn(&listing, used, files, read, *kind, ("IMAGE.txt", Some(folder)))?;
            if let LabelReader::Drawn { numbered, .. } = &mut paired.reader {
                numbered.clone_from(classes);
            }
            Ok(paired)
        }
    }
}

/// The images of a folder, and which of them are used.
fn listed(images: &Path, options: &FolderOptions) -> Result<(Listing, Vec<usize>), DataError> {
    let listing = Listing::of(images, options.recursive)?;
    let used = options.selection.of(&listing)?;
    Ok((listing, used))
}

fn stem(listing: &Listing, index: usize) -> String {
    listing.stem(index).to_string_lossy().into_owned()
}

fn one_mask_each(images: &Path, masks: &Path, options: &FolderOptions) -> Result<(Vec<Pair>, Found), DataError> {
    if let (Ok(a), Ok(b)) = (images.canonicalize(), masks.canonicalize())
        && a == b
    {
        return Err(DataError::OneFolder { path: images.to_owned() });
    }
    let [images, masks] = [Listing::of(images, options.recursive)?, Listing::of(masks, options.recursive)?];
    let (stems, mask_stems) = (images.stems(), masks.stems());
    let used = options.selection.of(&images)?;
    // all images are matched, used or not: a mask of an image that is not used is not one without an image
    let (with_name, wanted): (Vec<usize>, Vec<OsString>) =
        (0..).zip(&stems).filter_map(|(at, stem)| Some((at, options.stems.mask_of(stem)?))).unzip();
    let Matched { candidates, loose, left } = match_names(&wanted, &mask_stems);
    let mask_of: HashMap<usize, usize> =
        with_name.iter().zip(candidates).filter_map(|(image, mask)| Some((*image, mask?))).collect();
    let mut pairs = Vec::with_capacity(used.len());
    let mut without = Vec::new();
    for at in &used {
        let image = images.files()[*at].clone();
        match mask_of.get(at).map(|mask| masks.files()[*mask].clone()) {
            Some(mask) => pairs.push(Pair { stem: stem(&images, *at), image, masks: vec![mask] }),
            None => without.push(image),
        }
    }
    if !without.is_empty() {
        let stems: Vec<OsString> = used.iter().map(|at| stems[*at].clone()).collect();
        return Err(missing_masks(&masks, without, &options.stems, &stems, &mask_stems));
    }
    let (masks_without_image, masks_without_suffix): (Vec<usize>, Vec<usize>) =
        left.into_iter().partition(|at| options.stems.is_mask(&mask_stems[*at]));
    let loose = loose.iter().map(|at| with_name[*at]).filter(|at| used.binary_search(at).is_ok());
    let files = |of: Vec<usize>| of.iter().map(|at| masks.files()[*at].clone()).collect();
    let found = Found {
        masks_without_image: files(masks_without_image),
        masks_without_suffix: files(masks_without_suffix),
        loosely_named: loose.map(|at| images.files()[at].clone()).collect(),
        among_images: images.unused().clone(),
        among_masks: masks.unused().clone(),
        ..Found::default()
    };
    Ok((pairs, found))
}

fn missing_masks(
    masks: &Listing,
    without: Vec<PathBuf>,
    rule: &StemRule,
    stems: &[OsString],
    mask_stems: &[OsString],
) -> DataError {
    let empty = masks.unused().kinds().find(|(kind, _)| *kind == UnusedKind::ZeroBytes);
    // a suffix explains what is missing only where nothing fits without
    let none_fits = without.len() == stems.len();
    let there: HashSet<&OsString> = mask_stems.iter().collect();
    let alike = Alike::of(mask_stems);
    let choices = |stem: &OsString| {
        let found = alike.to(&rule.mask_of(stem).filter(|name| !there.contains(name))?);
        let name = |at: &usize| masks.files()[*at].file_name().unwrap_or_default().display().to_string();
        let names: Vec<String> = found.iter().map(name).collect();
        (names.len() > 1).then(|| format!("{} may be of {}", names.join(" and "), stem.display()).into_boxed_str())
    };
    DataError::MissingMask {
        masks: masks.folder().into(),
        images: stems.len(),
        called: rule.to_string().into(),
        suffix: none_fits.then(|| common_suffix(stems, mask_stems)).flatten().map(String::into_boxed_str),
        unclear: stems.iter().find_map(choices),
        empty_masks: empty.map_or(0, |(_, paths)| paths.len()),
        without,
    }
}

fn a_mask_for_each_class(
    images: &Path,
    masks: &Path,
    naming: ClassNaming,
    classes: Option<&[String]>,
    all: bool,
    options: &FolderOptions,
) -> Result<Paired, DataError> {
    let (listing, used) = listed(images, options)?;
    let mut files = class_masks(&listing, masks, naming, classes, options.recursive, all)?;
    let image = |at: &usize| listing.files()[*at].clone();
    let is_used = |at: &&usize| used.binary_search(at).is_ok();
    let found = Found {
        masks_without_image: files.masks_without_image,
        loosely_named: files.loosely_named.iter().filter(is_used).map(image).collect(),
        unlabelled: files.unlabelled.iter().filter(is_used).map(image).collect(),
        other_classes: files.other_classes,
        among_images: listing.unused().clone(),
        ..Found::default()
    };
    let has_ignored = used.iter().any(|at| files.ignored[*at].is_some());
    let planes: Vec<Vec<Option<PathBuf>>> = used.iter().map(|at| std::mem::take(&mut files.masks[*at])).collect();
    let ignored = has_ignored.then(|| used.iter().map(|at| files.ignored[*at].clone()).collect::<Vec<_>>());
    let pair = |(number, at): (usize, &usize)| {
        let ignored = ignored.as_ref().and_then(|ignored| ignored[number].clone());
        let masks = planes[number].iter().flatten().cloned().chain(ignored).collect();
        Pair { stem: stem(&listing, *at), image: image(at), masks }
    };
    let pairs = used.iter().enumerate().map(pair).collect();
    let classes = Classes::named(ClassKind::Overlapping, files.classes)?;
    Ok(Paired { pairs, reader: LabelReader::Planes { classes, planes, ignored }, found })
}

/// The annotation file of each image that is used, if it has one.
fn beside(listing: &Listing, used: &[usize], folder: Option<&Path>, ending: &str) -> Vec<Option<PathBuf>> {
    let images: Vec<PathBuf> = used.iter().map(|at| listing.files()[*at].clone()).collect();
    files_beside(&images, listing.folder(), folder, ending)
}

fn coco(listing: &Listing, used: Vec<usize>, file: &Arc<Coco>, kind: ClassKind) -> Result<Paired, DataError> {
    let matched = file.matched(listing.folder(), listing.files());
    let (mut there, mut numbers, mut not_listed) = (Vec::new(), Vec::new(), Vec::new());
    for at in used {
        match matched.images[at] {
            Some(number) => {
                there.push(at);
                numbers.push(number);
            }
            None => not_listed.push(listing.files()[at].clone()),
        }
    }
    if matched.images.iter().all(Option::is_none) {
        let (images, annotations) = (listing.folder().to_owned(), file.path().to_owned());
        return Err(DataError::NoneListed { images, annotations });
    }
    let files = vec![Some(file.path().to_owned()); there.len()];
    let annotated: Arc<dyn Annotated> = file.clone();
    let mut paired = drawn_with(listing, there, files, annotated, numbers, kind)?;
    paired.found.not_listed = not_listed;
    Ok(paired)
}

/// Of annotations that `read` reads for the images that are used, in their order; what such a file is called, and where it lies.
fn drawn<A: Annotated + 'static>(
    listing: &Listing,
    used: Vec<usize>,
    files: Vec<Option<PathBuf>>,
    read: impl Fn(&[Option<PathBuf>]) -> Result<A, DataError>,
    kind: ClassKind,
    (called, folder): (&'static str, Option<&Path>),
) -> Result<Paired, DataError> {
    if files.iter().all(Option::is_none) {
        let (images, folder) = (listing.folder().to_owned(), folder.map(Path::to_owned));
        return Err(DataError::NoLabelFiles { images, called, folder });
    }
    let numbers = (0..used.len()).collect();
    let unlabelled = used.iter().zip(&files).filter(|(_, file)| file.is_none());
    let unlabelled = unlabelled.map(|(at, _)| listing.files()[*at].clone()).collect();
    let annotated: Arc<dyn Annotated> = Arc::new(read(&files)?);
    let mut paired = drawn_with(listing, used, files, annotated, numbers, kind)?;
    paired.found.unlabelled = unlabelled;
    Ok(paired)
}

fn drawn_with(
    listing: &Listing,
    used: Vec<usize>,
    files: Vec<Option<PathBuf>>,
    annotated: Arc<dyn Annotated>,
    numbers: Vec<usize>,
    kind: ClassKind,
) -> Result<Paired, DataError> {
    let pair = |(at, file): (&usize, Option<PathBuf>)| Pair {
        stem: stem(listing, *at),
        image: listing.files()[*at].clone(),
        masks: file.into_iter().collect(),
    };
    let pairs = used.iter().zip(files).map(pair).collect();
    let names: Vec<String> = match kind {
        ClassKind::Exclusive => annotated.classes().with_background().into_iter().map(String::from).collect(),
        ClassKind::Overlapping => annotated.classes().names().to_vec(),
    };
    let classes = Classes::named(kind, names)?;
    let ignores = numbers.iter().any(|number| annotated.ignores(*number));
    let mut among_images = Unused::default();
    // annotations beside the images are used
    let is_used = |path: &PathBuf| has_ending(path, "json");
    for (kind, paths) in listing.unused().kinds() {
        paths.iter().filter(|path| !is_used(path)).for_each(|path| among_images.add(kind, path.clone()));
    }
    let found = Found { among_images, ..Found::default() };
    Ok(Paired {
        pairs,
        reader: LabelReader::Drawn { classes, annotated, numbers, ignores, numbered: Vec::new() },
        found,
    })
}
