//! A run that began on one device goes on on the other.

use crate::support::golden::{Pico, Synthetic, uniform};
use crate::support::gpu::gpu;
use dfdx::prelude::*;
use sam2unet::data::{Batch, BatchTruth};
use sam2unet::nn::weights::{Role, SourceError, Value, WeightSource, WeightSpec};
use sam2unet::nn::{Backend, BuildOptions, Loss, Sam2UNet};
use sam2unet::train::{AdamWConfig, Learner, Session};
use std::collections::BTreeMap;

/// What a checkpoint holds.
#[derive(Clone)]
struct Saved {
    values: BTreeMap<String, Value>,
    moments: BTreeMap<String, (Vec<f32>, Vec<f32>)>,
    steps: u64,
}

impl WeightSource for Saved {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let value = self.values.get(&spec.name).cloned();
        value.ok_or_else(|| SourceError { name: spec.name.clone(), reason: "not saved".into() })
    }
}

fn save(learner: &dyn Learner) -> Saved {
    let (mut values, mut moments) = (BTreeMap::new(), BTreeMap::new());
    learner.each_value(&mut |spec, value| {
        values.insert(spec.name, value);
    });
    learner
        .each_moment(&mut |name, first, second| {
            moments.insert(name.to_string(), (first.to_vec(), second.to_vec()));
        })
        .unwrap();
    Saved { values, moments, steps: learner.optimiser_steps() }
}

fn session<D: Backend + 'static>(device: &D, source: &mut dyn WeightSource) -> Box<dyn Learner> {
    let session = Session::<Pico, D>::new(device.clone(), source, AdamWConfig::default(), BuildOptions::default());
    Box::new(session.unwrap())
}

fn restored<D: Backend + 'static>(device: &D, saved: &Saved) -> Box<dyn Learner> {
    let mut learner = session(device, &mut saved.clone());
    let mut moments = |name: &str| saved.moments.get(name).cloned();
    learner.restore_optimiser(&mut moments, saved.steps).unwrap();
    learner
}

fn batch(number: usize) -> Batch {
    let (side, count) = (96, 2);
    let images = uniform(&format!("resume{number}"), count * 3 * side * side);
    let masks = (0..count * side * side).map(|i| f32::from(u8::from(i * 7 % side < side / (2 + number))));
    Batch {
        side,
        indices: (0..count).collect(),
        images: images.into_iter().map(|v| 2.0 * v as f32).collect(),
        truth: BatchTruth::Masks(masks.collect()),
    }
}

/// Losses of the steps in `numbers`.
fn steps(learner: &mut dyn Learner, numbers: std::ops::Range<usize>) -> Vec<f64> {
    let step = |number| {
        learner.accumulate(&batch(number), 1.0, Loss::Paper).unwrap();
        learner.update(1e-4).unwrap();
    };
    numbers.for_each(step);
    learner.losses().unwrap()
}

#[test]
fn on_the_other_device_a_run_goes_on() {
    let Some(cuda) = gpu() else {
        return;
    };
    let cpu = Cpu::default();
    let mut whole = session(&cpu, &mut Synthetic);
    let wanted = steps(&mut *whole, 0..4);

    let close = |found: &[f64], wanted: &[f64], what: &str| {
        println!("{what}: {found:?}, on the CPU {wanted:?}");
        assert_eq!(found.len(), wanted.len(), "{what}: losses");
        for (found, wanted) in found.iter().zip(wanted) {
            assert!((found / wanted - 1.0).abs() < 1e-3, "{what}: {found} {wanted}");
        }
    };
    let specs = Sam2UNet::<Pico>::specs();
    let trainable = specs.iter().filter(|spec| spec.role == Role::Trainable).count();
    for to_gpu in [true, false] {
        let (mut first, what) = match to_gpu {
            true => (session(&cpu, &mut Synthetic), "CPU, then GPU"),
            false => (session(&cuda, &mut Synthetic), "GPU, then CPU"),
        };
        close(&steps(&mut *first, 0..2), &wanted[..2], what);
        let saved = save(&*first);
        assert_eq!((saved.values.len(), saved.moments.len()), (specs.len(), trainable), "{what}");
        let mut second = if to_gpu { restored(&cuda, &saved) } else { restored(&cpu, &saved) };
        // what was saved on one device is held by the other, to the bit
        let held = save(&*second);
        assert!(saved.values == held.values && saved.moments == held.moments && saved.steps == held.steps, "{what}");
        close(&steps(&mut *second, 2..4), &wanted[2..], what);
    }
}
