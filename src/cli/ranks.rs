//! The processes that one launcher started (`mpirun`, `srun`), as a program has them: rank 0 speaks for all, and whatever
//! ends one of them ends all, with a line that names its rank and host.

use super::console::{last_words, silence, warn};
use super::failure::{Failure, Status};
use crate::digest::Digest;
use crate::group::alone::Alone;
use crate::group::launcher::{Launched, launched};
use crate::group::processes::Group;
use crate::shard::Shard;
use crate::train::together::error::RanksError;
use crate::train::together::ranks::Ranks;
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

/// The part of the work that this process does, as one of several.
///
/// # Errors
/// None that occurs.
pub(crate) fn own_shard(ranks: &Ranks) -> Result<Option<Shard>, Failure> {
    let shard = ranks.are_several().then(|| Shard::new(ranks.rank() + 1, ranks.size())).transpose();
    shard.map_err(Failure::later)
}

impl Waiting {
    /// Where processes have work of their own, and meet at its end: the longest that one may take after another.
    pub fn a_day() -> Self {
        Self { mpi_timeout: 24 * 60 * 60 }
    }

    /// Does the work of `command` with the processes that a launcher started, or with this one alone. Only rank 0 prints, and a panic
    /// of one rank ends all. All ranks must return from the work alike: what one of them fails in, all are told before
    /// ([`Ranks::together`]).
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

/// Sees whether all processes were given the same arguments.
pub(crate) fn same_words(ranks: &Ranks) -> Result<(), RanksError> {
    let mut digest = Digest::new();
    std::env::args_os().skip(1).for_each(|word| digest.text(&word.to_string_lossy()));
    ranks.compare_all(&[("the command line", digest.number())])
}

/// A rank as messages name it.
pub(crate) fn name(group: &dyn Group) -> String {
    format!("rank {} ({})", group.rank(), group.host())
}

/// Ends all ranks, as this one cannot go on and the others do not know: says why, with rank and host.
pub(crate) fn end_all(group: &dyn Group, error: &dyn Display) -> ! {
    group.abort(&error.to_string(), Status::Failed as i32)
}

#[cfg(feature = "mpi")]
#[cfg(test)]
mod tests {
    use super::*;

    /// Under a launcher: `scripts/check-mpi.sh` looks at what is printed and how it ends.
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
    #[test]
    #[ignore = "needs mpirun"]
    fn over_mpi_a_failure_of_rank_2_is_everyones() {
        let ended = Waiting { mpi_timeout: 60 }.run("test", |group| {
            let result = if group.rank() == 2 { Err(Failure::input("no such file")) } else { Ok(Status::Done) };
            Ranks::of(group.clone())?.together(0, result)
        });
        std::process::exit(ended.map_or(99, |status| status as i32));
    }

    fn meet(group: &dyn Group) -> Result<Status, Failure> {
        let gathered = group.gather(&[1], &mut vec![0; group.size()], &vec![1; group.size()]);
        gathered.map(|()| Status::Done).map_err(Failure::later)
    }
}
