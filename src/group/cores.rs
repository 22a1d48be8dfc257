//! Which share of its machine's cores each rank takes.
//!
//! Launchers bind ranks to cores of their own (Open MPI, two ranks: one core each), to the cores of a socket that several
//! ranks share, or not at all (MPICH). So ranks tell each other on which cores they may run, and a core that several of
//! them may run on counts as a part for each.

use super::processes::{Group, GroupError};
use std::fmt;

/// Cores by their numbers, one bit each: what Linux tells of up to 1024.
type Cores = [u64; 16];

/// What a rank sends of a host's name; Linux has names of up to 64 bytes.
const HOST: usize = 64;
const SENT: usize = HOST + size_of::<Cores>() + 2 * size_of::<u32>();

/// What a rank knows of where it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    /// The machine.
    host: String,
    /// The cores that it may run on; none if the system does not say.
    allowed: Cores,
    /// How many threads may run at once: fewer than these cores in a container with a quota.
    available: usize,
    /// How many cores the machine has.
    machine: usize,
}

/// What one rank takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreShare {
    /// Its machine.
    pub host: String,
    /// How many threads it computes with.
    pub threads: usize,
    /// How many cores of its machine it may run on, with others perhaps.
    pub allowed: usize,
    /// How many cores its machine has.
    pub machine: usize,
    /// Whether the ranks of its machine may run on half of its cores at most, all together: most often a launcher's doing.
    pub is_narrow: bool,
}

/// What each rank takes, in the order of the ranks. As text: a line for ranks that follow each other, on one machine and with
/// the same share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CoreShares(pub Vec<CoreShare>);

impl CoreShares {
    /// Every rank's share. All ranks take part.
    ///
    /// # Errors
    /// The group's.
    pub fn of(group: &dyn Group) -> Result<Self, GroupError> {
        let mut all = vec![0; SENT * group.size()];
        group.gather(&here(group.host()).sent(), &mut all, &vec![SENT; group.size()])?;
        Ok(shares(&all.chunks_exact(SENT).map(Place::received).collect::<Vec<_>>()))
    }
}

impl fmt::Display for CoreShares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (mut lines, mut first) = (Vec::new(), 0);
        for ranks in self.0.chunk_by(PartialEq::eq) {
            let (CoreShare { host, threads, allowed, machine, is_narrow }, last) = (&ranks[0], first + ranks.len() - 1);
            let threads = format!("{threads} thread{}", if *threads == 1 { "" } else { "s" });
            let share = match ranks.len() {
                1 => format!("rank {first} on {host}: {threads}"),
                _ => format!("ranks {first} to {last} on {host}: {threads} each"),
            };
            let hint =
                if *is_narrow { " (Open MPI binds ranks to cores unless mpirun is told --bind-to none)" } else { "" };
            lines.push(format!("{share}, allowed on {allowed} of {machine} cores{hint}"));
            first = last + 1;
        }
        f.write_str(&lines.join("\n"))
    }
}

/// Where this process runs.
fn here(host: String) -> Place {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let status = read("/proc/self/status");
    let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).and_then(cores_of);
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    let machine = cores_of(&read("/sys/devices/system/cpu/online")).map_or(available, |online| count(&online));
    Place { host, allowed: allowed.unwrap_or_default(), available, machine }
}

/// Linux's list of cores, as in `0-3,8`; `None` if it is no such list, or has a core beyond the 1024.
fn cores_of(list: &str) -> Option<Cores> {
    let mut cores = Cores::default();
    for part in list.trim().split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        for core in first.parse::<usize>().ok()?..=last.parse().ok()? {
            *cores.get_mut(core / 64)? |= 1 << (core % 64);
        }
    }
    Some(cores)
}

fn count(cores: &Cores) -> usize {
    cores.iter().map(|bits| bits.count_ones() as usize).sum()
}

fn holds(cores: &Cores, core: usize) -> bool {
    cores[core / 64] & 1 << (core % 64) != 0
}

impl Place {
    fn sent(&self) -> [u8; SENT] {
        let mut bytes = [0; SENT];
        let (host, rest) = bytes.split_at_mut(HOST);
        let name = &self.host.as_bytes()[..self.host.len().min(HOST)];
        host[..name.len()].copy_from_slice(name);
        let numbers = [self.available, self.machine].map(|number| u32::try_from(number).unwrap_or(u32::MAX));
        let numbers = numbers.iter().flat_map(|number| number.to_le_bytes());
        let fields = self.allowed.iter().flat_map(|bits| bits.to_le_bytes()).chain(numbers);
        rest.iter_mut().zip(fields).for_each(|(to, byte)| *to = byte);
        bytes
    }

    fn received(bytes: &[u8]) -> Self {
        let (host, rest) = bytes.split_at(HOST);
        let (allowed, numbers) = rest.split_at(size_of::<Cores>());
        let mut cores = Cores::default();
        cores.iter_mut().zip(allowed.as_chunks().0).for_each(|(to, bits)| *to = u64::from_le_bytes(*bits));
        let mut numbers = numbers.as_chunks().0.iter().map(|number| u32::from_le_bytes(*number) as usize);
        Self {
            host: String::from_utf8_lossy(host).trim_end_matches('\0').to_string(),
            allowed: cores,
            available: numbers.next().unwrap_or(1),
            machine: numbers.next().unwrap_or(1),
        }
    }
}

