//! Variants and sides known at run time only.

use crate::support::golden::Pico;
use crate::support::pico::{image, random};
use crate::support::wrong::{EMPTY, model};
use dfdx::nn::Module;
use dfdx::prelude::*;
use sam2unet::nn::weights::WeightSpec;
use sam2unet::nn::{Network, VARIANTS, Variant, WithVariant, catalogue};
use std::collections::BTreeMap;

#[test]
fn every_variant_has_its_entry() {
    let entries = catalogue();
    assert!(entries.iter().map(|(variant, _)| variant.name()).eq(VARIANTS.iter().copied()));
    let blocks = |specs: &[WeightSpec]| {
        let qkv = specs.iter().filter(|s| s.name.ends_with("qkv.weight"));
        qkv.count()
    };
    let counts: BTreeMap<&str, usize> =
        entries.iter().map(|(variant, specs)| (variant.name(), blocks(specs))).collect();
    for (name, count) in [("tiny", 12), ("small", 16), ("base-plus", 24), ("large", 48)] {
        assert_eq!(counts[name], count, "{name}");
    }
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

#[test]
fn a_network_refuses_images_of_a_wrong_shape() {
    let (model, predictor) = (model(), model().into_predictor());
    let networks: [&dyn Network; 2] = [&model, &predictor];
    for network in networks {
        let error =
            |numbers: usize, batch, side| network.logits(&vec![0.0; numbers], batch, side).unwrap_err().to_string();
        let unsupported =
            |side| format!("side {side} is none of the supported ones, the multiples of 32 from 64 to 1024");
        assert_eq!(error(3 * 64 * 128, 1, 64), "1 images of side 64 are 12288 numbers, 24576 were given");
        assert_eq!(error(3 * 63 * 63, 1, 63), unsupported(63));
        assert_eq!(error(3 * 32 * 32, 1, 32), unsupported(32));
        assert_eq!(error(0, 0, 64), EMPTY);
    }
}
