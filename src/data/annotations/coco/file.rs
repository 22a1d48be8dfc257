//! COCO's annotation files: one JSON for a whole set.
//!
//! Source: <https://cocodataset.org/#format-data>, and `annToRLE` of
//! <https://github.com/ppwwyyxx/cocoapi/blob/master/PythonAPI/pycocotools/coco.py>

use std::collections::{HashMap, HashSet};
use std::fs;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use super::raw::{Outlines, RawAnnotation, RawCategory, RawFile, RawImage, Segmentation};
use crate::data::annotations::annotated::Annotated;
use crate::data::annotations::classes::Classes;
use crate::data::annotations::drawing::{Drawing, Mark, Shape};
use crate::data::annotations::flaw::{AnnotationError, BadAnnotation, BadAnnotations, Flaw, Id, Place, few};
use crate::data::annotations::json::{Value, parse, size};
use crate::data::annotations::notes::{NoteKind, Notes};
use crate::data::annotations::region::Region;
use crate::data::annotations::runs::Runs;

/// The annotations of a COCO file.
///
/// - Class 0 is the background; classes follow in the order of their categories' ids, whatever gaps these have (numbers
///   before text). A category called `background` or `_background_` is class 0 itself, `__ignore__` is ignored.
/// - Where names are given, these are the classes, in their order. What is marked as another category counts as
///   background.
/// - Shapes are painted in the order in which their annotations stand in the file.
/// - Crowds (`iscrowd`) are ignored, whatever their category.
/// - Polygons of one annotation are united; there are no holes. Those of fewer than three points mark nothing.
/// - Boxes and key points mark nothing. An image without annotations is background.
#[derive(Clone, Debug)]
pub struct Coco {
    path: Arc<Path>,
    classes: Classes,
    images: Vec<CocoImage>,
    outlines: Arc<Outlines>,
    notes: Notes,
}

/// An image that a COCO file lists.
#[derive(Clone, Debug)]
pub struct CocoImage {
    /// Its `file_name`, with `/` between folders.
    pub file_name: String,
    /// Width and height, if the file tells them.
    pub size: Option<(usize, usize)>,
    shapes: Vec<Outlined>,
}

/// An annotation that marks pixels.
#[derive(Clone, Debug)]
struct Outlined {
    mark: Mark,
    outline: Outline,
}

/// Where an outline is kept.
#[derive(Clone, Debug)]
enum Outline {
    Polygons(Range<usize>),
    Runs(Range<usize>, (usize, usize)),
}

impl Coco {
    /// Reads a file. With `names`, these are the classes, in their order; the first may be the background.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no JSON, or is no COCO file; when there is no class, more than 254, or a name
    /// twice; when a given name is none of the file's categories; and, all together, when entries cannot be used: ids
    /// that are not there or are there twice, sizes and run lengths that do not fit, coordinates that are no finite
    /// numbers.
    pub fn read(path: &Path, names: Option<&[String]>) -> Result<Self, AnnotationError> {
        Self::read_with(path, names, true)
    }

    /// The same with names of classes, not all of which the file must have a category of.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read), but for names that no category has.
    pub fn read_some(path: &Path, names: &[String]) -> Result<Self, AnnotationError> {
        Self::read_with(path, Some(names), false)
    }

    fn read_with(path: &Path, names: Option<&[String]>, all: bool) -> Result<Self, AnnotationError> {
        let json = fs::read(path).map_err(|source| AnnotationError::Read { path: path.to_owned(), source })?;
        let file =
            parse(json, |json| serde_json::from_slice::<RawFile>(json)).map_err(|error| match error.classify() {
                serde_json::error::Category::Data => not_coco(path, error.to_string()),
                _ => AnnotationError::Json { path: path.to_owned(), reason: error.to_string() },
            })?;
        Self::of(path, file, names, all)
    }

    fn of(path: &Path, file: RawFile, names: Option<&[String]>, all: bool) -> Result<Self, AnnotationError> {
        let lacks = |key: &str| not_coco(path, format!("it has no \"{key}\""));
        let images = file.images.ok_or_else(|| lacks("images"))?;
        let categories = file.categories.ok_or_else(|| lacks("categories"))?;
        let annotations = file.annotations.ok_or_else(|| lacks("annotations"))?;

        let mut reading = Reading { file: path.into(), bad: Vec::new(), unusable: Vec::new(), notes: Notes::default() };
        let entries = images.len() + categories.len() + annotations.len();
        let categories = reading.categories(categories);
        let (classes, mut marks) = classes_of(path, &categories, names, all, !reading.bad.is_empty())?;
        // what is of them need not be told of again
        marks.extend(reading.unusable.drain(..).map(|id| (id, None)));
        let (mut images, numbers) = reading.images(images);
        for (number, annotation) in annotations.into_iter().enumerate() {
            reading.annotation(number, annotation, &mut images, &numbers, &marks, &file.outlines);
        }
        if !reading.bad.is_empty() {
            return Err(BadAnnotations { of: entries, bad: reading.bad }.into());
        }
        let mut notes = reading.notes;
        notes.add_unused(&classes, images.iter().flat_map(|image| &image.shapes).map(|shape| shape.mark));
        for image in images.iter_mut() {
            image.shapes.shrink_to_fit();
            if image.shapes.is_empty() {
                notes.add(NoteKind::Unannotated, || image.file_name.clone());
            }
        }
        Ok(Self { path: reading.file, classes, images, outlines: Arc::new(file.outlines), notes })
    }

