//! AdamW (Loshchilov and Hutter, arXiv 1711.05101) with a state that can be read and put back,
//! which dfdx's `Adam` does not offer and exact resume needs.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use dfdx::nn::tensor_collection::{
    RecursiveWalker, TensorCollection, TensorOptions, TensorVisitor, ViewTensorMut, ViewTensorName, ViewTensorRef,
};
use dfdx::optim::{Sgd, SgdConfig, UnusedTensors};
use dfdx::shapes::{HasShape, Shape};
use dfdx::tensor::{Cpu, Gradients, Storage, Tensor};

use crate::kernels::adamw::{AdamWKernel, AdamWStep};
use crate::nn::backend::bound::{Backend, StorageOf};

use super::gradient_walk::numbers_of;
use super::learner::{EachMoment, LearnError, MomentsOf, device_error};

/// The constants of AdamW; the learning rate comes with each step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the mean of gradients.
    pub beta1: f64,
    /// Decay of the mean of squared gradients.
    pub beta2: f64,
    /// Added to the denominator.
    pub epsilon: f64,
    /// Decoupled weight decay: each step first multiplies a weight by `1 - rate * weight_decay`.
    pub weight_decay: f64,
}

impl Default for AdamWConfig {
    /// PyTorch's constants with the paper's weight decay, 5e-4.
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weight_decay: 5e-4 }
    }
}

/// AdamW over the trainable tensors of a dfdx module, on a device.
///
/// The arithmetic is that of `torch.optim.AdamW` for one tensor, in `f32` with the scalar factors
/// computed in `f64`, number by number, so that equal inputs give equal bits whatever the machine or the number of
/// threads. Moments live where the weights do, by weight name.
#[derive(Clone, Debug)]
pub struct AdamW<D: Backend = Cpu> {
    config: AdamWConfig,
    steps: u64,
    moments: BTreeMap<String, Moments<D>>,
}

/// Running means of a weight's gradient and of its square.
#[derive(Clone, Debug)]
struct Moments<D: Backend> {
    first: StorageOf<D>,
    second: StorageOf<D>,
    device: D,
}

impl<D: Backend> AdamW<D> {
    /// An optimiser that has made no step.
    pub fn new(config: AdamWConfig) -> Self {
        Self { config, steps: 0, moments: BTreeMap::new() }
    }

    /// How many steps it has made.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// One step at learning rate `rate` over every tensor of `module` that dfdx's walk marks for
    /// gradient updates; other tensors are left alone.
    ///
    /// A weight is known by its path in that walk.
    ///
    /// # Errors
    /// [`LearnError::NoGradient`] when `gradients` holds nothing for some of them: nothing is
    /// changed then. [`LearnError::Device`] when the device fails.
    pub fn update<M: TensorCollection<f32, D>>(
        &mut self,
        module: &mut M,
        gradients: &Gradients<f32, D>,
        rate: f64,
    ) -> Result<(), LearnError> {
        let mut search = GradientSearch { gradients, missing: Vec::new() };
        M::iter_tensors(&mut RecursiveWalker { m: (&*module, String::new()), f: &mut search })?;
        if !search.missing.is_empty() {
            return Err(LearnError::NoGradient { names: search.missing });
        }
        self.step_with(module, Source::Kept(gradients), rate)
    }

    /// [`update`](Self::update) where every weight is known to have a gradient, which dfdx tells at a kernel's cost for each.
    /// Gradients are zeros afterwards: they are used up, where dfdx would copy each.
    pub(super) fn use_up<M: TensorCollection<f32, D>>(
        &mut self,
        module: &mut M,
        gradients: &mut Gradients<f32, D>,
        rate: f64,
    ) -> Result<(), LearnError> {
        self.step_with(module, Source::UsedUp(gradients), rate)
    }

    /// [`update`](Self::update) with these gradients: of every weight, in the order of the walk, one after the other.
    ///
    /// # Errors
    /// [`LearnError::Batch`] when there are too few or too many numbers, [`LearnError::Device`] when the device fails.
    pub fn update_with<M: TensorCollection<f32, D>>(
        &mut self,
        module: &mut M,
        gradients: &[f32],
        rate: f64,
    ) -> Result<(), LearnError> {
        let expected = numbers_of(module)?;
        if expected != gradients.len() {
            let found = gradients.len();
            return Err(LearnError::Batch(format!("a gradient of {found} numbers for {expected} trainable numbers")));
        }
        self.step_with(module, Source::Given(gradients), rate)
    }

