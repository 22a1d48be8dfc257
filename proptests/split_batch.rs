//! Batch norms over several ranks, whatever the map and however it is cut, against one process.

use crate::support::split_pass::{Case as Batch, Kind, agrees, with_ranks};
use proptest::prelude::*;
use sam2unet::group::Thread;
use sam2unet::kernels::batch_norm::BatchNormKernel;
use sam2unet::kernels::cpu::Cpu;
use sam2unet::kernels::device::Device;
use sam2unet::nn::{Loss, MemoryUse, WholeBatch};
use sam2unet::train::SplitBatch;
use std::sync::Arc;

sam2unet::variant! {
    pub Small16 = "small16", dim 16, heads 2, blocks [1 2 2 2], global [3], background 5, windows [4 4 6 3]
}

type Buffer = <Cpu as Device>::Buffer;

/// A map, its batch norm and the gradient of its output.
#[derive(Clone, Debug)]
struct Case {
    images: usize,
    /// Pixels of an image.
    rows: usize,
    channels: usize,
    relu: bool,
    x: Vec<f32>,
    scale: Vec<f32>,
    bias: Vec<f32>,
    gy: Vec<f32>,
}

/// What is computed of some images.
#[derive(Clone, Debug, PartialEq)]
struct Norm {
    y: Vec<f32>,
    mean: Vec<f32>,
    variance: Vec<f32>,
    /// As a 1x1 convolution subtracts it.
    centre: Vec<f32>,
    gx: Vec<f32>,
    g_scale: Vec<f32>,
    g_bias: Vec<f32>,
}

/// Maps whose means are far from their spread, of which one has more rows than are summed at once.
fn case() -> impl Strategy<Value = Case> {
    let rows = prop_oneof![1usize..8, 8usize..300, 1000usize..1100];
    (1usize..6, rows, 1usize..40, any::<bool>(), any::<u64>(), prop_oneof![Just(0f32), Just(3000.0), Just(-3000.0)])
        .prop_filter("one value has no variance", |(images, rows, ..)| images * rows > 1)
        .prop_map(|(images, rows, channels, relu, seed, far)| {
            let numbers = |count: usize, salt: u64| {
                let mut state = (seed ^ salt.wrapping_mul(0x9E37_79B9_7F4A_7C15)) | 1;
                let draw = move |_| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
                };
                (0..count).map(draw).collect::<Vec<f32>>()
            };
            let values = images * rows * channels;
            let x = numbers(values, 1).iter().enumerate().map(|(i, v)| v + far + (i % channels) as f32).collect();
            let [scale, bias] = [2, 3].map(|salt| numbers(channels, salt));
            Case { images, rows, channels, relu, x, scale, bias, gy: numbers(values, 4) }
        })
}

fn buffer(numbers: &[f32]) -> Buffer {
    let Ok(buffer) = Cpu.uninit(numbers.len(), |y| {
        y.copy_from_slice(numbers);
        Ok(())
    });
    buffer
}

impl Case {
    /// Forward and backward pass of these images.
    fn norm(&self, images: std::ops::Range<usize>, whole: Option<&dyn WholeBatch>) -> Norm {
        let each = self.rows * self.channels;
        let part = |numbers: &[f32]| buffer(&numbers[images.start * each..images.end * each]);
        let (x, gy, c) = (part(&self.x), part(&self.gy), self.channels);
        let (scale, bias) = (buffer(&self.scale), buffer(&self.bias));
        let Ok(centre) = Cpu.channel_mean(&x, c, whole);
        let (mut y, mut gx) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let [mut mean, mut variance, mut g_scale, mut g_bias] = [(); 4].map(|()| vec![0.0; c]);
        let statistics = (&mut mean[..], &mut variance[..]);
        let Ok(saved) = Cpu.batch_norm(&x, &scale, &bias, self.relu, whole, &mut y, statistics);
        let gradients = (&mut gx[..], &mut g_scale[..], &mut g_bias[..]);
        let Ok(()) = Cpu.batch_norm_backward(&x, &scale, &bias, self.relu, whole, saved, &gy, gradients);
        Norm { y, mean, variance, centre: centre.to_vec(), gx, g_scale, g_bias }
    }

