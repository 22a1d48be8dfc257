//! The scores that PySODMetrics gives the golden pairs.

use super::shared::shared;
use sam2unet::metrics::keys;
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// The golden pairs, or a loud note that they are absent.
pub fn golden() -> Option<PathBuf> {
    shared("golden/metrics")
}

pub fn expected(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("expected.json")).expect("readable golden values");
    serde_json::from_str(&text).expect("golden values in JSON")
}

/// The scores are those of every task, and PySODMetrics' 18 are close to its own.
pub fn assert_close(actual: impl IntoIterator<Item = (String, f64)>, expected: &Value, what: &str) {
    let actual: HashMap<String, f64> = actual.into_iter().collect();
    let expected = expected.as_object().expect("an object");
    assert_eq!((expected.len(), actual.len()), (18, keys().len()), "{what}");
    for (key, golden) in expected {
        let golden = golden.as_f64().expect("a number");
        let value = actual.get(key).copied().unwrap_or(f64::NAN);
        let difference = (value - golden).abs();
        assert!(difference <= 1e-9, "{what}: {key} is {value}, PySODMetrics gives {golden} (off by {difference:e})");
    }
}
