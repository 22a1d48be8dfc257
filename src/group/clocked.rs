//! Ranks on a virtual clock: how long a network that is not here would take for what they send each other.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::processes::{Group, GroupError};

/// What carries one message at a time in one direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Link {
    /// Seconds for a message of any length.
    pub latency: f64,
    /// Bytes a second.
    pub rate: f64,
}

impl Link {
    /// Seconds that a message of so many bytes holds it.
    pub fn seconds(&self, bytes: usize) -> f64 {
        self.latency + bytes as f64 / self.rate
    }
}

/// Machines on a network that is never the bottleneck itself: what limits is each machine's link to it, one in each direction.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Network {
    /// Each machine's, which its ranks share.
    pub link: Link,
    /// Each rank's, to the others on its machine.
    pub memory: Link,
    /// How many ranks a machine has: 0 to 7 are on the first if these are eight.
    pub ranks_a_machine: usize,
}

impl Network {
    fn machine(&self, rank: usize) -> usize {
        rank / self.ranks_a_machine
    }
}

/// One rank of a group, whose messages take no time of its virtual clock but what they would take on a [`Network`].
///
/// The bytes are really sent, by the group inside, and each message carries its sender's clock. It holds the link out of its
/// sender's machine and the one into its receiver's for latency and bytes / rate, from when its sender calls and both are free.
/// The receiver's clock goes on to the end of the last message that it sends or gets. Each rank sends first to the rank after
/// it, then to the one after that; a gather is as many messages, each rank's own bytes to each other. Nothing is sent for
/// nothing.
///
/// Time to compute is not measured here: it is told ([`with_sum`](Self::with_sum)), as many ranks on few cores would disturb each
/// other. So the clocks of two runs are the same.
#[derive(Debug)]
pub struct Clocked<G> {
    inner: G,
    sum: f64,
    clock: Mutex<Clock>,
}

#[derive(Debug)]
struct Clock {
    /// Seconds.
    now: f64,
    /// All links: each rank follows them all, and all come to the same times.
    links: Links,
}

impl<G: Group> Clocked<G> {
    /// Sets this rank's clock to 0. All ranks of a group have the same network.
    pub fn new(inner: G, network: Network) -> Self {
        let links = Links::new(network, inner.size());
        Self { inner, sum: 0.0, clock: Mutex::new(Clock { now: 0.0, links }) }
    }

    /// A rank computes for so many seconds after each [`exchange`](Group::exchange): it adds up what it got.
    pub fn with_sum(self, seconds: f64) -> Self {
        Self { sum: seconds, ..self }
    }

    /// Seconds since the beginning.
    pub fn now(&self) -> f64 {
        self.clock().now
    }

    fn clock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sends, receives, and lets the clock go on. Before the bytes of each message stand the clock, and how many bytes this rank
    /// sends to each.
    fn pass(&self, send: &[u8], sent: &[usize], receive: &mut [u8], received: &[usize]) -> Result<(), GroupError> {
        let mut clock = self.clock();
        let head: Vec<u64> = [clock.now.to_bits()].into_iter().chain(sent.iter().map(|&bytes| bytes as u64)).collect();
        let head: Vec<u8> = head.into_iter().flat_map(u64::to_le_bytes).collect();
        let headed = |lengths: &[usize]| lengths.iter().map(|bytes| head.len() + bytes).collect::<Vec<_>>();
        let mut posted = Vec::with_capacity(sent.len() * head.len() + send.len());
        let mut rest = send;
        for &bytes in sent {
            let (part, after) = rest.split_at(bytes);
            posted.extend_from_slice(&head);
            posted.extend_from_slice(part);
            rest = after;
        }
        let mut arrived = vec![0; received.len() * head.len() + receive.len()];
        self.inner.exchange(&posted, &headed(sent), &mut arrived, &headed(received))?;

        let (mut begun, mut messages) = (Vec::new(), Vec::new());
        let (mut rest, mut place) = (&arrived[..], receive);
        for &bytes in received {
            let (message, after) = rest.split_at(head.len() + bytes);
            let (told, part) = message.split_at(head.len());
            let mut told = told.as_chunks().0.iter().map(|number| u64::from_le_bytes(*number));
            begun.push(told.next().map_or(0.0, f64::from_bits));
            messages.push(told.map(|bytes| bytes as usize).collect());
            let (own, free) = place.split_at_mut(bytes);
            own.copy_from_slice(part);
            (rest, place) = (after, free);
        }
        clock.now = clock.links.carry(&begun, &messages)[self.rank()];
        Ok(())
    }
}

