//! Models built for inference.

use crate::support::devices::on_each_device;
use crate::support::golden::{Pico, Synthetic, batch};
use crate::support::pico::{self, S64, S96, of, random, values};
use crate::support::wrong::{EMPTY, image, model, wrong_images, zeros};
use dfdx::nn::{Module, ModuleMut};
use dfdx::prelude::*;
use rayon::prelude::*;
use sam2unet::kernels::add_relu::AddReluKernel;
use sam2unet::nn::backend::cpu::{Copies, copies};
use sam2unet::nn::weights::WeightSpec;
use sam2unet::nn::{Backend, Image, Network, Precision, PredictError, Sam2UNet, Variant, Weights};

on_each_device! { pico_for_inference }

/// A model built for inference keeps what it made of its weights, at every side, until it is trained.
fn pico_for_inference<D: Backend>(device: &D) {
    [Precision::F32, Precision::Bf16].into_iter().for_each(|precision| pico_for_inference_in(device, precision));
}

fn pico_for_inference_in<D: Backend>(device: &D, precision: Precision) {
    let mut plain = Sam2UNet::<Pico, D>::with_options(device, &mut Synthetic, of(precision)).unwrap();
    // what `into_predictor` does to a model; a predictor could not be trained below
    let mut keeping = plain.clone();
    keeping.prepare_inference();
    let image = |side: usize| {
        let (x, _) = batch(side, 1);
        let x: Image<Const<1>, usize, D> = device.upload(&x, (Const, Const, side, side)).unwrap();
        x
    };
    let agree = |plain: &Sam2UNet<Pico, D>, keeping: &Sam2UNet<Pico, D>| {
        // small maps are convolved in another way than large ones
        for side in [64, 192, 64] {
            let [a, b] = [plain, keeping].map(|model| device.read(&model.try_predict(image(side)).unwrap()).unwrap());
            assert!(a.iter().map(|v| v.to_bits()).eq(b.iter().map(|v| v.to_bits())), "side {side}");
        }
    };
    agree(&plain, &keeping);
    let before = device.read(&keeping.try_predict(image(64)).unwrap()).unwrap();
    // a copy makes what it needs of its own weights
    let mut copy = keeping.clone();
    device.renew(&mut copy.rfb1.conv_cat.norm.bias, |k, old, new| k.add_relu(old, old, new)).unwrap();
    assert!(before != device.read(&copy.try_predict(image(64)).unwrap()).unwrap());
    agree(&plain, &keeping);
    for model in [&mut plain, &mut keeping] {
        _ = model.forward_mut(image(64).leaky_trace());
    }
    agree(&plain, &keeping);
    assert!(before != device.read(&keeping.try_predict(image(64)).unwrap()).unwrap(), "running statistics have moved");
}

/// A thread that waits while convolutions are folded may begin another prediction of the same model.
#[test]
fn predictions_of_one_model_beside_each_other() {
    let device = Cpu::default();
    let model = Sam2UNet::<Pico>::from_source(&device, &mut Synthetic).unwrap().into_predictor();
    let pool = rayon::ThreadPoolBuilder::new().num_threads(4).build().unwrap();
    let (x, _) = batch(96, 1);
    let logits: Vec<Vec<f32>> =
        pool.install(|| (0..16).into_par_iter().map(|_| Network::logits(&model, &x, 1, 96).unwrap()).collect());
    assert!(logits.iter().all(|l| *l == logits[0]));
}

/// Of an inference's maps the image alone is copied out of a tensor; besides, the weights that are tensors: each
/// adapter's four and the head's two.
#[test]
fn one_map_is_copied_in_an_inference() {
    let predictor = Sam2UNet::<Pico>::from_source(&Cpu::default(), &mut Synthetic).unwrap().into_predictor();
    let predict = || predictor.predict(pico::image::<_, S96>(Const::<2>)).unwrap();
    predict(); // makes what convolutions multiply by
    let (_, copied) = copies(predict);
    let adapters_and_head = |spec: &WeightSpec| spec.name.contains("prompt_learn") || spec.name.starts_with("head.");
    let weights: Vec<usize> =
        Sam2UNet::<Pico>::specs().iter().filter(|s| adapters_and_head(s)).map(WeightSpec::len).collect();
    assert_eq!(weights.len(), 4 * Pico::BLOCKS.iter().sum::<usize>() + 2);
    let image = 2 * 3 * 96 * 96;
    assert_eq!(copied, Copies { tensors: 1 + weights.len(), numbers: image + weights.iter().sum::<usize>() });
}

#[test]
fn inference_changes_nothing() {
    let model = random::<Pico, Const<1>>(1);
    let before = values(&model);
    assert_eq!(before.len(), Sam2UNet::<Pico>::specs().len());
    let _ = model.forward(pico::image::<_, S64>(2usize));
    assert_eq!(before, values(&model));
}

#[test]
fn a_predictor_refuses_images_of_a_wrong_shape() {
    let predictor = model().into_predictor();
    for ([batch, height, width], wanted) in wrong_images() {
        let error = predictor.predict(image(batch, height, width)).unwrap_err();
        assert!(matches!(error, PredictError::Shape(_)), "{error:?}");
        assert_eq!(error.to_string(), wanted);
    }
    assert_eq!(predictor.predict(image(1, 64, 64)).unwrap().shape().concrete(), [1, 1, 64, 64]);
    // a side that the compiler knows does not hide an empty batch
    let none: Image<usize, Const<64>, Cpu> = zeros((0, Const, Const, Const));
    assert_eq!(predictor.predict(none).unwrap_err().to_string(), EMPTY);
}
