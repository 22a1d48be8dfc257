//! Index maps: for each pixel the number of its class.

use std::collections::BTreeMap;
use std::path::Path;

use super::unknown::UnknownValues;
use super::values::{IGNORED, PixelValue, ValueTable};
use crate::data::error::DataError;
use crate::data::pixels::Grey;
use crate::data::read::facts::{FileFacts, ReadOptions};
use crate::data::read::read_stored;
use crate::data::read::stored::{Samples, Stored};

/// The index map of a mask's file, at its own size.
///
/// Grey of 16 bits counts unclipped, grey of 2 and 4 bits as it is spread over 8 (x85, x17), grey of 1 bit as 0 and 1 where values
/// are indices and as 0 and 255 otherwise. Alpha is dropped.
///
/// # Errors
/// When the file cannot be read, is compressed with loss, or holds a value that is not in the table: all such values.
pub fn read_index(path: &Path, table: &ValueTable, options: &ReadOptions) -> Result<(Grey, FileFacts), DataError> {
    let (IndexMap { map, .. }, facts) = read_index_map(path, table, options)?;
    Ok((map, facts))
}

/// The same, with the values that the file has.
pub(crate) fn read_index_map(
    path: &Path,
    table: &ValueTable,
    options: &ReadOptions,
) -> Result<(IndexMap, FileFacts), DataError> {
    let (stored, facts) = read_stored(path, options)?;
    if facts.lossy {
        return Err(DataError::LossyMask { path: path.to_owned(), format: facts.format });
    }
    match index_map(stored, table) {
        Ok(map) => Ok((map, facts)),
        Err(unknown) => Err(DataError::UnknownValues { path: path.to_owned(), unknown }),
    }
}

/// An index map, and the pixels of each value that its file had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IndexMap {
    pub map: Grey,
    pub values: BTreeMap<PixelValue, u64>,
}

/// The index map of samples as they are stored.
pub(crate) fn index_map(stored: Stored, table: &ValueTable) -> Result<IndexMap, UnknownValues> {
    let Stored { width, height, samples } = stored;
    let mut classes = Finder { table, known: BTreeMap::new(), unknown: BTreeMap::new(), last: None };
    let number = |value: u8| PixelValue::Number(i64::from(value));
    let data: Vec<u8> = match samples {
        Samples::Bilevel(data) if table.takes_indices() => {
            data.iter().map(|&v| classes.find(number(u8::from(v != 0)))).collect()
        }
        Samples::Bilevel(data) | Samples::Grey(data) => data.iter().map(|&v| classes.find(number(v))).collect(),
        Samples::GreyAlpha(data) => data.as_chunks::<2>().0.iter().map(|&[v, _]| classes.find(number(v))).collect(),
        Samples::Palette { indices, .. } if table.takes_indices() => {
            indices.iter().map(|&v| classes.find(number(v))).collect()
        }
        Samples::Grey16(data) => data.iter().map(|&v| classes.find(PixelValue::Number(i64::from(v)))).collect(),
        Samples::Int32(data) => data.iter().map(|&v| classes.find(PixelValue::Number(i64::from(v)))).collect(),
        Samples::Float(data) => data.iter().map(|&v| classes.find(whole(v))).collect(),
        colour => {
            let rgb = Stored { width, height, samples: colour }.into_rgb(false);
            rgb.data.as_chunks::<3>().0.iter().map(|&pixel| classes.find(PixelValue::of_rgb(pixel))).collect()
        }
    };
    let values = classes.finish()?;
    Ok(IndexMap { map: Grey { width, height, data }, values })
}

/// A fraction is no class: it must not become its neighbour.
fn whole(value: f32) -> PixelValue {
    match value.fract() == 0.0 && value.abs() < 1e9 {
        true => PixelValue::Number(value as i64),
        false => PixelValue::Fraction,
    }
}

/// So many unknown values are counted.
const MOST_UNKNOWN: usize = 4096;

/// Finds classes of values, and counts the pixels of each value.
struct Finder<'a> {
    table: &'a ValueTable,
    known: BTreeMap<PixelValue, u64>,
    unknown: BTreeMap<PixelValue, u64>,
    /// The value before, its class, and how many pixels in a row have it: most pixels have the value of their neighbour.
    last: Option<(PixelValue, Option<u8>, u64)>,
}

impl Finder<'_> {
    fn find(&mut self, value: PixelValue) -> u8 {
        let class = match &mut self.last {
            Some((last, class, pixels)) if *last == value => {
                *pixels += 1;
                *class
            }
            _ => {
                self.count();
                let class = self.table.class(value);
                self.last = Some((value, class, 1));
                class
            }
        };
        class.unwrap_or(IGNORED)
    }

    /// Counts the run of pixels before.
    fn count(&mut self) {
        match self.last.take() {
            Some((value, Some(_), pixels)) => *self.known.entry(value).or_default() += pixels,
            // a picture that is no mask has millions of values: counting some tells enough
            Some((value, None, pixels)) if self.unknown.len() < MOST_UNKNOWN || self.unknown.contains_key(&value) => {
                *self.unknown.entry(value).or_default() += pixels;
            }
            _ => {}
        }
    }

    fn finish(mut self) -> Result<BTreeMap<PixelValue, u64>, UnknownValues> {
        self.count();
        let mut found: Vec<_> = self.unknown.into_iter().collect();
        found.sort_unstable_by_key(|(value, pixels)| (std::cmp::Reverse(*pixels), *value));
        let Some((first, _)) = found.first() else { return Ok(self.known) };
        let nearest = self.table.nearest(*first);
        Err(UnknownValues { found, nearest })
    }
}
