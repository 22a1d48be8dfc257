//! What batches of a step gave on all ranks: the sum of their gradients, and their losses and statistics in order.

use std::ops::Range;

use bytemuck::{cast_slice, cast_slice_mut};

use super::error::RanksError;
use super::ranks::Ranks;
use super::tree::{Sums, add_up, leaves, nodes};

/// Which numbers of a sum a rank adds up for all.
fn slice(rank: usize, ranks: usize, length: usize) -> Range<usize> {
    rank * length / ranks..(rank + 1) * length / ranks
}

/// Gradients of a step's batches, and their sum over all ranks. Its buffers are kept from step to step.
///
/// In each step a rank begins, gives the gradients of its own batches in order, and asks for the total: all ranks with the same
/// number of batches and the same length. Rank `r` of `n` has the batches `r * batches / n..(r + 1) * batches / n`.
///
/// A rank adds up its own batches along a binary tree over all of the step's, which depends on their number alone. Each rank then
/// completes the sum for a slice of the numbers, which it gets from all others, and hands it to all: about twice the gradient is sent
/// by a rank, whatever their number. No addition is left to MPI, whose order depends on the number of ranks and on the network.
#[derive(Debug)]
pub struct GradientSum {
    batches: usize,
    sums: Sums,
    send: Vec<f32>,
    received: Vec<f32>,
    total: Vec<f32>,
}

impl Default for GradientSum {
    fn default() -> Self {
        Self::new()
    }
}

impl GradientSum {
    /// Nothing yet.
    pub fn new() -> Self {
        Self { batches: 0, sums: Sums::new(0), send: Vec::new(), received: Vec::new(), total: Vec::new() }
    }

    /// Begins a step of so many batches on all ranks.
    pub fn begin(&mut self, batches: usize) {
        self.batches = batches;
        self.sums.restart(batches);
    }

    /// An empty buffer for a batch's gradient.
    pub fn buffer(&mut self) -> Vec<f32> {
        self.sums.buffer()
    }

    /// Takes the gradient of this rank's next batch.
    pub fn push(&mut self, batch: usize, gradient: Vec<f32>) {
        self.sums.push(batch, gradient);
    }

    /// The sum over all batches of all ranks: `length` numbers. All ranks take part.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn total(&mut self, ranks: &Ranks, length: usize) -> Result<&[f32], RanksError> {
        if !ranks.are_several() {
            return Ok(self.sums.nodes().first().map_or(&[], |(_, sum)| sum));
        }
        let mut total = std::mem::take(&mut self.total);
        total.resize(length, 0.0);
        self.total_into(ranks, &mut total)?;
        self.total = total;
        Ok(&self.total)
    }

    /// [`total`](Self::total) into `total`, of whose length the sum is.
    ///
    /// # Errors
    /// When a rank is lost.
    fn total_into(&mut self, ranks: &Ranks, total: &mut [f32]) -> Result<(), RanksError> {
        let length = total.len();
        if !ranks.are_several() {
            if let Some((_, sum)) = self.sums.nodes().first() {
                total.copy_from_slice(sum);
            }
            return Ok(());
        }
        let (rank, size, batches) = (ranks.rank(), ranks.size(), self.batches);
        let nodes_of = |rank: usize| nodes(&leaves(rank, size, batches), batches);
        let slice_of = |rank: usize| slice(rank, size, length);
        let own = slice_of(rank);
        let made = self.sums.nodes();
        debug_assert_eq!(made.iter().map(|(node, _)| node.clone()).collect::<Vec<_>>(), nodes_of(rank));
        // with one node to send, it lies as it is sent
        let send = match made {
            [(_, sum)] => &sum[..],
            _ => {
                self.send.clear();
                for to in 0..size {
                    made.iter().for_each(|(_, sum)| self.send.extend_from_slice(&sum[slice_of(to)]));
                }
                &self.send[..]
            }
        };
        let sent: Vec<usize> = (0..size).map(|to| slice_of(to).len() * made.len() * 4).collect();
        let known: Vec<Range<usize>> = (0..size).flat_map(nodes_of).collect();
        let received: Vec<usize> = (0..size).map(|from| nodes_of(from).len() * own.len() * 4).collect();
        self.received.resize(known.len() * own.len(), 0.0);
        ranks.exchange(cast_slice(send), &sent, cast_slice_mut(&mut self.received), &received)?;
        let sum = add_up(batches, &known, &mut self.received, own.len()).unwrap_or_default();
        let lengths: Vec<usize> = (0..size).map(|rank| slice_of(rank).len() * 4).collect();
        ranks.gather_into(cast_slice(&self.received[sum]), cast_slice_mut(total), &lengths)
    }
}