/// What each of the ranks takes that run in these places.
fn shares(places: &[Place]) -> CoreShares {
    let share = |place: &Place| {
        let same: Vec<&Place> = places.iter().filter(|other| other.host == place.host).collect();
        let holders = |core: usize| same.iter().filter(|other| holds(&other.allowed, core)).count();
        let own = (0..64 * place.allowed.len()).filter(|&core| holds(&place.allowed, core));
        let part: f64 = own.map(|core| 1.0 / holders(core) as f64).sum();
        let allowed = count(&place.allowed);
        // three thirds may add up to less than one
        let by_cores = (part + 1e-9) as usize;
        // a quota is the container's, and so are the ranks in it
        let by_quota = place.available / same.len();
        let threads = match allowed {
            0 => by_quota,
            _ if place.available < allowed => by_cores.min(by_quota),
            _ => by_cores,
        };
        let together = same.iter().fold(Cores::default(), |all, other| {
            let mut both = all;
            both.iter_mut().zip(other.allowed).for_each(|(to, bits)| *to |= bits);
            both
        });
        CoreShare {
            host: place.host.clone(),
            threads: threads.max(1),
            allowed: if allowed == 0 { place.available } else { allowed },
            machine: place.machine,
            is_narrow: allowed > 0 && 2 * count(&together) <= place.machine,
        }
    };
    CoreShares(places.iter().map(share).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::alone::Alone;
    use crate::group::threads::threads;

    /// A rank that may run on these cores of a machine of 64.
    fn place(host: &str, list: &str) -> Place {
        let allowed = cores_of(list).unwrap();
        Place { host: host.to_string(), allowed, available: count(&allowed), machine: 64 }
    }

    fn threads_of(places: &[Place]) -> Vec<usize> {
        shares(places).0.iter().map(|share| share.threads).collect()
    }

    #[test]
    fn lists_of_cores_are_read() {
        let numbers =
            |list| cores_of(list).map(|cores| (0..1024).filter(|&core| holds(&cores, core)).collect::<Vec<_>>());
        assert_eq!(numbers(" 0-2,64,1023\n"), Some(vec![0, 1, 2, 64, 1023]));
        assert_eq!((numbers(""), numbers("0-1024"), numbers("a-3"), numbers("2,")), (None, None, None, None));
    }

    #[test]
    fn what_a_rank_sends_is_what_the_others_know() {
        for host in ["node1", "", &"n".repeat(64)] {
            let place = Place { available: 3, ..place(host, "0-3,700") };
            assert_eq!(Place::received(&place.sent()), place);
        }
        assert_eq!(Place::received(&place(&"n".repeat(70), "0").sent()).host, "n".repeat(64));
    }

    #[test]
    fn unbound_ranks_divide_the_machine() {
        assert_eq!(threads_of(&[place("a", "0-63"), place("b", "0-63")]), [64, 64]);
        assert_eq!(threads_of(&vec![place("a", "0-63"); 4]), [16; 4]);
        assert_eq!(threads_of(&vec![place("a", "0-63"); 3]), [21; 3]);
        // more ranks than cores
        assert_eq!(threads_of(&vec![place("a", "0-1"); 3]), [1; 3]);
    }

    #[test]
    fn bound_ranks_take_their_own_cores() {
        assert_eq!(threads_of(&[place("a", "0-31"), place("a", "32-63")]), [32, 32]);
        assert_eq!(threads_of(&[place("a", "0"), place("a", "1-7")]), [1, 7]);
        // four ranks on two sockets, bound to these
        let socket = [place("a", "0-31"), place("a", "32-63")];
        assert_eq!(threads_of(&[&socket[..], &socket].concat()), [16; 4]);
        // three thirds are one
        assert_eq!(threads_of(&vec![place("a", "0-2"); 3]), [1; 3]);
    }

    #[test]
    fn a_container_divides_its_cores_and_its_quota() {
        // cores that the container has to itself are no rank's own
        assert_eq!(threads_of(&vec![place("pod", "8-15"); 2]), [4, 4]);
        let quota = |available, list| Place { available, ..place("pod", list) };
        assert_eq!(threads_of(&vec![quota(8, "0-63"); 2]), [4, 4]);
        assert_eq!(threads_of(&[quota(8, "0-1"), quota(8, "2-3")]), [2, 2]);
        // where the system tells no cores
        let unknown = Place { allowed: Cores::default(), available: 12, ..place("mac", "0") };
        assert_eq!(threads_of(&vec![unknown; 3]), [4; 3]);
    }

    #[test]
    fn a_line_tells_ranks_with_the_same_share() {
        let mut places = vec![place("a", "0-63"); 2];
        places.extend([place("b", "0"), place("b", "1")]);
        places.push(place("c", "0-63"));
        let expected = "\
            ranks 0 to 1 on a: 32 threads each, allowed on 64 of 64 cores\n\
            ranks 2 to 3 on b: 1 thread each, allowed on 1 of 64 cores \
             (Open MPI binds ranks to cores unless mpirun is told --bind-to none)\n\
            rank 4 on c: 64 threads, allowed on 64 of 64 cores";
        assert_eq!(shares(&places).to_string(), expected);
    }

    #[test]
    fn ranks_tell_each_other() {
        let CoreShares(alone) = CoreShares::of(&Alone).unwrap();
        let [only] = &alone[..] else { panic!("{alone:?}") };
        assert_eq!(only.threads, std::thread::available_parallelism().unwrap().get());
        let all = std::thread::scope(|scope| {
            let started: Vec<_> =
                threads(3).into_iter().map(|rank| scope.spawn(move || CoreShares::of(&rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap().unwrap()).collect::<Vec<_>>()
        });
        assert!(all.iter().all(|shares| *shares == all[0]));
        let hosts: Vec<&str> = all[0].0.iter().map(|share| &share.host[..]).collect();
        assert_eq!(hosts, ["thread 0", "thread 1", "thread 2"]);
    }
}
