//! Classes as people give them: names, and the pixel values that mean them.

use crate::data::names::has_ending;
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, Error, MapAccess, Visitor};
use serde::{Deserialize, Serialize};
use toml::de::DeTable;
use toml::{Table, Value};

use crate::data::classes::class::{Class, ClassKind, Classes, ClassesError};
use crate::data::classes::palette::voc_palette;
use crate::data::classes::values::PixelValue;
use crate::data::layout::class_masks::IGNORE;

/// A class as it is given. In a file it may be its name alone.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GivenClass {
    /// Its name; what is called `ignore` is no class: its values are ignored.
    pub name: String,
    /// The values of masks' pixels that mean it, in a table of values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<PixelValue>,
    /// What it is drawn in; by default its only colour among the values, or one of PASCAL VOC's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub colour: Option<PixelValue>,
}

impl<'de> Deserialize<'de> for GivenClass {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Fields {
            name: String,
            #[serde(default)]
            values: Vec<PixelValue>,
            #[serde(default)]
            colour: Option<PixelValue>,
        }
        struct NameOrTable;
        impl<'de> Visitor<'de> for NameOrTable {
            type Value = GivenClass;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a class: its name, or a table with `name`, `values` and `colour`")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<GivenClass, E> {
                Ok(GivenClass { name: name.to_string(), values: Vec::new(), colour: None })
            }

            fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<GivenClass, M::Error> {
                let Fields { name, values, colour } = Fields::deserialize(MapAccessDeserializer::new(map))?;
                if let Some(PixelValue::Number(grey)) = colour
                    && u8::try_from(grey).is_err()
                {
                    return Err(M::Error::custom(format!("colour = {grey}: a grey is 0 to 255")));
                }
                Ok(GivenClass { name, values, colour })
            }
        }
        from.deserialize_any(NameOrTable)
    }
}

/// Classes in the order of their numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct GivenClasses(Vec<GivenClass>);

/// What a file of classes holds at most, in bytes: it may be a device without an end.
const LONGEST: u64 = 1 << 20;

impl GivenClasses {
    /// Of names alone.
    pub fn named(names: impl IntoIterator<Item = String>) -> Self {
        Self(names.into_iter().map(|name| GivenClass { name, values: Vec::new(), colour: None }).collect())
    }

    /// Names and colours that are known already.
    pub fn known(classes: &Classes) -> Self {
        let given = |class: &Class| {
            let colour = Some(PixelValue::of_rgb(class.colour));
            GivenClass { name: class.name.clone(), values: Vec::new(), colour }
        };
        Self(classes.list().iter().map(given).collect())
    }

    /// What a command line says: names with commas between them (`background,polyp`), or a file that ends in `.toml`.
    ///
    /// # Errors
    /// When a name is empty, and as [`read`](Self::read).
    pub fn of_text(text: &str) -> Result<Self, String> {
        if has_ending(Path::new(text), "toml") {
            return Self::read(Path::new(text));
        }
        let names: Vec<String> = text.split(',').map(|name| name.trim().to_string()).collect();
        match names.iter().any(String::is_empty) {
            true => {
                Err(format!("`{text}` has an empty name; write names with commas between them, or a file NAME.toml"))
            }
            false => Ok(Self::named(names)),
        }
    }

    /// Reads a file of classes, in the order in which they stand there. Either
    ///
    /// ```toml
    /// background = 0
    /// polyp = [255, 0, 0]                  # red, green, blue; or "#ff0000"
    /// instrument = ["#00ff00", 128]        # any of several values
    /// ignore = 255                         # no class: these pixels count nowhere
    /// ```
    ///
    /// or `[[class]]` (also `[[data.class]]`) with the keys of [`GivenClass`].
    ///
    /// # Errors
    /// When the file cannot be read, is no TOML, or holds what is no class.
    pub fn read(path: &Path) -> Result<Self, String> {
        let told = |reason: String| format!("{}: {}", path.display(), reason.trim());
        let mut text = String::new();
        let read = File::open(path).and_then(|file| file.take(LONGEST + 1).read_to_string(&mut text));
        if read.map_err(|error| told(error.to_string()))? as u64 > LONGEST {
            return Err(told("it is no file of classes, which has at most 1 MiB".to_string()));
        }
        Self::of_file(&text).map_err(told)
    }