    /// The images that the file lists, in its order.
    pub fn listed(&self) -> &[CocoImage] {
        &self.images
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Annotated for Coco {
    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn notes(&self) -> &Notes {
        &self.notes
    }

    fn images(&self) -> usize {
        self.images.len()
    }

    fn ignores(&self, image: usize) -> bool {
        self.images[image].shapes.iter().any(|shape| shape.mark == Mark::Ignored)
    }

    fn drawing(&self, image: usize, size: (usize, usize)) -> Result<Drawing, AnnotationError> {
        let image = &self.images[image];
        let runs = image.shapes.iter().filter_map(|shape| match &shape.outline {
            Outline::Runs(_, size) => Some(*size),
            Outline::Polygons(_) => None,
        });
        if let Some(said) = image.size.into_iter().chain(runs).find(|said| *said != size) {
            let (path, image) = (self.path.to_path_buf(), image.file_name.clone());
            return Err(AnnotationError::SizeDiffers { path, image, said, is: size });
        }
        let region = |outline: &Outline| match outline {
            Outline::Polygons(at) => Region::on_grid(self.outlines.polygons(at.clone())),
            Outline::Runs(at, size) => Region::runs(Runs::known(self.outlines.text[at.clone()].to_vec(), *size)),
        };
        let shape = |shape: &Outlined| Shape { mark: shape.mark, region: region(&shape.outline) };
        Ok(Drawing { width: size.0, height: size.1, shapes: image.shapes.iter().map(shape).collect() })
    }
}

fn not_coco(path: &Path, reason: String) -> AnnotationError {
    AnnotationError::NotCoco { path: path.to_owned(), reason }
}

/// What each category stands for: nothing, if it is none of the classes that were given.
type Marks = HashMap<Id, Option<Mark>>;

/// The classes, and what each category stands for.
fn classes_of(
    path: &Path,
    categories: &[(Id, String)],
    names: Option<&[String]>,
    all: bool,
    some_are_bad: bool,
) -> Result<(Classes, Marks), AnnotationError> {
    let collected = || categories.iter().map(|(_, name)| name.clone());
    let classes = match names {
        Some(names) => Classes::given(names)?,
        // what is wrong with the categories is told with everything else
        None if some_are_bad => Classes::given(&["class".to_string()])?,
        None => Classes::collected(collected()).map_err(|error| match error {
            AnnotationError::Classes(reason) => AnnotationError::Classes(format!("{}: {reason}", path.display())),
            other => other,
        })?,
    };
    let there: HashSet<&str> = categories.iter().map(|(_, name)| name.as_str()).collect();
    let missing: Vec<String> = match names.filter(|_| all) {
        Some(_) => classes.names().iter().filter(|name| !there.contains(name.as_str())).cloned().collect(),
        None => Vec::new(),
    };
    if !missing.is_empty() {
        let has: Vec<String> = collected().collect();
        return Err(AnnotationError::Classes(format!(
            "{} has no category {}; it has {}",
            path.display(),
            few(&missing, missing.len()),
            has.join(", ")
        )));
    }
    let marks = categories.iter().map(|(id, name)| (id.clone(), classes.mark(name))).collect();
    Ok((classes, marks))
}

/// What was found so far.
struct Reading {
    file: Arc<Path>,
    bad: Vec<BadAnnotation>,
    /// Ids of categories that cannot be used.
    unusable: Vec<Id>,
    notes: Notes,
}

impl Reading {
    fn flaw(&mut self, place: Place, flaw: Flaw) {
        self.bad.push(BadAnnotation { file: self.file.clone(), place, flaw });
    }

    /// The categories, by id.
    fn categories(&mut self, categories: Vec<RawCategory>) -> Vec<(Id, String)> {
        let (mut ids, mut names, mut found) = (HashSet::new(), HashSet::new(), Vec::new());
        for (number, category) in categories.into_iter().enumerate() {
            let place = Place::CategoryNumber(number + 1);
            let Some(id) = category.id.id() else {
                self.flaw(place, Flaw::Missing("id"));
                continue;
            };
            if !ids.insert(id.clone()) {
                self.flaw(place, Flaw::SameId(id));
                continue;
            }
            let flaw = match category.name.text().map(str::to_string) {
                None => Flaw::Missing("name"),
                Some(name) if !names.insert(name.clone()) => Flaw::SameName(name),
                Some(name) => {
                    found.push((id, name));
                    continue;
                }
            };
            self.unusable.push(id);
            self.flaw(place, flaw);
        }
        found.sort_unstable();
        found
    }

    /// The images, and the number of each id's; `None` for one that cannot be used.
    fn images(&mut self, images: Vec<RawImage>) -> (Vec<CocoImage>, HashMap<Id, Option<usize>>) {
        let (mut found, mut numbers, mut names) = (Vec::with_capacity(images.len()), HashMap::new(), HashSet::new());
        for (number, image) in images.into_iter().enumerate() {
            let Some(id) = image.id.id() else {
                self.flaw(Place::ImageNumber(number + 1), Flaw::Missing("id"));
                continue;
            };
            if numbers.insert(id.clone(), None).is_some() {
                self.flaw(Place::Image(id.clone()), Flaw::SameId(id));
                continue;
            }
            let file_name = image.file_name.text().map(plain_name);
            match (file_name, size(&image.width, &image.height, ["width", "height"])) {
                (None, _) => self.flaw(Place::Image(id), Flaw::Missing("file_name")),
                (Some(name), _) if !names.insert(name.clone()) => self.flaw(Place::Image(id), Flaw::SameName(name)),
                (_, Err(flaw)) => self.flaw(Place::Image(id), flaw),
                (Some(file_name), Ok(size)) => {
                    numbers.insert(id, Some(found.len()));
                    found.push(CocoImage { file_name, size, shapes: Vec::new() });
                }
            }
        }
        (found, numbers)
    }

    /// Adds an annotation to its image.
    fn annotation(
        &mut self,
        number: usize,
        mut annotation: RawAnnotation,
        images: &mut [CocoImage],
        numbers: &HashMap<Id, Option<usize>>,
        marks: &Marks,
        outlines: &Outlines,
    ) {
        let place = match std::mem::take(&mut annotation.id).id() {
            Some(id) => Place::Annotation(id),
            None => Place::AnnotationNumber(number + 1),
        };
        match outlined(annotation, numbers, marks) {
            Err(flaw) => self.flaw(place, flaw),
            Ok(Found { image, shape, few, why }) => {
                let Some(image) = image.and_then(|image| images.get_mut(image)) else { return };
                (0..few).for_each(|_| self.notes.add(NoteKind::FewPoints, || place.to_string()));
                if let Some(why) = why {
                    self.notes.add(why, || place.to_string());
                }
                let Some(shape) = shape else { return };
                match (&shape.outline, image.size) {
                    (Outline::Runs(_, runs), Some(size)) if *runs != size => {
                        return self.flaw(place, Flaw::RunsSize(*runs, size));
                    }
                    (Outline::Polygons(at), Some(size))
                        if Region::on_grid(outlines.polygons(at.clone())).leaves(size) =>
                    {
                        self.notes.add(NoteKind::Clipped, || place.to_string());
                    }
                    _ => (),
                }
                image.shapes.push(shape);
            }
        }
    }
}

/// What an annotation was found to be.
struct Found {
    /// Its image; `None` if that cannot be used, which is told elsewhere.
    image: Option<usize>,
    /// What it marks.
    shape: Option<Outlined>,
    /// How many of its polygons have too few points.
    few: usize,
    /// What is worth knowing.
    why: Option<NoteKind>,
}

fn outlined(annotation: RawAnnotation, numbers: &HashMap<Id, Option<usize>>, marks: &Marks) -> Result<Found, Flaw> {
    let id = |value: Value, key| match value {
        Value::Missing => Err(Flaw::Missing(key)),
        other => other.id().ok_or(Flaw::Kind(key, "a whole number or text")),
    };
    let image_id = id(annotation.image_id, "image_id")?;
    let image = *numbers.get(&image_id).ok_or(Flaw::UnknownImage(image_id))?;
    let category_id = id(annotation.category_id, "category_id")?;
    let mark = *marks.get(&category_id).ok_or(Flaw::UnknownCategory(category_id))?;
    let crowd = match annotation.iscrowd {
        Value::Missing | Value::Flag(false) => false,
        Value::Flag(true) => true,
        other => other.integer().ok_or(Flaw::Kind("iscrowd", "0 or 1"))? != 0,
    };
    let (outline, few) = match annotation.segmentation {
        Segmentation::Bad(flaw) => return Err(flaw),
        Segmentation::Missing => (None, 0),
        Segmentation::Polygons(at, few) => ((!at.is_empty()).then_some(Outline::Polygons(at)), few),
        Segmentation::Runs(at, size) => (Some(Outline::Runs(at, size)), 0),
    };
    let mark = if crowd { Some(Mark::Ignored) } else { mark };
    let why = match (&outline, mark) {
        (_, None) => Some(NoteKind::LeftOut),
        (Some(_), _) if crowd => Some(NoteKind::Crowd),
        (Some(_), _) => None,
        // its polygons were counted
        (None, _) if few > 0 => None,
        (None, _) if annotation.has_keypoints => Some(NoteKind::KeypointsOnly),
        (None, _) if annotation.has_box => Some(NoteKind::BoxOnly),
        (None, _) => return Err(Flaw::Missing("segmentation")),
    };
    let shape = outline.zip(mark).map(|(outline, mark)| Outlined { mark, outline });
    Ok(Found { image, shape, few, why })
}

/// A file's name with `/` between folders, and without `./` before it.
fn plain_name(name: &str) -> String {
    let name = name.replace('\\', "/");
    name.trim_start_matches("./").to_string()
}
