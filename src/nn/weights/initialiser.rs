//! Random weights, for a model that starts without a file.

use super::source::{SourceError, WeightSource};
use super::spec::{Role, Value, WeightSpec};
use rand::{Rng, RngExt, SeedableRng, rngs::ChaCha8Rng};
use rayon::prelude::*;
use std::collections::HashMap;

/// Standard deviation of the trunk's linear weights and positional embeddings.
const TRUNK_STD: f64 = 0.02;
/// Numbers drawn from one generator; each further chunk of a weight has its own, so they can be drawn
/// in parallel.
const CHUNK: usize = 1 << 16;

/// A [`WeightSource`] of random weights, each a function of the seed and its own name and shape.
///
/// Trainable weights and biases start as PyTorch's `nn.Linear` and `nn.Conv2d` do: uniform within
/// `1 / sqrt(fan in)`. The trunk, if it must be random too, starts small, since a frozen random trunk with
/// PyTorch's default passes on next to nothing: linear weights and positional embeddings normal with
/// deviation 0.02, the stage projections orthogonal, the patch embedding Xavier uniform, biases zero.
/// Normalisations start as the identity.
#[derive(Clone, Debug)]
pub struct Initialiser {
    seed: u64,
    /// The shape of each weight asked for so far, by its name without `weight`: a bias is drawn within its weight's
    /// bounds.
    shapes: HashMap<String, Vec<usize>>,
}

impl Initialiser {
    /// Random weights from `seed`.
    pub fn new(seed: u64) -> Self {
        Self { seed, shapes: HashMap::new() }
    }

    fn generator(&self, name: &str, chunk: u64) -> ChaCha8Rng {
        // FNV-1a of the name; the generator's seed holds it beside the model's and the chunk
        let hash = name
            .bytes()
            .fold(0xCBF2_9CE4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
        let mut seed = [0; 32];
        for (bytes, word) in seed.chunks_exact_mut(8).zip([self.seed, hash, chunk, 0]) {
            bytes.copy_from_slice(&word.to_le_bytes());
        }
        ChaCha8Rng::from_seed(seed)
    }

    fn fill(&self, spec: &WeightSpec, draw: impl Fn(&mut ChaCha8Rng, &mut [f32]) + Sync) -> Vec<f32> {
        let mut numbers = vec![0.0; spec.len()];
        let chunks = numbers.par_chunks_mut(CHUNK).enumerate();
        chunks.for_each(|(i, chunk)| draw(&mut self.generator(&spec.name, i as u64), chunk));
        numbers
    }

    fn uniform(&self, spec: &WeightSpec, bound: f64) -> Vec<f32> {
        self.fill(spec, |rng, numbers| {
            let draw = |x: &mut f32| *x = (bound * (2.0 * rng.random::<f64>() - 1.0)) as f32;
            numbers.iter_mut().for_each(draw);
        })
    }

    fn normal(&self, spec: &WeightSpec, deviation: f64) -> Vec<f32> {
        self.fill(spec, |rng, numbers| normal(rng, deviation, numbers))
    }

    /// A matrix whose columns (or rows, if those are fewer) are orthonormal.
    fn orthogonal(&self, spec: &WeightSpec) -> Vec<f32> {
        let (rows, columns) = (spec.shape[0], fan_in(&spec.shape));
        let (count, length) = (rows.min(columns), rows.max(columns));
        let drawn = self.normal(spec, 1.0);
        let mut vectors: Vec<Vec<f64>> = drawn
            .chunks_exact(length)
            .take(count)
            .map(|vector| vector.iter().map(|x| f64::from(*x)).collect())
            .collect();
        for i in 0..count {
            let (before, rest) = vectors.split_at_mut(i);
            let vector = &mut rest[0];
            // Gram-Schmidt; the second round removes what rounding left in the first
            for _ in 0..2 {
                for other in before.iter() {
                    let along = dot(vector, other);
                    vector.iter_mut().zip(other).for_each(|(x, o)| *x -= along * o);
                }
            }
            let length = dot(vector, vector).sqrt();
            vector.iter_mut().for_each(|x| *x /= length);
        }
        let at = |row: usize, column: usize| {
            if rows >= columns { vectors[column][row] } else { vectors[row][column] }
        };
        (0..rows * columns).map(|i| at(i / columns, i % columns) as f32).collect()
    }
}

impl WeightSource for Initialiser {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let name = spec.name.as_str();
        let trunk = spec.role == Role::Frozen;
        let constant = |x| Value::Real(vec![x; spec.len()]);
        if name.ends_with("num_batches_tracked") {
            return Ok(Value::Count(0));
        }
        if let Some(owner) = name.strip_suffix("bias") {
            let error = || SourceError {
                name: name.to_string(),
                reason: format!("its start depends on {owner}weight, which must be asked for first"),
            };
            let weight = self.shapes.get(owner).ok_or_else(error)?;
            return Ok(if trunk || weight.len() == 1 {
                constant(0.0)
            } else {
                Value::Real(self.uniform(spec, 1.0 / (fan_in(weight) as f64).sqrt()))
            });
        }
        if let Some(owner) = name.strip_suffix("weight") {
            self.shapes.insert(owner.to_string(), spec.shape.clone());
        }
        Ok(match spec.shape.as_slice() {
            _ if name.ends_with("running_mean") => constant(0.0),
            // running variances, and the weights of normalisations
            [_] | [] => constant(1.0),
            shape @ [out, ..] if trunk && name.ends_with("patch_embed.proj.weight") => {
                let kernel: usize = shape[2..].iter().product();
                let fans = fan_in(shape) + out * kernel;
                Value::Real(self.uniform(spec, (6.0 / fans as f64).sqrt()))
            }
            [_, _] if trunk && name.ends_with("block.proj.weight") => Value::Real(self.orthogonal(spec)),
            _ if trunk => Value::Real(self.normal(spec, TRUNK_STD)),
            shape => Value::Real(self.uniform(spec, 1.0 / (fan_in(shape) as f64).sqrt())),
        })
    }
}

