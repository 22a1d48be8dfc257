//! What holds of the network whatever the weights, the images, the batch and the side.

use super::{Dev, device, network_cases};
use dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorName, ViewTensorRef,
};
use dfdx::nn::{Module, ModuleMut, ZeroGrads};
use dfdx::optim::{Adam, Optimizer, Sgd, SgdConfig, UnusedTensors};
use dfdx::prelude::*;
use proptest::prelude::*;
use sam2unet::nn::Loss;
use sam2unet::nn::weights::{Role, Value, WeightSpec};
use sam2unet::nn::*;
use std::collections::BTreeMap;

sam2unet::variant! {
    pub Small16 = "small16", dim 16, heads 2, blocks [1 2 2 2], global [3], background 5, windows [4 4 6 3]
}

type Model = Sam2UNet<Small16, Dev>;

fn model(seed: u64) -> Model {
    Sam2UNet::from_source(&device(), &mut Initialiser::new(seed)).unwrap()
}

/// Numbers in `-2..2` that depend on the seed.
pub fn numbers(seed: u64, count: usize) -> Vec<f32> {
    super::ops::twin::numbers(count, seed).into_iter().map(|x| 2.0 * x).collect()
}

pub fn image<S: Side + ConstDim>(seed: u64, batch: usize) -> Image<usize, S, Dev> {
    let side = S::default();
    let numbers = numbers(seed, batch * 3 * S::SIZE * S::SIZE);
    device().tensor_from_vec(numbers, (batch, Const, side, side))
}

/// A soft mask.
fn mask<S: Side + ConstDim>(seed: u64, batch: usize) -> Masks<usize, S, Const<1>, Dev> {
    let side = S::default();
    let numbers = numbers(seed ^ 0x5EED, batch * S::SIZE * S::SIZE);
    let soft = numbers.into_iter().map(|x| x.clamp(0.0, 1.0)).collect();
    device().tensor_from_vec(soft, (batch, Const, side, side))
}

/// The gradient of every tensor that dfdx sees, by name; `None` where the tape knows none.
pub fn gradients<K: Classes>(
    model: &Sam2UNet<Small16, Dev, K>,
    grads: &Gradients<f32, Dev>,
) -> BTreeMap<String, Option<Vec<f32>>> {
    struct Reader<'a>(&'a Gradients<f32, Dev>, BTreeMap<String, Option<Vec<f32>>>);
    impl TensorVisitor<f32, Dev> for Reader<'_> {
        type Viewer = (ViewTensorRef, ViewTensorName);
        type Err = <Dev as HasErr>::Err;
        type E2 = f32;
        type D2 = Dev;
        fn visit<S: Shape>(
            &mut self,
            mut options: TensorOptions<S, f32, Dev>,
            (tensor, name): (&Tensor<S, f32, Dev>, String),
        ) -> Result<Option<Tensor<S, f32, Dev>>, <Dev as HasErr>::Err> {
            // dfdx tells only its own optimisers whether a gradient exists: one takes a step of no
            // length on a copy, which has the same id
            options.do_gradient_update = true;
            let config = SgdConfig { lr: 0.0, momentum: None, weight_decay: None };
            let mut sgd = Sgd::<(), f32, Dev>::new(&(), config);
            let mut probe = (&mut sgd, self.0, UnusedTensors::default());
            probe.visit(options, &mut tensor.clone())?;
            let exists = probe.2.is_empty();
            self.1.insert(name, exists.then(|| self.0.get(tensor).as_vec()));
            Ok(None)
        }
    }
    let mut reader = Reader(grads, BTreeMap::new());
    Sam2UNet::iter_tensors(&mut RecursiveWalker { m: (model, String::new()), f: &mut reader }).unwrap();
    reader.1
}

fn stored(model: &Model, roles: &[Role]) -> BTreeMap<String, Value> {
    let mut list = BTreeMap::new();
    model.each_value(&mut |spec, value| {
        if roles.contains(&spec.role) {
            list.insert(spec.name, value);
        }
    });
    list
}

/// One training pass on a tape that allocates nothing beforehand.
fn pass<S: Side + ConstDim>(model: &mut Model, seed: u64, batch: usize) -> Gradients<f32, Dev> {
    let outputs = model.forward_mut(image::<S>(seed, batch).leaky_trace());
    outputs.loss(&mask::<S>(seed, batch), Loss::Paper).unwrap().backward()
}

