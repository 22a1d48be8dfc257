//! What a model costs: how many parameters, how much arithmetic.

use super::decoder::Up;
use super::layers::widths::{Hidden, Mid};
use super::sam2unet::Sam2UNet;
use super::variant::Variant;
use super::weights::build::Weights;
use super::weights::path::Path;
use super::weights::spec::{Role, SpecList, WeightSpec};
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use dfdx::{shapes::ConstDim, tensor::Cpu};

/// How many numbers of a model are parameters in PyTorch's sense: its weights and biases, without the
/// running statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Parameters {
    /// The trunk's.
    pub frozen: usize,
    /// Those that the optimiser changes.
    pub trainable: usize,
    /// Those of `up4`, which published counts call trainable though no output depends on them.
    pub unused: usize,
}

impl Parameters {
    /// All of them: what `sum(p.numel() for p in model.parameters())` gives in PyTorch.
    pub fn total(&self) -> usize {
        self.frozen + self.trainable + self.unused
    }
}

/// Counts the parameters of a model with `classes` classes.
///
/// # Panics
/// When `classes` is 0.
pub fn parameters<V: Variant>(classes: usize) -> Parameters {
    fn count(specs: &[WeightSpec], role: Role) -> usize {
        let of_role = specs.iter().filter(|s| s.role == role);
        of_role.map(WeightSpec::len).sum()
    }
    let specs = Sam2UNet::<V, Cpu, usize>::specs_for(classes);
    let mut up4 = SpecList::new(classes);
    <Up<Cpu> as Weights<Cpu>>::specs(&Path::root(), &mut up4);
    Parameters {
        frozen: count(&specs, Role::Frozen),
        trainable: count(&specs, Role::Trainable),
        unused: count(&up4.specs, Role::Trainable),
    }
}

/// Arithmetic of one image's inference, in 10^9 operations; a multiplication with its addition counts
/// as two.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gflop {
    /// Linear layers and convolutions.
    pub dense: f64,
    /// Products of queries with keys, and of their weights with values.
    pub attention: f64,
}

impl Gflop {
    /// Both.
    pub fn total(&self) -> f64 {
        self.dense + self.attention
    }
}

/// Counts one image's inference at a side that is a multiple of 32, as this crate computes it: windows'
/// padding is left out of the linear layers, and counts as one key in each window that has any.
pub fn gflop<V: Variant>(side: usize) -> Gflop {
    let mut map = side / 4;
    let mut dense = map * map * V::C1::SIZE * 3 * 49;
    let mut attention = 0;
    let mut number = 0;
    for stage in 0..4 {
        for i in 0..V::BLOCKS[stage] {
            let pools = stage > 0 && i == 0;
            let out = V::CHANNELS[stage];
            let (channels, stride) = if pools { (out / 2, 2) } else { (out, 1) };
            let (tokens, queries) = (map * map, (map / stride) * (map / stride));
            // adapter; queries, keys, values; output; MLP; skip
            dense += tokens * channels * 2 * Hidden::SIZE
                + tokens * channels * 3 * out
                + queries * out * out
                + queries * out * 8 * out
                + if pools { tokens * channels * out } else { 0 };
            attention += 2 * out * query_key_pairs(map, stride, V::attention(number).window);
            map /= stride;
            number += 1;
        }
        dense += map * map * rfb_macs_per_pixel(V::CHANNELS[stage]);
        if stage < 3 {
            // the decoder step that ends on this map, and its output
            let mid = Mid::SIZE;
            dense += map * map * (9 * 2 * mid * mid + 9 * mid * mid + mid);
        }
    }
    Gflop { dense: 2e-9 * dense as f64, attention: 2e-9 * attention as f64 }
}

/// Multiplications per pixel of a receptive-field block.
fn rfb_macs_per_pixel(channels: usize) -> usize {
    let mid = Mid::SIZE;
    let branches: usize = [3, 5, 7].map(|k| mid * mid * (2 * k + 9)).iter().sum();
    5 * channels * mid + branches + 9 * 4 * mid * mid
}

/// How many pairs of a query and a key an attention over a `map x map` map makes, its queries pooled
/// by `stride`; `window` 0 is the whole map.
fn query_key_pairs(map: usize, stride: usize, window: usize) -> usize {
    let window = if window == 0 { map } else { window };
    let spans: Vec<usize> = (0..map).step_by(window).map(|start| window.min(map - start)).collect();
    let pairs = |height: &usize, width: &usize| {
        let keys = height * width;
        let padding = usize::from(keys < window * window);
        (height / stride) * (width / stride) * (keys + padding)
    };
    let rows = spans.iter();
    rows.map(|h| spans.iter().map(|w| pairs(h, w)).sum::<usize>()).sum()
}

