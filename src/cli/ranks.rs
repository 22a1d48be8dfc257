//! The processes that one launcher started (`mpirun`, `srun`), as a program has them: rank 0 speaks for all, and whatever
//! ends one of them ends all, with a line that names its rank and host.

use super::console::{last_words, silence, warn};
use super::failure::{Failure, Status};
use crate::group::alone::Alone;
use crate::group::launcher::{Launched, launched};
use crate::group::processes::Group;
use clap::{Args, value_parser};
use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

/// How several processes wait for each other.
#[derive(Args, Clone, Copy)]
pub(crate) struct Waiting {
    /// Of several processes (MPI): how long one waits for the others before all are ended, in seconds
    #[arg(
        long, value_name = "SECONDS", default_value_t = 600, value_parser = value_parser!(u32).range(1..),
        help_heading = "Run"
    )]
    mpi_timeout: u32,
}

/// A rank that is silent and refused like all leaves after this time: launchers end the others when one has failed, and rank
/// 0 is to say why.
const SPEAKS_FIRST: Duration = Duration::from_secs(1);

impl Waiting {
    /// Does the work of `command` with the processes that a launcher started, or with this one alone. Only rank 0 prints, and a panic
    /// of one rank ends all. All ranks must return from the work alike: what one of them fails in, all are told before
    /// ([`settle`]).
    ///
    /// # Errors
    /// The work's, where there is one process. When the processes cannot reach each other: this build has no MPI, or the launcher
    /// is another MPI's.
    pub fn run(
        self,
        command: &str,
        work: impl FnOnce(&Arc<dyn Group>) -> Result<Status, Failure>,
    ) -> Result<Status, Failure> {
        let Some(launched) = launched() else { return work(&(Arc::new(Alone) as Arc<dyn Group>)) };
        let is_silent = launched.rank.is_some_and(|rank| rank > 0);
        silence(is_silent);
        let group = several(&launched, Duration::from_secs(self.mpi_timeout.into())).inspect_err(|_| {
            if is_silent {
                std::thread::sleep(SPEAKS_FIRST);
            }
        })?;
        // said before MPI ends: nobody leaves with a failure until then
        work(&group).or_else(|failure| {
            warn(format_args!("{command}: {failure}"));
            Ok(failure.status)
        })
    }
}

#[cfg(not(feature = "mpi"))]
fn several(launched: &Launched, _: Duration) -> Result<Arc<dyn Group>, Failure> {
    let Launched { variable, size, .. } = launched;
    Err(Failure::input(format_args!(
        "{variable} is {size}: this is one of {size} processes, and this program was built without MPI, so that each would do all of \
         the work. Build it with --features mpi; or, for a process of its own, unset {variable}"
    )))
}

#[cfg(feature = "mpi")]
fn several(_: &Launched, limit: Duration) -> Result<Arc<dyn Group>, Failure> {
    use crate::group::mpi::{MpiGroup, StartError};
    let group = MpiGroup::start(limit, last_words).map_err(|error| {
        if !matches!(error, StartError::Foreign { .. }) {
            silence(false);
        }
        Failure::input(error)
    })?;
    silence(group.rank() > 0);
    end_all_at_a_panic(&group);
    Ok(Arc::new(group))
}

/// A panic leaves the process at once, with status 101, as the launcher then ends the others. To unwind would wait for them in
/// MPI's own end, while they wait for this one.
#[cfg_attr(not(feature = "mpi"), allow(dead_code, reason = "one process may unwind"))]
fn end_all_at_a_panic(group: &dyn Group) {
    let who = name(group);
    std::panic::set_hook(Box::new(move |info| {
        let place = info.location().map_or_else(|| "an unknown place".to_string(), ToString::to_string);
        last_words(&format!("{who}: panicked at {place}: {}", info.payload_as_str().unwrap_or("no message")));
        std::process::exit(101);
    }));
}

/// A rank as messages name it.
fn name(group: &dyn Group) -> String {
    format!("rank {} ({})", group.rank(), group.host())
}

/// Ends all ranks, as this one cannot go on and the others do not know: says why, with rank and host.
pub(crate) fn end_all(group: &dyn Group, error: &dyn Display) -> ! {
    group.abort(&error.to_string(), Status::Failed as i32)
}

/// The longest message that a rank tells the others, in bytes.
const TEXT: usize = 1024;
const RECORD: usize = 4 + TEXT;

