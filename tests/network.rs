//! The whole network against the yardstick, number by number; its shapes, roles and names.

use crate::devices::on_each_device;
use crate::golden::{Golden, Pico, Synthetic, batch, channels_first, gradients, largest_difference, norm, numbers};
use dfdx::nn::{Module, ModuleMut, NumParams, ZeroGrads};
use dfdx::optim::{Adam, Optimizer, Sgd};
use dfdx::prelude::*;
use rayon::prelude::*;

use sam2unet::kernels::add_relu::AddReluKernel;
use sam2unet::nn::backend::cpu::{Copies, copies};
use sam2unet::nn::weights::{Role, SourceError, Value, WeightSource, WeightSpec};
use sam2unet::nn::*;
use sam2unet::train::{AdamW, AdamWConfig};
use std::collections::BTreeMap;

type S64 = Const<64>;
type S96 = Const<96>;

const WEIGHTS: &str = "golden/pico/sam2unet_pico.safetensors";
const EXPECTED: &str = "golden/pico/expected.safetensors";

on_each_device! {
    pico_eval, pico_eval_at_other_sides, pico_loss_and_every_gradient, pico_the_published_scripts_loss,
    pico_five_steps_of_dfdx_adam, pico_five_steps_of_our_adamw, pico_in_bf16, pico_in_tf32, pico_for_inference, tiny_at_352,
    large_at_352,
}

/// Pico with its published weights, and what is expected of it.
fn pico<D: Backend>(device: &D) -> Option<(Sam2UNet<Pico, D>, Golden)> {
    let (mut weights, expected) = (Golden::open(WEIGHTS)?, Golden::open(EXPECTED)?);
    let model = Sam2UNet::from_source(device, &mut weights).unwrap();
    Some((model, expected))
}

fn random<V: Variant, K: Classes>(seed: u64) -> Sam2UNet<V, Cpu, K> {
    Sam2UNet::from_source(&Cpu::default(), &mut Initialiser::new(seed)).unwrap()
}

