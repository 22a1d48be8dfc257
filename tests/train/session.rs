//! Training steps of the network: batches of wrong shapes, and what a checkpoint is given.

use crate::support::golden::{Pico, Synthetic, batch};
use crate::support::wrong::EMPTY;
use dfdx::prelude::*;
use sam2unet::data::Batch;
use sam2unet::nn::weights::Role;
use sam2unet::nn::{BuildOptions, Loss, Sam2UNet};
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
