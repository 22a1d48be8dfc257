//! When and where a run was trained, and by what command: `run.json`. Nothing depends on it.

use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use crate::device::Device;
use crate::kernels::precision::Precision;

/// Every session of a run: its start and each resume.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// The sessions, the first one first.
    pub sessions: Vec<SessionRecord>,
}

/// A run from a start or a resume to its end, or to a stop.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SessionRecord {
    /// This crate's version.
    pub version: String,
    /// The commit that it was built from, where that is known.
    pub commit: Option<String>,
    /// The command line, if a command started it.
    pub command: Vec<String>,
    /// The machine's processor.
    pub processor: String,
    /// What matrix products are computed with: an instruction set, or a GPU.
    pub instructions: String,
    /// Threads that compute.
    pub threads: usize,
    /// `cpu` or `cuda`.
    pub device: String,
    /// Precision of matrix products.
    pub precision: String,
    /// When it began (UTC).
    pub started: String,
    /// Steps made before.
    pub from_step: u64,
    /// When it ended (UTC); absent if it was killed, or still goes on.
    pub ended: Option<String>,
    /// Steps of the newest checkpoint at its end.
    pub to_step: Option<u64>,
    /// `finished`, `stopped`, or the error that ended it.
    pub outcome: Option<String>,
}

impl SessionRecord {
    /// A session that begins now.
    pub(in crate::train) fn begin(command: Vec<String>, device: &Device, precision: Precision, from_step: u64) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: option_env!("SAM2UNET_COMMIT").filter(|commit| !commit.is_empty()).map(str::to_string),
            command,
            processor: processor(),
            instructions: device.instructions(precision),
            threads: rayon::current_num_threads(),
            device: device.name().to_string(),
            precision: device.computes_in(precision).to_string(),
            started: now(),
            from_step,
            ..Self::default()
        }
    }

    /// Its end, now.
    pub(in crate::train) fn end(&mut self, to_step: u64, outcome: String) {
        (self.ended, self.to_step, self.outcome) = (Some(now()), Some(to_step), Some(outcome));
    }
}

impl History {
    /// The text of `run.json`.
    pub(super) fn to_text(&self) -> String {
        // a struct of texts and numbers always has a JSON form
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}

/// The time now, to the second (UTC).
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// The processor's name where Linux tells it, otherwise its architecture.
fn processor() -> String {
    let told = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = told.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or(std::env::consts::ARCH.to_string(), |(_, name)| name.trim().to_string())
}
