//! The scores that PySODMetrics gives the golden pairs.

use super::shared::shared;
use sam2unet::metrics::KEYS;
use serde_json::Value;
use std::path::{Path, PathBuf};

/// The golden pairs, or a loud note that they are absent.
pub fn golden() -> Option<PathBuf> {
    shared("golden/metrics")
}

pub fn expected(folder: &Path) -> Value {
    let text = std::fs::read_to_string(folder.join("expected.json")).expect("readable golden values");
    serde_json::from_str(&text).expect("golden values in JSON")
}

/// The largest difference from the golden values, and where it is.
pub fn assert_close(actual: impl IntoIterator<Item = (String, f64)>, expected: &Value, what: &str) {
    let mut compared = 0;
    for (key, value) in actual {
        let golden = expected[&key].as_f64().unwrap_or(f64::NAN);
        let difference = (value - golden).abs();
        assert!(difference <= 1e-9, "{what}: {key} is {value}, PySODMetrics gives {golden} (off by {difference:e})");
        compared += 1;
    }
    assert_eq!(compared, KEYS.len(), "{what}");
    assert_eq!(expected.as_object().map(|scores| scores.len()), Some(KEYS.len()), "{what}");
}