    fn step_with<M: TensorCollection<f32, D>>(
        &mut self,
        module: &mut M,
        gradients: Source<'_, D>,
        rate: f64,
    ) -> Result<(), LearnError> {
        self.steps += 1;
        let mut step = Step { step: self.config.step(self.steps, rate), moments: &mut self.moments, gradients };
        M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut step })?;
        Ok(())
    }

    /// Calls `f` with each weight's name, first and second moment, in the order of the names.
    /// Before the first step there are none.
    ///
    /// # Errors
    /// When the device fails.
    pub fn each_moment(&self, f: EachMoment<'_>) -> Result<(), LearnError> {
        for (name, Moments { first, second, device }) in &self.moments {
            let fetch = |moment| device.fetch(moment).map_err(device_error::<D>);
            f(name, &fetch(first)?, &fetch(second)?);
        }
        Ok(())
    }

    /// Puts back the state after `steps` steps: `moments` is asked for every trainable weight of
    /// `module`. After zero steps it is not asked.
    ///
    /// # Errors
    /// [`LearnError::Moment`] when a moment is missing or has another length than its weight,
    /// [`LearnError::Device`] when the device fails; the state is as before then.
    pub fn restore<M: TensorCollection<f32, D>>(
        &mut self,
        module: &M,
        moments: MomentsOf<'_>,
        steps: u64,
    ) -> Result<(), LearnError> {
        let mut reader = MomentReader { source: moments, found: BTreeMap::new() };
        if steps > 0 {
            M::iter_tensors(&mut RecursiveWalker { m: (module, String::new()), f: &mut reader })?;
        }
        self.moments = reader.found;
        self.steps = steps;
        Ok(())
    }
}

impl AdamWConfig {
    /// The factors of step number `step`, from 1.
    fn step(&self, step: u64, rate: f64) -> AdamWStep {
        // powf takes any step count; PyTorch, too, computes these in f64
        let correction1 = 1.0 - self.beta1.powf(step as f64);
        let correction2 = 1.0 - self.beta2.powf(step as f64);
        AdamWStep {
            keep: (1.0 - rate * self.weight_decay) as f32,
            first_new: (1.0 - self.beta1) as f32,
            second_keep: self.beta2 as f32,
            second_new: (1.0 - self.beta2) as f32,
            second_scale: correction2.sqrt() as f32,
            epsilon: self.epsilon as f32,
            step_size: (rate / correction1) as f32,
        }
    }
}

/// The first walk of a step: which trainable weights have no gradient.
struct GradientSearch<'a, D: Backend> {
    gradients: &'a Gradients<f32, D>,
    missing: Vec<String>,
}

impl<D: Backend> TensorVisitor<f32, D> for GradientSearch<'_, D> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = LearnError;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        opts: TensorOptions<S, f32, D>,
        (weight, path): (&Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>, LearnError> {
        if !opts.do_gradient_update {
            return Ok(None);
        }
        // dfdx tells whether a gradient exists only to its own optimisers (`Gradients::get` panics),
        // so let one of them take a step of length zero on a copy, which has the same id.
        let still = SgdConfig { lr: 0.0, momentum: None, weight_decay: None };
        let mut sgd = Sgd::<(), f32, D>::new(&(), still);
        let mut probe = (&mut sgd, self.gradients, UnusedTensors::default());
        probe.visit(opts, &mut weight.clone()).map_err(device_error::<D>)?;
        if !probe.2.is_empty() {
            self.missing.push(weight_name(&path));
        }
        Ok(None)
    }
}

/// Where a step finds its gradients.
enum Source<'a, D: Backend> {
    Kept(&'a Gradients<f32, D>),
    UsedUp(&'a mut Gradients<f32, D>),
    /// Those of the weights not visited yet.
    Given(&'a [f32]),
}

/// The second walk of a step: changes weights and moments.
struct Step<'a, D: Backend> {
    step: AdamWStep,
    moments: &'a mut BTreeMap<String, Moments<D>>,
    gradients: Source<'a, D>,
}

impl<D: Backend> TensorVisitor<f32, D> for Step<'_, D> {
    type Viewer = (ViewTensorMut, ViewTensorName);
    type Err = LearnError;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        opts: TensorOptions<S, f32, D>,
        (weight, path): (&mut Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>, LearnError> {
        if !opts.do_gradient_update {
            return Ok(None);
        }
        let (count, device) = (weight.shape().num_elements(), weight.device().clone());
        let Moments { first, second, .. } = match self.moments.entry(weight_name(&path)) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let zeros = || <D as Storage<f32>>::try_alloc_len(&device, count).map_err(device_error::<D>);
                place.insert(Moments { first: zeros()?, second: zeros()?, device: device.clone() })
            }
        };
        let gradient = match &mut self.gradients {
            Source::Kept(gradients) => device.view(&gradients.get(weight)),
            Source::UsedUp(gradients) => {
                let place = gradients.get_or_alloc_mut(weight).map_err(device_error::<D>)?;
                let gradient = device.take(place).map_err(device_error::<D>)?;
                *place = <D as Storage<f32>>::try_alloc_len(&device, count).map_err(device_error::<D>)?;
                gradient
            }
            Source::Given(numbers) => {
                let (own, rest) = numbers.split_at(count);
                *numbers = rest;
                device.view(&device.upload(own, *weight.shape()).map_err(device_error::<D>)?)
            }
        };
        let step = &self.step;
        let renewed = device.renew(weight, |k, old, new| {
            k.adamw(step, old, &gradient, [D::slice_mut(first), D::slice_mut(second)], new)
        });
        renewed.map_err(device_error::<D>)?;
        Ok(None)
    }
}

