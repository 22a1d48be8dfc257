//! What the files and folders of a run are called.

pub(super) const CONFIG: &str = "config.toml";
pub(super) const HISTORY: &str = "run.json";
pub(super) const LOG: &str = "log.jsonl";
pub(super) const LAST: &str = "last";
pub(super) const BEST: &str = "best";
pub(super) const MODEL: &str = "model.safetensors";
pub(super) const OPTIMISER: &str = "optimiser.safetensors";
pub(super) const STATE: &str = "state.json";
/// The best model of whole epochs, while `best` holds the end of an unfinished one.
pub(super) const SET_ASIDE: &str = "best.epoch";
