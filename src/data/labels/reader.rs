//! From a pair's files to what is true of its pixels.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::data::annotations::annotated::Annotated;
use crate::data::classes::class::{ClassKind, Classes};
use crate::data::classes::index::{IndexMap, read_index_map};
use crate::data::classes::values::{PixelValue, ValueTable};
use crate::data::error::DataError;
use crate::data::pixels::Grey;
use crate::data::read::facts::{FileFacts, MaskColours, ReadOptions};
use crate::data::read::read_mask_with;
use crate::data::truth::Truth;

/// How the files of a set's pairs say what is true of their pixels.
#[derive(Clone, Debug)]
pub(crate) enum LabelReader {
    /// A mask of one class.
    OneClass,
    /// A mask whose values mean classes.
    Values {
        table: ValueTable,
        /// `None`: nobody knows them yet.
        classes: Option<Classes>,
    },
    /// A mask for each class.
    Planes {
        classes: Classes,
        /// For each pair, the mask of each class that it has one of.
        planes: Vec<Vec<Option<PathBuf>>>,
        /// For each pair, the mask of what is ignored; `None` if the set has no such masks.
        ignored: Option<Vec<Option<PathBuf>>>,
    },
    /// Shapes.
    Drawn {
        classes: Classes,
        annotated: Arc<dyn Annotated>,
        /// The number of each pair's image among the annotations.
        numbers: Vec<usize>,
        /// Whether any pixels are ignored.
        ignores: bool,
        /// The names of the classes by their numbers in the files, where these say numbers.
        numbered: Vec<String>,
    },
}

/// What a pair's files say.
pub(crate) struct ReadLabels {
    pub truth: Truth,
    /// Size and facts of each mask that was read.
    pub files: Vec<((usize, usize), FileFacts)>,
    /// Pixels of each value, where values mean classes.
    pub values: BTreeMap<PixelValue, u64>,
    /// The colours of each mask of one class that was read.
    pub colours: Vec<Option<MaskColours>>,
}

impl LabelReader {
    /// The classes; `None` for one class without a name, or where they are not known yet.
    pub fn classes(&self) -> Option<&Classes> {
        match self {
            Self::OneClass => None,
            Self::Values { classes, .. } => classes.as_ref(),
            Self::Planes { classes, .. } | Self::Drawn { classes, .. } => Some(classes),
        }
    }

    /// The mask of each class that the pair `index` has one of, where each class has masks of its own.
    pub fn planes(&self, index: usize) -> &[Option<PathBuf>] {
        if let Self::Planes { planes, .. } = self { &planes[index] } else { &[] }
    }

    /// The annotations, if there are.
    pub fn annotated(&self) -> Option<&dyn Annotated> {
        if let Self::Drawn { annotated, .. } = self { Some(&**annotated) } else { None }
    }

    /// What tells one way of reading from another, for what is remembered of files.
    pub fn told(&self) -> String {
        match self {
            Self::OneClass => "one class".to_string(),
            Self::Values { table, classes } => format!("{table:?} {classes:?}"),
            Self::Planes { classes, ignored, .. } => format!("planes {classes:?} {}", ignored.is_some()),
            Self::Drawn { classes, ignores, numbered, .. } => format!("drawn {classes:?} {ignores} {numbered:?}"),
        }
    }

    /// Gives classes their names and colours.
    pub fn set_classes(&mut self, given: Classes) {
        match self {
            Self::OneClass => {}
            Self::Values { classes, .. } => *classes = Some(given),
            Self::Planes { classes, .. } | Self::Drawn { classes, .. } => *classes = given,
        }
    }

    /// What is true of the pixels of the pair `index`, whose image has this size and whose masks are these files.
    pub fn read(
        &self,
        index: usize,
        masks: &[PathBuf],
        image: impl FnOnce() -> Result<(usize, usize), DataError>,
        options: &ReadOptions,
    ) -> Result<ReadLabels, DataError> {
        let first = || masks.first().ok_or(DataError::NoMaskFile { index });
        match self {
            Self::OneClass => {
                let (mask, facts, colours) = read_mask_with(first()?, options)?;
                let (files, colours, values) = (vec![(mask.size(), facts)], vec![colours], BTreeMap::new());
                Ok(ReadLabels { truth: Truth::Mask(mask), files, values, colours })
            }
            Self::Values { table, classes } => {
                let (IndexMap { map, values }, facts) = read_index_map(first()?, table, options)?;
                let files = vec![(map.size(), facts)];
                let truth = match classes {
                    Some(classes) if classes.kind == ClassKind::Overlapping => Truth::MaskAndIgnored(map),
                    _ => Truth::Index(map),
                };
                Ok(ReadLabels { truth, files, values, colours: Vec::new() })
            }
            Self::Planes { planes, ignored, .. } => {
                let ignored = ignored.as_ref().map(|ignored| ignored[index].as_ref());
                read_planes(&planes[index], ignored, image, options)
            }
            Self::Drawn { classes, annotated, numbers, ignores, .. } => {
                let drawing = annotated.drawing(numbers[index], image()?)?;
                let truth = match classes.kind {
                    ClassKind::Exclusive => Truth::Index(drawing.exclusive()),
                    ClassKind::Overlapping => Truth::Labels {
                        // at most 255 classes have a number
                        masks: (0..=254).take(classes.len()).map(|class| drawing.class(class)).collect(),
                        ignored: ignores.then(|| drawing.ignored()),
                    },
                };
                Ok(ReadLabels { truth, files: Vec::new(), values: BTreeMap::new(), colours: Vec::new() })
            }
        }
    }
}

/// The masks of all classes, of which some are not there: nothing of the class. `ignored` is `None` where the set has no masks of
/// what is ignored.
fn read_planes(
    planes: &[Option<PathBuf>],
    ignored: Option<Option<&PathBuf>>,
    image: impl FnOnce() -> Result<(usize, usize), DataError>,
    options: &ReadOptions,
) -> Result<ReadLabels, DataError> {
    let (mut files, mut colours, mut errors, mut size) = (Vec::new(), Vec::new(), Vec::new(), None);
    let mut read = |path: &PathBuf| match read_mask_with(path, options) {
        Ok((mask, facts, of_mask)) => {
            colours.push(of_mask);
            let (first, wanted) = size.get_or_insert((path.clone(), mask.size()));
            if *wanted != mask.size() {
                let [mask, size] = [mask.size(), *wanted];
                errors.push(DataError::PlanesDiffer { first: first.clone(), size, second: path.clone(), other: mask });
            }
            files.push((mask.size(), facts));
            Some(mask)
        }
        Err(error) => {
            errors.push(error);
            None
        }
    };
    let masks: Vec<Option<Grey>> = planes.iter().map(|path| path.as_ref().and_then(&mut read)).collect();
    let ignored: Option<Option<Grey>> = ignored.map(|path| path.and_then(&mut read));
    if let Some(error) = DataError::all(errors, 1) {
        return Err(error);
    }
    let (width, height) = match size {
        Some((_, size)) => size,
        None => image()?,
    };
    let whole = |mask: Option<Grey>| mask.unwrap_or_else(|| Grey::filled(width, height, [0]));
    let truth = Truth::Labels { masks: masks.into_iter().map(whole).collect(), ignored: ignored.map(whole) };
    Ok(ReadLabels { truth, files, values: BTreeMap::new(), colours })
}
