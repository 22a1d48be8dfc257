//! A block's forward pass by windows: a task takes a few of them through all of its steps, so that only the map that comes in and
//! the map that goes out leave the second-level cache, and no thread waits for another between steps.
//!
//! It is for products that read tiles, where nothing is saved. Queries, keys and values are then written in bf16, as
//! attention's products read them. Finite numbers are those of the block's steps over whole maps, to the bit.

use super::state::{Block, tiled_layer_norm};
use crate::kernels::cpu::attention::windowed::Operands;
use crate::kernels::cpu::attention::windows::Window;
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::cpu::gemm::driver::Epilogue;
use crate::kernels::cpu::gemm::tiled::{HalfRows, tiled_linear, tiled_linear_halves};
use crate::kernels::cpu::vector::bf16::largest_of_four_bf16;
use crate::kernels::cpu::vector::rows::largest_of_four;
use rayon::prelude::*;
use std::cmp::Reverse;

/// Tokens of a task, about: enough rows for each weight that is read, few enough for the second-level cache.
const TASK_TOKENS: usize = 192;
/// Fewer are not worth reading all of a block's weights for.
const FEWEST_TOKENS: usize = 96;
/// A larger window's layers would not stay in that cache.
const MOST_TOKENS: usize = 512;
/// Tasks for each thread from which on no thread waits long for another, whatever their order.
const MANY: usize = 4;

/// Shares out windows of so many tokens: each task's windows. `None` if tasks would be short, or one thread would work much
/// longer than another.
fn share_out(tokens: &[usize], threads: usize) -> Option<Vec<Vec<usize>>> {
    let total: usize = tokens.iter().sum();
    let largest = *tokens.iter().max()?;
    let count = (total / TASK_TOKENS / threads).max(1) * threads;
    let mut tasks = vec![Vec::new(); count];
    let mut loads = vec![0; count];
    let mut add = |task: usize, window: usize| {
        tasks[task].push(window);
        loads[task] += tokens[window];
        loads[task]
    };
    if count >= MANY * threads && largest <= total / count {
        // neighbours stay together
        let mut before = 0;
        for (window, tokens) in tokens.iter().enumerate() {
            add(before * count / total, window);
            before += tokens;
        }
    } else {
        // the longest first, each to the task with the fewest tokens so far
        let mut order: Vec<usize> = (0..tokens.len()).collect();
        order.sort_by_key(|window| Reverse(tokens[*window]));
        let mut shortest = vec![0; count];
        for window in order {
            let task = (0..count).min_by_key(|task| shortest[*task]).unwrap_or(0);
            shortest[task] = add(task, window);
        }
    }
    tasks.retain(|windows| !windows.is_empty());
    loads.retain(|load| *load > 0);
    let (most, fewest) = (loads.iter().max()?, loads.iter().min()?);
    // rounds of tasks, all of them as long as the longest, against an even share
    let rounds = loads.len().div_ceil(threads);
    let even = 10 * rounds * threads * most <= 13 * total || loads.len() >= MANY * threads;
    (even && *fewest >= FEWEST_TOKENS && largest <= MOST_TOKENS).then_some(tasks)
}

/// A window's lines, or those of several, of the map that goes out.
type Lines<'y> = Vec<&'y mut [f32]>;

