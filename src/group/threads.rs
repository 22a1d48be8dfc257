//! Threads of one process as ranks: how all that stands on [`Group`] is tested without MPI.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use super::processes::{Group, GroupError};

/// How long a rank waits for the others.
const LIMIT: Duration = Duration::from_secs(120);

/// One of several threads that are ranks.
#[derive(Debug)]
pub struct Thread {
    rank: usize,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    size: usize,
    post: Mutex<Post>,
    changed: Condvar,
}

#[derive(Debug)]
struct Post {
    /// What is under way: `boxes[from][to]`.
    boxes: Vec<Vec<Option<Vec<u8>>>>,
    /// Which ranks are gone.
    gone: Vec<bool>,
}

/// As many ranks, to be given to as many threads. A rank that is dropped is lost to the others: who waits for it gets an error,
/// and what it has sent before still arrives.
pub fn threads(size: usize) -> Vec<Thread> {
    let boxes = (0..size).map(|_| vec![None; size]).collect();
    let post = Mutex::new(Post { boxes, gone: vec![false; size] });
    let shared = Arc::new(Shared { size, post, changed: Condvar::new() });
    (0..size).map(|rank| Thread { rank, shared: shared.clone() }).collect()
}

impl Thread {
    /// Waits for rank `other` until `ready` gives something.
    fn wait<T>(&self, other: usize, mut ready: impl FnMut(&mut Post) -> Option<T>) -> Result<T, GroupError> {
        let mut post = self.shared.post.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(result) = ready(&mut post) {
                self.shared.changed.notify_all();
                return Ok(result);
            }
            if post.gone[other] {
                return Err(GroupError(format!("rank {other} is gone")));
            }
            let waited = self.shared.changed.wait_timeout(post, LIMIT).unwrap_or_else(PoisonError::into_inner);
            if waited.1.timed_out() {
                return Err(GroupError(format!("no answer from the others for {} s", LIMIT.as_secs())));
            }
            post = waited.0;
        }
    }
}

impl Drop for Thread {
    fn drop(&mut self) {
        self.shared.post.lock().unwrap_or_else(PoisonError::into_inner).gone[self.rank] = true;
        self.shared.changed.notify_all();
    }
}

impl Group for Thread {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.shared.size
    }

    fn host(&self) -> String {
        format!("thread {}", self.rank)
    }

    fn local(&self) -> (usize, usize) {
        (self.rank, self.shared.size)
    }

    fn gather(&self, mine: &[u8], all: &mut [u8], lengths: &[usize]) -> Result<(), GroupError> {
        let size = self.size();
        self.exchange(&mine.repeat(size), &vec![mine.len(); size], all, lengths)
    }

    fn exchange(&self, send: &[u8], sent: &[usize], receive: &mut [u8], received: &[usize]) -> Result<(), GroupError> {
        let mut rest = send;
        for (to, &length) in sent.iter().enumerate() {
            let (part, after) = rest.split_at(length);
            rest = after;
            // the box may still hold what was sent before
            self.wait(to, |post| {
                let free = post.boxes[self.rank][to].is_none();
                free.then(|| post.boxes[self.rank][to] = Some(part.to_vec()))
            })?;
        }
        let mut place = receive;
        for (from, &length) in received.iter().enumerate() {
            let part = self.wait(from, |post| post.boxes[from][self.rank].take())?;
            if part.len() != length {
                return Err(GroupError(format!("rank {from} sent {} bytes instead of {length}", part.len())));
            }
            let (head, after) = place.split_at_mut(length);
            head.copy_from_slice(&part);
            place = after;
        }
        Ok(())
    }

    /// A thread cannot end the others: it panics, and is lost to them.
    fn abort(&self, reason: &str, status: i32) -> ! {
        panic!("rank {} ends all with status {status}: {reason}", self.rank)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs `work` on so many threads as ranks; gives what each returned.
    fn with_ranks<T: Send>(size: usize, work: impl Fn(Thread) -> T + Sync) -> Vec<T> {
        std::thread::scope(|scope| {
            let started: Vec<_> = threads(size).into_iter().map(|rank| scope.spawn(|| work(rank))).collect();
            started.into_iter().map(|thread| thread.join().unwrap()).collect()
        })
    }

    #[test]
    fn parts_arrive_in_the_order_of_the_ranks() {
        let lengths = [1, 0, 3];
        let all = with_ranks(3, |group| {
            let (mine, mut all) = (vec![group.rank() as u8; lengths[group.rank()]], [9; 4]);
            // twice: nothing of the first is left
            for _ in 0..2 {
                group.gather(&mine, &mut all, &lengths).unwrap();
            }
            // to rank r goes r + 10 times the sender
            let send: Vec<u8> = (0..3).map(|to| to + 10 * group.rank() as u8).collect();
            let mut received = [0; 3];
            group.exchange(&send, &[1; 3], &mut received, &[1; 3]).unwrap();
            (all, received)
        });
        for (rank, (all, received)) in all.into_iter().enumerate() {
            assert_eq!(all, [0, 2, 2, 2]);
            assert_eq!(received, [0, 10, 20].map(|from| from + rank as u8));
        }
    }

    #[test]
    fn a_rank_that_is_gone_ends_the_waiting() {
        let results = with_ranks(2, |group| match group.rank() {
            0 => Ok(()),
            _ => group.gather(&[1], &mut [0; 2], &[1; 2]),
        });
        assert_eq!(results[1], Err(GroupError("rank 0 is gone".to_string())));
    }

    #[test]
    fn a_rank_that_is_done_is_no_loss_to_those_who_wait_for_another() {
        let results = with_ranks(3, |group| {
            if group.rank() == 2 {
                // long enough for rank 0 to be gone, which waits for nobody
                std::thread::sleep(Duration::from_millis(50));
            }
            let mut all = [9; 3];
            match group.rank() {
                0 => group.exchange(&[7, 7, 7], &[1; 3], &mut all[..1], &[1, 0, 0]),
                _ => group.exchange(&[7, 7], &[0, 1, 1], &mut all, &[1; 3]),
            }
            .map(|()| all)
        });
        assert_eq!(results[1..], [Ok([7; 3]), Ok([7; 3])]);
    }

    #[test]
    fn lengths_that_differ_are_told() {
        let results = with_ranks(2, |group| {
            let length = 1 + group.rank();
            group.gather(&vec![0; length], &mut vec![0; 2 * length], &[length; 2])
        });
        assert!(results[0].as_ref().unwrap_err().0.contains("sent 2 bytes instead of 1"), "{results:?}");
    }
}
