//! Values of JSON that may be of any kind, so that a wrong one is told of and the rest of the file is read.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::flaw::{Flaw, Id};
use crate::data::pixels::MAX_PIXELS;

/// Methods of a visitor that give the same for each value of some kinds.
macro_rules! always {
    ({ $value:expr } $($visit:ident: $kind:ty),+) => {
        $(fn $visit<E>(self, _: $kind) -> Result<Self::Value, E> {
            Ok($value)
        })+
    };
}
pub(super) use always;

/// A value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) enum Value {
    /// It is not there, or `null`.
    #[default]
    Missing,
    Integer(i64),
    Number(f64),
    Text(Box<str>),
    Flag(bool),
    /// A list or an object.
    Other,
}

impl Value {
    /// A whole number, also where it is written as `3.0`.
    pub(super) fn integer(&self) -> Option<i64> {
        match *self {
            Self::Integer(number) => Some(number),
            Self::Number(number) if number.fract() == 0.0 && number.abs() < 9e15 => Some(number as i64),
            _ => None,
        }
    }

    pub(super) fn id(self) -> Option<Id> {
        match (self.integer(), self) {
            (Some(number), _) => Some(Id::Number(number)),
            (None, Self::Text(text)) => Some(Id::Text(text)),
            _ => None,
        }
    }

    pub(super) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        *self == Self::Missing
    }
}

/// Width and height, if both are there.
pub(super) fn size(width: &Value, height: &Value, keys: [&'static str; 2]) -> Result<Option<(usize, usize)>, Flaw> {
    if width.is_missing() && height.is_missing() {
        return Ok(None);
    }
    let whole = |value: &Value, key| match value {
        Value::Missing => Err(Flaw::Missing(key)),
        other => other.integer().ok_or(Flaw::Kind(key, "a whole number")),
    };
    let [width, height] = [whole(width, keys[0])?, whole(height, keys[1])?];
    match width.checked_mul(height) {
        Some(pixels) if width > 0 && height > 0 && pixels <= MAX_PIXELS as i64 => {
            Ok(Some((width as usize, height as usize)))
        }
        _ => Err(Flaw::Size(width, height)),
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Missing)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Flag(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Integer(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Number(number as f64), Value::Integer))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.into()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Value, A::Error> {
        skip_list(list)?;
        Ok(Value::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Value, A::Error> {
        skip_map(map)?;
        Ok(Value::Other)
    }
}

/// Reads the rest of a list, and forgets it.
pub(super) fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

/// Reads the rest of an object, and forgets it.
pub(super) fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

/// A coordinate or a count; NaN where there is no number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Number(pub(super) f64);

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(NumberVisitor)
    }
}

struct NumberVisitor;

impl<'de> Visitor<'de> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_unit<E>(self) -> Result<Number, E> {
        Ok(Number(f64::NAN))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Number, E> {
        Ok(Number(number as f64))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Number, E> {
        Ok(Number(number))
    }

    always!({ Number(f64::NAN) } visit_bool: bool, visit_str: &str);

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Number, A::Error> {
        skip_list(list)?;
        Ok(Number(f64::NAN))
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Number, A::Error> {
        skip_map(map)?;
        Ok(Number(f64::NAN))
    }
}

/// Parses JSON.
///
/// Python writes `NaN` and `Infinity`, which JSON does not have. Where there are such, they are read as text, so that
/// what they belong to can be named. A byte order mark is passed over.
pub(super) fn parse<T>(mut json: Vec<u8>, read: impl Fn(&[u8]) -> serde_json::Result<T>) -> serde_json::Result<T> {
    let start = if json.starts_with(b"\xef\xbb\xbf") { 3 } else { 0 };
    let json = &mut json[start..];
    match read(json) {
        Err(error) if error.is_syntax() && hide_not_finite(json) => read(json),
        other => other,
    }
}

/// Puts empty text in the place of each `NaN`, `Infinity` and `-Infinity`; false if there are none.
fn hide_not_finite(json: &mut [u8]) -> bool {
    let (mut at, mut in_text, mut found) = (0, false, false);
    while at < json.len() {
        let rest = &json[at..];
        let word = [&b"NaN"[..], b"Infinity", b"-Infinity"].into_iter().find(|word| !in_text && rest.starts_with(word));
        match (word, rest[0]) {
            (Some(word), _) => {
                json[at..at + word.len()].fill(b' ');
                json[at..at + 2].fill(b'"');
                (at, found) = (at + word.len(), true);
                continue;
            }
            (None, b'"') => in_text = !in_text,
            (None, b'\\') if in_text => at += 1,
            _ => (),
        }
        at += 1;
    }
    found
}