    /// Each rank's part.
    fn over(&self, ranks: usize) -> Vec<Norm> {
        let part = |group: Thread| {
            let whole = SplitBatch::new(Arc::new(group), self.images);
            self.norm(whole.cut().computed(), Some(&whole))
        };
        with_ranks(ranks, part)
    }
}

/// Within the bound of the largest wanted, or of 1 if that is less.
fn near(what: &str, found: &[f32], wanted: &[f32], bound: f32) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(1.0, |most: f32, v| most.max(v.abs()));
    for (at, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!((found - wanted).abs() <= bound * largest, "{what} {at}: {found}, wanted {wanted}, largest {largest}");
    }
}

fn sums(parts: &[Norm], of: impl Fn(&Norm) -> &[f32]) -> Vec<f32> {
    let channels = of(&parts[0]).len();
    let sum = |c: usize| parts.iter().map(|part| f64::from(of(part)[c])).sum::<f64>() as f32;
    (0..channels).map(sum).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_batch_norm_over_ranks_is_that_of_the_batch(case in case(), ranks in 1usize..5) {
        let whole = case.norm(0..case.images, None);
        let parts = case.over(ranks);
        prop_assert!(parts == case.over(ranks), "other bits the second time");
        if ranks == 1 {
            prop_assert!(parts == [whole.clone()], "one rank is not one process, to the bit");
        }
        for (rank, part) in parts.iter().enumerate() {
            let statistics = |norm: &Norm| [norm.mean.clone(), norm.variance.clone(), norm.centre.clone()];
            prop_assert!(statistics(part) == statistics(&parts[0]), "rank {} has other statistics", rank);
        }
        // those without an image of their own computed the first one, and have no gradient
        let (counted, idle) = parts.split_at(ranks.min(case.images));
        for part in idle {
            near("y of the first image", &part.y, &whole.y[..part.y.len()], 1e-6);
            prop_assert!([&part.gx, &part.g_scale, &part.g_bias].iter().all(|g| g.iter().all(|g| *g == 0.0)));
        }
        let joined = |of: fn(&Norm) -> &[f32]| counted.iter().flat_map(of).copied().collect::<Vec<f32>>();
        near("mean", &counted[0].mean, &whole.mean, 1e-6);
        near("variance", &counted[0].variance, &whole.variance, 1e-6);
        near("centre", &counted[0].centre, &whole.centre, 1e-6);
        near("y", &joined(|part| &part.y), &whole.y, 1e-6);
        // where a variance is next to nothing, gradients are as much larger as they are uncertain
        near("gradient of x", &joined(|part| &part.gx), &whole.gx, 1e-5);
        near("gradient of the scale", &sums(&parts, |part| &part.g_scale), &whole.g_scale, 1e-6);
        near("gradient of the bias", &sums(&parts, |part| &part.g_bias), &whole.g_bias, 1e-6);
    }
}

fn batch() -> impl Strategy<Value = Batch> {
    let kind = prop_oneof![Just(Kind::Mask), Just(Kind::KnownOfAll), Just(Kind::KnownOfEach), Just(Kind::Index),];
    let memory = prop_oneof![Just(MemoryUse::Small), Just(MemoryUse::Balanced), Just(MemoryUse::Fast)];
    (1usize..6, kind, proptest::sample::select(Loss::ALL), memory, any::<u64>())
        .prop_map(|(images, kind, loss, memory, seed)| Batch { images, kind, loss, memory, seed })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn a_pass_over_ranks_is_that_of_one_process(batch in batch(), ranks in 2usize..5) {
        let model = batch.model::<Small16>();
        let parts = batch.split(&model, ranks);
        prop_assert!(parts == batch.split(&model, ranks), "other bits the second time");
        agrees(&format!("{batch:?}, {ranks} ranks"), &batch.alone(&model), &parts, 0.1);
    }
}
