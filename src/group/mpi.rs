//! [`Group`] over MPI: two collectives, waited for with a limit, and `MPI_Abort`. MPI adds nothing: it moves bytes.

use super::launcher::{Launched, foreign, told};
use super::processes::{Group, GroupError};
use mpi::datatype::{Partition, PartitionMut};
use mpi::environment::{Universe, library_version, processor_name};
use mpi::request::{Request, Scope, scope};
use mpi::topology::SimpleCommunicator;
use mpi::traits::{Communicator, CommunicatorCollectives};
use mpi::{Count, Threading, initialize_with_threading};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::{sleep, yield_now};
use std::time::{Duration, Instant};

/// How long a wait keeps its core, as MPI's own would: most others answer sooner.
const KEEPS_CORE: Duration = Duration::from_millis(1);
/// How long it sleeps between two looks after that: the core is left to those who compute.
const SLEEP: Duration = Duration::from_micros(50);

/// All processes that one launcher started.
///
/// Any thread may call it, as calls wait for each other; the thread that started it drops it, which ends MPI.
pub struct MpiGroup {
    rank: usize,
    size: usize,
    host: String,
    local: (usize, usize),
    limit: Duration,
    on_abort: fn(&str),
    /// MPI is called by one thread at a time.
    calls: Mutex<()>,
    _universe: Universe,
}

/// Why MPI was not started.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The launcher started several processes, and each of them sees other ones: it is another MPI's launcher.
    #[error(
        "{} is {}, but this program's MPI ({library}) sees {seen} process{}: start it with the launcher of that MPI (under \
         srun: --mpi=pmix, or --mpi=pmi2)",
        .told.variable, .told.size, if *seen == 1 { "" } else { "es" }
    )]
    Foreign {
        /// What the launcher told.
        told: Launched,
        /// How many processes MPI sees.
        seen: usize,
        /// Name and version of MPI.
        library: String,
    },
    /// MPI may not be called by the threads of a pool.
    #[error(
        "this program's MPI ({library}) was built without threads: it offers {offered}, and `Serialized` is needed"
    )]
    Threads {
        /// The level that it offers.
        offered: String,
        /// Name and version of MPI.
        library: String,
    },
    /// A process starts MPI once.
    #[error("MPI was started before in this process")]
    Twice,
}

impl MpiGroup {
    /// Starts MPI; every process of the launcher calls it. `limit` is how long a collective may take before a rank is taken for
    /// lost: then all processes end with status 1. `on_abort` is told one line to be said before they are ended, for this or another reason.
    ///
    /// # Errors
    /// When the launcher is another MPI's, which would leave each process alone; when MPI was built without threads.
    pub fn start(limit: Duration, on_abort: fn(&str)) -> Result<Self, StartError> {
        // a run with threads of its own computes, and calls, on one of these
        let (universe, level) = initialize_with_threading(Threading::Serialized).ok_or(StartError::Twice)?;
        if level < Threading::Serialized {
            return Err(StartError::Threads { offered: format!("`{level:?}`"), library: library() });
        }
        let world = universe.world();
        let (rank, size) = (world.rank() as usize, world.size() as usize);
        if let Some(told) = foreign(&told(), size) {
            return Err(StartError::Foreign { told, seen: size, library: library() });
        }
        let machine = world.split_shared(world.rank());
        let local = (machine.rank() as usize, machine.size() as usize);
        let host = processor_name().unwrap_or_else(|_| "a machine without a name".to_string());
        Ok(Self { rank, size, host, local, limit, on_abort, calls: Mutex::new(()), _universe: universe })
    }

    fn calls(&self) -> MutexGuard<'_, ()> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a, D: ?Sized, S: Scope<'a>>(&self, mut request: Request<'a, D, S>) {
        let begun = Instant::now();
        loop {
            request = match request.test() {
                Ok(_) => return,
                Err(pending) => pending,
            };
            let waited = begun.elapsed();
            if waited > self.limit {
                // what was begun cannot be taken back: nobody may go on
                self.abort(&format!("no answer from the others for {} s", waited.as_secs()), 1);
            }
            if waited > KEEPS_CORE { sleep(SLEEP) } else { yield_now() }
        }
    }
}

impl fmt::Debug for MpiGroup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MpiGroup(rank {} of {} on {})", self.rank, self.size, self.host)
    }
}

/// Name and version of MPI, as it tells them.
fn library() -> String {
    let text = library_version().unwrap_or_default();
    // MPICH puts a tab and its date behind
    let line = text.lines().next().unwrap_or_default();
    line.split([',', '\t']).filter(|part| !part.is_empty()).take(2).collect::<Vec<_>>().join(" ").trim().to_string()
}

/// Counts and places of parts of `bytes`, for MPI, which knows 31 bits.
fn places(lengths: &[usize], size: usize, bytes: usize) -> Result<(Vec<Count>, Vec<Count>), GroupError> {
    let sum = lengths.iter().sum::<usize>();
    if lengths.len() != size || sum != bytes {
        return Err(GroupError(format!("{} lengths of {sum} bytes for {size} ranks and {bytes} bytes", lengths.len())));
    }
    // so all that lies before one of them fits, too
    if Count::try_from(sum).is_err() {
        return Err(GroupError(format!("{sum} bytes in one call; MPI takes less than 2 GiB")));
    }
    let counts = lengths.iter().map(|&length| length as Count);
    let starts = lengths.iter().scan(0, |at, &length| {
        let start = *at;
        *at += length as Count;
        Some(start)
    });
    Ok((counts.collect(), starts.collect()))
}