    pub(super) fn of_file(text: &str) -> Result<Self, String> {
        let wrong = |error: toml::de::Error| error.to_string();
        let mut table: Table = toml::from_str(text).map_err(wrong)?;
        let list = match table.get("data").and_then(Value::as_table) {
            Some(data) => data.get("class").cloned(),
            None => table.get("class").filter(|class| class.is_array()).cloned(),
        };
        if let Some(Value::Array(list)) = list
            && list.iter().all(Value::is_table)
        {
            return Value::Array(list).try_into().map_err(wrong);
        }
        // a table has no order of its own: the keys stand where the text has them
        let spans = DeTable::parse(text).map_err(wrong)?;
        let mut keys: Vec<_> =
            spans.get_ref().keys().map(|key| (key.span().start, key.get_ref().to_string())).collect();
        keys.sort_unstable();
        let class = |(_, name): (usize, String)| {
            let value = table.remove(&name).ok_or_else(|| format!("`{name}` is missing"))?;
            let values = values(&value).map_err(|reason| format!("`{name}`: {reason}"))?;
            Ok(GivenClass { name, values, colour: None })
        };
        Ok(Self(keys.into_iter().map(class).collect::<Result<_, String>>()?))
    }

    /// The entries, `ignore` included.
    pub fn entries(&self) -> &[GivenClass] {
        &self.0
    }

    fn classes_only(&self) -> impl Iterator<Item = &GivenClass> {
        self.0.iter().filter(|class| !class.is_ignored())
    }

    /// The names, in order.
    pub fn names(&self) -> Vec<String> {
        self.classes_only().map(|class| class.name.clone()).collect()
    }

    /// Whether any class has values.
    pub fn has_values(&self) -> bool {
        self.classes_only().any(|class| !class.values.is_empty())
    }

    /// The values of each class, in order.
    pub fn values(&self) -> Vec<Vec<PixelValue>> {
        self.classes_only().map(|class| class.values.clone()).collect()
    }

    /// The values that are ignored.
    pub fn ignored(&self) -> Vec<PixelValue> {
        self.0.iter().filter(|class| class.is_ignored()).flat_map(|class| class.values.clone()).collect()
    }

    /// Classes of these names in the colours that are given, or else in PASCAL VOC's.
    ///
    /// # Errors
    /// As [`Classes::new`].
    pub fn coloured(&self, kind: ClassKind, names: &[String]) -> Result<Classes, ClassesError> {
        let palette = voc_palette();
        let first = if kind == ClassKind::Exclusive { 0 } else { 1 };
        let class = |(number, name): (usize, &String)| {
            let given = self.0.iter().find(|class| class.name == *name).and_then(GivenClass::drawn_in);
            Class { name: name.clone(), colour: given.unwrap_or(palette[(first + number) % 256]) }
        };
        Classes::new(kind, names.iter().enumerate().map(class).collect())
    }
}

impl GivenClass {
    /// Whether it is no class, but what is ignored: its name in any case, as masks of it may be called.
    fn is_ignored(&self) -> bool {
        self.name.eq_ignore_ascii_case(IGNORE)
    }

    /// The colour that is given, or the only one among its values.
    fn drawn_in(&self) -> Option<[u8; 3]> {
        let rgb = |value: &PixelValue| match value {
            PixelValue::Colour(rgb) => Some(*rgb),
            _ => None,
        };
        if let Some(colour) = &self.colour {
            // an equal grey is a number
            return match colour {
                PixelValue::Number(grey) => u8::try_from(*grey).ok().map(|grey| [grey; 3]),
                other => rgb(other),
            };
        }
        let mut colours = self.values.iter().filter_map(rgb);
        colours.next().filter(|_| colours.next().is_none())
    }
}

