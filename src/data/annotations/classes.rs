//! The classes of a set of annotations, by name.

use std::collections::HashSet;

use super::drawing::Mark;
use super::flaw::{AnnotationError, few};

/// The most classes beside the background: an index map has 256 values, of which 0 is the background and 255 is
/// ignored.
pub const MOST_CLASSES: usize = 254;

/// The names of class 0, in any case.
const BACKGROUND: [&str; 2] = ["background", "_background_"];

/// The label of what is to be ignored, as Labelme has it.
const IGNORE: &str = "__ignore__";

/// The classes of a set, in their order.
///
/// Class 0 is the background, and stands for no shape. A name `background` or `_background_` (as Labelme has it) is
/// class 0 itself, wherever it stands in a file and whatever its number there: what is marked so is painted with 0.
/// `__ignore__` is no class: what is marked so is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classes {
    background: String,
    names: Vec<String>,
}

impl Classes {
    /// Of names in their order; those of the background and of what is ignored are no classes.
    pub(super) fn collected(names: impl IntoIterator<Item = String>) -> Result<Self, AnnotationError> {
        let names = names.into_iter().filter(|name| !is_background(name) && name != IGNORE);
        Self { background: BACKGROUND[0].to_string(), names: names.collect() }.checked()
    }

    /// Of names that somebody gave, in their order. The first may be the background's.
    ///
    /// # Errors
    ///
    /// When there is no class beside the background, more than 254, one twice, or the background is not the first.
    pub fn given(names: &[String]) -> Result<Self, AnnotationError> {
        let (background, names) = match names {
            [first, others @ ..] if is_background(first) => (first.as_str(), others),
            all => (BACKGROUND[0], all),
        };
        if let Some(later) = names.iter().find(|name| is_background(name)) {
            return Err(AnnotationError::Classes(format!("the class `{later}` must be the first: it is class 0")));
        }
        let names = names.iter().filter(|name| *name != IGNORE).cloned().collect();
        Self { background: background.to_string(), names }.checked()
    }

    fn checked(self) -> Result<Self, AnnotationError> {
        let mut seen = HashSet::new();
        let twice: Vec<String> = self.names.iter().filter(|name| !seen.insert(*name)).cloned().collect();
        let reason = match self.names.len() {
            0 => "there is no class beside the background; there must be one".to_string(),
            many if many > MOST_CLASSES => {
                format!(
                    "there are {many} classes beside the background, more than {MOST_CLASSES}; name those to take (`classes`)"
                )
            }
            _ if !twice.is_empty() => {
                format!("classes are there twice ({}); give each its own name", few(&twice, twice.len()))
            }
            _ => return Ok(self),
        };
        Err(AnnotationError::Classes(reason))
    }

    /// The names of the classes without the background, in their order: `Mark::Class(k)` is `names()[k]`.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The names of all values of an index map, the background's first.
    pub fn with_background(&self) -> Vec<&str> {
        std::iter::once(&self.background).chain(&self.names).map(String::as_str).collect()
    }

    /// What a name stands for.
    pub fn mark(&self, name: &str) -> Option<Mark> {
        if is_background(name) {
            return Some(Mark::Background);
        }
        if name == IGNORE {
            return Some(Mark::Ignored);
        }
        let class = self.names.iter().position(|class| class == name)?;
        u8::try_from(class).ok().map(Mark::Class)
    }
}

fn is_background(name: &str) -> bool {
    BACKGROUND.iter().any(|background| background.eq_ignore_ascii_case(name))
}