/// Where nothing is sent from. The address of Rust's empty slices is 1, which is how Open MPI spells `MPI_IN_PLACE`.
static NOWHERE: [u8; 1] = [0];

fn placed(bytes: &[u8]) -> &[u8] {
    if bytes.is_empty() { &NOWHERE[..0] } else { bytes }
}

/// The same for what is received.
fn placed_mut<'a>(bytes: &'a mut [u8], nowhere: &'a mut [u8; 1]) -> &'a mut [u8] {
    if bytes.is_empty() { &mut nowhere[..0] } else { bytes }
}

impl Group for MpiGroup {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn host(&self) -> String {
        self.host.clone()
    }

    fn local(&self) -> (usize, usize) {
        self.local
    }

    fn gather(&self, mine: &[u8], all: &mut [u8], lengths: &[usize]) -> Result<(), GroupError> {
        let (counts, starts) = places(lengths, self.size, all.len())?;
        if mine.len() != lengths[self.rank] {
            return Err(GroupError(format!("{} bytes to gather instead of {}", mine.len(), lengths[self.rank])));
        }
        let (mine, mut nowhere) = (placed(mine), [0]);
        let mut all = PartitionMut::new(placed_mut(all, &mut nowhere), counts, starts);
        let (world, _calls) = (SimpleCommunicator::world(), self.calls());
        scope(|s| self.wait(world.immediate_all_gather_varcount_into(s, mine, &mut all)));
        Ok(())
    }

    fn exchange(&self, send: &[u8], sent: &[usize], receive: &mut [u8], received: &[usize]) -> Result<(), GroupError> {
        let (counts, starts) = places(sent, self.size, send.len())?;
        let send = Partition::new(placed(send), counts, starts);
        let (counts, starts) = places(received, self.size, receive.len())?;
        let mut nowhere = [0];
        let mut receive = PartitionMut::new(placed_mut(receive, &mut nowhere), counts, starts);
        let (world, _calls) = (SimpleCommunicator::world(), self.calls());
        scope(|s| self.wait(world.immediate_all_to_all_varcount_into(s, &send, &mut receive)));
        Ok(())
    }

    fn abort(&self, reason: &str, status: i32) -> ! {
        (self.on_abort)(&format!("rank {} ({}): {reason}", self.rank, self.host));
        SimpleCommunicator::world().abort(status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_lie_one_after_the_other() {
        assert_eq!(places(&[3, 0, 2], 3, 5).unwrap(), (vec![3, 0, 2], vec![0, 3, 3]));
    }

    #[test]
    fn what_mpi_cannot_count_is_refused() {
        let most = i32::MAX as usize;
        assert!(places(&[most - 1, 1], 2, most).is_ok());
        let error = places(&[most, 1], 2, most + 1).unwrap_err().0;
        assert!(error.contains("2147483648 bytes") && error.contains("2 GiB"), "{error}");
        for (lengths, bytes) in [(&[1, 2][..], 4), (&[3], 3), (&[1, 1, 1], 3)] {
            assert!(places(lengths, 2, bytes).is_err(), "{lengths:?}");
        }
    }

    /// Under a launcher: `scripts/check-mpi.sh` does it.
    #[test]
    #[ignore = "needs mpirun"]
    fn over_mpi_parts_arrive_in_the_order_of_the_ranks() {
        let group = MpiGroup::start(Duration::from_secs(60), |line| panic!("{line}")).unwrap();
        let (rank, size) = (group.rank(), group.size());
        assert!(group.local().0 < group.local().1 && group.local().1 <= size && !group.host().is_empty());
        // rank r brings r + 1 numbers r, and an odd one none
        let lengths: Vec<usize> = (0..size).map(|r| if r % 2 == 1 { 0 } else { r + 1 }).collect();
        let expected: Vec<u8> = (0..size).flat_map(|r| vec![r as u8; lengths[r]]).collect();
        let mine = vec![rank as u8; lengths[rank]];
        for _ in 0..2 {
            let mut all = vec![255; expected.len()];
            group.gather(&mine, &mut all, &lengths).unwrap();
            assert_eq!(all, expected);
        }
        // to rank t go t times 10 r + t
        let sent: Vec<usize> = (0..size).collect();
        let send: Vec<u8> = (0..size).flat_map(|to| vec![(10 * rank + to) as u8; to]).collect();
        let mut received = vec![255; rank * size];
        group.exchange(&send, &sent, &mut received, &vec![rank; size]).unwrap();
        let expected: Vec<u8> = (0..size).flat_map(|from| vec![(10 * from + rank) as u8; rank]).collect();
        assert_eq!(received, expected);
        // nothing at all, whose place must not read as MPI's for "in place"
        group.gather(&[], &mut [], &vec![0; size]).unwrap();
        group.exchange(&[], &vec![0; size], &mut [], &vec![0; size]).unwrap();
        // a wrong length is this rank's own error: nothing was sent
        assert!(group.gather(&[0; 3], &mut vec![0; 2 * size], &vec![2; size]).is_err());
        // from another thread, as a run with a pool of its own does
        let mut all = vec![0; size];
        let call = || group.gather(&[rank as u8], &mut all, &vec![1; size]);
        std::thread::scope(|scope| scope.spawn(call).join()).unwrap().unwrap();
        assert!(all.iter().enumerate().all(|(r, &v)| usize::from(v) == r));
        assert_eq!(MpiGroup::start(Duration::ZERO, |_| ()).unwrap_err(), StartError::Twice);
    }
}
