//! Training on real images beside PyTorch.

use super::program::{done, losses, text};
use crate::support::golden::Synthetic;
use crate::support::shared::shared;
use dfdx::tensor::Cpu;
use sam2unet::checkpoint;
use sam2unet::nn::{Sam2UNet, Tiny};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// Steps on real images follow PyTorch's (`reference/train_ref.py`), and those on JPEG files are to the bit those on
/// the PNG files that Pillow made of them. `SAM2UNET_SLOW=1` makes all twenty of both.
#[test]
fn kvasir_steps_follow_pytorch() {
    let Some(expected) = shared("golden/kvasir_tiny_steps.json") else { return };
    let Some(data) = shared("data") else { return };
    let expected: Value = serde_json::from_str(&fs::read_to_string(expected).unwrap()).unwrap();
    let expected: Vec<f64> = expected["loss"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap()).collect();
    let slow = std::env::var_os("SAM2UNET_SLOW").is_some();
    let dir = tempfile::tempdir().unwrap();
    let init = dir.path().join("synthetic.safetensors");
    let model = Sam2UNet::<Tiny>::from_source(&Cpu::default(), &mut Synthetic).unwrap();
    checkpoint::save(&init, &Sam2UNet::<Tiny>::specs(), |put| model.each_value(put), &BTreeMap::new()).unwrap();
    let mut of_png: Vec<f64> = Vec::new();
    for (folder, steps) in [("kvasir80_png", if slow { 20 } else { 5 }), ("kvasir/train", if slow { 20 } else { 2 })] {
        let out = dir.path().join(folder.replace('/', "-"));
        let (images, masks) = (data.join(folder).join("images"), data.join(folder).join("masks"));
        // 800 JPEG files would make another epoch of the twenty steps, with another learning rate after them only
        #[rustfmt::skip]
        done(dir.path(), &["train", "--images", text(&images), "--masks", text(&masks), "--variant", "tiny",
            "--batch-size", "4", "--steps", &steps.to_string(), "--no-shuffle", "--no-augment",
            "--init", text(&init), "--out", text(&out)]);
        let found = losses(&out);
        assert!(
            found.len() == steps && expected.len() >= steps,
            "{} of {steps} steps, {} by PyTorch",
            found.len(),
            expected.len()
        );
        for (i, (found, want)) in found.iter().zip(&expected).enumerate() {
            let (error, bound) = ((found / want - 1.0).abs(), if i < 5 { 0.0005 } else { 0.01 });
            eprintln!("{folder} step {}: {found:.6}, PyTorch {want:.6}, off by {error:.1e}", i + 1);
            assert!(error <= bound, "{folder} step {}: {found}, PyTorch {want}", i + 1);
        }
        if of_png.is_empty() {
            of_png = found;
        } else {
            assert_eq!(found, of_png[..steps], "of JPEG files and of PNG files");
        }
    }
}
