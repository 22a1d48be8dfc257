//! A whole block, forward and backward, a group of maps at a time.
//!
//! Maps are NHWC. `n` counts tokens in, `m` tokens out (a quarter of `n` if the block pools), `c` channels in and `co` out.
//! Everything but attention works on rows of tokens and is done a few hundred rows at a time, so that the wide hidden layers
//! never exist for a whole map. Where nothing is saved and products read tiles, whole windows go through all steps of the block
//! together ([`by_window`](super::by_window)).

use super::state::{Block, BlockGradients, Saved, SavedActivations};
use crate::kernels::cpu::buffer::Buffer;
use crate::kernels::memory_use::MemoryUse;

/// Channels from which on an MLP's hidden layer is worth saving: each of its numbers saves twice as many operations. It
/// is so in the last two stages.
const HIDDEN_WORTH_SAVING: usize = 320;

impl Block<'_> {
    /// `y = block(x + gelu(up(gelu(down x))))` for the whole batch.
    pub fn forward(&self, x: &[f32], memory: MemoryUse, y: &mut [f32]) -> Saved {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let maps = self.maps_per_group();
        let (n, m) = (maps * self.tokens(), maps * self.tokens_out());
        // A pooling block's projections are four times as long for their output.
        let projections = memory != MemoryUse::Small && !self.size.pool;
        let hidden = memory == MemoryUse::Fast && co >= HIDDEN_WORTH_SAVING;
        if memory == MemoryUse::Small
            && let Some(tasks) = self.window_tasks()
        {
            self.forward_windows(x, &tasks, y);
            return Saved(x.chunks(n * c).map(|_| SavedActivations::default()).collect());
        }
        let groups = x.chunks(n * c).zip(y.chunks_mut(m * co)).map(|(x, y)| {
            let (z, qkv, skip) = self.project(x);
            // Nothing is saved. Products of tiles are short enough that a thread's waiting between two steps counts.
            if memory == MemoryUse::Small && self.frozen.fc1[0].packed().takes_tiles() {
                self.attend(&z, &qkv, skip.as_deref(), Some(y));
                return SavedActivations::default();
            }
            let a = self.attend(&z, &qkv, skip.as_deref(), None);
            let mut hidden = hidden.then(|| vec![0.0; 4 * a.len()]);
            self.mlp(&a, hidden.as_deref_mut(), y);
            SavedActivations {
                qkv: projections.then(|| qkv.into()),
                a: (memory != MemoryUse::Small).then(|| a.into()),
                hidden,
            }
        });
        Saved(groups.collect())
    }

    /// Adds to the gradients of the input and of the adapter.
    pub fn backward(&self, x: &[f32], saved: Saved, gy: &[f32], mut gradients: BlockGradients<'_>) {
        let (c, co) = (self.size.channels, self.size.out_channels);
        let maps = self.maps_per_group();
        let (n, m) = (maps * self.tokens(), maps * self.tokens_out());
        let transposed = self.transposed();
        let groups = x.chunks(n * c).zip(gradients.x.chunks_mut(n * c)).zip(gy.chunks(m * co));
        for (((x, gx), gy), activations) in groups.zip(saved.0) {
            let (z, qkv, skip) = match activations.qkv {
                Some(qkv) => (self.adapt(x), qkv.into(), None),
                None => self.project(x),
            };
            let a = match activations.a {
                Some(a) => a.into(),
                None => self.attend(&z, &qkv, skip.as_deref(), None),
            };
            let (ga, go) = self.mlp_backward(&transposed, &a, activations.hidden.as_deref(), gy);
            drop((a, activations.hidden));
            let mut gqkv = Buffer::shared(qkv.len());
            self.attention().backward(&qkv, &go, &mut gqkv);
            drop((qkv, go));
            let gz = self.project_backward(&transposed, &z, skip, &ga, &gqkv);
            self.adapter_backward(&transposed, x, gz, gx, &mut gradients.adapter);
        }
    }
}
