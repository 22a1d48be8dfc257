//! Settings of several classes that are no plain values.

use std::ffi::OsStr;

use serde::{Deserialize, Serialize};
use toml::Value;

use super::value::{SettingValue, utf8};
use crate::data::classes::values::PixelValue;
use crate::data::description::classes::GivenClasses;

impl SettingValue for GivenClasses {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        Value::try_from(Self::of_text(utf8(text)?)?).map_err(|error| error.to_string())
    }
}

/// Values of pixels that count nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "OneOrMore", into = "Vec<PixelValue>")]
pub struct IgnoredValues(pub Vec<PixelValue>);

/// `255` is as good as `[255]`.
#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(PixelValue),
    More(Vec<PixelValue>),
}

impl From<OneOrMore> for IgnoredValues {
    fn from(values: OneOrMore) -> Self {
        match values {
            OneOrMore::One(value) => Self(vec![value]),
            OneOrMore::More(values) => Self(values),
        }
    }
}

impl From<IgnoredValues> for Vec<PixelValue> {
    fn from(values: IgnoredValues) -> Self {
        values.0
    }
}

impl SettingValue for IgnoredValues {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        let values = utf8(text)?.split(',').map(|value| value.trim().parse());
        let values: Vec<PixelValue> = values.collect::<Result<_, String>>()?;
        Value::try_from(Self(values)).map_err(|error| error.to_string())
    }
}

/// What each class counts in the loss.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum WeightsOfClasses {
    /// These numbers, in the order of the classes.
    Given(Vec<f64>),
    /// By their shares of the training set's pixels.
    Balanced(Balanced),
    /// The same, found.
    Found {
        /// The numbers, in the order of the classes.
        balanced: Vec<f64>,
    },
}

/// The word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Balanced {
    /// The only one.
    #[serde(rename = "balanced")]
    Balanced,
}

impl WeightsOfClasses {
    /// By their shares of the training set's pixels.
    pub const BALANCED: Self = Self::Balanced(Balanced::Balanced);

    /// The numbers, if they are known.
    pub fn numbers(&self) -> Option<&[f64]> {
        match self {
            Self::Given(numbers) | Self::Found { balanced: numbers } => Some(numbers),
            Self::Balanced(_) => None,
        }
    }
}

impl SettingValue for WeightsOfClasses {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        let text = utf8(text)?;
        if text.eq_ignore_ascii_case("balanced") {
            return Ok(Value::from("balanced"));
        }
        let number = |word: &str| word.trim().parse().map(Value::Float);
        let numbers: Result<Vec<Value>, _> = text.split(',').map(number).collect();
        numbers
            .map(Value::Array)
            .map_err(|_| "numbers are needed with commas between them (1,2,0.5), or `balanced`".to_string())
    }
}
