//! Labelme's annotation files: one JSON for each image.
//!
//! Shapes are painted as Labelme's own converters do it (`shapes_to_label`, which draws with Pillow), in the file's
//! order. That is Labelme 7; before that, lines of several pieces had no rounded corners.
//!
//! Source: <https://github.com/wkentaro/labelme/blob/v7.9.1/labelme/_utils/_mask.py>

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;

use super::annotated::Annotated;
use super::classes::Classes;
use super::drawing::{Drawing, Mark, Shape};
use super::flaw::{AnnotationError, BadAnnotation, BadAnnotations, Flaw, Place};
use super::json::{Number, Value, parse, size};
use super::notes::{NoteKind, Notes};
use super::region::Region;
use super::stamp;

/// Labelme's annotations of a set of images.
///
/// - `_background_` is class 0 and paints over what is below; `__ignore__` is ignored.
/// - Without given names, classes follow in the order in which their labels are first met: files in their order, shapes
///   in theirs. With given names, another label is an error, as it is to Labelme.
/// - `point` is a disc of radius 5; `line` and `linestrip` are ten pixels wide. Shapes of type `points`, which
///   Labelme's converters refuse, mark nothing.
/// - An image without a file is background.
#[derive(Clone, Debug)]
pub struct Labelme {
    classes: Classes,
    files: Vec<Option<LabelmeFile>>,
    notes: Notes,
}

/// One file.
#[derive(Clone, Debug)]
struct LabelmeFile {
    path: Arc<Path>,
    size: Option<(usize, usize)>,
    shapes: Vec<Shape>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawFile {
    #[serde(default)]
    image_width: Value,
    #[serde(default)]
    image_height: Value,
    shapes: Vec<RawShape>,
}

#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct RawShape {
    label: Value,
    points: Option<Vec<Vec<Number>>>,
    shape_type: Value,
    mask: Value,
}

/// A shape that was read, with its label.
struct Labelled {
    number: usize,
    label: String,
    region: Region,
}

impl Labelme {
    /// Reads the files of a set of images, in the order of these; `None` for an image that has none. With `names`,
    /// these are the classes, in their order; the first may be the background's.
    ///
    /// # Errors
    ///
    /// When there is no class, more than 254, or a name twice; and, all together, when files cannot be read, are not
    /// Labelme's, or have labels, shapes, points or masks that cannot be used.
    pub fn read(files: &[Option<PathBuf>], names: Option<&[String]>) -> Result<Self, AnnotationError> {
        let given = names.map(Classes::given).transpose()?;
        let mut reading = Reading::default();
        let read: Vec<_> = files.iter().map(|file| file.as_deref().map(|file| reading.file(file))).collect();
        let classes = match given {
            Some(classes) => classes,
            None if !reading.bad.is_empty() => return Err(reading.failed()),
            None => {
                let labels = read.iter().flatten().flat_map(|(_, shapes)| shapes).map(|shape| &shape.label);
                let mut seen = HashSet::new();
                Classes::collected(labels.filter(|label| seen.insert(*label)).cloned())?
            }
        };
        let mut done = Vec::with_capacity(read.len());
        for (number, file) in read.into_iter().enumerate() {
            let Some((mut file, shapes)) = file else {
                reading.notes.add(NoteKind::WithoutFile, || format!("image number {}", number + 1));
                done.push(None);
                continue;
            };
            if shapes.is_empty() {
                reading.notes.add(NoteKind::Unannotated, || file.path.display().to_string());
            }
            for Labelled { number, label, region } in shapes {
                let place = Place::Shape(number, label.clone());
                if file.size.is_some_and(|size| region.leaves(size)) {
                    reading.notes.add(NoteKind::Clipped, || format!("{}, {place}", file.path.display()));
                }
                match classes.mark(&label) {
                    Some(mark) => file.shapes.push(Shape { mark, region }),
                    None => reading.flaw(&file.path, place, Flaw::UnknownLabel(classes.with_background().join(", "))),
                }
            }
            done.push(Some(file));
        }
        if !reading.bad.is_empty() {
            return Err(reading.failed());
        }
        let marks = done.iter().flatten().flat_map(|file: &LabelmeFile| &file.shapes).map(|shape| shape.mark);
        reading.notes.add_unused(&classes, marks);
        Ok(Self { classes, files: done, notes: reading.notes })
    }
}

impl Annotated for Labelme {
    fn classes(&self) -> &Classes {
        &self.classes
    }

    fn notes(&self) -> &Notes {
        &self.notes
    }

    fn images(&self) -> usize {
        self.files.len()
    }

    fn ignores(&self, image: usize) -> bool {
        self.files[image].iter().flat_map(|file| &file.shapes).any(|shape| shape.mark == Mark::Ignored)
    }