/// The values of one class: a number, a colour, or a list of such. A list of three numbers is a colour.
fn values(value: &Value) -> Result<Vec<PixelValue>, String> {
    let one = |value: &Value| -> Result<PixelValue, String> {
        match colour(value) {
            Some(rgb) => rgb,
            None => value.clone().try_into().map_err(|error: toml::de::Error| error.to_string().trim().to_string()),
        }
    };
    match value {
        Value::Array(list) if colour(value).is_none() => list.iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

/// Three numbers: red, green, blue.
fn colour(value: &Value) -> Option<Result<PixelValue, String>> {
    let list = value.as_array()?;
    let [r, g, b]: [i64; 3] = list.iter().filter_map(Value::as_integer).collect::<Vec<_>>().try_into().ok()?;
    if list.len() != 3 {
        return None;
    }
    let channel =
        |v: i64| u8::try_from(v).map_err(|_| format!("{v} is no part of a colour: red, green and blue are 0 to 255"));
    Some((|| Ok(PixelValue::of_rgb([channel(r)?, channel(g)?, channel(b)?])))())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(n: i64) -> PixelValue {
        PixelValue::Number(n)
    }

    #[test]
    fn names_stand_with_commas() {
        assert_eq!(GivenClasses::of_text("background, polyp").unwrap().names(), ["background", "polyp"]);
        assert!(GivenClasses::of_text("a,,b").unwrap_err().contains("empty name"));
        assert!(GivenClasses::of_text("nowhere.toml").unwrap_err().starts_with("nowhere.toml: "));
    }

    #[test]
    fn a_file_keeps_its_order_and_knows_numbers_and_colours() {
        let text = "zebra = 0\npolyp = [255, 0, 0]\n'odd name' = [1, \"#00ff00\", [9, 9, 9]]\nfour = [1, 2, 3, 4]\nignore = 255\n";
        let classes = GivenClasses::of_file(text).unwrap();
        assert_eq!(classes.names(), ["zebra", "polyp", "odd name", "four"]);
        let red = PixelValue::Colour([255, 0, 0]);
        let odd = vec![number(1), PixelValue::Colour([0, 255, 0]), number(9)];
        assert_eq!(classes.values(), [vec![number(0)], vec![red], odd, [1, 2, 3, 4].map(number).to_vec()]);
        assert_eq!((classes.ignored(), classes.has_values()), (vec![number(255)], true));
        let coloured = classes.coloured(ClassKind::Exclusive, &classes.names()).unwrap();
        let colours: Vec<_> = coloured.list().iter().map(|class| class.colour).collect();
        assert_eq!(colours, [[0, 0, 0], [255, 0, 0], [0, 255, 0], [128, 128, 0]]);
    }

    #[test]
    fn a_list_of_classes_is_a_file_too() {
        for head in ["class", "data.class"] {
            let text = format!(
                "[[{head}]]\nname = \"b\"\n[[{head}]]\nname = \"a\"\nvalues = [255, \"#ff0000\"]\ncolour = \"#102030\"\n"
            );
            let classes = GivenClasses::of_file(&text).unwrap();
            assert_eq!(classes.names(), ["b", "a"]);
            let coloured = classes.coloured(ClassKind::Overlapping, &classes.names()).unwrap();
            assert_eq!(coloured.list()[1].colour, [16, 32, 48]);
        }
        let error = GivenClasses::of_file("a = [256, 0, 0]").unwrap_err();
        assert!(error.contains("`a`: 256 is no part of a colour"), "{error}");
        for text in ["a = true", "a = -1", "a = \"red\"", "a = [[1, 2]]", "[[class]]\nnam = 3"] {
            assert!(GivenClasses::of_file(text).is_err(), "{text}");
        }
    }
}
