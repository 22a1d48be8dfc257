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
#[serde(try_from = "Value", into = "Vec<PixelValue>")]
pub struct IgnoredValues(pub Vec<PixelValue>);

impl TryFrom<Value> for IgnoredValues {
    type Error = String;

    /// `255` is as good as `[255]`.
    fn try_from(value: Value) -> Result<Self, String> {
        let list = if let Value::Array(list) = value { list } else { vec![value] };
        let one =
            |value: Value| value.try_into().map_err(|error: toml::de::Error| error.to_string().trim().to_string());
        list.into_iter().map(one).collect::<Result<_, _>>().map(Self)
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
#[serde(try_from = "Value", into = "Value")]
pub enum WeightsOfClasses {
    /// These numbers, in the order of the classes: `[1.0, 2.0]`.
    Given(Vec<f64>),
    /// By their shares of the training set's pixels: `"balanced"`.
    Balanced,
    /// The same, found: `{ balanced = [1.0, 2.0] }`, numbers in the order of the classes.
    Found(Vec<f64>),
}

/// The word.
const BALANCED: &str = "balanced";

impl TryFrom<Value> for WeightsOfClasses {
    type Error = String;

    fn try_from(value: Value) -> Result<Self, String> {
        let numbers = |value: &Value| -> Option<Vec<f64>> {
            let number = |value: &Value| value.as_float().or_else(|| value.as_integer().map(|whole| whole as f64));
            value.as_array()?.iter().map(number).collect()
        };
        let found = match &value {
            Value::String(word) if word.eq_ignore_ascii_case(BALANCED) => Some(Self::Balanced),
            Value::Table(table) if table.len() == 1 => table.get(BALANCED).and_then(numbers).map(Self::Found),
            other => numbers(other).map(Self::Given),
        };
        found.ok_or_else(|| format!("{value} is neither a list of numbers ([1, 2, 0.5]) nor \"{BALANCED}\""))
    }
}

impl From<WeightsOfClasses> for Value {
    fn from(weights: WeightsOfClasses) -> Self {
        let list = |numbers: Vec<f64>| Self::Array(numbers.into_iter().map(Self::Float).collect());
        match weights {
            WeightsOfClasses::Given(numbers) => list(numbers),
            WeightsOfClasses::Balanced => Self::from(BALANCED),
            WeightsOfClasses::Found(numbers) => {
                Self::Table([(BALANCED.to_string(), list(numbers))].into_iter().collect())
            }
        }
    }
}

impl WeightsOfClasses {
    /// The numbers, if they are known.
    pub fn numbers(&self) -> Option<&[f64]> {
        match self {
            Self::Given(numbers) | Self::Found(numbers) => Some(numbers),
            Self::Balanced => None,
        }
    }
}

impl SettingValue for WeightsOfClasses {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        let text = utf8(text)?;
        if text.eq_ignore_ascii_case(BALANCED) {
            return Ok(Value::from(BALANCED));
        }
        let number = |word: &str| word.trim().parse().map(Value::Float);
        let numbers: Result<Vec<Value>, _> = text.split(',').map(number).collect();
        numbers
            .map(Value::Array)
            .map_err(|_| "numbers are needed with commas between them (1,2,0.5), or `balanced`".to_string())
    }
}
