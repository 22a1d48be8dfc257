//! A data set's YAML file as Ultralytics documents it: its keys and values.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_saphyr::{Location, Spanned};

use super::error::LayoutError;
use super::parts::ClassTable;

/// The keys that are used; others (`nc`, `download`, ...) may be there.
#[derive(Debug, Deserialize)]
pub(super) struct DataSet {
    pub path: Option<Spanned<String>>,
    pub train: Option<Spanned<OneFolder>>,
    pub val: Option<Spanned<OneFolder>>,
    pub test: Option<Spanned<OneFolder>>,
    pub masks_dir: Option<Spanned<String>>,
    names: Spanned<Names>,
    label_mapping: Option<Spanned<BTreeMap<i64, Target>>>,
}

/// A folder, or a list of one.
#[derive(Debug)]
pub(super) struct OneFolder(pub String);

/// Class names: a list, or a map from whole numbers.
#[derive(Debug)]
struct Names(BTreeMap<u64, String>);

/// What a value of masks becomes: a class, or nothing.
#[derive(Debug)]
struct Target(Option<u64>);

/// Larger files are none that describe a data set.
const LARGEST: u64 = 4 << 20;

/// Whether a file looks like one that describes a data set: it has lines that begin with `names:`, and with `train:` or
/// `val:`.
pub(super) fn looks_like_one(file: &Path) -> bool {
    let small = file.metadata().is_ok_and(|found| found.len() <= LARGEST);
    let Some(bytes) = small.then(|| std::fs::read(file).ok()).flatten() else { return false };
    let text = String::from_utf8_lossy(&bytes);
    let has = |key: &str| {
        text.trim_start_matches('\u{feff}').lines().any(|line| {
            let line = line.trim_start_matches(['"', '\'']);
            line.strip_prefix(key).is_some_and(|rest| rest.trim_start_matches(['"', '\'', ' ']).starts_with(':'))
        })
    };
    has("names") && (has("train") || has("val"))
}

impl DataSet {
    /// Reads a file.
    ///
    /// # Errors
    ///
    /// When it cannot be read, is no YAML, or has not these keys.
    pub fn read(file: &Path) -> Result<Self, LayoutError> {
        let unreadable = |source| LayoutError::Read { path: file.to_owned(), source };
        let bytes = std::fs::read(file).map_err(unreadable)?;
        let text = String::from_utf8(bytes).map_err(|error| {
            let line = error.as_bytes()[..error.utf8_error().valid_up_to()].iter().filter(|b| **b == b'\n').count();
            let reason = "not UTF-8; save the file as UTF-8".to_string();
            LayoutError::Yaml { path: file.to_owned(), line: line as u64 + 1, column: 1, reason }
        })?;
        let options = serde_saphyr::options! { with_snippet: false };
        serde_saphyr::from_str_with_options(&text, options).map_err(|error| {
            let location = error.location().unwrap_or(Location::UNKNOWN);
            bad(file, location, reason(&error))
        })
    }

    /// The classes.
    ///
    /// # Errors
    ///
    /// When the numbers of the names are not 0, 1, 2, ..., and when a value is mapped to a class that is not there.
    pub fn classes(&self, file: &Path) -> Result<ClassTable, LayoutError> {
        let Names(names) = &self.names.value;
        if names.keys().copied().ne(0..names.len() as u64) {
            let numbers: Vec<_> = names.keys().map(u64::to_string).collect();
            let reason = format!("`names` must be numbered 0, 1, 2, ..., not {}", numbers.join(", "));
            return Err(bad(file, self.names.referenced, reason));
        }
        let mut table = ClassTable { names: names.values().cloned().collect(), values: BTreeMap::new() };
        if let Some(mapping) = &self.label_mapping {
            for (value, Target(class)) in &mapping.value {
                let class = class.map(|class| usize::try_from(class).unwrap_or(usize::MAX));
                if let Some(class) = class.filter(|class| *class >= names.len()) {
                    let last = names.len().saturating_sub(1);
                    let reason = format!("`label_mapping` maps {value} to {class}, but the last class is {last}");
                    return Err(bad(file, mapping.referenced, reason));
                }
                table.values.insert(*value, class);
            }
        }
        Ok(table)
    }
}

/// An error at a place of the file.
pub(super) fn bad(file: &Path, at: Location, reason: String) -> LayoutError {
    LayoutError::Yaml { path: file.to_owned(), line: at.line(), column: at.column(), reason }
}

/// The parser's message, without the place, which is told in front of it.
fn reason(error: &serde_saphyr::Error) -> String {
    let text = error.without_snippet().to_string();
    let at = error.location().map(|at| format!(" at line {}, column {}", at.line(), at.column()));
    at.map_or(text.clone(), |at| text.replace(&at, ""))
}

impl<'de> Deserialize<'de> for OneFolder {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Folder;
        impl<'de> Visitor<'de> for Folder {
            type Value = OneFolder;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the path of a folder of images, or of a text file with the paths of images")
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<OneFolder, E> {
                Ok(OneFolder(text.to_string()))
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<OneFolder, A::Error> {
                let first =
                    list.next_element()?.ok_or_else(|| A::Error::custom("an empty list; name a folder of images"))?;
                if list.next_element::<String>()?.is_some() {
                    return Err(A::Error::custom(
                        "several folders; name one, or a text file with the paths of the images of all",
                    ));
                }
                Ok(OneFolder(first))
            }
        }
        from.deserialize_any(Folder)
    }
}

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Classes;
        impl<'de> Visitor<'de> for Classes {
            type Value = Names;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("a list of class names, or a map from 0, 1, 2, ... to class names")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Names, A::Error> {
                let mut names = BTreeMap::new();
                while let Some(name) = list.next_element()? {
                    names.insert(names.len() as u64, name);
                }
                Ok(Names(names))
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
                let mut names = BTreeMap::new();
                while let Some((number, name)) = map.next_entry()? {
                    names.insert(number, name);
                }
                Ok(Names(names))
            }
        }
        from.deserialize_any(Classes)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Class;
        impl Visitor<'_> for Class {
            type Value = Target;
            fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
                f.write_str("the number of a class, or `ignore_label`")
            }
            fn visit_u64<E: Error>(self, class: u64) -> Result<Target, E> {
                // 255 is what Ultralytics ignores
                Ok(Target((class != 255).then_some(class)))
            }
            fn visit_i64<E: Error>(self, class: i64) -> Result<Target, E> {
                match u64::try_from(class) {
                    Ok(class) => self.visit_u64(class),
                    Err(_) => Err(E::custom("a class cannot be negative; write `ignore_label` for what is ignored")),
                }
            }
            fn visit_str<E: Error>(self, text: &str) -> Result<Target, E> {
                if text == "ignore_label" {
                    Ok(Target(None))
                } else {
                    Err(E::custom("write a number, or `ignore_label`"))
                }
            }
        }
        from.deserialize_any(Class)
    }
}
