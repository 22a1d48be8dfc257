//! Training with nothing else given.

use super::program::done;
use crate::support::baselines::baselines;
use crate::support::run_log::log;
use dfdx::tensor::Cpu;
use sam2unet::data::{Dataset, Filter, Grey, Synthetic, normalise, saved_mask};
use sam2unet::metrics::{Summary, score_pair};
use sam2unet::nn::{Initialiser, Network, Sam2UNet, Tiny};
use sam2unet::train::settings::demo;

/// The default run learns, and neither a threshold nor a guess nor luck would do.
#[test]
fn the_default_run_learns() {
    let scenes = Synthetic::new(demo::VALIDATION_SEED, demo::VALIDATION_IMAGES, demo::SIZE);
    let untrained = Sam2UNet::<Tiny>::from_source(&Cpu::default(), &mut Initialiser::new(0)).unwrap();
    let pairs: Vec<_> = (0..scenes.len())
        .map(|i| {
            let (image, mask) = (scenes.image(i).unwrap(), scenes.mask(i).unwrap());
            let input = normalise(&image.resize(demo::SIZE, demo::SIZE, Filter::Bilinear));
            let logits = untrained.logits(&input, 1, demo::SIZE).unwrap();
            let map: Grey = saved_mask(&logits, demo::SIZE, mask.width, mask.height, false);
            score_pair(&map.data, &mask.data, mask.width, mask.height).unwrap()
        })
        .collect();
    let before = Summary::of(&pairs).get("sample_biiou").unwrap();
    let [otsu, ellipse] = baselines(&scenes);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    done(dir.path(), &["train", "--out", "run"]);
    let records = log(&out);
    let scores = records.iter().filter_map(|r| r.get("validation")).map(|v| v["sample_biiou"].as_f64().unwrap());
    let trained = scores.fold(0.0, f64::max);
    eprintln!("sample_biiou: Otsu {otsu:.3}, ellipse {ellipse:.3}, untrained {before:.3}, trained {trained:.3}");
    assert!(otsu < 0.40 && ellipse < 0.40 && before < 0.35 && trained >= 0.70);
}

/// Classes that shape alone tells apart are learnt; a shorter run than the default's.
#[test]
fn a_run_on_scenes_of_classes_learns() {
    let dir = tempfile::tempdir().unwrap();
    done(dir.path(), &["train", "--demo", "classes", "--epochs", "5", "--out", "run"]);
    let records = log(&dir.path().join("run"));
    let scores = records.iter().filter_map(|r| r.get("validation"));
    let trained = scores.map(|v| v["foreground_mIoU"].as_f64().unwrap()).fold(0.0, f64::max);
    eprintln!("mean IoU without the background: {trained:.3}");
    assert!(trained >= 0.60);
}
