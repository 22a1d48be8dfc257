//! What a setting can be: how its text on a command line becomes a TOML value.

use std::ffi::OsStr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use toml::Value;

use crate::choice::Choice;

/// A setting's type.
pub trait SettingValue: Serialize + for<'de> Deserialize<'de> {
    /// The TOML value that a text on a command line stands for.
    ///
    /// # Errors
    /// What the text should be.
    fn from_text(text: &OsStr) -> Result<Value, String>;

    /// The names to choose from, if it is a choice.
    fn names() -> Vec<&'static str> {
        Vec::new()
    }

    /// The path that it is, if it is one.
    fn path(&mut self) -> Option<&mut PathBuf> {
        None
    }
}

/// What is wrong with a path that an unset variable of a shell gives.
pub(super) const EMPTY_PATH: &str = "the path is empty";

/// A value for people: a name or a path without quotation marks.
pub(super) fn shown(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_string)
}

pub(super) fn utf8(text: &OsStr) -> Result<&str, String> {
    text.to_str().ok_or_else(|| "it is not UTF-8, and config.toml holds UTF-8 only".to_string())
}

impl<T: SettingValue> SettingValue for Option<T> {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        T::from_text(text)
    }

    fn names() -> Vec<&'static str> {
        T::names()
    }

    fn path(&mut self) -> Option<&mut PathBuf> {
        self.as_mut().and_then(T::path)
    }
}

impl SettingValue for PathBuf {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        match utf8(text) {
            Ok("") => Err(EMPTY_PATH.to_string()),
            Ok(path) => Ok(Value::from(path)),
            Err(reason) => Err(format!("{reason}; rename it")),
        }
    }

    fn path(&mut self) -> Option<&mut PathBuf> {
        Some(self)
    }
}

impl<T: Choice + Serialize + for<'de> Deserialize<'de>> SettingValue for T {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        T::of_name(utf8(text)?).map(|choice| Value::from(choice.name())).map_err(|e| e.to_string())
    }

    fn names() -> Vec<&'static str> {
        <T as Choice>::names()
    }
}

impl SettingValue for String {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        Ok(Value::from(utf8(text)?))
    }
}

impl SettingValue for f64 {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        utf8(text)?.parse().map(Value::Float).map_err(|_| "a number is needed, for example 1e-3".to_string())
    }
}

/// A whole number as TOML holds them.
fn whole(text: &OsStr) -> Result<Value, String> {
    let number: Option<i64> = utf8(text)?.parse().ok();
    let number = number.filter(|number| *number >= 0);
    number.map(Value::Integer).ok_or_else(|| format!("a whole number from 0 to {} is needed", i64::MAX))
}

impl SettingValue for u64 {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        whole(text)
    }
}

impl SettingValue for usize {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        whole(text)
    }
}

impl SettingValue for bool {
    fn from_text(text: &OsStr) -> Result<Value, String> {
        utf8(text)?.parse().map(Value::Boolean).map_err(|_| "true or false is needed".to_string())
    }
}