impl Block<'_> {
    /// The windows of each task, counted over all maps of the batch; `None` if the block is not computed by windows.
    pub(super) fn window_tasks(&self) -> Option<Vec<Vec<usize>>> {
        let f = self.frozen;
        let weights = [&f.qkv, &f.proj, &f.fc1, &f.fc2].into_iter().chain(&f.skip).map(|layer| layer[0].packed());
        let shape = self.attention().shape;
        if !weights.chain([&self.down, &self.up]).all(|weight| weight.takes_tiles()) || shape.dim % 2 == 1 {
            return None;
        }
        let windows = shape.windows();
        let one: Vec<usize> = (0..windows.count()).map(|i| windows.get(i).tokens()).collect();
        share_out(&one.repeat(self.size.batch), rayon::current_num_threads())
    }

    /// `y = block(x + gelu(up(gelu(down x))))` for the whole batch; see [`forward`](Self::forward).
    pub(super) fn forward_windows(&self, x: &[f32], tasks: &[Vec<usize>], y: &mut [f32]) {
        let attention = self.attention();
        let mut lines = self.lines_of_windows(y);
        let mut lines_of = |of: &[usize]| of.iter().flat_map(|i| std::mem::take(&mut lines[*i])).collect::<Lines<'_>>();
        let tasks: Vec<_> = tasks.iter().map(|of| (of, lines_of(of))).collect();
        let mut padded = HalfRows::new(1, 3 * self.size.out_channels);
        padded.set(0, 0, attention.bias);
        tasks.into_par_iter().for_each_init(
            || Operands::new(attention.precision),
            |operands, (of, lines)| {
                let y = self.some_windows(x, of, operands, &padded);
                let mut from = &y[..];
                for line in lines {
                    let (here, rest) = from.split_at(line.len());
                    line.copy_from_slice(here);
                    from = rest;
                }
            },
        );
    }

    /// The lines of each window of a batch of maps that goes out.
    fn lines_of_windows<'y>(&self, y: &'y mut [f32]) -> Vec<Lines<'y>> {
        let (co, map) = (self.size.out_channels, self.extent_out());
        let windows = self.attention().shape.query_windows();
        // those that each line of a map crosses, from left to right
        let mut on_line = vec![Vec::new(); map.height];
        for i in 0..windows.count() {
            let w = windows.get(i);
            on_line[w.y..w.y + w.height].iter_mut().for_each(|on_line| on_line.push((i, w.width)));
        }
        let mut lines: Vec<Lines<'y>> = (0..windows.count() * self.size.batch).map(|_| Vec::new()).collect();
        for (i, mut line) in y.chunks_exact_mut(map.width * co).enumerate() {
            for (window, width) in &on_line[i % map.height] {
                let (here, rest) = line.split_at_mut(width * co);
                lines[i / map.height * windows.count() + window].push(here);
                line = rest;
            }
        }
        lines
    }

    /// All steps for the tokens of some windows, one window after the other; what goes out has their order.
    fn some_windows(&self, x: &[f32], of: &[usize], operands: &mut Operands, padded: &HalfRows) -> Buffer {
        let (c, co, map, pool) = (self.size.channels, self.size.out_channels, self.size.map, self.size.pool);
        let (attention, f) = (self.attention(), self.frozen);
        let windows = attention.shape.windows();
        let places: Vec<_> = of.iter().map(|i| (i / windows.count(), windows.get(i % windows.count()))).collect();
        let n: usize = places.iter().map(|(_, w)| w.tokens()).sum();
        let m = if pool { n / 4 } else { n };

        let mut rows = Buffer::new(n * c);
        let mut to = rows.chunks_exact_mut(c);
        for (image, w) in &places {
            for line in 0..w.height {
                let start = ((image * map.height + w.y + line) * map.width + w.x) * c;
                let from = x[start..][..w.width * c].chunks_exact(c);
                from.zip(&mut to).for_each(|(from, to)| to.copy_from_slice(from));
            }
        }
        let mut z = Buffer::new(n * c);
        self.adapt_rows(&rows, &mut z);
        let normed = tiled_layer_norm(&z, &f.norm1);
        let qkv = tiled_linear_halves(&normed, f.qkv[0].packed(), f.qkv[1].values());
        // a pooling block's queries, and what its skip path adds
        let pooled = f.skip.as_ref().map(|[weight, bias]| {
            let mut full = Buffer::new(n * co);
            tiled_linear(&normed, weight.packed(), bias.values(), Epilogue::None, &mut full);
            let (mut queries, mut skip, mut which) = (HalfRows::new(m, co), Buffer::new(m * co), vec![0; co]);
            let four = pooled_tokens(places.iter().map(|(_, w)| w));
            for (i, (four, skip)) in four.zip(skip.chunks_exact_mut(co)).enumerate() {
                largest_of_four(four.map(|token| &full[token * co..][..co]), skip, &mut which);
                let four = four.map(|token| qkv.part(token..token + 1, 0..co).row(0));
                largest_of_four_bf16(four, queries.row_mut(i));
            }
            (queries, skip)
        });
        let (queries, residual) = pooled.as_ref().map_or((&qkv, &z), |(queries, skip)| (queries, skip));
        let (mut o, mut before) = (HalfRows::new(m, co), 0);
        for (_, w) in &places {
            let tokens = before..before + w.tokens();
            before = tokens.end;
            let of = if pool { tokens.start / 4..tokens.end / 4 } else { tokens.clone() };
            attention.forward_window(operands, (queries, of), (&qkv, tokens), (w.padding, padded), &mut o);
        }
        let mut a = Buffer::new(m * co);
        tiled_linear(&o, f.proj[0].packed(), f.proj[1].values(), Epilogue::Add(residual), &mut a);
        let mut y = if pool { Buffer::new(m * co) } else { rows };
        self.mlp_rows(&a, None, &mut y);
        y
    }
}

