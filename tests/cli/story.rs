//! The subcommands together: training, predicting, measuring.

use super::program::{done, losses, text};
use crate::support::run_log::log;
use crate::support::scenes::scenes;
use dfdx::tensor::Cpu;
use sam2unet::metrics::keys;
use sam2unet::nn::{Backend, Precision};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;

/// What validation wrote into the log is what `predict` and `evaluate` find.
#[test]
fn a_whole_small_story() {
    let dir = tempfile::tempdir().unwrap();
    let at = |part: &str| dir.path().join(part);
    scenes(&at("train"), 5, 12, 80);
    scenes(&at("val"), 6, 5, 90);
    let (images, masks) = (at("train/images"), at("train/masks"));
    let (val_images, val_masks) = (at("val/images"), at("val/masks"));
    let (out, predictions, json) = (at("run"), at("predictions"), at("scores.json"));
    #[rustfmt::skip]
    done(dir.path(), &["train", "--images", text(&images), "--masks", text(&masks), "--val-images", text(&val_images),
        "--val-masks", text(&val_masks), "--variant", "tiny", "--size", "64", "--batch-size", "4", "--epochs", "2",
        "--out", text(&out)]);
    let records = log(&out);
    assert_eq!(losses(&out).len(), 6);
    let validations: Vec<_> = records.iter().filter_map(|r| r.get("validation")).collect();
    let biiou = |v: &&Value| v["sample_biiou"].as_f64().unwrap();
    let best = validations.iter().copied().max_by(|a, b| biiou(a).total_cmp(&biiou(b))).unwrap();
    #[rustfmt::skip]
    done(dir.path(), &["predict", "--checkpoint", text(&out.join("best/model.safetensors")),
        "--images", text(&val_images), "--out", text(&predictions)]);
    #[rustfmt::skip]
    done(dir.path(), &["evaluate", "--predictions", text(&predictions), "--masks", text(&val_masks),
        "--json", text(&json)]);
    let scores: BTreeMap<String, Value> = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let best = best.as_object().unwrap();
    assert_eq!(best.len(), keys().len());
    for (key, value) in best {
        let (logged, found) = (value.as_f64().unwrap(), scores[key].as_f64().unwrap());
        assert!((logged - found).abs() <= 1e-12, "{key}: {logged} in the log, {found} by evaluate");
    }
    assert!(out.join("curves.svg").is_file() && out.join("samples.png").is_file());
}

/// `--memory` changes no byte of the result; `--precision` does, and the checkpoint says so.
#[test]
fn memory_and_precision_are_chosen() {
    let dir = tempfile::tempdir().unwrap();
    scenes(&dir.path().join("set"), 5, 4, 64);
    let set = dir.path().join("set");
    let (images, masks) = (set.join("images"), set.join("masks"));
    let trained = |name: &str, more: &[&str]| {
        let out = dir.path().join(name);
        let mut arguments = vec!["train", "--images", text(&images), "--masks", text(&masks), "--variant", "tiny"];
        #[rustfmt::skip]
        arguments.extend(["--size", "64", "--batch-size", "2", "--epochs", "1", "--device", "cpu",
            "--out", text(&out)]);
        arguments.extend(more);
        (done(dir.path(), &arguments), out.join("last/model.safetensors"))
    };
    let (_, balanced) = trained("balanced", &[]);
    let (_, small) = trained("small", &["--memory", "small"]);
    assert!(fs::read(&balanced).unwrap() == fs::read(&small).unwrap());

    let (said, rounded) = trained("bf16", &["--precision", "bf16"]);
    // weights are rounded everywhere, factors where that is faster
    let widened = Cpu::default().computes_in(Precision::Bf16) == Precision::F32;
    assert_eq!(said.contains("products computed in f32"), widened, "{said}");
    let settings = fs::read_to_string(dir.path().join("bf16/config.toml")).unwrap();
    assert!(settings.contains("precision = \"bf16\""), "{settings}");
    assert!(fs::read(&balanced).unwrap() != fs::read(&rounded).unwrap());

    // what the CPU has not gives way to f32, and the run remembers what it did
    let (said, instead) = trained("tf32", &["--precision", "tf32"]);
    assert!(said.contains("f32 in its place"), "{said}");
    assert!(fs::read(&balanced).unwrap() == fs::read(&instead).unwrap());
    let settings = fs::read_to_string(dir.path().join("tf32/config.toml")).unwrap();
    assert!(settings.contains("precision = \"f32\""), "{settings}");

    // prediction computes as training did, unless told otherwise
    let masks = dir.path().join("predicted");
    let predict = |more: &[&str]| {
        let mut arguments =
            vec!["predict", "--checkpoint", text(&rounded), "--images", text(&images), "--out", text(&masks)];
        arguments.extend(["--device", "cpu"]);
        arguments.extend(more);
        done(dir.path(), &arguments)
    };
    let (as_trained, told) = (predict(&[]), predict(&["--precision", "f32"]));
    assert!(as_trained.contains(", bf16)") && told.contains(", f32)"), "{as_trained}{told}");
}
