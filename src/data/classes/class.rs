//! The classes of a model: names, colours, and whether they exclude each other.

use std::collections::{BTreeMap, HashSet};

use serde::{Deserialize, Serialize};

use super::palette::voc_palette;
use crate::choice::choice;

choice! {
    /// How classes go together.
    pub enum ClassKind: "kind of classes" {
        /// Every pixel is of one class: 2 to 255 of them, the first of which is the background.
        Exclusive = "exclusive",
        /// Every pixel may be of several classes, or of none: 1 to 255 masks of their own.
        Overlapping = "overlapping",
    }
}

/// A class.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Class {
    /// What it is called.
    pub name: String,
    /// What it is drawn in: red, green, blue.
    pub colour: [u8; 3],
}

/// The classes of a model, in the order of its output channels.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Classes {
    /// How they go together.
    pub kind: ClassKind,
    list: Vec<Class>,
}

/// Why there are no such classes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ClassesError {
    /// Too few or too many.
    #[error(
        "{found} classes that are {kind}: there must be {least} to 255 (255 itself marks pixels that are ignored); name as many in \
         `classes`"
    )]
    Count {
        /// How they go together.
        kind: ClassKind,
        /// How many there are.
        found: usize,
        /// How many there must be at least.
        least: usize,
    },
    /// Two of one name.
    #[error("two classes are called `{0}`; give each its own name")]
    Twice(String),
    /// A class without a name.
    #[error("class {0} has no name")]
    Nameless(usize),
}

/// Where a checkpoint's metadata keep them.
const KEY: &str = "classes";

impl Classes {
    /// These classes.
    ///
    /// # Errors
    /// When there are too few or too many, or two have one name.
    pub fn new(kind: ClassKind, list: Vec<Class>) -> Result<Self, ClassesError> {
        let least = if kind == ClassKind::Exclusive { 2 } else { 1 };
        let found = list.len();
        if !(least..=255).contains(&found) {
            return Err(ClassesError::Count { kind, found, least });
        }
        let mut seen = HashSet::new();
        for (number, class) in list.iter().enumerate() {
            if class.name.trim().is_empty() {
                return Err(ClassesError::Nameless(number));
            }
            if !seen.insert(&class.name) {
                return Err(ClassesError::Twice(class.name.clone()));
            }
        }
        Ok(Self { kind, list })
    }

    /// Classes of these names, in PASCAL VOC's colours: of exclusive ones the first, the background, is black.
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn named(kind: ClassKind, names: impl IntoIterator<Item = String>) -> Result<Self, ClassesError> {
        let colours = voc_palette();
        let first = if kind == ClassKind::Exclusive { 0 } else { 1 };
        let class = |(number, name)| Class { name, colour: colours[(first + number) % 256] };
        Self::new(kind, names.into_iter().enumerate().map(class).collect())
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Never: there is at least one.
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Whether these are the same classes in the same order, whatever they are drawn in.
    pub fn is_like(&self, other: &Self) -> bool {
        self.kind == other.kind && self.names().eq(other.names())
    }

    /// For people: `3 exclusive classes (background, cat, dog)`.
    pub fn told(&self) -> String {
        let several = if self.len() == 1 { "" } else { "es" };
        format!("{} {} class{several} ({})", self.len(), self.kind, self.names().collect::<Vec<_>>().join(", "))
    }

    /// The classes, in order.
    pub fn list(&self) -> &[Class] {
        &self.list
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.list.iter().map(|class| class.name.as_str())
    }

    /// What a checkpoint says of them.
    pub fn metadata(&self) -> (String, String) {
        // names and numbers always have a JSON form
        (KEY.to_string(), serde_json::to_string(self).unwrap_or_default())
    }

    /// The classes that a checkpoint's metadata tell; `None`: it is a model of one class.
    ///
    /// # Errors
    /// When what they say is damaged: the reason.
    pub fn of_metadata(metadata: &BTreeMap<String, String>) -> Result<Option<Self>, String> {
        metadata.get(KEY).map(|text| Self::of_text(text)).transpose()
    }

    /// The same of the text that stands there.
    pub(crate) fn of_text(text: &str) -> Result<Self, String> {
        let Self { kind, list } = serde_json::from_str(text).map_err(|error| format!("`{KEY}`: {error}"))?;
        Self::new(kind, list).map_err(|error| format!("`{KEY}`: {error}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(count: usize) -> impl Iterator<Item = String> {
        (0..count).map(|number| format!("class {number}"))
    }

    #[test]
    fn classes_travel_in_metadata() {
        let classes = Classes::named(ClassKind::Exclusive, names(3)).unwrap();
        assert_eq!(classes.list()[1], Class { name: "class 1".to_string(), colour: [128, 0, 0] });
        let metadata = BTreeMap::from([classes.metadata()]);
        assert_eq!(Classes::of_metadata(&metadata), Ok(Some(classes)));
        assert_eq!(Classes::of_metadata(&BTreeMap::new()), Ok(None));
        let damaged = BTreeMap::from([(KEY.to_string(), r#"{"kind":"exclusive","list":[]}"#.to_string())]);
        assert!(Classes::of_metadata(&damaged).unwrap_err().contains("0 classes"));
    }

    #[test]
    fn impossible_classes_are_refused() {
        let refused =
            |kind, list: Vec<&str>| Classes::named(kind, list.into_iter().map(String::from)).unwrap_err().to_string();
        assert!(
            refused(ClassKind::Exclusive, vec!["a"])
                .starts_with("1 classes that are exclusive: there must be 2 to 255")
        );
        assert!(refused(ClassKind::Overlapping, vec![]).contains("1 to 255"));
        assert!(refused(ClassKind::Overlapping, vec!["a", "b", "a"]).contains("two classes are called `a`"));
        assert!(refused(ClassKind::Overlapping, vec!["a", " "]).contains("class 1 has no name"));
        assert!(Classes::named(ClassKind::Exclusive, names(255)).is_ok());
        assert!(Classes::named(ClassKind::Exclusive, names(256)).is_err());
    }
}