/// Expected peak memory of training a model with `classes` classes on the CPU, in bytes: the weights, gradients and
/// moments, what the tape keeps of each image of a batch, and the largest temporary of a block. An estimate from the
/// maps' sizes.
///
/// # Panics
/// When `classes` is 0.
pub fn training_bytes<V: Variant>(
    classes: usize,
    side: usize,
    batch: usize,
    memory: MemoryUse,
    precision: Precision,
) -> u64 {
    let counts = parameters::<V>(classes);
    let frozen = match precision {
        Precision::F32 | Precision::Tf32 => counts.frozen,
        Precision::Bf16 => counts.frozen / 2,
    };
    let weights = frozen + 4 * counts.trainable + counts.unused;
    let (mut kept, mut temporary) = (0, 0);
    for stage in 0..4 {
        let map = side / (4 << stage);
        let (tokens, channels, mid) = (map * map, V::CHANNELS[stage], Mid::SIZE);
        // a block's input; with more kept, also the attention's output and, in all blocks but the first of a stage that
        // pools, the projections; with most kept, in the last two stages also the MLP's hidden layer
        let (blocks, pools) = (V::BLOCKS[stage], usize::from(stage > 0));
        let balanced = 5 * blocks - 3 * pools;
        kept += tokens
            * channels
            * match memory {
                MemoryUse::Small => blocks,
                MemoryUse::Balanced => balanced,
                MemoryUse::Fast => balanced + if stage >= 2 { 4 * blocks } else { 0 },
            };
        // a convolution's output before its norm, and after it
        let convolved = if memory == MemoryUse::Small { 1 } else { 2 };
        // a receptive-field block: 15 convolutions, and their join
        kept += tokens * mid * (15 * convolved + 5);
        if stage < 3 {
            // a decoder step: the join, two convolutions
            kept += tokens * mid * (2 + 2 * convolved);
        }
        let group = tokens * (4096 / tokens).clamp(1, batch);
        // z, q, k, v and their gradients, attention in and out, before and after sorting
        temporary = temporary.max(group * channels * 12);
    }
    // images; for each class masks, weights of the loss, logits and their gradients
    kept += side * side * (3 + 9 * classes);
    let (weights, batch, kept) = (weights as u64, batch as u64, kept as u64);
    weights.saturating_add(batch.saturating_mul(kept)).saturating_add(temporary as u64).saturating_mul(4)
}

/// What inference of a batch takes at least beside the model, in bytes: the images, their masks, and a block of the
/// first stage at its widest (its input, its norm and the hidden layer of its MLP).
pub fn inference_bytes<V: Variant>(side: usize, batch: usize) -> u64 {
    let (pixels, tokens) = ((side * side) as u64, (side / 4 * (side / 4)) as u64);
    (batch as u64).saturating_mul(4 * (4 * pixels + 6 * tokens * V::CHANNELS[0] as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::variant::{BasePlus, Large, Small, Tiny};

    #[test]
    fn parameters_of_the_published_sizes() {
        fn counts<V: Variant>() -> (usize, usize) {
            let p = parameters::<V>(1);
            (p.total(), p.trainable + p.unused)
        }
        assert_eq!(counts::<Tiny>(), (29_547_715, 2_698_243));
        assert_eq!(counts::<Small>(), (36_745_539, 2_798_211));
        assert_eq!(counts::<BasePlus>(), (71_836_979, 3_161_267));
        assert_eq!(counts::<Large>(), (216_529_891, 4_380_595));
    }

    #[test]
    fn arithmetic_at_352() {
        let large = gflop::<Large>(352);
        assert!((large.dense - 204.0).abs() < 1.0, "{large:?}");
        assert!((large.attention - 9.0).abs() < 1.0, "{large:?}");
        let tiny = gflop::<Tiny>(352);
        assert!((tiny.total() - 36.0).abs() < 1.0, "{tiny:?}");
    }

    #[test]
    fn memory_grows_with_the_classes() {
        let bytes = |classes| training_bytes::<Tiny>(classes, 352, 12, MemoryUse::Balanced, Precision::F32) as f64;
        // three outputs' logits and gradients alone are 12 x 3 x 2 x 352 x 352 x 4 bytes a class
        assert!((bytes(151) - bytes(1)) / 150.0 > 12.0 * 3.0 * 2.0 * 352.0 * 352.0 * 4.0);
    }

    #[test]
    fn pairs_of_queries_and_keys() {
        assert_eq!(query_key_pairs(8, 1, 0), 64 * 64);
        assert_eq!(query_key_pairs(8, 1, 4), 4 * 16 * 16);
        assert_eq!(query_key_pairs(8, 2, 4), 4 * 4 * 16);
        // 10 = 8 + 2: one full window, two of 8x2 and one of 2x2 with a padding key each
        assert_eq!(query_key_pairs(10, 1, 8), 64 * 64 + 2 * 16 * 17 + 4 * 5);
    }
}