/// The sums of gradients that come in parts, each part by itself: the same sums to the bit, as each number is added up by itself.
#[derive(Debug, Default)]
pub(crate) struct SumInParts {
    parts: Vec<(Range<usize>, GradientSum)>,
    total: Vec<f32>,
}

impl SumInParts {
    /// Begins a step of so many batches on all ranks, whose gradients have these parts.
    pub fn begin(&mut self, batches: usize, parts: Vec<Range<usize>>) {
        self.parts.resize_with(parts.len(), || (0..0, GradientSum::new()));
        for ((range, sum), part) in self.parts.iter_mut().zip(parts) {
            *range = part;
            sum.begin(batches);
        }
        let length = self.parts.iter().map(|(range, _)| range.end).max().unwrap_or(0);
        self.total.resize(length, 0.0);
    }

    /// How many parts there are.
    pub fn count(&self) -> usize {
        self.parts.len()
    }

    /// The sum of a part, for its buffers and batches.
    pub fn of(&mut self, part: usize) -> &mut GradientSum {
        &mut self.parts[part].1
    }

    /// Adds up a part over all batches of all ranks. All ranks take part, with the same parts in the same order.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn complete(&mut self, part: usize, ranks: &Ranks) -> Result<(), RanksError> {
        let (range, sum) = &mut self.parts[part];
        sum.total_into(ranks, &mut self.total[range.clone()])
    }

    /// The sum over all batches, of the parts that are complete.
    pub fn total(&self) -> &[f32] {
        &self.total
    }
}

/// What the batches of a step gave beside their gradients: this rank's or, after [`gathered`](Self::gathered), all.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Seen {
    /// The loss of each.
    pub losses: Vec<f64>,
    /// What batch norms saw of each, batch after batch.
    pub statistics: Vec<f32>,
}

impl Seen {
    /// The losses of batches of which each rank has a part, added up in the order of the ranks. What batch norms saw is the same on all
    /// of them.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn added_up(self, ranks: &Ranks) -> Result<Self, RanksError> {
        let (size, batches) = (ranks.size(), self.losses.len());
        let mut all = vec![0.0; size * batches];
        ranks.gather_into(cast_slice(&self.losses), cast_slice_mut(&mut all), &vec![8 * batches; size])?;
        let loss = |batch: usize| all.iter().skip(batch).step_by(batches).sum();
        Ok(Self { losses: (0..batches).map(loss).collect(), ..self })
    }

    /// Those of all ranks, in the order of the step's `batches`; each has `width` numbers of batch norms.
    ///
    /// # Errors
    /// When a rank is lost.
    pub fn gathered(self, ranks: &Ranks, batches: usize, width: usize) -> Result<Self, RanksError> {
        if !ranks.are_several() {
            return Ok(self);
        }
        let counts: Vec<usize> = (0..ranks.size()).map(|rank| leaves(rank, ranks.size(), batches).len()).collect();
        let bytes_of = |width: usize| -> Vec<usize> { counts.iter().map(|count| count * width).collect() };
        let mut all = Self { losses: vec![0.0; batches], statistics: vec![0.0; batches * width] };
        ranks.gather_into(cast_slice(&self.losses), cast_slice_mut(&mut all.losses), &bytes_of(8))?;
        ranks.gather_into(cast_slice(&self.statistics), cast_slice_mut(&mut all.statistics), &bytes_of(4 * width))?;
        Ok(all)
    }
}