    fn drawing(&self, image: usize, size: (usize, usize)) -> Result<Drawing, AnnotationError> {
        let (width, height) = size;
        let Some(file) = &self.files[image] else { return Ok(Drawing { width, height, shapes: Vec::new() }) };
        if let Some(said) = file.size.filter(|said| *said != size) {
            let (path, image) = (file.path.to_path_buf(), "its image".to_string());
            return Err(AnnotationError::SizeDiffers { path, image, said, is: size });
        }
        Ok(Drawing { width, height, shapes: file.shapes.clone() })
    }
}

/// What was found so far.
#[derive(Default)]
struct Reading {
    bad: Vec<BadAnnotation>,
    notes: Notes,
    shapes: usize,
}

impl Reading {
    fn flaw(&mut self, file: &Arc<Path>, place: Place, flaw: Flaw) {
        self.bad.push(BadAnnotation { file: file.clone(), place, flaw });
    }

    fn failed(self) -> AnnotationError {
        BadAnnotations { of: self.shapes.max(self.bad.len()), bad: self.bad }.into()
    }

    /// What a file holds; what cannot be used of it is told.
    fn file(&mut self, file: &Path) -> (LabelmeFile, Vec<Labelled>) {
        let path: Arc<Path> = file.into();
        let mut found = LabelmeFile { path: path.clone(), size: None, shapes: Vec::new() };
        let json = match fs::read(file) {
            Ok(json) => json,
            Err(error) => {
                self.flaw(&path, Place::File, Flaw::Unreadable(format!("it cannot be read: {error}")));
                return (found, Vec::new());
            }
        };
        let raw = match parse(json, |json| serde_json::from_slice::<RawFile>(json)) {
            Ok(raw) => raw,
            Err(error) => {
                self.flaw(&path, Place::File, Flaw::Json(error.to_string()));
                return (found, Vec::new());
            }
        };
        match size(&raw.image_width, &raw.image_height, ["imageWidth", "imageHeight"]) {
            Ok(size) => found.size = size,
            Err(flaw) => self.flaw(&path, Place::File, flaw),
        }
        let mut shapes = Vec::new();
        for (number, shape) in raw.shapes.into_iter().enumerate() {
            self.shapes += 1;
            let label = shape.label.text().map(str::to_string);
            let place = Place::Shape(number + 1, label.clone().unwrap_or_default());
            match label.ok_or(Flaw::Missing("label")).and_then(|label| Ok((label, region(&shape)?))) {
                Ok((label, Ok(region))) => shapes.push(Labelled { number: number + 1, label, region }),
                Ok((_, Err(note))) => self.notes.add(note, || format!("{}, {place}", path.display())),
                Err(flaw) => self.flaw(&path, place, flaw),
            }
        }
        (found, shapes)
    }
}

/// The pixels of a shape, or why it has none.
fn region(shape: &RawShape) -> Result<Result<Region, NoteKind>, Flaw> {
    let pair = |point: &Vec<Number>| match point[..] {
        [Number(x), Number(y)] => Ok([x, y]),
        _ => Err(Flaw::Kind("points", "a list of pairs [x, y]")),
    };
    let points = shape.points.as_ref().ok_or(Flaw::Missing("points"))?;
    let points: Vec<[f64; 2]> = points.iter().map(pair).collect::<Result<_, _>>()?;
    let kind = match &shape.shape_type {
        Value::Missing => "polygon",
        Value::Text(kind) => kind,
        _ => return Err(Flaw::Kind("shape_type", "text")),
    };
    match kind {
        "polygon" if points.len() < 3 => Ok(Err(NoteKind::FewPoints)),
        "linestrip" if points.len() < 2 => Ok(Err(NoteKind::FewPoints)),
        "points" => Ok(Err(NoteKind::PointLists)),
        "polygon" => Region::polygon(&points).map(Ok),
        "oriented_rectangle" if points.len() == 4 => Region::polygon(&points).map(Ok),
        "oriented_rectangle" => {
            Err(Flaw::Points { shape: "oriented_rectangle", needs: "four points", found: points.len() })
        }
        "rectangle" => Region::rectangle(&points).map(Ok),
        "circle" => Region::circle(&points).map(Ok),
        "point" => Region::point(&points).map(Ok),
        "line" if points.len() != 2 => Err(Flaw::Points { shape: "line", needs: "two points", found: points.len() }),
        "line" | "linestrip" => Region::line(&points).map(Ok),
        "mask" => stamp::region(shape.mask.text().ok_or(Flaw::Missing("mask"))?, &points).map(Ok),
        other => Err(Flaw::UnknownShape(other.to_string())),
    }
}
