//! The log of a run, `log.jsonl`: one JSON object a line.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::error::FolderError;
use super::names::LOG;
use crate::train::validation::ValidationScores;

/// A line of the log.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum Record<'a> {
    /// An optimiser step.
    Step {
        /// Which step, from 1.
        step: u64,
        /// In which epoch, from 1.
        epoch: u64,
        /// Mean loss over the step's images.
        loss: f64,
        /// Learning rate.
        lr: f64,
        /// Seconds it took, waiting for data included.
        seconds: f64,
    },
    /// A validation.
    Validation {
        /// After which epoch, from 1.
        epoch: u64,
        /// Every score by its key.
        validation: &'a ValidationScores,
    },
}

/// The log, open to be appended to. Its lock keeps other processes out of the folder, those of earlier versions too.
#[derive(Debug)]
pub(super) struct Log {
    path: PathBuf,
    file: File,
    /// Lines that it holds.
    lines: u64,
}

impl Log {
    /// Opens the log of the run in `folder`, which shows that the folder can be written to.
    pub(super) fn open(folder: &Path) -> Result<Self, FolderError> {
        let path = folder.join(LOG);
        let opened = File::options().read(true).append(true).create(true).open(&path);
        let file = opened.map_err(|source| FolderError::Write { path: path.clone(), source })?;
        Ok(Self { path, file, lines: 0 })
    }

    /// The file that is locked.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Appends a line.
    pub(super) fn append(&mut self, record: &Record) -> Result<(), FolderError> {
        let mut line = serde_json::to_vec(record).map_err(|e| self.failed(io::Error::other(e)))?;
        line.push(b'\n');
        self.file.write_all(&line).map_err(|source| self.failed(source))?;
        self.lines += 1;
        Ok(())
    }

    /// Brings all lines to the disk; gives how many there are.
    pub(super) fn sync(&mut self) -> Result<u64, FolderError> {
        self.file.sync_data().map_err(|source| self.failed(source))?;
        Ok(self.lines)
    }

    /// Cuts the log off after `lines` lines, or after its last whole line; gives how many it holds then.
    pub(super) fn truncate(&mut self, lines: u64) -> Result<u64, FolderError> {
        self.lines = truncate_lines(&mut self.file, lines).map_err(|source| self.failed(source))?;
        Ok(self.lines)
    }

    fn failed(&self, source: io::Error) -> FolderError {
        FolderError::Write { path: self.path.clone(), source }
    }
}

/// Cuts a file off after `lines` lines, or after its last whole line; gives the lines it holds then.
fn truncate_lines(file: &mut File, lines: u64) -> io::Result<u64> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let (mut kept, mut end) = (0, 0);
    for (at, _) in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'\n') {
        if kept == lines {
            break;
        }
        (kept, end) = (kept + 1, at + 1);
    }
    file.set_len(end as u64)?;
    Ok(kept)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn the_log_is_cut_after_whole_lines() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        for (lines, kept, text) in [(2, 2, "a\nbb\n"), (0, 0, ""), (9, 3, "a\nbb\nc\n")] {
            fs::write(&path, "a\nbb\nc\nd").unwrap();
            let mut file = File::options().read(true).append(true).open(&path).unwrap();
            assert_eq!(truncate_lines(&mut file, lines).unwrap(), kept);
            file.write_all(b"e\n").unwrap();
            assert_eq!(fs::read_to_string(&path).unwrap(), format!("{text}e\n"));
        }
    }
}
