//! The scores of several classes that golden pairs have.

use serde_json::Value;
use std::path::Path;

/// The golden scores of a folder.
pub fn expected(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("expected.json")).expect("golden values");
    serde_json::from_str(&text).expect("golden values in JSON")
}

/// All that is expected is there: whole numbers and `null` exactly, others to 1e-9. Gives the names of what is there
/// besides.
pub fn compare(found: &Value, expected: &Value, place: &str) -> Vec<String> {
    match (found, expected) {
        (Value::Object(found), Value::Object(expected)) => {
            let mut besides: Vec<String> =
                found.keys().filter(|key| !expected.contains_key(*key)).map(|key| format!("{place}.{key}")).collect();
            for (key, expected) in expected {
                let found = found.get(key).unwrap_or_else(|| panic!("{place} lacks {key}"));
                besides.extend(compare(found, expected, &format!("{place}.{key}")));
            }
            besides
        }
        (Value::Array(found), Value::Array(expected)) => {
            assert_eq!(found.len(), expected.len(), "{place}");
            let pairs = found.iter().zip(expected).enumerate();
            pairs
                .flat_map(|(number, (found, expected))| compare(found, expected, &format!("{place}[{number}]")))
                .collect()
        }
        (Value::Number(found), Value::Number(expected)) if expected.is_f64() => {
            let difference = (found.as_f64().expect("a number") - expected.as_f64().expect("a number")).abs();
            assert!(difference <= 1e-9, "{place} is {found}, expected {expected} (off by {difference:e})");
            Vec::new()
        }
        _ => {
            assert_eq!(found, expected, "{place}");
            Vec::new()
        }
    }
}
