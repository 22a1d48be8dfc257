//! Training steps of the network: batches of wrong shapes, and what a checkpoint is given.

use crate::support::devices::on_each_device;
use crate::support::golden::{Pico, Synthetic, batch};
use crate::support::wrong::EMPTY;
use dfdx::nn::ModuleMut;
use dfdx::prelude::*;
use sam2unet::data::{Batch, BatchTruth};
use sam2unet::nn::weights::Role;
use sam2unet::nn::{Backend, BuildOptions, ClassWeights, IGNORED, Image, IndexMaps, Known, Loss, Sam2UNet, Targets};
use sam2unet::train::{AdamWConfig, BatchSender, LearnError, Learner, Session, TrainedClasses};

fn session(classes: &TrainedClasses) -> Result<Session<Pico, Cpu>, LearnError> {
    Session::with_classes(Cpu::default(), &mut Synthetic, classes, AdamWConfig::default(), BuildOptions::default())
}

fn classes(count: usize, weights: Option<&[f32]>) -> TrainedClasses {
    TrainedClasses { count, weights: weights.map(<[f32]>::to_vec) }
}

#[test]
fn a_training_step_refuses_batches_of_a_wrong_shape() {
    let mut session = session(&TrainedClasses::default()).unwrap();
    let mut error = |count: usize, side: usize, pixels: usize, masked: usize| {
        let (images, truth) = (vec![0.0; 3 * pixels], BatchTruth::Masks(vec![0.0; masked]));
        let batch = Batch { side, indices: (0..count).collect(), images, truth };
        session.accumulate(&batch, 1.0, Loss::Paper).unwrap_err().to_string()
    };
    let whole = 64 * 64;
    assert_eq!(error(1, 64, 2 * whole, whole), "batch: 1 images of side 64 need 12288 numbers, found 24576");
    assert_eq!(
        error(1, 64, whole, 2 * whole),
        "batch: 1 images of side 64 with 1 planes of masks each need 4096 numbers, found 8192"
    );
    assert_eq!(
        error(1, 63, 63 * 63, 63 * 63),
        "batch: side 63 is none of the supported ones, the multiples of 32 from 64 to 1024"
    );
    assert_eq!(error(0, 64, 0, 0), format!("batch: {EMPTY}"));
    // nothing of these steps is left
    let (images, masks) = batch(64, 1);
    let batch = Batch { side: 64, indices: vec![0], images, truth: BatchTruth::Masks(masks) };
    session.accumulate(&batch, 1.0, Loss::Paper).unwrap();
    assert_eq!(session.losses().unwrap().len(), 1);
}

on_each_device!(an_abandoned_step_leaves_no_trace, what_is_sent_is_what_is_taken);

fn opened<D: Backend>(device: &D) -> Session<Pico, D> {
    let (config, options) = (AdamWConfig::default(), BuildOptions::default());
    Session::new(device.clone(), &mut Synthetic, config, options).unwrap()
}

fn batch_of(count: usize) -> Batch {
    let (images, masks) = batch(64, count);
    Batch { side: 64, indices: (0..count).collect(), images, truth: BatchTruth::Masks(masks) }
}

/// Weights, running statistics, counts, gradients and losses are as before its first batch.
fn an_abandoned_step_leaves_no_trace<D: Backend>(device: &D) {
    let (open, of) = (|| opened(device), batch_of);
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
    learn(&mut broken, 1);
    learn(&mut broken, 2);
    assert!(before == values(&broken), "nothing moves before the update");
    broken.abandon_step();
    assert!(before == values(&broken), "something is left");
    // the next step is that of a session that never began another
    for session in [&mut plain, &mut broken] {
        learn(session, 1);
        learn(session, 2);
        session.update(1e-3).unwrap();
        // nothing to abandon any more
        session.abandon_step();
    }
    assert!(values(&plain) == values(&broken), "the next step differs");
    assert_eq!(broken.losses().unwrap(), plain.losses().unwrap());
}

/// To the bit, with two batches on their way, and after a step that was abandoned with a batch on its way.
fn what_is_sent_is_what_is_taken<D: Backend>(device: &D) {
    let (open, of) = (|| opened(device), batch_of);
    let (mut taking, mut sending) = (open(), open());
    let sizes = taking.sizes();
    let parts = sending.parts();
    let mut covered: Vec<usize> = parts.iter().cloned().flatten().collect();
    covered.sort();
    assert_eq!(covered, (0..sizes.gradient).collect::<Vec<_>>(), "{parts:?}");
    assert!(parts.iter().all(|part| !part.is_empty()), "{parts:?}");
    assert!(sending.send_batch().is_err() && sending.receive_part(&mut Vec::new()).is_err());
    sending.accumulate(&of(2), 1.0, Loss::Paper).unwrap();
    sending.send_batch().unwrap();
    sending.abandon_step();
    for _ in 0..2 {
        let mut wanted = Vec::new();
        for images in [1, 2] {
            taking.accumulate(&of(images), 0.5, Loss::Paper).unwrap();
            let (mut gradient, mut statistics) = (Vec::new(), Vec::new());
            taking.take_batch(&mut gradient, &mut statistics).unwrap();
            wanted.push((gradient, statistics));
            sending.accumulate(&of(images), 0.5, Loss::Paper).unwrap();
            sending.send_batch().unwrap();
        }
        for (gradient, statistics) in &wanted {
            let mut found = Vec::new();
            sending.receive_statistics(&mut found).unwrap();
            assert!(found == *statistics && found.len() == sizes.statistics);
            for part in &parts {
                let mut found = Vec::new();
                sending.receive_part(&mut found).unwrap();
                assert!(found == gradient[part.clone()] && found.iter().any(|v| *v != 0.0), "{part:?}");
            }
        }
        for session in [&mut taking, &mut sending] {
            session.update_with(&wanted[0].0, &wanted[0].1, 1e-3).unwrap();
        }
        assert_eq!(sending.losses().unwrap(), taking.losses().unwrap());
    }
}

