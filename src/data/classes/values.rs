//! Which pixel values mean which class.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// What an index map holds where nobody knows the class: such pixels count nowhere.
pub const IGNORED: u8 = 255;

/// A value of a mask's pixel: a number where it is grey (or a palette's index), otherwise a colour. A colour of equal channels is
/// that grey.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PixelValue {
    /// Grey of 8 or 16 bits, or an index. An integer below 0 is possible in a file of 32 bits, and is no class.
    Number(i64),
    /// Red, green, blue.
    Colour([u8; 3]),
    /// A number of a file in floating point that is no whole one: no class has it.
    Fraction,
}

impl PixelValue {
    /// The value of a pixel of three channels.
    pub fn of_rgb(rgb: [u8; 3]) -> Self {
        match rgb {
            [r, g, b] if r == g && g == b => Self::Number(i64::from(r)),
            _ => Self::Colour(rgb),
        }
    }

    /// How far two values lie apart, for naming the nearest one.
    fn distance(self, other: Self) -> i128 {
        let channels = |value| match value {
            Self::Number(number) => [i128::from(number); 3],
            Self::Colour(rgb) => rgb.map(i128::from),
            Self::Fraction => [i128::from(i32::MAX); 3],
        };
        channels(self).into_iter().zip(channels(other)).map(|(a, b)| (a - b).pow(2)).sum()
    }
}

impl fmt::Display for PixelValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Colour([r, g, b]) => write!(f, "#{r:02x}{g:02x}{b:02x}"),
            Self::Fraction => f.write_str("no whole number"),
        }
    }
}

impl FromStr for PixelValue {
    type Err = String;

    /// `255` or `#ff0000`.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is no pixel value: a number from 0 to 65535, or a colour like #ff0000");
        if let Some(digits) = text.strip_prefix('#') {
            let number = u32::from_str_radix(digits, 16)
                .ok()
                .filter(|_| digits.len() == 6 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
            let [_, r, g, b] = number.ok_or_else(wrong)?.to_be_bytes();
            return Ok(Self::of_rgb([r, g, b]));
        }
        let number: u16 = text.trim().parse().map_err(|_| wrong())?;
        Ok(Self::Number(i64::from(number)))
    }
}

/// A number, or a text like `#ff0000`.
impl Serialize for PixelValue {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(number) => to.serialize_i64(*number),
            Self::Colour(_) | Self::Fraction => to.collect_str(self),
        }
    }
}

impl<'de> Deserialize<'de> for PixelValue {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Value;
        impl Visitor<'_> for Value {
            type Value = PixelValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number from 0 to 65535, or a colour like \"#ff0000\"")
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<PixelValue, E> {
                match u16::try_from(number) {
                    Ok(number) => Ok(PixelValue::Number(i64::from(number))),
                    Err(_) => Err(E::invalid_value(Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<PixelValue, E> {
                self.visit_i64(i64::try_from(number).unwrap_or(i64::MAX))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<PixelValue, E> {
                text.parse().map_err(E::custom)
            }
        }
        from.deserialize_any(Value)
    }
}

/// A value stands twice in a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the value {0} is named twice; each value means one class, or is ignored")]
pub struct ValueTwice(pub PixelValue);

/// Which values mean which class, and which are ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueTable {
    of: BTreeMap<PixelValue, u8>,
    /// Whether values are the classes' numbers, so that a palette's index counts and not its colour.
    indices: bool,
}

impl ValueTable {
    /// Values are the numbers of the classes, 0 to `classes - 1`; `ignored` values, 255 if none are given, become [`IGNORED`].
    ///
    /// # Errors
    /// When a value is named twice.
    pub fn indices(classes: usize, ignored: Option<&[PixelValue]>) -> Result<Self, ValueTwice> {
        let values: Vec<_> = (0..classes).map(|class| vec![PixelValue::Number(class as i64)]).collect();
        let usual = [PixelValue::Number(i64::from(IGNORED))];
        Self::new(&values, ignored.unwrap_or(&usual), true)
    }

    /// Each class has its values, in order; `ignored` values become [`IGNORED`]. A palette's colours count, not its indices.
    ///
    /// # Errors
    /// When a value is named twice, by two classes or by a class and `ignored`.
    pub fn table(values: &[Vec<PixelValue>], ignored: &[PixelValue]) -> Result<Self, ValueTwice> {
        Self::new(values, ignored, false)
    }

    /// As [`table`](Self::table), but a palette's indices count, and not its colours.
    ///
    /// # Errors
    /// As [`table`](Self::table).
    pub fn index_table(values: &[Vec<PixelValue>], ignored: &[PixelValue]) -> Result<Self, ValueTwice> {
        Self::new(values, ignored, true)
    }

    fn new(values: &[Vec<PixelValue>], ignored: &[PixelValue], indices: bool) -> Result<Self, ValueTwice> {
        let classes =
            values.iter().zip(0..=254).flat_map(|(values, class)| values.iter().map(move |value| (*value, class)));
        let named = classes.chain(ignored.iter().map(|value| (*value, IGNORED)));
        let mut of = BTreeMap::new();
        for (value, class) in named {
            let value = if let PixelValue::Colour(rgb) = value { PixelValue::of_rgb(rgb) } else { value };
            if of.insert(value, class).is_some() {
                return Err(ValueTwice(value));
            }
        }
        Ok(Self { of, indices })
    }

    /// The class of a value, or [`IGNORED`]; `None` if it is not in the table.
    pub fn class(&self, value: PixelValue) -> Option<u8> {
        self.of.get(&value).copied()
    }

    /// Whether a palette's indices count, and not its colours.
    pub fn takes_indices(&self) -> bool {
        self.indices
    }

    /// The value of the table that is nearest to `value`, and its class; `None` if the table is empty.
    pub fn nearest(&self, value: PixelValue) -> Option<(PixelValue, u8)> {
        let entries = self.of.iter().map(|(value, class)| (*value, *class));
        entries.min_by_key(|(other, _)| (value.distance(*other), *other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_read_as_they_are_written() {
        for text in ["0", "255", "65535", "#ff0080"] {
            assert_eq!(text.parse::<PixelValue>().unwrap().to_string(), text);
        }
        assert_eq!("#808080".parse(), Ok(PixelValue::Number(128)));
        for text in ["", "-1", "65536", "#ff00", "#gg0000", "#+f0000", "red"] {
            assert!(text.parse::<PixelValue>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_nearest_value_is_named() {
        let [red, black] = [PixelValue::Colour([255, 0, 0]), PixelValue::Number(0)];
        let table = ValueTable::table(&[vec![black], vec![red]], &[]).unwrap();
        assert_eq!(table.nearest(PixelValue::Colour([250, 3, 1])), Some((red, 1)));
        assert_eq!(table.nearest(PixelValue::Number(7)), Some((black, 0)));
    }
}