/// For each token after a 2x2 pool of each window the four that it is made of: their places among the windows' tokens.
fn pooled_tokens<'w>(windows: impl Iterator<Item = &'w Window>) -> impl Iterator<Item = [usize; 4]> {
    let mut before = 0;
    windows.flat_map(move |w| {
        let (first, width) = (before, w.width);
        before += w.tokens();
        (0..w.height).step_by(2).flat_map(move |y| {
            (0..width)
                .step_by(2)
                .map(move |x| [(y, x), (y, x + 1), (y + 1, x), (y + 1, x + 1)].map(|(y, x)| first + y * width + x))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::share_out;

    #[test]
    fn every_window_is_shared_out_once_and_no_thread_waits_long() {
        let cases =
            [vec![64; 121], vec![196, 112, 112, 64], vec![16; 484], [196, 112, 112, 64].repeat(12), vec![484; 12]];
        for (tokens, threads) in cases.iter().flat_map(|tokens| [1, 2, 3, 4, 7, 16].map(|threads| (tokens, threads))) {
            let Some(tasks) = share_out(tokens, threads) else { continue };
            let mut met: Vec<usize> = tasks.concat();
            met.sort_unstable();
            assert!(met.into_iter().eq(0..tokens.len()), "{threads} threads, {tokens:?}: {tasks:?}");
            // each thread takes the next task when it is done
            let mut loads = vec![0; threads];
            for task in tasks {
                let first = (0..threads).min_by_key(|i| loads[*i]).unwrap();
                loads[first] += task.iter().map(|window| tokens[*window]).sum::<usize>();
            }
            let (most, total) = (loads.iter().max().unwrap(), tokens.iter().sum::<usize>());
            assert!(10 * most * threads <= 14 * total, "{threads} threads, {tokens:?}: {loads:?}");
        }
        assert!(share_out(&[64; 121], 2).is_some() && share_out(&[196, 112, 112, 64], 2).is_some());
        // one map without windows, of any size; as many as threads and one more; and windows of a small map
        assert!(share_out(&[1936], 2).is_none() && share_out(&[4096], 4).is_none() && share_out(&[1936], 1).is_none());
        assert!(share_out(&[400; 4], 3).is_none() && share_out(&[400; 4], 2).is_some() && share_out(&[], 2).is_none());
        assert!(
            share_out(&[484], 2).is_none() && share_out(&[49, 28, 28, 16], 1).is_some_and(|tasks| tasks.len() == 1)
        );
        assert!(share_out(&[49, 28, 28, 16], 2).is_none() && share_out(&[196, 112, 112, 64], 4).is_none());
    }
}
