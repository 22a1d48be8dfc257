//! Names, shapes and roles of the weights, where they come from, and which of them dfdx sees.

use crate::support::golden::{Golden, Pico};
use crate::support::numbers::gradients;
use crate::support::pico::{S64, WEIGHTS, image, mask, random, values};
use dfdx::nn::{ModuleMut, NumParams};
use dfdx::optim::{Optimizer, Sgd};
use dfdx::prelude::*;
use sam2unet::nn::weights::{Role, SourceError, Value, WeightSource, WeightSpec};
use sam2unet::nn::{Initialiser, Loss, Sam2UNet, parameters};
use std::collections::BTreeMap;

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