fn image<B: Dim, S: Side + ConstDim>(batch: B) -> Image<B, S, Cpu> {
    let n = batch.size() * 3 * S::SIZE * S::SIZE;
    let values = (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    Cpu::default().tensor_from_vec(values, (batch, Const, S::default(), S::default()))
}

fn mask<B: Dim, S: Side + ConstDim, K: Classes + ConstDim>(batch: B) -> Masks<B, S, K, Cpu> {
    let n = batch.size() * K::SIZE * S::SIZE * S::SIZE;
    let values = (0..n).map(|i| f32::from(u8::from(i * 7 % S::SIZE < S::SIZE / 3)));
    Cpu::default().tensor_from_vec(values.collect(), (batch, K::default(), S::default(), S::default()))
}

/// Options of a model that computes in this precision.
fn of(precision: Precision) -> BuildOptions {
    BuildOptions { precision, ..BuildOptions::default() }
}

fn tensor<S: ConstShape, D: Backend>(device: &D, golden: &Golden, name: &str) -> Tensor<S, f32, D> {
    device.tensor_from_vec(golden.get(name).f32(), S::default())
}

fn values<V: Variant, D: Backend, K: Classes>(model: &Sam2UNet<V, D, K>) -> BTreeMap<String, (WeightSpec, Value)> {
    let mut list = BTreeMap::new();
    model.each_value(&mut |spec, value| {
        list.insert(spec.name.clone(), (spec, value));
    });
    list
}

fn close(what: &str, found: &[f32], expected: &[f64], tolerance: f64) {
    let difference = largest_difference(found, expected);
    println!("{what}: {difference:.1e} of the largest value");
    assert!(difference <= tolerance, "{what}: {difference:e}");
}

// ---- Pico, every number

fn pico_eval<D: Backend>(device: &D) {
    let Some((model, expected)) = pico(device) else {
        return;
    };
    let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
    let check = |what: &str, found: &[f32]| {
        let expected = &expected.get(&format!("eval.{what}")).numbers;
        close(what, found, expected, 1e-4);
    };
    let (x1, x2, x3, x4) = model.encoder.forward(x.clone());
    check("feature1", &channels_first(&x1));
    check("feature2", &channels_first(&x2));
    check("feature3", &channels_first(&x3));
    check("feature4", &channels_first(&x4));
    check("rfb1", &channels_first(&model.rfb1.forward(x1)));
    check("rfb2", &channels_first(&model.rfb2.forward(x2)));
    check("rfb3", &channels_first(&model.rfb3.forward(x3)));
    check("rfb4", &channels_first(&model.rfb4.forward(x4)));
    let y = model.forward(x);
    check("head", &numbers(&y.head));
    check("side1", &numbers(&y.side1));
    check("side2", &numbers(&y.side2));
}

fn pico_eval_at_other_sides<D: Backend>(device: &D) {
    let Some((model, expected)) = pico(device) else {
        return;
    };
    fn check<S: Side + ConstDim, D: Backend>(device: &D, model: &Sam2UNet<Pico, D>, expected: &Golden, name: &str) {
        let x: Image<Const<1>, S, D> = tensor(device, expected, &format!("{name}.image"));
        let found = numbers(&model.forward(x).head);
        let head = &expected.get(&format!("{name}.head")).numbers;
        close(name, &found, head, 1e-4);
    }
    check::<S64, D>(device, &model, &expected, "eval_r64");
    check::<Const<160>, D>(device, &model, &expected, "eval_r160");
}

/// Loss and gradients of one training pass, from the published weights.
fn pico_pass<D: Backend>(
    device: &D,
    model: &mut Sam2UNet<Pico, D>,
    expected: &Golden,
    loss: Loss,
) -> (f64, BTreeMap<String, Vec<f32>>) {
    let x: Image<Const<2>, S96, D> = tensor(device, expected, "image");
    let y: Masks<Const<2>, S96, Const<1>, D> = tensor(device, expected, "mask");
    let outputs = model.forward_mut(x.leaky_trace());
    if loss == Loss::Paper {
        for (name, found) in
            [("head", numbers(&outputs.head)), ("side1", numbers(&outputs.side1)), ("side2", numbers(&outputs.side2))]
        {
            let name = format!("train.{name}");
            close(&name, &found, &expected.get(&name).numbers, 1e-4);
        }
    }
    let loss = outputs.loss(&y, loss).unwrap();
    let value = f64::from(loss.as_vec()[0]);
    (value, gradients(model, &loss.backward()))
}

/// Zero in exact arithmetic on Pico's 3x3 map: what is left is rounding.
const ZERO: [&str; 4] =
    ["rfb4.branch1.2.bn.bias", "rfb4.branch2.2.bn.bias", "rfb4.branch3.2.bn.bias", "rfb3.branch3.2.bn.bias"];

fn pico_loss_and_every_gradient<D: Backend>(device: &D) {
    let (Some(mut weights), Some(expected)) = (Golden::open(WEIGHTS), Golden::open(EXPECTED)) else {
        return;
    };
    let mut least = None;
    for memory in [MemoryUse::Small, MemoryUse::Balanced, MemoryUse::Fast] {
        let options = BuildOptions { memory, ..BuildOptions::default() };
        let mut model = Sam2UNet::with_options(device, &mut weights, options).unwrap();
        let (loss, found) = pico_pass(device, &mut model, &expected, Loss::Paper);
        let wanted = expected.scalar("train.paper.loss");
        assert!((loss / wanted - 1.0).abs() < 1e-5, "{loss} {wanted}");

        let all = expected.under("train.paper.grad.");
        let total = norm(all.flat_map(|(_, array)| array.numbers.iter().copied()));
        let mut worst = (0.0, "");
        let mut names = Vec::new();
        for (name, array) in expected.under("train.paper.grad.") {
            let gradient = &found[name];
            let pairs = gradient.iter().zip(&array.numbers);
            let differences: Vec<f64> = pairs.map(|(a, b)| f64::from(*a) - b).collect();
            if ZERO.contains(&name) {
                assert!(differences.iter().all(|d| d.abs() < 5e-3), "{name}");
            } else {
                let own = norm(array.numbers.iter().copied());
                let difference = norm(differences);
                assert!(difference <= 1e-3 * own + 1e-7 * total, "{name}: {difference:e} of {own:e}");
                if difference / own > worst.0 {
                    worst = (difference / own, name);
                }
            }
            names.push(name);
        }
        println!("{memory:?}: worst gradient {worst:?}");
        assert!(names.iter().eq(found.keys()), "the same set of weights");
        // what is kept is what would be computed again
        let bits: Vec<u32> = found.values().flatten().map(|g| g.to_bits()).collect();
        assert_eq!(least.get_or_insert(bits.clone()), &bits, "{memory:?}");
    }
}

fn pico_the_published_scripts_loss<D: Backend>(device: &D) {
    let Some((mut model, expected)) = pico(device) else {
        return;
    };
    let (loss, found) = pico_pass(device, &mut model, &expected, Loss::PublishedScript);
    let wanted = expected.scalar("train.published_script.loss");
    assert!((loss / wanted - 1.0).abs() < 1e-5, "{loss} {wanted}");
    let prefix = "train.published_script.grad.";
    let total = norm(expected.under(prefix).map(|(_, array)| array.numbers[0]));
    assert_eq!(expected.under(prefix).count(), found.len());
    for (name, array) in expected.under(prefix) {
        let own = norm(found[name].iter().map(|x| f64::from(*x)));
        let wanted = array.numbers[0];
        let tolerance = if ZERO.contains(&name) { 5e-3 } else { 1e-3 * wanted + 1e-7 * total };
        assert!((own - wanted).abs() <= tolerance, "{name}: {own} {wanted}");
    }
}

/// Five steps at the yardstick's rates, each made by `step(model, gradients, rate)`.
fn pico_steps<D: Backend>(device: &D, mut step: impl FnMut(&mut Sam2UNet<Pico, D>, &Gradients<f32, D>, f64)) {
    let Some((mut model, expected)) = pico(device) else {
        return;
    };
    let before = values(&model);
    let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
    let y: Masks<Const<2>, S96, Const<1>, D> = tensor(device, &expected, "mask");
    let mut gradients = model.alloc_grads();
    let rates = &expected.get("steps.lr").numbers;
    for (rate, wanted) in rates.iter().zip(&expected.get("steps.loss").numbers) {
        let outputs = model.forward_mut(x.trace(gradients));
        let loss = outputs.loss(&y, Loss::Paper).unwrap();
        let value = f64::from(loss.as_vec()[0]);
        assert!((value / wanted - 1.0).abs() < 1e-4, "{value} {wanted}");
        gradients = loss.backward();
        step(&mut model, &gradients, *rate);
        model.zero_grads(&mut gradients);
    }
    let after = values(&model);
    let mut changed = 0;
    for (name, (_, value)) in &after {
        match (expected.0.get(&format!("steps.after.{name}")), value) {
            (Some(wanted), Value::Real(found)) => {
                let pairs = found.iter().zip(&wanted.numbers);
                let differences: Vec<f64> = pairs.map(|(a, b)| f64::from(*a) - b).collect();
                if ZERO.contains(&name.as_str()) {
                    // the optimiser makes whole steps out of a gradient that is only rounding
                    assert!(differences.iter().all(|d| d.abs() <= 5e-3), "{name}");
                } else {
                    let difference = norm(differences);
                    let own = norm(wanted.numbers.iter().copied());
                    assert!(difference <= 2e-3 * own, "{name}: {difference:e} of {own:e}");
                }
                changed += 1;
            }
            (None, Value::Count(count)) => assert_eq!(*count, if name.starts_with("up4.") { 0 } else { 5 }),
            _ => assert_eq!(before[name].1, *value, "{name} must not change"),
        }
    }
    assert_eq!(changed, expected.under("steps.after.").count());
}

fn pico_five_steps_of_dfdx_adam<D: Backend>(device: &D) {
    let mut adam = None;
    pico_steps(device, |model, gradients, rate| {
        let adam = adam.get_or_insert_with(|| {
            let weight_decay = Some(WeightDecay::Decoupled(5e-4));
            let config = AdamConfig { weight_decay, ..Default::default() };
            Adam::new(model, config)
        });
        adam.cfg.lr = rate;
        adam.update(model, gradients).unwrap();
    });
}

fn pico_five_steps_of_our_adamw<D: Backend>(device: &D) {
    let mut adamw = AdamW::new(AdamWConfig::default());
    pico_steps(device, |model, gradients, rate| adamw.update(model, gradients, rate).unwrap());
}

/// Norm of the difference, of the expected norm.
fn relative(found: impl IntoIterator<Item = f32>, expected: &[f64]) -> f64 {
    let differences = found.into_iter().zip(expected).map(|(a, b)| f64::from(a) - b);
    norm(differences) / norm(expected.iter().copied())
}

fn pico_in_bf16<D: Backend>(device: &D) {
    // Pico's last map is 3x3, and its batch norms make much of little: PyTorch's bf16 autocast differs by 0.23.
    pico_in(device, Precision::Bf16, Rounding { logits: 2e-2, loss: 1e-2, norm: 5e-2, gradient: 0.23 });
}

fn pico_in_tf32<D: Backend>(device: &D) {
    if device.description() != "cpu" {
        pico_in(device, Precision::Tf32, Rounding { logits: 2e-3, loss: 1e-3, norm: 1e-2, gradient: 0.1 });
    } else {
        assert!(!device.supports(Precision::Tf32), "only GPUs know TF32");
    }
}

/// How far a precision may be from single precision, in parts of the norm.
struct Rounding {
    logits: f64,
    loss: f64,
    /// Of the norm of all gradients.
    norm: f64,
    /// Of their difference.
    gradient: f64,
}

fn pico_in<D: Backend>(device: &D, precision: Precision, most: Rounding) {
    let Some((mut weights, expected)) = Golden::open(WEIGHTS).zip(Golden::open(EXPECTED)) else {
        return;
    };
    if !device.supports(precision) {
        return crate::golden::skipped(&format!("{} computes no {} products", device.description(), precision.name()));
    }
    let mut model = Sam2UNet::<Pico, D>::with_options(device, &mut weights, of(precision)).unwrap();
    let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
    let outputs = model.forward(x);
    for (name, found) in
        [("head", numbers(&outputs.head)), ("side1", numbers(&outputs.side1)), ("side2", numbers(&outputs.side2))]
    {
        let error = relative(found, &expected.get(&format!("eval.{name}")).numbers);
        println!("{name} in {}: {error:.1e}", precision.name());
        assert!(error < most.logits, "{name}: {error:e}");
    }
    let found = {
        let y: Masks<Const<2>, S96, Const<1>, D> = tensor(device, &expected, "mask");
        let x: Image<Const<2>, S96, D> = tensor(device, &expected, "image");
        let loss = model.forward_mut(x.leaky_trace()).loss(&y, Loss::Paper).unwrap();
        let value = f64::from(loss.as_vec()[0]);
        let wanted = expected.scalar("train.paper.loss");
        assert!((value / wanted - 1.0).abs() < most.loss, "{value} {wanted}");
        gradients(&model, &loss.backward())
    };
    let wanted: Vec<f64> =
        expected.under("train.paper.grad.").flat_map(|(_, array)| array.numbers.iter().copied()).collect();
    let found: Vec<f32> = found.into_values().flatten().collect();
    let length = norm(found.iter().map(|g| f64::from(*g))) / norm(wanted.iter().copied()) - 1.0;
    let error = relative(found, &wanted);
    println!("all gradients in {}: norm off by {length:.1e}, difference {error:.1e} of it", precision.name());
    assert!(length.abs() < most.norm, "{length:e}");
    assert!(error < most.gradient, "{error:e}");

    // what the model holds is what it computes with
    model.each_value(&mut |spec, value| {
        let Value::Real(held) = value else { return };
        if spec.role == Role::Frozen && spec.shape.len() == 2 {
            let given = weights.get(&spec.name).f32();
            let round = |v| if precision == Precision::Bf16 { half::bf16::from_f32(v).to_f32() } else { v };
            assert!(held.into_iter().eq(given.into_iter().map(round)), "{}", spec.name);
        }
    });
}

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

/// Of an inference's maps the image alone is copied out of a tensor; besides, the weights that are tensors: each adapter's
/// four and the head's two.
#[test]
fn one_map_is_copied_in_an_inference() {
    let predictor = Sam2UNet::<Pico>::from_source(&Cpu::default(), &mut Synthetic).unwrap().into_predictor();
    let predict = || predictor.predict(image::<_, S96>(Const::<2>)).unwrap();
    predict(); // makes what convolutions multiply by
    let (_, copied) = copies(predict);
    let adapters_and_head = |spec: &WeightSpec| spec.name.contains("prompt_learn") || spec.name.starts_with("head.");
    let weights: Vec<usize> =
        Sam2UNet::<Pico>::specs().iter().filter(|s| adapters_and_head(s)).map(WeightSpec::len).collect();
    assert_eq!(weights.len(), 4 * Pico::BLOCKS.iter().sum::<usize>() + 2);
    let image = 2 * 3 * 96 * 96;
    assert_eq!(copied, Copies { tensors: 1 + weights.len(), numbers: image + weights.iter().sum::<usize>() });
}

// ---- the published sizes

fn at_352<V: Variant, D: Backend>(device: &D, file: &str, hold: Hold) {
    let Some(expected) = Golden::open(file) else {
        return;
    };
    type S = Const<352>;
    let mut model: Sam2UNet<V, D> = Sam2UNet::from_source(device, &mut Synthetic).unwrap();
    let (x, y) = batch(352, 1);
    let x: Image<Const<1>, S, D> = device.tensor_from_vec(x, Default::default());
    let y: Masks<Const<1>, S, Const<1>, D> = device.tensor_from_vec(y, Default::default());

    let every = |what: String, found: Vec<f32>| {
        close(&what, &found, &expected.get(&what).numbers, 1e-4);
    };
    let every61 = |what: &str, found: Vec<f32>| {
        let found = found.into_iter().step_by(61).collect();
        every(format!("eval.{what}.every61"), found);
    };
    let (x1, x2, x3, x4) = model.encoder.forward(x.clone());
    every61("feature1", channels_first(&x1));
    every61("feature2", channels_first(&x2));
    every61("feature3", channels_first(&x3));
    every61("feature4", channels_first(&x4));
    every61("rfb1", channels_first(&model.rfb1.forward(x1)));
    every61("rfb2", channels_first(&model.rfb2.forward(x2)));
    every61("rfb3", channels_first(&model.rfb3.forward(x3)));
    every61("rfb4", channels_first(&model.rfb4.forward(x4)));
    let outputs = model.forward(x.clone());
    let every4 = |what: &str, found: Vec<f32>| {
        let rows = found.chunks_exact(352).step_by(4);
        let found = rows.flat_map(|row| row.iter().copied().step_by(4));
        every(format!("eval.{what}.every4"), found.collect());
    };
    every4("head", numbers(&outputs.head));
    every4("side1", numbers(&outputs.side1));
    every4("side2", numbers(&outputs.side2));

    let outputs = model.forward_mut(x.traced(model.alloc_grads()));
    let loss = outputs.loss(&y, Loss::Paper).unwrap();
    let (value, wanted) = (f64::from(numbers(&loss)[0]), expected.scalar("train.loss"));
    assert!((value / wanted - 1.0).abs() < 1e-5, "{value} {wanted}");
    let found = gradients(&model, &loss.backward());
    assert_eq!(expected.under("train.grad_norm.").count(), found.len());
    let (mut errors, mut theirs, mut outside) = (Vec::new(), Vec::new(), Vec::new());
    for (name, array) in expected.under("train.grad_norm.") {
        let own = norm(found[name].iter().map(|x| f64::from(*x)));
        let error = (own / array.numbers[0] - 1.0).abs();
        let pytorch = expected.scalar(&format!("float32_error.train.grad_norm.{name}"));
        errors.push(error);
        theirs.push(pytorch);
        if error > f64::max(3.0 * pytorch, 1e-3) {
            outside.push(format!("{name}: {error:e}, PyTorch {pytorch:e}"));
        }
    }
    let quantiles = |errors: &mut Vec<f64>| {
        errors.sort_by(f64::total_cmp);
        [50, 90, 100].map(|share| errors[(errors.len() - 1) * share / 100])
    };
    let (own, theirs) = (quantiles(&mut errors), quantiles(&mut theirs));
    println!(
        "gradient norms: errors' median, 90 % and worst {own:?}, PyTorch's single precision {theirs:?}; {} of {} off \
         by more than 1e-3 and three times PyTorch's",
        outside.len(),
        errors.len()
    );
    match hold {
        Hold::EachNorm => assert!(outside.is_empty(), "{outside:#?}"),
        Hold::Distribution => {
            assert!(own.iter().zip(&theirs).all(|(own, theirs)| *own <= 0.5 * theirs), "{own:?} {theirs:?}");
        }
    }
}

/// What is held against PyTorch's single precision, both measured from double precision.
enum Hold {
    /// Each norm is as near as 1e-3 or three times PyTorch's distance.
    EachNorm,
    /// The errors' median, 90 % and worst are at most half of PyTorch's. With these weights Large's third map grows to
    /// 1e5, and most gradients are small differences of large numbers: which norms a single-precision run gets right
    /// within 1e-3 differs from run to run. PyTorch itself, run again on another processor, has 21 of the 396 norms
    /// outside of three times the recorded errors, and 17 with all but the trunk in double precision; this crate 9.
    Distribution,
}

fn tiny_at_352<D: Backend>(device: &D) {
    at_352::<Tiny, D>(device, "golden/tiny_352.safetensors", Hold::EachNorm);
}

#[test]
fn small_at_352() {
    at_352::<Small, _>(&Cpu::default(), "golden/small_352.safetensors", Hold::EachNorm);
}

#[test]
fn base_plus_at_352() {
    at_352::<BasePlus, _>(&Cpu::default(), "golden/base_plus_352.safetensors", Hold::EachNorm);
}

fn large_at_352<D: Backend>(device: &D) {
    at_352::<Large, D>(device, "golden/large_352.safetensors", Hold::Distribution);
}

// ---- shapes, roles, names

#[test]
fn shapes_are_the_types() {
    let model = random::<Pico, Const<1>>(1);
    let y: Masks<Const<2>, S64, Const<1>, Cpu> = model.forward(image(Const::<2>)).head;
    assert_eq!(y.shape().concrete(), [2, 1, 64, 64]);
    // the same weights at another side, the batch size known at run time
    let y = model.forward(image::<_, S96>(3usize));
    assert_eq!(y.side1.shape().concrete(), [3, 1, 96, 96]);
    let (x1, x2, x3, x4): Features<usize, S96, Pico, Cpu> = model.encoder.forward(image::<_, S96>(1usize));
    assert_eq!(x1.shape().concrete(), [1, 24, 24, 16]);
    assert_eq!(x2.shape().concrete(), [1, 12, 12, 32]);
    assert_eq!(x3.shape().concrete(), [1, 6, 6, 64]);
    assert_eq!(x4.shape().concrete(), [1, 3, 3, 128]);
    let y = random::<Pico, Const<4>>(1).forward(image::<_, S64>(1usize));
    assert_eq!(y.side2.shape().concrete(), [1, 4, 64, 64]);
}

#[test]
fn several_classes_are_averaged() {
    let device = Cpu::default();
    type Two = Masks<Const<1>, S64, Const<2>, Cpu>;
    let logits = || -> Two { device.sample_normal() };
    let two = Outputs { head: logits(), side1: logits(), side2: logits() };
    let truth: Two = mask(Const::<1>);
    let class = |k: usize, of: &Two| -> Masks<Const<1>, S64, Const<1>, Cpu> {
        let numbers = of.as_vec()[k * 64 * 64..][..64 * 64].to_vec();
        device.tensor_from_vec(numbers, Default::default())
    };
    let one = |k: usize| {
        let outputs = Outputs { head: class(k, &two.head), side1: class(k, &two.side1), side2: class(k, &two.side2) };
        let loss = outputs.loss(&class(k, &truth), Loss::Paper);
        loss.unwrap().array()
    };
    let expected = (one(0) + one(1)) / 2.0;
    let found = two.loss(&truth, Loss::Paper).unwrap().array();
    assert!((found - expected).abs() < 1e-5, "{found} {expected}");
}

#[test]
fn specs_are_the_published_file() {
    let Some(file) = Golden::open(WEIGHTS) else {
        return;
    };
    let specs = Sam2UNet::<Pico>::specs();
    let sorted: BTreeMap<_, _> = specs.iter().map(|s| (s.name.clone(), s)).collect();
    assert_eq!(sorted.len(), specs.len(), "no name twice");
    assert!(sorted.keys().eq(file.0.keys()));
    for (name, array) in &file.0 {
        let spec = sorted[name];
        assert_eq!(spec.shape, array.shape, "{name}");
        let role = match name.as_str() {
            n if n.starts_with("encoder.") && !n.contains("prompt_learn") => Role::Frozen,
            n if n.ends_with("num_batches_tracked") => Role::Counter,
            n if n.starts_with("up4.") => Role::Unused,
            n if n.contains("running_") => Role::Statistic,
            _ => Role::Trainable,
        };
        assert_eq!(spec.role, role, "{name}");
        assert_eq!(spec.in_trunk(), role == Role::Frozen, "{name}");
    }
}

#[test]
fn what_goes_in_comes_out() {
    let Some(mut file) = Golden::open(WEIGHTS) else {
        return;
    };
    let model: Sam2UNet<Pico> = Sam2UNet::from_source(&Cpu::default(), &mut file).unwrap();
    let mut order = Vec::new();
    model.each_value(&mut |spec, value| {
        let wanted = file.value(&spec).unwrap();
        assert_eq!(value, wanted, "{}", spec.name);
        order.push(spec);
    });
    assert_eq!(order, Sam2UNet::<Pico>::specs());
}

#[test]
fn every_variant_has_its_entry() {
    let entries = catalogue();
    assert!(entries.iter().map(|(name, _)| *name).eq(VARIANTS.iter().copied()));
    let blocks = |specs: &[WeightSpec]| {
        let qkv = specs.iter().filter(|s| s.name.ends_with("qkv.weight"));
        qkv.count()
    };
    let counts: BTreeMap<&str, usize> = entries.iter().map(|(name, specs)| (*name, blocks(specs))).collect();
    for (name, count) in [("tiny", 12), ("small", 16), ("base-plus", 24), ("large", 48)] {
        assert_eq!(counts[name], count, "{name}");
    }
}

#[test]
fn dfdx_sees_the_trainable_weights_only() {
    let mut model = random::<Pico, Const<1>>(1);
    let before = model.clone();
    assert_eq!(model.num_trainable_params(), parameters::<Pico>(1).trainable);
    let outputs = model.forward_mut(image::<_, S64>(2usize).leaky_trace());
    let loss = outputs.loss(&mask(2usize), Loss::Paper).unwrap();
    let grads = loss.backward();
    let specs = Sam2UNet::<Pico>::specs().into_iter();
    let mut trainable: Vec<_> = specs.filter(|s| s.role == Role::Trainable).map(|s| s.name).collect();
    trainable.sort();
    assert!(gradients(&model, &grads).into_keys().eq(trainable));

    let mut sgd = Sgd::new(&model, Default::default());
    sgd.update(&mut model, &grads).unwrap(); // fails if a trainable weight had no gradient
    let (before, after) = (values(&before), values(&model));
    for (name, (spec, value)) in &before {
        let moves = match spec.role {
            Role::Statistic | Role::Counter => !name.starts_with("up4."),
            Role::Frozen | Role::Unused => false,
            Role::Trainable => continue,
        };
        assert_eq!(*value != after[name].1, moves, "{name}");
    }
    assert_ne!(before["head.weight"], after["head.weight"]);
}

#[test]
fn inference_changes_nothing() {
    let model = random::<Pico, Const<1>>(1);
    let before = values(&model);
    let _ = model.forward(image::<_, S64>(2usize));
    assert_eq!(before, values(&model));
}

#[test]
fn a_source_that_lacks_something_is_named() {
    struct Broken(Initialiser, &'static str, fn(Value) -> Result<Value, String>);
    impl WeightSource for Broken {
        fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
            let value = self.0.value(spec)?;
            if spec.name != self.1 {
                return Ok(value);
            }
            self.2(value).map_err(|reason| SourceError { name: spec.name.clone(), reason })
        }
    }
    let error = |name, spoil| {
        let mut source = Broken(Initialiser::new(1), name, spoil);
        let built = Sam2UNet::<Pico>::from_source(&Cpu::default(), &mut source);
        built.map(|_| ()).unwrap_err().to_string()
    };
    assert_eq!(
        error("rfb2.branch1.3.conv.weight", |_| Err("not there".into())),
        "rfb2.branch1.3.conv.weight: not there"
    );
    assert_eq!(
        error("encoder.blocks.2.block.norm1.bias", |_| Ok(Value::Real(vec![0.0; 31]))),
        "encoder.blocks.2.block.norm1.bias: 31 numbers given, 32 needed for the shape [32]"
    );
    assert_eq!(
        error("up4.conv.double_conv.1.num_batches_tracked", |_| Ok(Value::Real(vec![0.0]))),
        "up4.conv.double_conv.1.num_batches_tracked: real numbers given where a count belongs"
    );
    assert_eq!(
        error("rfb1.branch0.0.bn.running_var", |_| Ok(Value::Count(3))),
        "rfb1.branch0.0.bn.running_var: a count given where real numbers belongs"
    );
}

/// A variant and a side known at run time only, as the programs have them.
#[test]
fn a_name_and_a_number_become_a_model() {
    struct Open;
    impl WithVariant for Open {
        type Output = Box<dyn Network>;
        fn call<V: Variant>(self) -> Self::Output {
            Box::new(random::<V, Const<1>>(1))
        }
    }
    sam2unet::with_variant! { fn ours: Pico }
    assert!(ours("tiny", Open).is_none());
    let network = ours("pico", Open).unwrap();
    assert_eq!(network.variant(), "pico");
    let x = image::<_, Const<128>>(2usize).as_vec();
    let logits = network.logits(&x, 2, 128).unwrap();
    let typed = random::<Pico, Const<1>>(1).forward(image::<_, Const<128>>(2usize)).head;
    assert_eq!(logits, typed.as_vec());
    let error = |images: &[f32], side| network.logits(images, 2, side).unwrap_err().to_string();
    assert_eq!(error(&x, 160), "2 images of side 160 are 153600 numbers, 98304 were given");
    assert_eq!(
        error(&vec![0.0; 2 * 3 * 350 * 350], 350),
        "side 350 is none of the supported ones, the multiples of 32 from 64 to 1024"
    );
}
