//! What the files and folders of a run are called, beside those of a checkpoint (`checkpoint::found`).

pub(super) const CONFIG: &str = "config.toml";
pub(super) const HISTORY: &str = "run.json";
pub(super) const LOG: &str = "log.jsonl";
/// Who trains in the folder, while somebody does.
pub(super) const RUNNING: &str = "running.json";
pub(super) const OPTIMISER: &str = "optimiser.safetensors";
pub(super) const STATE: &str = "state.json";
/// In folders of earlier versions: the best model of whole epochs, while `best` holds the end of an unfinished one.
pub(super) const SET_ASIDE: &str = "best.epoch";