impl<G: Group> Group for Clocked<G> {
    fn rank(&self) -> usize {
        self.inner.rank()
    }

    fn size(&self) -> usize {
        self.inner.size()
    }

    fn host(&self) -> String {
        format!("machine {}", self.clock().links.network.machine(self.rank()))
    }

    fn local(&self) -> (usize, usize) {
        let network = self.clock().links.network;
        let own = network.machine(self.rank());
        let ranks = (0..self.size()).filter(|&rank| network.machine(rank) == own).count();
        (self.rank() % network.ranks_a_machine, ranks)
    }

    fn gather(&self, mine: &[u8], all: &mut [u8], lengths: &[usize]) -> Result<(), GroupError> {
        let size = self.size();
        self.pass(&mine.repeat(size), &vec![mine.len(); size], all, lengths)
    }

    fn exchange(&self, send: &[u8], sent: &[usize], receive: &mut [u8], received: &[usize]) -> Result<(), GroupError> {
        self.pass(send, sent, receive, received)?;
        self.clock().now += self.sum;
        Ok(())
    }

    fn abort(&self, reason: &str, status: i32) -> ! {
        self.inner.abort(reason, status)
    }
}

/// Until when each link is held: of each machine, then of each rank to the others on its machine.
#[derive(Debug)]
struct Links {
    network: Network,
    out: Vec<f64>,
    into: Vec<f64>,
}

impl Links {
    fn new(network: Network, ranks: usize) -> Self {
        // no more machines than ranks
        Self { network, out: vec![0.0; 2 * ranks], into: vec![0.0; 2 * ranks] }
    }

    /// Carries what ranks that call at `begun` send: `messages[from][to]` bytes. Gives when each rank has sent and got all its own.
    fn carry(&mut self, begun: &[f64], messages: &[Vec<usize>]) -> Vec<f64> {
        let ranks = begun.len();
        let mut done = begun.to_vec();
        let sends = |from: usize| (1..ranks).map(move |ahead| (from + ahead) % ranks);
        let mut waiting: Vec<_> =
            (0..ranks).map(|from| sends(from).filter(move |&to| messages[from][to] > 0).peekable()).collect();
        loop {
            // of the message that each rank sends next, the one that can begin first
            let next = waiting.iter_mut().enumerate().filter_map(|(from, next)| next.peek().map(|&to| (from, to)));
            let next = next.map(|(from, to)| {
                let (link, out, into) = self.between(from, to);
                (begun[from].max(self.out[out]).max(self.into[into]), from, to, link, out, into)
            });
            let Some((start, from, to, link, out, into)) = next.min_by(|a, b| a.0.total_cmp(&b.0)) else { break };
            waiting[from].next();
            let end = start + link.seconds(messages[from][to]);
            (self.out[out], self.into[into]) = (end, end);
            done[from] = done[from].max(end);
            done[to] = done[to].max(end);
        }
        done
    }

