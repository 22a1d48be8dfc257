//! A model in several files: the index that says which weight is in which, and the names of its parts.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Component, Path};

use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, Visitor};

use super::error::Fault;
use super::shown::{quoted, shown};

/// Largest index read, in bytes. That of a Large SAM2-UNet has 0.1 MB.
const MAX_INDEX: usize = 16 << 20;
/// Most parts of a model.
const MAX_PARTS: usize = 1000;
/// The key of an index that every one has.
const MAP: &str = "weight_map";

/// Whether a text begins as an index does.
pub(super) fn is_index(bytes: &[u8]) -> bool {
    if bytes.len() > MAX_INDEX {
        return false;
    }
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    text.trim_ascii_start().starts_with(b"{")
        && !bytes[..bytes.len().min(8)].contains(&0)
        && bytes.windows(MAP.len()).any(|window| window == MAP.as_bytes())
}

/// Which weight is in which file.
pub(super) struct Index {
    /// The files, each once.
    pub files: Vec<String>,
    /// The number of the file in which a weight is.
    pub weights: BTreeMap<String, usize>,
}

impl Index {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, Fault> {
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let map = serde_json::Deserializer::from_slice(text)
            .deserialize_map(Maps)
            .map_err(|error| Fault::Damaged(format!("it is no index of weights: {}", shown(&error.to_string()))))?;
        let Some(map) = map else {
            return Err(Fault::NotWeights("it is a text file, and no index of weights".into()));
        };
        let (mut files, mut numbers, mut weights) = (Vec::new(), BTreeMap::new(), BTreeMap::new());
        for (weight, file) in map {
            // `./m` and `m` are one file
            let file = file.strip_prefix("./").map_or(file.clone(), str::to_owned);
            let number = match numbers.get(&file) {
                Some(&number) => number,
                None => {
                    // beside it or in a folder below
                    let below = |part| matches!(part, Component::Normal(_) | Component::CurDir);
                    let named = Path::new(&file).file_name().is_some();
                    if !named || !Path::new(&file).components().all(below) || file.contains(['\\', '\0', ':']) {
                        let file = shown(&file);
                        let reason =
                            format!("it names the file `{file}`, which is neither beside it nor in a folder below");
                        return Err(Fault::Damaged(reason));
                    }
                    files.push(file.clone());
                    numbers.insert(file, files.len() - 1);
                    files.len() - 1
                }
            };
            weights.insert(weight, number);
        }
        if files.is_empty() || files.len() > MAX_PARTS {
            return Err(Fault::Damaged(format!("it names {} files; 1 to {MAX_PARTS} are read", files.len())));
        }
        Ok(Index { files, weights })
    }
}

/// The map of an index, if it has one.
struct Maps;

impl<'de> Visitor<'de> for Maps {
    type Value = Option<BTreeMap<String, String>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with `{MAP}`")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(key) = map.next_key::<String>()? {
            if key != MAP {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value::<Unique>()?.0).is_some() {
                return Err(A::Error::custom(format!("`{MAP}` stands there twice")));
            }
        }
        Ok(found)
    }
}

/// A map whose keys differ.
struct Unique(BTreeMap<String, String>);

impl<'de> serde::Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = Unique;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("names of files by names of weights")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Unique, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((name, file)) = map.next_entry::<String, String>()? {
                    if entries.contains_key(&name) {
                        return Err(A::Error::custom(format!("two weights are called {}", shown(&name))));
                    }
                    entries.insert(name, file);
                }
                Ok(Unique(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// What to do with a file that is one part of several by its name, `model-00001-of-00002.safetensors`.
pub(super) fn of_part(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let (stem, ending) = name.rsplit_once('.')?;
    let (before, parts) = stem.rsplit_once("-of-")?;
    let (model, part) = before.rsplit_once('-')?;
    let number = |text: &str| text.parse::<u32>().ok().filter(|&number| number > 0);
    let (part, parts) = (number(part)?, number(parts).filter(|&parts| parts > 1)?);
    let index = path.with_file_name(format!("{model}.{ending}.index.json"));
    let what = format!("by its name it is part {part} of {parts}");
    Some(match index.is_file() {
        true => format!("{what}: give the index {}", quoted(&index)),
        false => format!("{what}: the others, and the index {}, belong beside it; give the index", quoted(&index)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_told_by_their_names() {
        let of = |name: &str| of_part(Path::new(name));
        for name in ["model.safetensors", "model-of-two.pt", "a-1-of-1.pt", "a-0-of-2.pt", "-of-.", "a-00001-of-2", ""]
        {
            assert_eq!(of(name), None, "{name}");
        }
        let told = of("folder/pytorch_model-00002-of-00003.bin").expect("a part");
        assert!(told.contains("part 2 of 3") && told.contains("folder/pytorch_model.bin.index.json"), "{told}");
    }
}