/// Inputs of one output of a linear layer or convolution.
fn fan_in(shape: &[usize]) -> usize {
    shape[1..].iter().product()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Fills `numbers` from a normal distribution of mean 0 (Box and Muller's method: two at a time).
fn normal(rng: &mut impl Rng, deviation: f64, numbers: &mut [f32]) {
    for pair in numbers.chunks_mut(2) {
        let radius = deviation * (-2.0 * (1.0 - rng.random::<f64>()).ln()).sqrt();
        let (sin, cos) = (std::f64::consts::TAU * rng.random::<f64>()).sin_cos();
        for (x, direction) in pair.iter_mut().zip([cos, sin]) {
            *x = (radius * direction) as f32;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nn::sam2unet::Sam2UNet;
    use crate::nn::variant::Tiny;
    use dfdx::tensor::Cpu;

    fn tiny(seed: u64) -> Vec<(WeightSpec, Vec<f32>)> {
        let mut source = Initialiser::new(seed);
        let mut value = |spec: WeightSpec| match source.value(&spec).unwrap() {
            Value::Real(numbers) => (spec, numbers),
            Value::Count(n) => {
                assert_eq!(n, 0);
                (spec, vec![])
            }
        };
        let specs = Sam2UNet::<Tiny, Cpu>::specs().into_iter();
        specs.map(&mut value).collect()
    }

    fn moments(numbers: &[f32]) -> (f64, f64, f64) {
        let n = numbers.len() as f64;
        let mean = numbers.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
        let square = |x: &f32| (f64::from(*x) - mean).powi(2);
        let deviation = (numbers.iter().map(square).sum::<f64>() / n).sqrt();
        let largest = numbers.iter().fold(0f32, |m, x| m.max(x.abs()));
        (mean, deviation, f64::from(largest))
    }

    #[test]
    fn each_kind_of_weight_starts_as_documented() {
        let weights: HashMap<_, _> = tiny(1).into_iter().map(|(s, v)| (s.name.clone(), (s, v))).collect();
        let get = |name: &str| weights[name].1.as_slice();
        let near = |a: f64, b: f64| (a - b).abs() < 0.03 * b;

        let (mean, deviation, largest) = moments(get("encoder.blocks.5.block.attn.qkv.weight"));
        assert!(mean.abs() < 1e-3 && near(deviation, 0.02) && largest < 0.13);
        // 4704 numbers only: one standard error of their deviation is 1 %
        let (_, deviation, _) = moments(get("encoder.pos_embed"));
        assert!((deviation / 0.02 - 1.0).abs() < 0.05, "{deviation}");
        let (_, _, largest) = moments(get("encoder.patch_embed.proj.weight"));
        assert!(near(largest, (6.0_f64 / (147.0 + 96.0 * 49.0)).sqrt()));
        // uniform within 1 / sqrt(fan in): deviation a third of the bound's square, rooted
        let cases = [
            ("encoder.blocks.5.prompt_learn.0.weight", 384.0),
            ("encoder.blocks.5.prompt_learn.2.weight", 32.0),
            ("rfb4.branch1.3.conv.weight", 576.0),
            ("up4.conv.double_conv.0.weight", 1152.0),
        ];
        for (name, fan) in cases {
            let bound = 1.0 / f64::sqrt(fan);
            let (mean, deviation, largest) = moments(get(name));
            assert!(mean.abs() < 0.02 * bound, "{name}: {mean}");
            assert!(near(deviation, bound / 3f64.sqrt()), "{name}: {deviation}");
            assert!(largest <= bound && near(largest, bound), "{name}: {largest}");
        }
        let (_, _, largest) = moments(get("encoder.blocks.5.prompt_learn.0.bias"));
        assert!((0.03..=1.0 / 384f64.sqrt()).contains(&largest), "{largest}");
        let (_, _, largest) = moments(get("head.bias"));
        assert!(largest > 0.0 && largest <= 0.125);
        for (name, value) in [
            ("encoder.blocks.5.block.attn.qkv.bias", 0.0),
            ("encoder.patch_embed.proj.bias", 0.0),
            ("encoder.blocks.5.block.norm1.weight", 1.0),
            ("encoder.blocks.5.block.norm1.bias", 0.0),
            ("rfb1.conv_cat.bn.weight", 1.0),
            ("rfb1.conv_cat.bn.bias", 0.0),
            ("rfb1.conv_cat.bn.running_mean", 0.0),
            ("rfb1.conv_cat.bn.running_var", 1.0),
            ("up4.conv.double_conv.1.running_var", 1.0),
        ] {
            assert!(get(name).iter().all(|x| *x == value), "{name}");
        }
    }

    #[test]
    fn stage_projections_are_orthogonal() {
        let weights = tiny(1);
        let (spec, matrix) = weights.iter().find(|(s, _)| s.name == "encoder.blocks.1.block.proj.weight").unwrap();
        let [rows, columns] = spec.shape[..] else { panic!("{spec:?}") };
        for a in 0..columns {
            for b in 0..=a {
                let product: f64 =
                    (0..rows).map(|r| f64::from(matrix[r * columns + a]) * f64::from(matrix[r * columns + b])).sum();
                let expected = if a == b { 1.0 } else { 0.0 };
                assert!((product - expected).abs() < 1e-5, "{a} {b}: {product}");
            }
        }
    }

    #[test]
    fn a_weight_depends_on_seed_and_name_only() {
        let (one, again, other) = (tiny(1), tiny(1), tiny(2));
        assert_eq!(one, again);
        let mut random = 0;
        for ((spec, a), (_, b)) in one.iter().zip(&other) {
            if a.windows(2).any(|w| w[0] != w[1]) {
                assert_ne!(a, b, "{}", spec.name);
                random += 1;
            }
        }
        assert!(random > 100, "{random}");
        // asked for alone
        let (spec, expected) = &one[40];
        let value = Initialiser::new(1).value(spec).unwrap();
        assert_eq!(value, Value::Real(expected.clone()), "{}", spec.name);
        // alike in shape, unlike in name
        let find = |name| &one.iter().find(|(s, _)| s.name == name).unwrap().1;
        assert_ne!(find("encoder.blocks.4.block.attn.proj.weight"), find("encoder.blocks.5.block.attn.proj.weight"));
    }

    #[test]
    fn a_bias_before_its_weight_is_an_error() {
        let spec = WeightSpec { name: "head.bias".into(), shape: vec![1], role: Role::Trainable };
        let error = Initialiser::new(1).value(&spec).unwrap_err().to_string();
        assert_eq!(error, "head.bias: its start depends on head.weight, which must be asked for first");
    }
}