    /// What carries a message, and where its two ends stand.
    fn between(&self, from: usize, to: usize) -> (Link, usize, usize) {
        let (there, machines) = (self.network.machine(to), self.out.len() / 2);
        match self.network.machine(from) {
            here if here == there => (self.network.memory, machines + from, machines + to),
            here => (self.network.link, here, there),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::group::threads::threads;

    /// 1 s a message and 10 bytes a second between machines; a hundredth of it within one.
    fn network(ranks_a_machine: usize) -> Network {
        let link = Link { latency: 1.0, rate: 10.0 };
        Network { link, memory: Link { latency: 0.01, rate: 1000.0 }, ranks_a_machine }
    }

    /// When each of four ranks is done with these messages of 20 bytes: 3 s each on a link.
    fn done(ranks_a_machine: usize, begun: [f64; 4], messages: &[(usize, usize)]) -> Vec<f64> {
        let mut sent = vec![vec![0; 4]; 4];
        messages.iter().for_each(|&(from, to)| sent[from][to] = 20);
        Links::new(network(ranks_a_machine), 4).carry(&begun, &sent)
    }

    #[test]
    fn a_link_carries_one_message_at_a_time() {
        assert_eq!(done(1, [0.0; 4], &[(0, 1)]), [3.0, 3.0, 0.0, 0.0]);
        // out of one, and into one
        assert_eq!(done(1, [0.0; 4], &[(0, 1), (0, 2)]), [6.0, 3.0, 6.0, 0.0]);
        assert_eq!(done(1, [0.0; 4], &[(1, 0), (2, 0)]), [6.0, 3.0, 6.0, 0.0]);
        // the latency is of each message, the rest of each byte
        let mut links = Links::new(network(1), 2);
        assert_eq!(links.carry(&[0.0; 2], &[vec![0, 40], vec![0, 0]]), [5.0; 2]);
        // and it is still held by what was sent before
        assert_eq!(links.carry(&[0.0; 2], &[vec![0, 40], vec![0, 0]]), [10.0; 2]);
    }

    #[test]
    fn links_work_side_by_side() {
        assert_eq!(done(1, [0.0; 4], &[(0, 1), (2, 3)]), [3.0; 4]);
        // one in each direction
        assert_eq!(done(1, [0.0; 4], &[(0, 1), (1, 0)]), [3.0, 3.0, 0.0, 0.0]);
        // all to all: in no order does it take less
        let all: Vec<_> = (0..16).map(|i| (i / 4, i % 4)).collect();
        assert_eq!(done(1, [0.0; 4], &all), [9.0; 4]);
    }

    #[test]
    fn a_message_begins_when_its_sender_does() {
        assert_eq!(done(1, [5.0, 0.0, 0.0, 0.0], &[(0, 1), (2, 1)]), [8.0, 8.0, 3.0, 0.0]);
        // who receives later has it when he calls
        assert_eq!(done(1, [0.0, 9.0, 0.0, 0.0], &[(0, 1)]), [3.0, 9.0, 0.0, 0.0]);
    }

    #[test]
    fn ranks_of_a_machine_share_its_link_and_have_their_own_among_themselves() {
        assert_eq!(done(2, [0.0; 4], &[(0, 2), (1, 3)]), [3.0, 6.0, 3.0, 6.0]);
        assert_eq!(done(2, [0.0; 4], &[(0, 1), (1, 0), (2, 3)]), [0.03, 0.03, 0.03, 0.03]);
        // all to all: each machine sends four messages by its link
        let all: Vec<_> = (0..16).map(|i| (i / 4, i % 4)).collect();
        assert_eq!(done(2, [0.0; 4], &all).into_iter().fold(0.0, f64::max), 12.0);
    }

    #[test]
    fn ranks_send_real_bytes_and_all_clocks_go_on() {
        let ranks = threads(3).into_iter().map(|rank| Clocked::new(rank, network(1)).with_sum(0.5));
        let results = std::thread::scope(|scope| {
            let run = |group: Clocked<_>| {
                let own = group.rank() as u8;
                let send: Vec<u8> = (0..3).flat_map(|to| [10 * own + to; 20]).collect();
                let mut received = vec![0; 60];
                group.exchange(&send, &[20; 3], &mut received, &[20; 3]).unwrap();
                let exchanged = group.now();
                let mut all = vec![9; 60];
                group.gather(&[own; 20], &mut all, &[20; 3]).unwrap();
                (received, exchanged, all, group.now(), group.host(), group.local())
            };
            let started: Vec<_> = ranks.map(|rank| scope.spawn(move || run(rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect::<Vec<_>>()
        });
        for (rank, (received, exchanged, all, gathered, host, local)) in results.into_iter().enumerate() {
            assert_eq!(received, (0..3).flat_map(|from| [10 * from + rank as u8; 20]).collect::<Vec<_>>());
            assert_eq!(all, (0..3).flat_map(|from| [from; 20]).collect::<Vec<_>>());
            // two messages each way of 3 s, then the sum, then two again
            assert_eq!((exchanged, gathered), (6.5, 12.5));
            assert_eq!((host, local), (format!("machine {rank}"), (0, 1)));
        }
    }
}
