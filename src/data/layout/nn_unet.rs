//! nnU-Net's raw data, pictures of two dimensions: `imagesTr/CASE_0000.png`, `labelsTr/CASE.png`, `dataset.json`.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;

use super::error::LayoutError;
use super::kind::LayoutKind;
use super::parts::{ClassTable, Labels, Layout, Part};
use super::tree::{Dir, file_name, holds_images};
use super::vocabulary::Split;
use crate::data::names::StemRule;

/// `imagesTs` with `labelsTs` is the test set. Images without the channel's number behind their name are no nnU-Net set
/// (of version 2): the folders are then taken for what they are called.
///
/// # Errors
///
/// When images have several channels, each a file.
pub(super) fn find(dir: &Dir) -> Result<Option<Layout>, LayoutError> {
    let mut layout = Layout::new(LayoutKind::NnUnet, &dir.path);
    let sets = [("imagesTr", "labelsTr", Split::Training), ("imagesTs", "labelsTs", Split::Test)];
    for (images, masks, split) in sets {
        let (Some(images), Some(masks)) = (dir.folder(images), dir.folder(masks)) else { continue };
        let Some(image_suffix) = channel(&Dir::read(images)?)?.filter(|_| holds_images(masks)) else { continue };
        let stems = StemRule { image_suffix, mask_suffix: String::new() };
        layout.place(split, Part { stems, ..Part::new(images.to_owned(), Labels::Masks(masks.to_owned())) });
    }
    if layout.training.is_none() {
        return Ok(None);
    }
    if let Some(file) = dir.file("dataset.json") {
        layout.classes = classes(file)?;
        layout.described_by = Some(file.to_owned());
    }
    Ok(Some(layout))
}

/// What images have behind their names: `_0000`. `None` if no image has a channel's number.
fn channel(images: &Dir) -> Result<Option<String>, LayoutError> {
    let mut channels: BTreeMap<String, &Path> = BTreeMap::new();
    for path in images.images() {
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        let number = stem.char_indices().rev().nth(4).map(|(at, _)| &stem[at..]);
        let is_number =
            |text: &&str| text.strip_prefix('_').is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()));
        if let Some(suffix) = number.filter(is_number) {
            channels.entry(suffix.to_string()).or_insert(path);
        }
    }
    if channels.len() > 1 {
        let example = channels.values().take(3).map(|path| file_name(path).display().to_string());
        return Err(LayoutError::Channels {
            images: images.path.clone(),
            channels: channels.len(),
            example: example.collect::<Vec<_>>().join(", "),
        });
    }
    Ok(channels.into_keys().next())
}

#[derive(Deserialize)]
struct DataSet {
    labels: Option<serde_json::Map<String, Value>>,
}

/// The classes of `dataset.json`: `"labels": {"background": 0, "road": 1, "ignore": 2}`, or `{"0": "background"}` as
/// version 1 wrote them. Labels that are regions (lists of values) overlap, which no table of classes can say: then
/// `None`.
fn classes(file: &Path) -> Result<Option<ClassTable>, LayoutError> {
    let bytes = std::fs::read(file).map_err(|source| LayoutError::Read { path: file.to_owned(), source })?;
    let bad = |reason: String| LayoutError::Json { path: file.to_owned(), reason };
    let set: DataSet = serde_json::from_slice(&bytes).map_err(|error| bad(error.to_string()))?;
    let Some(labels) = set.labels else { return Ok(None) };
    let mut by_value: BTreeMap<u64, String> = BTreeMap::new();
    let mut table = ClassTable::default();
    for (key, value) in labels {
        let (name, value) = match value {
            Value::Array(_) => return Ok(None),
            Value::String(name) => (name, key.parse().ok()),
            value => (key, value.as_u64()),
        };
        let Some(value) = value else {
            return Err(bad(format!("\"labels\": {name} has no whole number; write \"{name}\": 1")));
        };
        if name == "ignore" {
            table.values.insert(i64::try_from(value).unwrap_or(i64::MAX), None);
        } else if let Some(other) = by_value.insert(value, name.clone()) {
            return Err(bad(format!("\"labels\": {other} and {name} both have the value {value}")));
        }
    }
    if by_value.keys().copied().ne(0..by_value.len() as u64) {
        let values: Vec<_> = by_value.keys().map(u64::to_string).collect();
        return Err(bad(format!("\"labels\" must have the values 0, 1, 2, ..., not {}", values.join(", "))));
    }
    table.names = by_value.into_values().collect();
    Ok(Some(table))
}
