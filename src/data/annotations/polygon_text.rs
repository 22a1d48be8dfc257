//! Ultralytics' polygon labels: a text file for each image, with a line for each polygon: its class, and x y x y ...
//! divided by the image's width and height.
//!
//! Painted as Ultralytics does it for semantic segmentation: coordinates in single precision, without their fraction,
//! OpenCV's `fillPoly`, larger polygons first, so that smaller ones lie over them. Polygons of exactly equal area keep
//! their order, which in Ultralytics depends on NumPy's sort. Its background is the last class; here it is class 0. A
//! line that is there twice counts once there and twice here, which changes no pixel.
//!
//! Source: `PolygonSemanticDataset` and `polygons2masks_overlap` of
//! <https://github.com/ultralytics/ultralytics/blob/main/ultralytics/data/dataset.py>

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::annotated::Annotated;
use super::classes::Classes;
use super::drawing::{Drawing, Mark, Shape};
use super::flaw::{AnnotationError, BadAnnotation, BadAnnotations, Flaw, Place};
use super::notes::{NoteKind, Notes};
use super::region::Region;

/// Polygon labels of a set of images.
#[derive(Clone, Debug)]
pub struct PolygonText {
    classes: Classes,
    files: Vec<Labels>,
    notes: Notes,
}

/// The labels of one image.
#[derive(Clone, Debug, Default)]
struct Labels {
    path: Option<Arc<Path>>,
    polygons: Vec<Polygon>,
}

/// A line: what it is of, and its corners, from 0 to 1.
#[derive(Clone, Debug, PartialEq)]
struct Polygon {
    mark: Mark,
    corners: Vec<[f32; 2]>,
}

/// How far beyond the image a corner may lie, as Ultralytics has it, in parts of the image.
const TOLERANCE: f32 = 0.01;

impl PolygonText {
    /// Reads the files of a set of images, in the order of these; `None` for an image that has none. `names` are those
    /// of the classes 0, 1, ... of the files. A class called `background` is class 0 of the index map; otherwise the
    /// index map's class 0 is what no polygon covers, and the others follow.
    ///
    /// # Errors
    ///
    /// When there is no class, more than 254, or a name twice; and, all together, when files cannot be read, or have
    /// lines that are no polygons, classes that are not there, or coordinates that are not normalised.
    pub fn read(files: &[Option<PathBuf>], names: &[String]) -> Result<Self, AnnotationError> {
        let classes = Classes::collected(names.iter().cloned())?;
        let marks: Vec<Mark> = names.iter().filter_map(|name| classes.mark(name)).collect();
        let (mut notes, mut bad, mut lines) = (Notes::default(), Vec::new(), 0);
        let mut read = Vec::with_capacity(files.len());
        for (number, file) in files.iter().enumerate() {
            let mut polygons = Vec::new();
            let Some(file) = file else {
                notes.add(NoteKind::WithoutFile, || format!("image number {}", number + 1));
                read.push(Labels::default());
                continue;
            };
            let path: Arc<Path> = file.as_path().into();
            let flaw = |place, flaw| BadAnnotation { file: path.clone(), place, flaw };
            let text = match fs::read(file) {
                Ok(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                Err(error) => {
                    bad.push(flaw(Place::File, Flaw::Unreadable(format!("it cannot be read: {error}"))));
                    String::new()
                }
            };
            for (at, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
                let words: Vec<&str> = line.split_whitespace().collect();
                if words.is_empty() {
                    continue;
                }
                lines += 1;
                match polygon(&words, &marks) {
                    Ok(Some(polygon)) => {
                        if polygon.corners.as_flattened().iter().any(|at| !(0.0..=1.0).contains(at)) {
                            notes.add(NoteKind::Clipped, || format!("{}, line {}", path.display(), at + 1));
                        }
                        polygons.push(polygon);
                    }
                    Ok(None) => notes.add(NoteKind::BoxOnly, || format!("{}, line {}", path.display(), at + 1)),
                    Err(wrong) => bad.push(flaw(Place::Line(at + 1), wrong)),
                }
            }
            if polygons.is_empty() {
                notes.add(NoteKind::Unannotated, || path.display().to_string());
            }
            read.push(Labels { path: Some(path), polygons });
        }
        if !bad.is_empty() {
            return Err(BadAnnotations { of: lines.max(bad.len()), bad }.into());
        }
        notes.add_unused(&classes, read.iter().flat_map(|labels| &labels.polygons).map(|polygon| polygon.mark));
        Ok(Self { classes, files: read, notes })
    }
}

/// The polygon of a line; `None` for a box.
fn polygon(words: &[&str], marks: &[Mark]) -> Result<Option<Polygon>, Flaw> {
    // Ultralytics reads all words as single precision
    let number = |word: &&str| word.parse::<f64>().ok().filter(|number| number.is_finite()).ok_or(Flaw::NotANumber);
    let class = number(&words[0]).ok().filter(|class| class.fract() == 0.0 && *class >= 0.0);
    let mark = class.and_then(|class| marks.get(class as usize)).copied();
    let mark = mark.ok_or_else(|| Flaw::UnknownClass { class: words[0].to_string(), classes: marks.len() })?;
    let coordinates: Vec<f32> = words[1..].iter().map(|word| Ok(number(word)? as f32)).collect::<Result<_, Flaw>>()?;
    let (pairs, rest) = coordinates.as_chunks::<2>();
    if !rest.is_empty() || pairs.len() < 2 {
        return Err(Flaw::Line(words.len()));
    }
    if let Some(far) = coordinates.iter().find(|at| !(-TOLERANCE..=1.0 + TOLERANCE).contains(*at)) {
        return Err(Flaw::NotNormalised(f64::from(*far)));
    }
    Ok((pairs.len() > 2).then(|| Polygon { mark, corners: pairs.to_vec() }))
}

impl Annotated for PolygonText {
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
        self.files[image].polygons.iter().any(|polygon| polygon.mark == Mark::Ignored)
    }

    fn drawing(&self, image: usize, (width, height): (usize, usize)) -> Result<Drawing, AnnotationError> {
        let shape = |polygon: &Polygon| {
            let scaled = |[x, y]: &[f32; 2]| [f64::from(x * width as f32), f64::from(y * height as f32)];
            let points: Vec<[f64; 2]> = polygon.corners.iter().map(scaled).collect();
            Ok(Shape { mark: polygon.mark, region: Region::open_cv(&points)? })
        };
        let labels = &self.files[image];
        let shapes = labels.polygons.iter().map(shape).collect::<Result<_, Flaw>>();
        // only in an image so wide that it cannot be painted
        let shapes = shapes.map_err(|flaw| {
            let file = labels.path.clone().unwrap_or_else(|| Path::new("").into());
            BadAnnotations { of: 1, bad: vec![BadAnnotation { file, place: Place::File, flaw }] }
        })?;
        let mut drawing = Drawing { width, height, shapes };
        drawing.largest_first();
        Ok(drawing)
    }
}
