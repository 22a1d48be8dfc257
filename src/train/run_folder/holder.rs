//! Who trains in a run's folder. Others are kept out by a lock on the log; `running.json` says whose lock it is, and stands in for
//! it on file systems without locks.

use std::fmt;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::history::now;
use super::names::RUNNING;
use crate::files::write::write_in_own_folder;

/// A process that trains in a folder, or did when it was killed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The machine's name.
    pub host: String,
    /// The process's number there.
    pub process: u32,
    /// When it opened the folder (UTC).
    pub since: String,
    /// When the process began, in the system's clock ticks, where the system tells: numbers of processes are used again.
    pub began: Option<u64>,
}

/// Shows as `process 812 on node7, since 2026-11-30T09:00:00Z`.
impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} on {}, since {}", self.process, self.host, self.since)
    }
}

impl Holder {
    /// This process, now.
    fn this() -> Self {
        let process = std::process::id();
        Self { host: host(), process, since: now(), began: began(process) }
    }

    /// The one that `running.json` names.
    fn read(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(folder.join(RUNNING)).ok()?).ok()
    }

    /// Whether it is a process of this machine that is gone.
    fn is_gone(&self) -> bool {
        let told = Path::new("/proc/self/stat").exists();
        self.host == host()
            && told
            && began(self.process).is_none_or(|began| self.began.is_some_and(|own| own != began))
    }
}

/// The machine's name, as far as it is told.
fn host() -> String {
    let file = |path: &str| fs::read_to_string(path).ok();
    let variable = |name: &str| std::env::var(name).ok();
    let told = file("/proc/sys/kernel/hostname").or_else(|| file("/etc/hostname"));
    let told = told.or_else(|| variable("COMPUTERNAME")).or_else(|| variable("HOSTNAME")).unwrap_or_default();
    match told.trim() {
        "" => "a machine without a name".to_string(),
        name => name.to_string(),
    }
}

/// When a process of this machine began, in clock ticks since the machine did; `None` if there is none, or it is not told.
fn began(process: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // the second field is the program's name, in parentheses, with any characters; the 22nd is the time
    let (_, fields) = stat.rsplit_once(')')?;
    fields.split_whitespace().nth(19)?.parse().ok()
}

/// The hold of this process on a folder; `running.json` goes when it is dropped.
#[derive(Debug)]
pub(super) struct Hold {
    running: PathBuf,
}

impl Drop for Hold {
    fn drop(&mut self) {
        // one that stays is taken for that of a killed process, which it says
        let _ = fs::remove_file(&self.running);
    }
}

/// How a folder was taken.
pub(super) enum Taken {
    /// By this process alone.
    Alone(Hold),
    /// The file system has no locks, and nobody seems to train there.
    WithoutLock(Hold),
    /// Another process has its lock; the one that `running.json` names, if that can be.
    Locked(Option<Holder>),
    /// There are no locks, but `running.json` names a process that goes on, or one of another machine, which may.
    Named(Holder),
}

/// Takes a folder by the lock of its log.
pub(super) fn take(folder: &Path, log: &File) -> Taken {
    take_by(File::try_lock, folder, log)
}

fn take_by(try_lock: impl Fn(&File) -> Result<(), TryLockError>, folder: &Path, log: &File) -> Taken {
    let before = Holder::read(folder).filter(|holder| !holder.is_gone());
    match try_lock(log) {
        Ok(()) => Taken::Alone(hold(folder)),
        Err(TryLockError::WouldBlock) => Taken::Locked(before),
        Err(TryLockError::Error(_)) => match before {
            Some(holder) => Taken::Named(holder),
            None => Taken::WithoutLock(hold(folder)),
        },
    }
}

/// Writes `running.json`. A run does not fail for want of it.
fn hold(folder: &Path) -> Hold {
    let running = folder.join(RUNNING);
    // a struct of texts and numbers always has a JSON form
    let text = serde_json::to_string_pretty(&Holder::this()).unwrap_or_default() + "\n";
    let _ = write_in_own_folder(&running, text);
    Hold { running }
}

#[cfg(target_os = "linux")]
#[cfg(test)]
mod tests {
    use super::*;
    use std::io;

    fn without_locks(_: &File) -> Result<(), TryLockError> {
        Err(TryLockError::Error(io::ErrorKind::Unsupported.into()))
    }

    fn locked(_: &File) -> Result<(), TryLockError> {
        Err(TryLockError::WouldBlock)
    }

    /// A process that is gone.
    fn gone() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn the_holder_is_named_as_long_as_it_lives() {
        let dir = tempfile::tempdir().unwrap();
        let log = File::create(dir.path().join("log.jsonl")).unwrap();
        let Taken::Alone(hold) = take(dir.path(), &log) else { panic!("not taken") };
        let Taken::Locked(Some(holder)) = take_by(locked, dir.path(), &log) else { panic!("not busy") };
        assert_eq!((holder.process, holder.host), (std::process::id(), host()));
        drop(hold);
        assert!(!dir.path().join("running.json").exists());
        // the program of an earlier version names nobody, and what a killed process left names the wrong one
        assert!(matches!(take_by(locked, dir.path(), &log), Taken::Locked(None)));
        let write = |holder: &Holder| fs::write(dir.path().join("running.json"), serde_json::to_vec(holder).unwrap());
        write(&Holder { process: gone(), ..Holder::this() }).unwrap();
        assert!(matches!(take_by(locked, dir.path(), &log), Taken::Locked(None)));
        // the number of a process is used again
        write(&Holder { began: Some(1), ..Holder::this() }).unwrap();
        assert!(matches!(take_by(locked, dir.path(), &log), Taken::Locked(None)));
    }

    #[test]
    fn without_locks_the_text_decides() {
        let dir = tempfile::tempdir().unwrap();
        let log = File::create(dir.path().join("log.jsonl")).unwrap();
        let write = |holder: &Holder| fs::write(dir.path().join("running.json"), serde_json::to_vec(holder).unwrap());
        let Taken::WithoutLock(hold) = take_by(without_locks, dir.path(), &log) else { panic!("not taken") };
        // this very process has it
        assert!(matches!(take_by(without_locks, dir.path(), &log), Taken::Named(_)));
        drop(hold);
        write(&Holder { process: gone(), ..Holder::this() }).unwrap();
        assert!(matches!(take_by(without_locks, dir.path(), &log), Taken::WithoutLock(_)));
        let other = Holder { host: "node7".into(), process: 812, ..Holder::this() };
        write(&other).unwrap();
        // nobody can see from here whether it is gone
        let Taken::Named(named) = take_by(without_locks, dir.path(), &log) else { panic!("taken from {other}") };
        assert_eq!(named, other);
        assert_eq!(Holder::read(dir.path()), Some(other));
        fs::write(dir.path().join("running.json"), "no holder").unwrap();
        assert!(matches!(take_by(without_locks, dir.path(), &log), Taken::WithoutLock(_)));
    }
}
