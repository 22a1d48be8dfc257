//! A sum in an order that depends on the number of its summands alone: a binary tree over their numbers.
//!
//! Floating-point addition depends on its order. The order here is that of a tree over `0..count`, cut where its left part is the
//! largest power of two that leaves something on the right. So the sum is the same to the bit, however many processes share the
//! summands: each adds up the nodes that it has all leaves of, and sends these.

use std::ops::Range;

/// Where a node of more than one leaf is cut.
fn middle(node: &Range<usize>) -> usize {
    node.start + node.len().next_power_of_two() / 2
}

/// The leaves of a rank: a contiguous part of `0..count`, which may be empty.
pub(crate) fn leaves(rank: usize, ranks: usize, count: usize) -> Range<usize> {
    rank * count / ranks..(rank + 1) * count / ranks
}

/// The fewest nodes of the tree over `0..count` that make up `part`, in order.
pub(crate) fn nodes(part: &Range<usize>, count: usize) -> Vec<Range<usize>> {
    fn walk(node: Range<usize>, part: &Range<usize>, found: &mut Vec<Range<usize>>) {
        if node.is_empty() || part.is_empty() || node.end <= part.start || part.end <= node.start {
            return;
        }
        if part.start <= node.start && node.end <= part.end {
            return found.push(node);
        }
        let middle = middle(&node);
        walk(node.start..middle, part, found);
        walk(middle..node.end, part, found);
    }
    let mut found = Vec::new();
    walk(0..count, part, &mut found);
    found
}

/// A node's leaves, and the sum over them.
pub(crate) type NodeSum = (Range<usize>, Vec<f32>);

/// Adds up leaves as they come, and holds no more sums than the tree has levels.
#[derive(Debug)]
pub(crate) struct Sums {
    count: usize,
    held: Vec<NodeSum>,
    /// Buffers that are free again.
    free: Vec<Vec<f32>>,
}

impl Sums {
    /// For a tree over `0..count`.
    pub fn new(count: usize) -> Self {
        Self { count, held: Vec::new(), free: Vec::new() }
    }

    /// An empty buffer for a leaf.
    pub fn buffer(&mut self) -> Vec<f32> {
        self.free.pop().unwrap_or_default()
    }

    /// Takes a leaf; they come in order.
    pub fn push(&mut self, leaf: usize, numbers: Vec<f32>) {
        self.held.push((leaf..leaf + 1, numbers));
        while let [.., (left, _), (right, _)] = &self.held[..] {
            let both = left.start..right.end;
            if left.end != right.start || !is_node(&both, self.count) || middle(&both) != right.start {
                break;
            }
            if let (Some((_, mut right)), Some((range, left))) = (self.held.pop(), self.held.last_mut()) {
                *range = both;
                add(left, &right);
                right.clear();
                self.free.push(right);
            }
        }
    }

    /// The nodes that the leaves made up.
    pub fn nodes(&self) -> &[NodeSum] {
        &self.held
    }

    /// The sum of all leaves, once they are there.
    pub fn into_root(mut self) -> Option<Vec<f32>> {
        self.held.pop().map(|(_, sum)| sum)
    }

    /// Begins anew, for a tree over `0..count`, with the buffers there are.
    pub fn restart(&mut self, count: usize) {
        self.count = count;
        self.free.extend(self.held.drain(..).map(|(_, mut numbers)| {
            numbers.clear();
            numbers
        }));
    }
}

/// Whether these leaves are a node of the tree over `0..count`.
fn is_node(range: &Range<usize>, count: usize) -> bool {
    let mut node = 0..count;
    while node != *range {
        if node.len() < 2 || node.len() < range.len() {
            return false;
        }
        let middle = middle(&node);
        node = if range.start < middle { node.start..middle } else { middle..node.end };
    }
    true
}

/// `left += right`.
pub(crate) fn add(left: &mut [f32], right: &[f32]) {
    left.iter_mut().zip(right).for_each(|(l, r)| *l += r);
}

/// Adds up `sums`, those of the `known` nodes, which make up the tree over `0..count`: `width` numbers each, one after the other.
/// Gives where the sum of all stands.
pub(crate) fn add_up(count: usize, known: &[Range<usize>], sums: &mut [f32], width: usize) -> Option<Range<usize>> {
    /// Gives which of the known nodes' places holds the sum of `node`.
    fn walk(node: Range<usize>, known: &[Range<usize>], sums: &mut [f32], width: usize) -> Option<usize> {
        if let Some(place) = known.iter().position(|other| *other == node) {
            return Some(place);
        }
        if node.len() < 2 {
            return None;
        }
        let middle = middle(&node);
        let left = walk(node.start..middle, known, sums, width)?;
        let right = walk(middle..node.end, known, sums, width)?;
        // nodes are in order, so the left one stands before the right one
        let (before, after) = sums.split_at_mut(right * width);
        add(&mut before[left * width..][..width], &after[..width]);
        Some(left)
    }
    let place = walk(0..count, known, sums, width)?;
    Some(place * width..(place + 1) * width)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The sum by the definition of the tree.
    fn plain(leaves: &[f32]) -> f32 {
        match leaves {
            [one] => *one,
            all => {
                let (left, right) = all.split_at(middle(&(0..all.len())));
                plain(left) + plain(right)
            }
        }
    }

    /// Numbers whose sum depends on its order.
    fn numbers(count: usize) -> Vec<f32> {
        (0..count).map(|i| (i as f32 * 1.7 + 0.3).sin() * 10f32.powi(i as i32 % 7)).collect()
    }

    #[test]
    fn any_share_of_the_leaves_gives_the_sum_of_the_tree() {
        for count in 1..14 {
            let numbers = numbers(count);
            for ranks in 1..=count + 2 {
                let (mut known, mut sums) = (Vec::new(), Vec::new());
                for rank in 0..ranks {
                    let own = leaves(rank, ranks, count);
                    let mut part = Sums::new(count);
                    own.clone().for_each(|leaf| part.push(leaf, vec![numbers[leaf]]));
                    let made: Vec<_> = part.nodes().iter().map(|(node, _)| node.clone()).collect();
                    assert_eq!(made, nodes(&own, count));
                    known.extend(made);
                    sums.extend(part.nodes().iter().flat_map(|(_, sum)| sum.clone()));
                }
                let place = add_up(count, &known, &mut sums, 1).unwrap();
                assert_eq!(sums[place], [plain(&numbers)], "{count} leaves on {ranks} ranks");
            }
        }
        // the order matters, or nothing was shown
        assert_ne!(plain(&numbers(13)), numbers(13).iter().sum::<f32>());
    }

    #[test]
    fn few_sums_are_held() {
        let mut sums = Sums::new(64);
        for leaf in 0..64 {
            let mut buffer = sums.buffer();
            assert!(buffer.is_empty());
            buffer.push(1.0);
            sums.push(leaf, buffer);
            assert!(sums.nodes().len() + sums.free.len() <= 7, "{}", sums.nodes().len());
        }
        assert_eq!(sums.nodes(), [(0..64, vec![64.0])]);
        sums.restart(2);
        assert!(sums.nodes().is_empty() && sums.buffer().capacity() > 0);
    }
}
