//! One operation on the GPU and on the CPU: values and gradients.

use super::devices::offers;
use super::gpu::gpu;
pub use super::random::numbers;
use dfdx::prelude::*;
use half::bf16;
use sam2unet::nn::{Backend, Precision};

/// What an operation gave: its values, then the gradient of `sum(values * probe)` for each input.
pub type Given = Vec<(String, Vec<f32>)>;

/// How a case is run.
#[derive(Clone, Copy)]
pub struct How {
    pub precision: Precision,
    /// Whether the factors that it is given are rounded to bf16 beforehand.
    pub rounded: bool,
}

impl How {
    /// Numbers that are a product's factors.
    pub fn factors(self, mut numbers: Vec<f32>) -> Vec<f32> {
        if self.rounded {
            numbers.iter_mut().for_each(|v| *v = bf16::from_f32(*v).to_f32());
        }
        numbers
    }
}

pub const SINGLE: How = How { precision: Precision::F32, rounded: false };

/// One operation on one shape.
pub trait Case {
    fn run<D: Backend>(&self, device: &D, how: How) -> Given;
}

/// Runs a case on both devices in single precision.
pub fn check(case: &impl Case, tolerance: f64) {
    check_in(case, [SINGLE; 2], [tolerance; 2]);
}

/// Runs a case on the GPU, twice, which must give the same bits, and on the CPU. Values, and then gradients, may differ
/// by `tolerance` of the largest; what is no number on one device is none on the other.
pub fn check_in(case: &impl Case, [here, twin]: [How; 2], [values, gradients]: [f64; 2]) {
    let Some(device) = gpu() else {
        return;
    };
    if !offers(&device, here.precision) {
        return;
    }
    let (found, wanted) = (case.run(&device, here), case.run(&Cpu::default(), twin));
    let again = case.run(&device, here);
    let names = |given: &Given| given.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
    assert_eq!((names(&found), names(&again)), (names(&wanted), names(&wanted)));
    for ((name, first), (_, second)) in found.iter().zip(&again) {
        assert!(
            first.iter().map(|v| v.to_bits()).eq(second.iter().map(|v| v.to_bits())),
            "{name} differs between runs"
        );
    }
    for ((name, found), (_, wanted)) in found.iter().zip(&wanted) {
        assert_eq!(found.len(), wanted.len(), "{name}");
        let tolerance = if name.starts_with("gradient") { gradients } else { values };
        let finite = wanted.iter().filter(|v| v.is_finite());
        let largest = finite.fold(1e-9, |most: f64, v| most.max(f64::from(v.abs())));
        for (i, (f, w)) in found.iter().zip(wanted).enumerate() {
            let same = f == w || (f.is_nan() && w.is_nan());
            let near = (f64::from(*f) - f64::from(*w)).abs() <= tolerance * largest;
            assert!(same || near, "{name}, number {i} of {}: {f}, on the CPU {w}", wanted.len());
        }
    }
}

/// Runs a case in every precision. Its inputs must be factors of its products, and nothing must be rounded between
/// them: then bf16 gives what single precision gives with rounded inputs. TF32 has no such twin: where a ReLU
/// `switches` it may do so for other numbers, and gradients tell nothing.
pub fn check_all(case: &impl Case, switches: bool, tolerance: f64) {
    check(case, tolerance);
    let (bf16, tf32) = (How { precision: Precision::Bf16, ..SINGLE }, How { precision: Precision::Tf32, ..SINGLE });
    check_in(case, [bf16, How { rounded: true, ..SINGLE }], [tolerance; 2]);
    check_in(case, [tf32, SINGLE], [2e-3, if switches { f64::INFINITY } else { 2e-3 }]);
}

/// Pseudo-random numbers of few bits: no precision rounds them.
pub fn probe(n: usize, seed: u64) -> Vec<f32> {
    numbers(n, seed).into_iter().map(|v| bf16::from_f32(v).to_f32()).collect()
}

pub type Plane<C> = (usize, usize, usize, C);
pub type Traced<C, D> = Tensor<Plane<C>, f32, D, OwnedTape<f32, D>>;

pub fn map<C: ConstDim, D: Backend>(
    device: &D,
    values: Vec<f32>,
    batch: usize,
    side: usize,
) -> Tensor<Plane<C>, f32, D> {
    device.tensor_from_vec(values, (batch, side, side, C::default()))
}

pub fn weight<S: ConstShape, D: Backend>(device: &D, seed: u64, factor: f32) -> Tensor<S, f32, D> {
    factors(device, seed, factor, SINGLE)
}

/// The weight of a product.
pub fn factors<S: ConstShape, D: Backend>(device: &D, seed: u64, factor: f32, how: How) -> Tensor<S, f32, D> {
    let values = numbers(S::NUMEL, seed).into_iter().map(|v| v * factor).collect();
    device.tensor_from_vec(how.factors(values), S::default())
}

/// Values of an operation on the first input, traced, and the gradients of all. There are two passes, whose gradients
/// add up: what an operation gives is added to what is there.
macro_rules! given {
    ($device:expr, [$first:ident $(, $other:ident)*], $operation:expr) => {{
        let (mut gradients, mut given) = (Gradients::leaky(), Vec::new());
        for pass in 0..2 {
            let y = $operation($first.trace(gradients));
            let shape = *y.shape();
            let probe = $device.tensor_from_vec($crate::support::case::probe(shape.num_elements(), 100 + pass), shape);
            given = vec![("value".to_string(), y.as_vec())];
            gradients = (y * probe).sum::<Rank0, _>().backward();
        }
        given.push((concat!("gradient of ", stringify!($first)).to_string(), gradients.get(&$first).as_vec()));
        $(given.push((concat!("gradient of ", stringify!($other)).to_string(), gradients.get(&$other).as_vec()));)*
        given
    }};
}

pub(crate) use given;
