//! Training steps of the network: batches of wrong shapes, and what a checkpoint is given.

use crate::support::devices::on_each_device;
use crate::support::golden::{Pico, Synthetic, batch};
use crate::support::wrong::EMPTY;
use dfdx::prelude::*;
use sam2unet::data::Batch;
use sam2unet::nn::weights::Role;
use sam2unet::nn::{Backend, BuildOptions, Loss, Sam2UNet};
use sam2unet::train::{AdamWConfig, Learner, Session};

#[test]
fn a_training_step_refuses_batches_of_a_wrong_shape() {
    let device = Cpu::default();
    let mut session =
        Session::<Pico, Cpu>::new(device, &mut Synthetic, AdamWConfig::default(), BuildOptions::default()).unwrap();
    let mut error = |count: usize, side: usize, pixels: usize| {
        let (images, masks) = (vec![0.0; 3 * pixels], vec![0.0; pixels]);
        let batch = Batch { side, indices: (0..count).collect(), images, masks };
        session.accumulate(&batch, 1.0, Loss::Paper).unwrap_err().to_string()
    };
    assert_eq!(
        error(1, 64, 64 * 128),
        "batch: 1 images of side 64 need 12288 numbers and their masks 4096, found 24576 and 8192"
    );
    assert_eq!(
        error(1, 63, 63 * 63),
        "batch: side 63 is none of the supported ones, the multiples of 32 from 64 to 1024"
    );
    assert_eq!(error(0, 64, 0), format!("batch: {EMPTY}"));
    // nothing of these steps is left
    let (images, masks) = batch(64, 1);
    let batch = Batch { side: 64, indices: vec![0], images, masks };
    session.accumulate(&batch, 1.0, Loss::Paper).unwrap();
    assert_eq!(session.losses().unwrap().len(), 1);
}

on_each_device!(an_abandoned_step_leaves_no_trace);

/// Weights, running statistics, counts, gradients and losses are as before its first batch.
fn an_abandoned_step_leaves_no_trace<D: Backend>(device: &D) {
    let open = || {
        let (config, options) = (AdamWConfig::default(), BuildOptions::default());
        Session::<Pico, D>::new(device.clone(), &mut Synthetic, config, options).unwrap()
    };
    let of = |count: usize| {
        let (images, masks) = batch(64, count);
        Batch { side: 64, indices: (0..count).collect(), images, masks }
    };
    let learn = |session: &mut Session<Pico, D>, images| session.accumulate(&of(images), 0.5, Loss::Paper).unwrap();
    let values = |session: &Session<Pico, D>| {
        let mut values = Vec::new();
        session.each_value(&mut |spec, value| values.push((spec.name, value)));
        values
    };
    let (mut plain, mut broken) = (open(), open());
    for session in [&mut plain, &mut broken] {
        learn(session, 2);
        session.update(1e-3).unwrap();
    }
    let before = values(&broken);
    broken.begin_step();
    learn(&mut broken, 1);
    learn(&mut broken, 2);
    assert!(before != values(&broken), "batch norms keep statistics");
    broken.abandon_step();
    assert!(before == values(&broken), "something is left");
    // the next step is that of a session that never began another
    for session in [&mut plain, &mut broken] {
        session.begin_step();
        learn(session, 1);
        learn(session, 2);
        session.update(1e-3).unwrap();
        // nothing to abandon any more
        session.abandon_step();
    }
    assert!(values(&plain) == values(&broken), "the next step differs");
    assert_eq!(broken.losses().unwrap(), plain.losses().unwrap());
}

#[test]
fn a_session_gives_every_value_and_the_moments_of_every_trainable_weight() {
    let mut session =
        Session::<Pico, Cpu>::new(Cpu::default(), &mut Synthetic, AdamWConfig::default(), BuildOptions::default())
            .unwrap();
    let (images, masks) = batch(96, 2);
    let batch = Batch { side: 96, indices: vec![0, 1], images, masks };
    session.accumulate(&batch, 1.0, Loss::Paper).unwrap();
    session.update(1e-4).unwrap();
    let (mut values, mut moments) = (Vec::new(), Vec::new());
    session.each_value(&mut |spec, _| values.push(spec));
    session.each_moment(&mut |name, _, _| moments.push(name.to_string())).unwrap();
    let specs = Sam2UNet::<Pico>::specs();
    assert_eq!(values, specs);
    let trainable = specs.into_iter().filter(|spec| spec.role == Role::Trainable);
    let mut trainable: Vec<_> = trainable.map(|spec| spec.name).collect();
    trainable.sort();
    moments.sort();
    assert_eq!(moments, trainable);
}