/// The walk that puts moments back.
struct MomentReader<'a, D: Backend> {
    source: MomentsOf<'a>,
    found: BTreeMap<String, Moments<D>>,
}

impl<D: Backend> TensorVisitor<f32, D> for MomentReader<'_, D> {
    type Viewer = (ViewTensorRef, ViewTensorName);
    type Err = LearnError;
    type E2 = f32;
    type D2 = D;

    fn visit<S: Shape>(
        &mut self,
        opts: TensorOptions<S, f32, D>,
        (weight, path): (&Tensor<S, f32, D>, String),
    ) -> Result<Option<Tensor<S, f32, D>>, LearnError> {
        if !opts.do_gradient_update {
            return Ok(None);
        }
        let (name, count) = (weight_name(&path), weight.shape().num_elements());
        let wrong = |reason| LearnError::Moment { name: name.clone(), reason };
        let (first, second) = (self.source)(&name).ok_or_else(|| wrong("it is missing".to_string()))?;
        for moment in [&first, &second] {
            if moment.len() != count {
                return Err(wrong(format!("{} numbers, expected {count}", moment.len())));
            }
        }
        let device = weight.device().clone();
        let store = |moment: &[f32]| device.store(moment).map_err(device_error::<D>);
        let moments = Moments { first: store(&first)?, second: store(&second)?, device: device.clone() };
        self.found.insert(name, moments);
        Ok(None)
    }
}

