//! What a COCO file holds, as it is written.
//!
//! Coordinates and run lengths go straight into two long lists, in the form in which they are kept: a coordinate takes
//! four bytes, a run length one or two. There are no objects in between.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::data::annotations::coco_polygon::on_grid;
use crate::data::annotations::flaw::Flaw;
use crate::data::annotations::json::{Number, Value, always, skip_list, skip_map};
use crate::data::annotations::region::checked;
use crate::data::annotations::runs::{RunsError, RunsText, total};
use crate::data::pixels::MAX_PIXELS;

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct RawFile {
    pub(super) images: Option<Vec<RawImage>>,
    pub(super) categories: Option<Vec<RawCategory>>,
    pub(super) annotations: Option<Vec<RawAnnotation>>,
    pub(super) outlines: Outlines,
}

/// An entry of `images`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawImage {
    pub(super) id: Value,
    pub(super) file_name: Value,
    pub(super) width: Value,
    pub(super) height: Value,
}

/// An entry of `categories`.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct RawCategory {
    pub(super) id: Value,
    pub(super) name: Value,
}

/// An entry of `annotations`.
#[derive(Debug, Default)]
pub(super) struct RawAnnotation {
    pub(super) id: Value,
    pub(super) image_id: Value,
    pub(super) category_id: Value,
    pub(super) iscrowd: Value,
    pub(super) segmentation: Segmentation,
    pub(super) has_box: bool,
    pub(super) has_keypoints: bool,
}

/// A `segmentation`.
#[derive(Debug, Default, PartialEq)]
pub(super) enum Segmentation {
    /// There is none, or an empty list.
    #[default]
    Missing,
    /// Polygons: where they are in [`Outlines::points`], and how many more had too few points.
    Polygons(Range<usize>, usize),
    /// Run lengths: where they are in [`Outlines::text`]; width and height.
    Runs(Range<usize>, (usize, usize)),
    /// It cannot be used.
    Bad(Flaw),
}

/// The outlines of all annotations.
#[derive(Debug, Default)]
pub(super) struct Outlines {
    /// Polygons: for each, how many coordinates follow, and these, on pycocotools' grid.
    pub(super) points: Vec<i32>,
    /// Run lengths in their compressed form.
    pub(super) text: Vec<u8>,
}

impl Outlines {
    /// The corners of polygons.
    pub(super) fn polygons(&self, at: Range<usize>) -> Vec<Vec<[i32; 2]>> {
        let (mut polygons, mut rest) = (Vec::new(), &self.points[at]);
        while let Some((count, behind)) = rest.split_first() {
            let (corners, others) = behind.split_at(*count as usize);
            polygons.push(corners.as_chunks::<2>().0.to_vec());
            rest = others;
        }
        polygons
    }

    /// Forgets everything behind these lengths.
    fn truncate(&mut self, points: usize, text: usize) {
        self.points.truncate(points);
        self.text.truncate(text);
    }
}

impl<'de> Deserialize<'de> for RawFile {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_map(FileVisitor)
    }
}

struct FileVisitor;

impl<'de> Visitor<'de> for FileVisitor {
    type Value = RawFile;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object with \"images\", \"categories\" and \"annotations\"")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFile, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Key {
            Images,
            Categories,
            Annotations,
            #[serde(other)]
            Other,
        }
        let mut file = RawFile::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Images => file.images = map.next_value()?,
                Key::Categories => file.categories = map.next_value()?,
                Key::Annotations => {
                    file.outlines = Outlines::default();
                    file.annotations = Some(map.next_value_seed(Annotations(&mut file.outlines))?);
                }
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        file.outlines.points.shrink_to_fit();
        file.outlines.text.shrink_to_fit();
        Ok(file)
    }
}

/// Reads the list of annotations.
struct Annotations<'a>(&'a mut Outlines);

impl<'de> DeserializeSeed<'de> for Annotations<'_> {
    type Value = Vec<RawAnnotation>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Annotations<'_> {
    type Value = Vec<RawAnnotation>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("a list of annotations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut annotations = Vec::new();
        while let Some(annotation) = list.next_element_seed(Annotation(self.0))? {
            annotations.push(annotation);
        }
        Ok(annotations)
    }
}

/// Reads one annotation.
struct Annotation<'a>(&'a mut Outlines);

impl<'de> DeserializeSeed<'de> for Annotation<'_> {
    type Value = RawAnnotation;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<RawAnnotation, D::Error> {
        from.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Annotation<'_> {
    type Value = RawAnnotation;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an annotation")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawAnnotation, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Key {
            Id,
            ImageId,
            CategoryId,
            Iscrowd,
            Segmentation,
            Bbox,
            Keypoints,
            #[serde(other)]
            Other,
        }
        let mut annotation = RawAnnotation::default();
        while let Some(key) = map.next_key()? {
            match key {
                Key::Id => annotation.id = map.next_value()?,
                Key::ImageId => annotation.image_id = map.next_value()?,
                Key::CategoryId => annotation.category_id = map.next_value()?,
                Key::Iscrowd => annotation.iscrowd = map.next_value()?,
                Key::Segmentation => annotation.segmentation = map.next_value_seed(Outline(self.0))?,
                Key::Bbox => annotation.has_box = !map.next_value::<Value>()?.is_missing(),
                Key::Keypoints => annotation.has_keypoints = !map.next_value::<Value>()?.is_missing(),
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(annotation)
    }
}

/// Reads a segmentation.
struct Outline<'a>(&'a mut Outlines);

