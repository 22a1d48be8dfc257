//! The log of a run.

use serde_json::Value;
use std::fs;
use std::path::Path;

/// Its records.
pub fn log(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Its records as lines, without the seconds that they took: what two equal runs share.
pub fn timeless(run: &Path) -> Vec<String> {
    let text = |mut record: Value| {
        record.as_object_mut().unwrap().remove("seconds");
        record.to_string()
    };
    log(run).into_iter().map(text).collect()
}