/// A weight's name from its path in dfdx's walk, where a tensor inside a module, or a module that
/// takes its parent's name, adds an empty part.
fn weight_name(path: &str) -> String {
    path.split('.').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;
    use dfdx::nn::modules::{BatchNorm2D, Linear};
    use dfdx::prelude::*;

    /// A scalar AdamW in f64, written from the paper's algorithm 2.
    struct Scalar {
        weight: f64,
        first: f64,
        second: f64,
        step: i32,
    }

    impl Scalar {
        fn update(&mut self, gradient: f64, rate: f64, config: &AdamWConfig) {
            self.step += 1;
            self.weight -= rate * config.weight_decay * self.weight;
            self.first = config.beta1 * self.first + (1.0 - config.beta1) * gradient;
            self.second = config.beta2 * self.second + (1.0 - config.beta2) * gradient * gradient;
            let first = self.first / (1.0 - config.beta1.powi(self.step));
            let second = self.second / (1.0 - config.beta2.powi(self.step));
            self.weight -= rate * first / (second.sqrt() + config.epsilon);
        }
    }

    type Pair = (Linear<3, 2, f32, Cpu>, BatchNorm2D<2, f32, Cpu>);

    fn gradients_of(linear: &Linear<3, 2, f32, Cpu>, x: &Tensor<Rank2<4, 3>, f32, Cpu>) -> Gradients<f32, Cpu> {
        linear.forward(x.leaky_trace()).square().mean().backward()
    }

    #[test]
    fn agrees_with_the_scalar_algorithm() {
        let device = Cpu::seed_from_u64(5);
        let mut linear = Linear::<3, 2, f32, Cpu>::build(&device);
        let x: Tensor<Rank2<4, 3>, f32, Cpu> = device.sample_normal();
        let config = AdamWConfig { weight_decay: 0.1, ..Default::default() };
        let mut optimiser = AdamW::new(config);
        let start = [linear.weight.as_vec(), linear.bias.as_vec()].concat();
        let mut expected: Vec<Scalar> =
            start.iter().map(|&w| Scalar { weight: w.into(), first: 0.0, second: 0.0, step: 0 }).collect();
        for rate in [1e-2, 9e-3, 5e-3, 1e-3] {
            let gradients = gradients_of(&linear, &x);
            let numbers = [gradients.get(&linear.weight).as_vec(), gradients.get(&linear.bias).as_vec()].concat();
            optimiser.update(&mut linear, &gradients, rate).unwrap();
            for (scalar, &gradient) in expected.iter_mut().zip(&numbers) {
                scalar.update(gradient.into(), rate, &config);
            }
        }
        let after = [linear.weight.as_vec(), linear.bias.as_vec()].concat();
        for ((got, want), before) in after.iter().zip(&expected).zip(&start) {
            assert!((f64::from(*got) - want.weight).abs() < 2e-7, "{got} {}", want.weight);
            assert!((got - before).abs() > 5e-3);
        }
        assert_eq!(optimiser.steps(), 4);
    }

    /// `torch.optim.AdamW([p], lr=0.1, weight_decay=0.05)` of PyTorch 2.13 on p = (1, -2), gradients
    /// (0.5, -1), (-3, 0.25), (0, 1e-4).
    #[test]
    fn agrees_with_pytorch() {
        let device = Cpu::default();
        let mut weight: Tensor<Rank1<2>, f32, Cpu> = device.tensor([1.0, -2.0]);
        let mut optimiser = AdamW::new(AdamWConfig { weight_decay: 0.05, ..Default::default() });
        for gradient in [[0.5, -1.0], [-3.0, 0.25], [0.0, 1e-4]] {
            let factor: Tensor<Rank1<2>, f32, Cpu> = device.tensor(gradient);
            let gradients = (weight.leaky_trace() * factor).sum::<Rank0, _>().backward();
            optimiser.update(&mut weight, &gradients, 0.1).unwrap();
        }
        let (got, want) = (weight.array(), TORCH);
        assert!((got[0] - want[0]).abs() < 2e-7 && (got[1] - want[1]).abs() < 3e-7, "{got:?}");
    }

    const TORCH: [f32; 2] = [0.996_381_46, -1.788_151_4];

    #[test]
    fn leaves_running_statistics_alone_and_names_what_has_no_gradient() {
        let device = Cpu::default();
        let mut module: Pair = (Linear::build(&device), BatchNorm2D::build(&device));
        let x: Tensor<Rank2<4, 3>, f32, Cpu> = device.ones();
        let before = module.0.weight.as_vec();
        let mut optimiser = AdamW::new(AdamWConfig::default());
        let gradients = gradients_of(&module.0, &x);
        let error = optimiser.update(&mut module, &gradients, 1e-3).unwrap_err();
        assert!(matches!(&error, LearnError::NoGradient { names } if names == &["1.scale", "1.bias"]));
        assert_eq!((optimiser.steps(), module.0.weight.as_vec()), (0, before));

        let mut gradients = gradients;
        gradients.try_alloc_for(&module.1.scale).unwrap();
        gradients.try_alloc_for(&module.1.bias).unwrap();
        optimiser.update(&mut module, &gradients, 1e-3).unwrap();
        let mut names = Vec::new();
        optimiser.each_moment(&mut |name, _, _| names.push(name.to_string())).unwrap();
        assert_eq!(names, ["0.bias", "0.weight", "1.bias", "1.scale"]);
        assert_eq!(module.1.running_mean.as_vec(), [0.0; 2]);
        assert_eq!(module.1.running_var.as_vec(), [1.0; 2]);
    }

    #[test]
    fn a_restored_optimiser_continues_bit_for_bit() {
        let device = Cpu::seed_from_u64(7);
        let mut linear = Linear::<3, 2, f32, Cpu>::build(&device);
        let x: Tensor<Rank2<4, 3>, f32, Cpu> = device.sample_normal();
        let mut optimiser = AdamW::new(AdamWConfig::default());
        for _ in 0..3 {
            let gradients = gradients_of(&linear, &x);
            optimiser.update(&mut linear, &gradients, 1e-2).unwrap();
        }
        let mut state = BTreeMap::new();
        optimiser
            .each_moment(&mut |name, first, second| {
                state.insert(name.to_string(), (first.to_vec(), second.to_vec()));
            })
            .unwrap();
        let mut other = AdamW::new(AdamWConfig::default());
        other.restore(&linear, &mut |name| state.get(name).cloned(), 3).unwrap();
        let mut copy = linear.clone();
        let gradients = gradients_of(&linear, &x);
        optimiser.update(&mut linear, &gradients, 1e-2).unwrap();
        other.update(&mut copy, &gradients, 1e-2).unwrap();
        assert_eq!(linear.weight.as_vec(), copy.weight.as_vec());

        state.remove("bias");
        let error = other.restore(&linear, &mut |name| state.get(name).cloned(), 3).unwrap_err();
        assert!(error.to_string().contains("bias: it is missing"), "{error}");
        state.insert("bias".to_string(), (vec![0.0; 2], vec![0.0; 5]));
        let error = other.restore(&linear, &mut |name| state.get(name).cloned(), 3).unwrap_err();
        assert!(error.to_string().contains("5 numbers, expected 2"), "{error}");
    }
}
