//! What the tests compare with: the yardstick's numbers, and weights made by its formula.

pub use super::shared::shared;
use safetensors::{Dtype as Stored, SafeTensors};
use sam2unet::nn::weights::{SourceError, Value, WeightSource, WeightSpec};
use std::collections::BTreeMap;

sam2unet::variant! {
    /// The small variant of the golden files.
    pub Pico = "pico", dim 16, heads 1, blocks [1 2 3 1], global [4], background 7, windows [8 4 14 7]
}

/// A tensor of a golden file.
#[derive(Clone, Debug)]
pub struct Array {
    pub shape: Vec<usize>,
    pub numbers: Vec<f64>,
    pub count: bool,
}

impl Array {
    pub fn f32(&self) -> Vec<f32> {
        self.numbers.iter().map(|x| *x as f32).collect()
    }

    /// What was stored as bytes.
    pub fn u8(&self) -> Vec<u8> {
        self.numbers.iter().map(|x| *x as u8).collect()
    }
}

/// A whole golden file; also a source of weights.
#[derive(Clone, Debug)]
pub struct Golden(pub BTreeMap<String, Array>);

impl Golden {
    #[track_caller]
    pub fn open(name: &str) -> Option<Self> {
        let bytes = std::fs::read(shared(name)?).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let arrays = file.iter().map(|(name, view)| {
            let data = view.data();
            let numbers: Vec<f64> = match view.dtype() {
                Stored::F32 => words(data, |b| f64::from(f32::from_le_bytes(b))),
                Stored::F64 => words(data, f64::from_le_bytes),
                Stored::I64 => words(data, |b| i64::from_le_bytes(b) as f64),
                Stored::I8 => words(data, |b| f64::from(i8::from_le_bytes(b))),
                Stored::U8 => words(data, |b| f64::from(u8::from_le_bytes(b))),
                other => panic!("{name}: {other:?}"),
            };
            let array = Array { shape: view.shape().to_vec(), numbers, count: view.dtype() == Stored::I64 };
            (name.to_string(), array)
        });
        Some(Self(arrays.collect()))
    }

    #[track_caller]
    pub fn get(&self, name: &str) -> &Array {
        let Some(array) = self.0.get(name) else { panic!("the golden file has no {name}") };
        array
    }

    #[track_caller]
    pub fn scalar(&self, name: &str) -> f64 {
        self.get(name).numbers[0]
    }

    /// The arrays under a prefix, by the rest of their names; there is at least one.
    #[track_caller]
    pub fn under(&self, prefix: &str) -> Vec<(&str, &Array)> {
        let all = self.0.iter();
        let found: Vec<_> = all.filter_map(|(name, array)| Some((name.strip_prefix(prefix)?, array))).collect();
        assert!(!found.is_empty(), "no array of the golden file begins with {prefix}");
        found
    }
}

fn words<const N: usize>(data: &[u8], read: impl Fn([u8; N]) -> f64) -> Vec<f64> {
    let chunks = data.chunks_exact(N);
    chunks.map(|c| read(c.try_into().unwrap())).collect()
}

impl WeightSource for Golden {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let error = |reason: String| SourceError { name: spec.name.clone(), reason };
        let array = self.0.get(&spec.name);
        let array = array.ok_or_else(|| error("not in the file".into()))?;
        if array.shape != spec.shape {
            return Err(error(format!("{:?} in the file", array.shape)));
        }
        Ok(if array.count { Value::Count(array.numbers[0] as i64) } else { Value::Real(array.f32()) })
    }
}

/// `count` numbers in `-1..1`: SplitMix64 seeded with FNV-1a of the name.
pub fn uniform(name: &str, count: usize) -> Vec<f64> {
    let seed = name
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325_u64, |seed, byte| (seed ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3));
    let at = |i: u64| {
        let mut z = seed.wrapping_add(i.wrapping_mul(0x9E37_79B9_7F4A_7C15));
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        (z >> 11) as f64 / (1_u64 << 52) as f64 - 1.0
    };
    (1..=count as u64).map(at).collect()
}

/// Weights by the yardstick's formula, each a function of its name and shape.
pub struct Synthetic;

impl WeightSource for Synthetic {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let name = spec.name.as_str();
        if name.ends_with("num_batches_tracked") {
            return Ok(Value::Count(0));
        }
        let scale: Box<dyn Fn(f64) -> f64> = if name.ends_with("running_var") {
            Box::new(|v| 1.0 + 0.5 * v)
        } else if name.ends_with("running_mean") {
            Box::new(|v| 0.1 * v)
        } else if name.contains("pos_embed") {
            Box::new(|v| 0.2 * v)
        } else if name.ends_with("bias") {
            Box::new(|v| 0.05 * v)
        } else if spec.shape.len() == 1 {
            Box::new(|v| 1.0 + 0.1 * v)
        } else {
            let fan_in: usize = spec.shape[1..].iter().product();
            Box::new(move |v| v * (3.0 / fan_in as f64).sqrt())
        };
        let numbers = uniform(name, spec.len());
        Ok(Value::Real(numbers.into_iter().map(|v| scale(v) as f32).collect()))
    }
}

/// The yardstick's batch of `count` images `(count, 3, side, side)` and masks `(count, 1, side, side)`.
pub fn batch(side: usize, count: usize) -> (Vec<f32>, Vec<f32>) {
    let image = uniform(&format!("image{side}"), count * 3 * side * side);
    let image = image.into_iter().map(|v| v as f32 * 2.0).collect();
    let (size, mut mask) = (side as f64, Vec::new());
    for b in 0..count {
        for y in 0..side {
            for x in 0..side {
                let down = y as f32 - (size * (0.4 + 0.1 * b as f64)) as f32;
                let right = x as f32 - (size * 0.55) as f32;
                let inside = down * down + right * right < (size * 0.25).powi(2) as f32;
                mask.push(f32::from(u8::from(inside)));
            }
        }
    }
    (image, mask)
}