/// What all ranks did at the same point, and may have failed in: if one has, all fail. The message is that of the lowest
/// such rank, with its name unless it is rank 0, whose words are those of a single process. All ranks take part.
///
/// # Errors
/// When a rank has failed.
pub(crate) fn settle<T>(group: &dyn Group, result: Result<T, Failure>) -> Result<T, Failure> {
    if group.size() == 1 {
        return result;
    }
    let record = match &result {
        Ok(_) => [0; RECORD],
        Err(failure) if group.rank() == 0 => record(failure.status, &failure.to_string()),
        Err(failure) => record(failure.status, &format!("{}: {failure}", name(group))),
    };
    let mut all = vec![0; RECORD * group.size()];
    if let Err(error) = group.gather(&record, &mut all, &vec![RECORD; group.size()]) {
        end_all(group, &error);
    }
    match (result, all.as_chunks::<RECORD>().0.iter().find_map(read)) {
        (_, Some(failure)) | (Err(failure), None) => Err(failure),
        (Ok(value), None) => Ok(value),
    }
}

/// A failure as it is sent: its status, the length of its message and the message.
fn record(status: Status, message: &str) -> [u8; RECORD] {
    let text = &message.as_bytes()[..message.floor_char_boundary(TEXT)];
    let mut bytes = [0; RECORD];
    bytes[0] = status as u8;
    bytes[2..4].copy_from_slice(&(text.len() as u16).to_le_bytes());
    bytes[4..4 + text.len()].copy_from_slice(text);
    bytes
}

/// The failure that a rank sent, if it has failed.
fn read(bytes: &[u8; RECORD]) -> Option<Failure> {
    let length = usize::from(u16::from_le_bytes([bytes[2], bytes[3]])).min(TEXT);
    let message = String::from_utf8_lossy(&bytes[4..4 + length]);
    match bytes[0] {
        0 => None,
        status if status == Status::WrongInput as u8 => Some(Failure::input(message)),
        _ => Some(Failure::later(message)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::threads::{Thread, threads};

    fn with_ranks<T: Send>(size: usize, work: impl Fn(&Thread) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let work = &work;
            let started: Vec<_> = threads(size).into_iter().map(|rank| scope.spawn(move || work(&rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    /// What each of three ranks says, and its status, when these fail.
    fn settled(failing: &[usize], message: &str) -> Vec<Result<usize, (String, Status)>> {
        with_ranks(3, |group| {
            let rank = group.rank();
            let result = if failing.contains(&rank) { Err(Failure::input(message)) } else { Ok(rank) };
            settle(group, result).map_err(|failure| (failure.to_string(), failure.status))
        })
    }

    #[test]
    fn a_failure_of_one_rank_is_everyones() {
        assert_eq!(settled(&[], ""), [Ok(0), Ok(1), Ok(2)]);
        let everyone = |message: &str| vec![Err((message.to_string(), Status::WrongInput)); 3];
        assert_eq!(settled(&[2, 1], "no such file"), everyone("rank 1 (thread 1): no such file"));
        assert_eq!(settled(&[0, 2], "no such file"), everyone("no such file"));
        // cut between two letters
        let long = "ä".repeat(1000);
        assert_eq!(settled(&[0], &long), everyone(&"ä".repeat(512)));
    }

    /// Under a launcher: `scripts/check-mpi.sh` looks at what is printed and how it ends.
    #[cfg(feature = "mpi")]
    #[test]
    #[ignore = "needs mpirun"]
    fn over_mpi_a_panic_of_rank_1_ends_all() {
        let ended = Waiting { mpi_timeout: 60 }.run("test", |group| {
            assert!(group.rank() != 1, "on purpose");
            meet(&**group)
        });
        panic!("{ended:?}");
    }

    /// As above. Rank 1 does not answer for a while.
    #[cfg(feature = "mpi")]
    #[test]
    #[ignore = "needs mpirun"]
    fn over_mpi_nobody_waits_for_ever() {
        let ended = Waiting { mpi_timeout: 2 }.run("test", |group| {
            if group.rank() == 1 {
                std::thread::sleep(Duration::from_secs(100));
            }
            meet(&**group)
        });
        panic!("{ended:?}");
    }

    /// As above. Rank 2 fails in what all do; rank 0 says it, and all leave with its status.
    #[cfg(feature = "mpi")]
    #[test]
    #[ignore = "needs mpirun"]
    fn over_mpi_a_failure_of_rank_2_is_everyones() {
        let ended = Waiting { mpi_timeout: 60 }.run("test", |group| {
            let result = if group.rank() == 2 { Err(Failure::input("no such file")) } else { Ok(Status::Done) };
            settle(&**group, result)
        });
        std::process::exit(ended.map_or(99, |status| status as i32));
    }

    #[cfg(feature = "mpi")]
    fn meet(group: &dyn Group) -> Result<Status, Failure> {
        let gathered = group.gather(&[1], &mut vec![0; group.size()], &vec![1; group.size()]);
        gathered.map(|()| Status::Done).map_err(Failure::later)
    }
}