impl<'de> DeserializeSeed<'de> for Outline<'_> {
    type Value = Segmentation;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Segmentation, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Outline<'_> {
    type Value = Segmentation;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Segmentation, A::Error> {
        let (points, text) = (self.0.points.len(), self.0.text.len());
        let (mut few, mut parts, mut flaw) = (0, 0, None);
        while let Some(part) = list.next_element_seed(Polygon(&mut self.0.points))? {
            parts += 1;
            match part {
                Ok(true) => (),
                Ok(false) => few += 1,
                Err(wrong) => flaw = flaw.or(Some(wrong)),
            }
        }
        Ok(match flaw {
            Some(flaw) => {
                self.0.truncate(points, text);
                Segmentation::Bad(flaw)
            }
            None if parts == 0 => Segmentation::Missing,
            None => Segmentation::Polygons(points..self.0.points.len(), few),
        })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Segmentation, A::Error> {
        #[derive(serde::Deserialize)]
        #[serde(field_identifier, rename_all = "snake_case")]
        enum Key {
            Counts,
            Size,
            #[serde(other)]
            Other,
        }
        let start = self.0.text.len();
        let (mut counts, mut size) = (None, Vec::<Value>::new());
        while let Some(key) = map.next_key()? {
            match key {
                Key::Counts => {
                    self.0.text.truncate(start);
                    counts = Some(map.next_value_seed(Counts(&mut self.0.text))?);
                }
                Key::Size => size = map.next_value::<Option<Vec<Value>>>()?.unwrap_or_default(),
                Key::Other => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        let text = start..self.0.text.len();
        let checked = counts.ok_or(Flaw::Missing("counts")).flatten().and_then(|()| {
            let [height, width] = &size[..] else { return Err(Flaw::Kind("size", "a height and a width")) };
            let (Some(width), Some(height)) = (width.integer(), height.integer()) else {
                return Err(Flaw::Kind("size", "two whole numbers"));
            };
            let pixels = width.checked_mul(height).filter(|pixels| *pixels <= MAX_PIXELS as i64);
            if width < 1 || height < 1 || pixels.is_none() {
                return Err(Flaw::Size(width, height));
            }
            let (size, sum) = ((width as usize, height as usize), total(&self.0.text[text.clone()])?);
            if sum == (size.0 * size.1) as u64 { Ok(size) } else { Err(RunsError::Sum { sum, size }.into()) }
        });
        Ok(match checked {
            Ok(size) => Segmentation::Runs(text, size),
            Err(flaw) => {
                self.0.text.truncate(start);
                Segmentation::Bad(flaw)
            }
        })
    }

    fn visit_unit<E>(self) -> Result<Segmentation, E> {
        Ok(Segmentation::Missing)
    }

    always!({ Segmentation::Bad(Flaw::Segmentation) }
        visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64, visit_str: &str);
}

/// Reads one polygon; false if it has too few points to be kept.
struct Polygon<'a>(&'a mut Vec<i32>);

impl<'de> DeserializeSeed<'de> for Polygon<'_> {
    type Value = Result<bool, Flaw>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

/// Coordinates of three points.
const FEWEST: usize = 6;

impl<'de> Visitor<'de> for Polygon<'_> {
    type Value = Result<bool, Flaw>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let start = self.0.len();
        let mut flaw = None;
        self.0.push(0);
        while let Some(Number(coordinate)) = list.next_element()? {
            match checked(coordinate) {
                Ok(coordinate) => self.0.push(on_grid(coordinate)),
                Err(wrong) => {
                    flaw = Some(wrong);
                    skip_list(&mut list)?;
                    break;
                }
            }
        }
        let count = self.0.len() - start - 1;
        let flaw = flaw.or((!count.is_multiple_of(2)).then_some(Flaw::Odd(count)));
        if flaw.is_some() || count < FEWEST {
            self.0.truncate(start);
            return Ok(flaw.map_or(Ok(false), Err));
        }
        let Ok(count) = i32::try_from(count) else {
            self.0.truncate(start);
            return Ok(Err(Flaw::Segmentation));
        };
        self.0[start] = count;
        Ok(Ok(true))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map)?;
        Ok(Err(Flaw::Segmentation))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err(Flaw::Segmentation))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self::Value, E> {
        Ok(Err(Flaw::Segmentation))
    }

    always!({ Err(Flaw::Flat) } visit_i64: i64, visit_u64: u64, visit_f64: f64);

    fn visit_str<E>(self, _: &str) -> Result<Self::Value, E> {
        Ok(Err(Flaw::Segmentation))
    }
}

/// Reads run lengths, and keeps them in their compressed form.
struct Counts<'a>(&'a mut Vec<u8>);

impl<'de> DeserializeSeed<'de> for Counts<'_> {
    type Value = Result<(), Flaw>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

const COUNTS: Flaw = Flaw::Kind("counts", "a list of numbers or text");

impl<'de> Visitor<'de> for Counts<'_> {
    type Value = Result<(), Flaw>;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut text = RunsText::default();
        let mut flaw = None;
        while let Some(Number(count)) = list.next_element()? {
            if count.fract() == 0.0 && (0.0..=MAX_PIXELS as f64).contains(&count) {
                text.push(count as i64);
            } else if flaw.is_none() {
                flaw = Some(if count.fract() == 0.0 { RunsError::Count(count as i64).into() } else { COUNTS });
            }
        }
        self.0.extend(text.bytes);
        Ok(flaw.map_or(Ok(()), Err))
    }

    fn visit_str<E>(self, text: &str) -> Result<Self::Value, E> {
        self.0.extend(text.as_bytes());
        Ok(Ok(()))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
        skip_map(map)?;
        Ok(Err(COUNTS))
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Err(Flaw::Missing("counts")))
    }

    always!({ Err(COUNTS) } visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_f64: f64);
}