#[test]
fn a_training_step_refuses_a_wrong_truth() {
    let said = |count: usize, truth: BatchTruth| {
        let (images, _) = batch(64, 2);
        let batch = Batch { side: 64, indices: vec![0, 1], images, truth };
        let mut session = session(&classes(count, None)).unwrap();
        session.accumulate(&batch, 1.0, Loss::Paper).unwrap_err().to_string()
    };
    let pixels = 2 * 64 * 64;
    assert_eq!(
        said(3, BatchTruth::Masks(vec![0.0; pixels])),
        "batch: 2 images of side 64 with 3 planes of masks each need 24576 numbers, found 8192"
    );
    let known = |known: usize| BatchTruth::MasksAndKnown { masks: vec![0.0; 3 * pixels], known: vec![1; known] };
    assert_eq!(
        said(3, known(2 * pixels)),
        "batch: 2 images of side 64 with 3 planes of known pixels each need 24576 numbers, found 16384"
    );
    assert_eq!(
        said(3, BatchTruth::Index(vec![0; pixels - 1])),
        "index maps of shape [2, 64, 64] are 8192 numbers, 8191 were given"
    );
    let mut index = vec![2; pixels];
    index[pixels - 1] = 3;
    let error = said(3, BatchTruth::Index(index));
    assert!(error.starts_with("index map 1 of the batch has 3 in row 63, column 63: with 3 classes"), "{error}");
    assert!(said(1, BatchTruth::Index(vec![0; pixels])).contains("2 to 255 classes"));
    let refused = |count, weights: &[f32]| session(&classes(count, Some(weights))).unwrap_err().to_string();
    assert_eq!(refused(2, &[1.0]), "class weights of shape [2] are 2 numbers, 1 were given");
    assert!(refused(2, &[0.0, 0.0]).contains("one of them above 0"));
    assert_eq!(
        session(&classes(0, None)).unwrap_err().to_string(),
        "a model for 0 classes was asked for; its type allows any but 0"
    );
}

/// What a step makes of each kind of truth is what the model's own loss is.
#[test]
fn a_training_step_compares_with_every_kind_of_truth() {
    let ((images, one), count) = (batch(64, 2), 3);
    let index: Vec<u8> =
        one.iter().enumerate().map(|(i, v)| if i % 7 == 0 { IGNORED } else { *v as u8 + (i % 2) as u8 }).collect();
    let masks: Vec<f32> = one.chunks(64 * 64).flat_map(|mask| [mask, mask, mask].concat()).collect();
    let known: Vec<u8> = index.iter().map(|v| u8::from(*v != IGNORED)).collect();
    let of_each: Vec<u8> = known.chunks(64 * 64).flat_map(|known| [known, known, known].concat()).collect();
    let device = Cpu::default();
    let shape = (2usize, count, 64usize, 64usize);
    let planes = |numbers: &[f32]| device.tensor_from_vec(numbers.to_vec(), shape);
    let uploaded = planes(&masks);
    let numbers = known.iter().map(|v| f32::from(*v)).collect();
    let known_of_all = Known::OfAll(device.tensor_from_vec(numbers, (2usize, Const::<1>, 64usize, 64usize)));
    let maps = IndexMaps::new(&device, &index, (2usize, count, 64usize)).unwrap();
    let of_all = BatchTruth::MasksAndKnown { masks: masks.clone(), known };
    let of_each = BatchTruth::MasksAndKnown { masks: masks.clone(), known: of_each };
    let cases = [
        (BatchTruth::Masks(masks), Targets::from(&uploaded)),
        (of_all, Targets::from((&uploaded, &known_of_all))),
        (of_each, Targets::from((&uploaded, &known_of_all))),
        (BatchTruth::Index(index), Targets::from(&maps)),
    ];
    let weights = [0.5, 1.0, 3.0];
    let class_weights = ClassWeights::new(&device, &weights, count).unwrap();
    for (truth, targets) in cases {
        let mut model: Sam2UNet<Pico, Cpu, usize> =
            Sam2UNet::with_classes(&device, &mut Synthetic, count, BuildOptions::default()).unwrap();
        let x: Image<usize, usize, Cpu> = device.tensor_from_vec(images.clone(), (2, Const, 64, 64));
        let wanted = model.forward_mut(x.leaky_trace()).loss(targets.weighted(&class_weights), Loss::Paper).unwrap();
        let mut session = session(&classes(count, Some(&weights))).unwrap();
        let batch = Batch { side: 64, indices: vec![0, 1], images: images.clone(), truth };
        session.accumulate(&batch, 1.0, Loss::Paper).unwrap();
        assert_eq!(session.losses().unwrap(), [f64::from(wanted.array())]);
        session.update(1e-4).unwrap();
        assert_eq!(session.predict(&images, 2, 64).unwrap().len(), 2 * count * 64 * 64);
        assert_eq!(session.specs(), Sam2UNet::<Pico, Cpu, usize>::specs_for(count));
    }
}

#[test]
fn a_session_gives_every_value_and_the_moments_of_every_trainable_weight() {
    let mut session =
        Session::<Pico, Cpu>::new(Cpu::default(), &mut Synthetic, AdamWConfig::default(), BuildOptions::default())
            .unwrap();
    let (images, masks) = batch(96, 2);
    let batch = Batch { side: 96, indices: vec![0, 1], images, truth: BatchTruth::Masks(masks) };
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