fn exactly_the_trainable_set<S: Side + ConstDim>(seed: u64, batch: usize, nonzero: bool) {
    let mut model = model(seed);
    let found = pass::<S>(&mut model, seed, batch);
    exactly_the_trainable(&Model::specs(), &gradients(&model, &found), nonzero);
}

/// Every trainable weight has a gradient, and nothing else has: so one reaches adapters, receptive-field blocks,
/// decoder and heads.
pub fn exactly_the_trainable(specs: &[WeightSpec], found: &BTreeMap<String, Option<Vec<f32>>>, nonzero: bool) {
    let mut trainable = 0;
    for spec in specs {
        let gradient = found.get(&spec.name);
        if spec.role == Role::Trainable {
            let gradient = gradient.and_then(Option::as_ref);
            let gradient = gradient.unwrap_or_else(|| panic!("{} has no gradient", spec.name));
            assert_eq!(gradient.len(), spec.len(), "{}", spec.name);
            assert!(gradient.iter().all(|g| g.is_finite()), "{}", spec.name);
            assert!(!nonzero || gradient.iter().any(|g| *g != 0.0), "{} is all zero", spec.name);
            trainable += 1;
        } else {
            assert!(!matches!(gradient, Some(Some(_))), "{} has a gradient", spec.name);
        }
    }
    assert_eq!(trainable, found.values().filter(|g| g.is_some()).count());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(network_cases(1)))]

    #[test]
    fn at_352_every_trainable_weight_has_a_gradient_that_is_not_zero(seed in Just(7u64)) {
        exactly_the_trainable_set::<Const<352>>(seed, 1, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(network_cases(12)))]

    #[test]
    fn gradients_exist_for_exactly_the_trainable_set(seed: u64, batch in 1usize..4, wide: bool) {
        if wide {
            exactly_the_trainable_set::<Const<96>>(seed, batch, false);
        } else {
            exactly_the_trainable_set::<Const<64>>(seed, batch, false);
        }
    }

    #[test]
    fn steps_leave_the_frozen_and_the_unused_alone(seed: u64, steps in 1usize..5, rate in 1e-5f64..0.1) {
        let mut model = model(seed);
        let still = [Role::Frozen, Role::Unused];
        let moving = [Role::Trainable, Role::Statistic, Role::Counter];
        let (before, start) = (stored(&model, &still), stored(&model, &moving));
        let mut adam = Adam::new(&model, AdamConfig { lr: rate, ..Default::default() });
        let mut grads = model.alloc_grads();
        for step in 0..steps {
            let seed = seed.wrapping_add(step as u64);
            let outputs = model.forward_mut(image::<Const<64>>(seed, 2).traced(grads));
            grads = outputs.loss(&mask::<Const<64>>(seed, 2), Loss::Paper).unwrap().backward();
            adam.update(&mut model, &grads).unwrap();
            model.zero_grads(&mut grads);
        }
        prop_assert!(before == stored(&model, &still));
        let after = stored(&model, &moving);
        prop_assert!(after["head.weight"] != start["head.weight"]);
        prop_assert_eq!(&after["up1.conv.double_conv.1.num_batches_tracked"], &Value::Count(steps as i64));
    }

    #[test]
    fn a_batch_is_its_images_one_by_one(seed: u64, batch in 2usize..5, wide: bool) {
        fn check<S: Side + ConstDim>(seed: u64, batch: usize) {
            // running statistics that are not the initial ones
            let mut model = model(seed);
            pass::<S>(&mut model, seed ^ 1, 2);
            let images = image::<S>(seed, batch);
            let one = 3 * S::SIZE * S::SIZE;
            let (together, images) = (model.forward(images.clone()), images.as_vec());
            let together = [together.head, together.side1, together.side2].map(|y| y.as_vec());
            for (i, image) in images.chunks_exact(one).enumerate() {
                let alone: Image<Const<1>, S, Dev> =
                    device().tensor_from_vec(image.to_vec(), Default::default());
                let alone = model.forward(alone);
                let alone = [alone.head, alone.side1, alone.side2].map(|y| y.as_vec());
                for (together, alone) in together.iter().zip(&alone) {
                    assert_eq!(together.len(), batch * alone.len());
                    let part = &together[i * alone.len()..][..alone.len()];
                    let largest = alone.iter().fold(0f32, |m, x| m.max(x.abs()));
                    for (a, b) in part.iter().zip(alone) {
                        assert!((a - b).abs() <= 1e-5 * largest, "{a} {b} of {largest}");
                    }
                }
            }
        }
        if wide {
            check::<Const<160>>(seed, batch);
        } else {
            check::<Const<64>>(seed, batch);
        }
    }
}
