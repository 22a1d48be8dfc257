//! The programs together, as a user runs them: training, killing, resuming, predicting, measuring.

use crate::golden::{Synthetic as SyntheticWeights, shared};
use dfdx::tensor::Cpu;
use sam2unet::checkpoint;
use sam2unet::data::{Dataset, Filter, Grey, Synthetic, normalise, saved_mask, write_png};
use sam2unet::metrics::{Summary, score_pair};
use sam2unet::nn::{Backend, Initialiser, Network, Precision, Sam2UNet, Tiny};
use sam2unet::train::settings::demo;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const TRAIN: &str = env!("CARGO_BIN_EXE_train");

/// `train` by its own name, and the subcommands of `sam2unet`.
fn program(name: &str) -> Command {
    let mut command = Command::new(if name == TRAIN { TRAIN } else { env!("CARGO_BIN_EXE_sam2unet") });
    command.args((name != TRAIN).then_some(name));
    command
}

fn run(name: &str, arguments: &[&str]) -> String {
    let output = program(name).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{name} {arguments:?}: {text}");
    String::from_utf8(output.stdout).unwrap()
}

/// Standard error of a program that must fail; a panic or a signal is no refusal.
fn refused(folder: &Path, name: &str, arguments: &[&str]) -> String {
    let output = program(name).args(arguments).current_dir(folder).output().unwrap();
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{name} {arguments:?}: {:?} {message}", output.status);
    assert!(!message.contains("panicked"), "{message}");
    message
}

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn log(run: &Path) -> Vec<Value> {
    let log = fs::read_to_string(run.join("log.jsonl")).unwrap();
    log.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn losses(run: &Path) -> Vec<f64> {
    log(run).iter().filter_map(|r| r.get("step").and(r["loss"].as_f64())).collect()
}

/// Writes generated scenes as files.
pub fn scenes(folder: &Path, seed: u64, count: usize, side: usize) {
    let scenes = Synthetic::new(seed, count, side);
    for part in ["images", "masks"] {
        fs::create_dir_all(folder.join(part)).unwrap();
    }
    for i in 0..count {
        write_png(&folder.join(format!("images/{i:03}.png")), &scenes.image(i).unwrap()).unwrap();
        write_png(&folder.join(format!("masks/{i:03}.png")), &scenes.mask(i).unwrap()).unwrap();
    }
}

/// Puts a number in the place of the first one of a safetensors file's tensor.
fn spoil(file: &Path, key: &str, number: f32) {
    let mut bytes = fs::read(file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let entries: Value = serde_json::from_slice(&bytes[8..8 + header]).unwrap();
    let start = 8 + header + entries[key]["data_offsets"][0].as_u64().unwrap() as usize;
    bytes[start..start + 4].copy_from_slice(&number.to_le_bytes());
    fs::write(file, bytes).unwrap();
}

/// One line each, nothing lost, nothing left behind.
#[test]
fn wrong_input_is_refused_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    let at = |name: &str| folder.join(name);
    scenes(folder, 5, 3, 70);
    #[rustfmt::skip]
    run(TRAIN, &["--images", text(&at("images")), "--masks", text(&at("masks")), "--variant", "tiny", "--size", "64",
        "--batch-size", "2", "--steps", "1", "--out", text(&at("run"))]);
    let model = at("run/best/model.safetensors");
    fs::copy(&model, at("side.safetensors")).unwrap();
    let mut bytes = fs::read(at("side.safetensors")).unwrap();
    let size = br#""size":"64""#;
    let place = bytes.windows(size.len()).position(|part| part == size).unwrap();
    bytes[place + 8..][..2].copy_from_slice(b"65");
    fs::write(at("side.safetensors"), bytes).unwrap();
    fs::copy(&model, at("nan.safetensors")).unwrap();
    spoil(&at("nan.safetensors"), "head.weight", f32::NAN);
    fs::copy(&model, at("infinite.safetensors")).unwrap();
    spoil(&at("infinite.safetensors"), "encoder.blocks.1.block.attn.qkv.weight", f32::INFINITY);
    for name in ["a.png", "a.overlay.png"] {
        fs::create_dir_all(at("twice")).unwrap();
        fs::copy(at("images/000.png"), at("twice").join(name)).unwrap();
    }
    fs::copy(at("images/000.png"), at("photo.png")).unwrap();
    let photo = fs::read(at("photo.png")).unwrap();

    let [predict, evaluate, bench] = ["predict", "evaluate", "bench"];
    let checkpoint = ["--checkpoint", text(&model)];
    let with = |rest: &[&'static str]| [&checkpoint[..], rest].concat();
    #[rustfmt::skip]
    let cases: &[(&str, Vec<&str>, &[&str])] = &[
        (predict, with(&["--images", "photo.png", "--out", "."]), &["over the images"]),
        (predict, with(&["--images", "images", "--out", "images"]), &["over the images"]),
        (predict, with(&["--images", "twice", "--out", "o", "--overlay"]), &["a.overlay.png", "rename one"]),
        (predict, with(&["--images", "nope", "--out", "o"]), &["nope", "--images"]),
        (predict, vec!["--checkpoint", "nope", "--images", "images", "--out", "o"], &["nope"]),
        (predict, vec!["--checkpoint", "side.safetensors", "--images", "images", "--out", "o"],
            &["side.safetensors", "65", "--size N"]),
        (predict, vec!["--checkpoint", "nan.safetensors", "--images", "images", "--out", "o"],
            &["nan.safetensors", "head.weight", "NaN"]),
        (predict, vec!["--checkpoint", "infinite.safetensors", "--images", "images", "--out", "o"],
            &["infinite.safetensors", "blocks.1.block.attn.qkv.weight", "number 0 is inf"]),
        (predict, with(&["--images", "images", "--out", "photo.png/o"]), &["photo.png/o", "--out"]),
        (evaluate, vec!["--predictions", "masks", "--masks", "masks", "--json", "nope/s.json"], &["nope/s.json"]),
        (bench, vec!["infer", "tiny", "1", "--size", "1000000"], &["1000000", "1024"]),
        (TRAIN, vec!["--images", "images", "--masks", "images"], &["two folders"]),
        (TRAIN, vec!["--images", "images", "--masks", "masks", "--backbone", text(&model)], &["variant tiny", "--variant tiny"]),
        (TRAIN, vec!["--resume", "run", "--epochs", "9"], &["--epochs 9 and --steps 1"]),
        (TRAIN, vec!["--lr", "-1"], &["--lr -1"]),
    ];
    for (program, arguments, parts) in cases {
        let message = refused(folder, program, arguments);
        assert_eq!(message.lines().count(), 1, "{arguments:?}: {message}");
        assert!(parts.iter().all(|part| message.contains(part)), "{arguments:?}: {message}");
    }
    // the command line's own refusals name the flag
    for (flag, value) in [("--size", "350"), ("--threads", "0"), ("--threshold", "-1")] {
        let message =
            refused(folder, predict, &[&with(&["--images", "images", "--out", "o"])[..], &[flag, value]].concat());
        assert!(message.contains(flag) && message.contains(value), "{message}");
    }
    assert_eq!(fs::read(at("photo.png")).unwrap(), photo);
    assert!(!at("o").exists() && !at("runs").exists());

    // masks of 0 and 1 train towards black: a warning
    let mask = Grey { width: 70, height: 70, data: vec![1; 70 * 70] };
    write_png(&at("masks/001.png"), &mask).unwrap();
    #[rustfmt::skip]
    let trained = Command::new(TRAIN).args(["--images", text(&at("images")), "--masks", text(&at("masks")), "--variant",
        "tiny", "--size", "64", "--batch-size", "2", "--steps", "1", "--out", text(&at("dark"))]).output().unwrap();
    let warnings = String::from_utf8(trained.stderr).unwrap();
    assert!(trained.status.success() && warnings.contains("1 masks in") && warnings.contains("255"), "{warnings}");
}

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
    run(TRAIN, &["--images", text(&images), "--masks", text(&masks), "--val-images", text(&val_images),
        "--val-masks", text(&val_masks), "--variant", "tiny", "--size", "64", "--batch-size", "4", "--epochs", "2",
        "--out", text(&out)]);
    let records = log(&out);
    assert_eq!(losses(&out).len(), 6);
    let validations: Vec<_> = records.iter().filter_map(|r| r.get("validation")).collect();
    let biiou = |v: &&Value| v["sample_biiou"].as_f64().unwrap();
    let best = validations.iter().copied().max_by(|a, b| biiou(a).total_cmp(&biiou(b))).unwrap();
    #[rustfmt::skip]
    run("predict", &["--checkpoint", text(&out.join("best/model.safetensors")),
        "--images", text(&val_images), "--out", text(&predictions)]);
    #[rustfmt::skip]
    run("evaluate", &["--predictions", text(&predictions), "--masks", text(&val_masks),
        "--json", text(&json)]);
    let scores: BTreeMap<String, Value> = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    for (key, value) in best.as_object().unwrap() {
        let (logged, found) = (value.as_f64().unwrap(), scores[key].as_f64().unwrap());
        assert!((logged - found).abs() <= 1e-12, "{key}: {logged} in the log, {found} by evaluate");
    }
    assert!(out.join("curves.svg").is_file() && out.join("samples.png").is_file());
}

/// SIGKILL at random moments, a resume each time: the same bytes as in one go. `SAM2UNET_KILLS` sets how often.
#[cfg(unix)]
#[test]
fn killed_and_resumed_is_the_same_to_the_byte() {
    let kills: u64 = std::env::var("SAM2UNET_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    let steps = (12 + kills / 2).to_string();
    let start = |out: &Path| {
        let mut command = Command::new(TRAIN);
        #[rustfmt::skip]
        command.args(["--size", "64", "--batch-size", "2", "--steps", &steps, "--checkpoint-minutes", "0", "--out", text(out)]);
        command.stdout(Stdio::null()).stderr(Stdio::null());
        command
    };
    assert!(start(&whole).status().unwrap().success());
    let mut pause = 0x2545_F491_4F6C_DD1Du64;
    for kill in 0..kills {
        let mut command = if broken.join("config.toml").is_file() {
            let mut command = Command::new(TRAIN);
            command.args(["--resume", text(&broken)]).stdout(Stdio::null()).stderr(Stdio::null());
            command
        } else {
            start(&broken)
        };
        let mut child = command.spawn().unwrap();
        pause = pause.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis(300 + (pause >> 33) % 2500));
        child.kill().unwrap();
        child.wait().unwrap();
        eprintln!(
            "kill {}: {} steps logged",
            kill + 1,
            fs::read_to_string(broken.join("log.jsonl")).map_or(0, |l| l.lines().count())
        );
    }
    run(TRAIN, &["--resume", text(&broken)]);
    for file in ["last/model.safetensors", "best/model.safetensors", "last/optimiser.safetensors"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(broken.join(file)).unwrap(), "{file} differs");
    }
    assert_eq!(losses(&whole), losses(&broken));
    assert!(run(TRAIN, &["--resume", text(&broken)]).contains("finished"));
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
        let mut arguments = vec!["--images", text(&images), "--masks", text(&masks), "--variant", "tiny"];
        arguments.extend([
            "--size",
            "64",
            "--batch-size",
            "2",
            "--epochs",
            "1",
            "--device",
            "cpu",
            "--out",
            text(&out),
        ]);
        arguments.extend(more);
        (run(TRAIN, &arguments), out.join("last/model.safetensors"))
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
        let mut arguments = vec!["--checkpoint", text(&rounded), "--images", text(&images), "--out", text(&masks)];
        arguments.extend(["--device", "cpu"]);
        arguments.extend(more);
        run("predict", &arguments)
    };
    let (as_trained, told) = (predict(&[]), predict(&["--precision", "f32"]));
    assert!(as_trained.contains(", bf16)") && told.contains(", f32)"), "{as_trained}{told}");
}

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
    let [otsu, ellipse] = crate::data::baselines(&scenes);
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("run");
    run(TRAIN, &["--out", text(&out)]);
    let records = log(&out);
    let scores = records.iter().filter_map(|r| r.get("validation")).map(|v| v["sample_biiou"].as_f64().unwrap());
    let trained = scores.fold(0.0, f64::max);
    eprintln!("sample_biiou: Otsu {otsu:.3}, ellipse {ellipse:.3}, untrained {before:.3}, trained {trained:.3}");
    assert!(otsu < 0.40 && ellipse < 0.40 && before < 0.35 && trained >= 0.70);
}

/// Steps on real images follow PyTorch's (`reference/train_ref.py`). `SAM2UNET_SLOW=1` makes all twenty, and the
/// JPEG files too, whose decoders differ.
#[test]
fn kvasir_steps_follow_pytorch() {
    let Some(expected) = shared("golden/kvasir_tiny_steps.json") else { return };
    let Some(data) = shared("data") else { return };
    let expected: Value = serde_json::from_str(&fs::read_to_string(expected).unwrap()).unwrap();
    let expected: Vec<f64> = expected["loss"].as_array().unwrap().iter().map(|l| l.as_f64().unwrap()).collect();
    let slow = std::env::var_os("SAM2UNET_SLOW").is_some();
    let dir = tempfile::tempdir().unwrap();
    let init = dir.path().join("synthetic.safetensors");
    let model = Sam2UNet::<Tiny>::from_source(&Cpu::default(), &mut SyntheticWeights).unwrap();
    checkpoint::save(&init, &Sam2UNet::<Tiny>::specs(), |put| model.each_value(put), &BTreeMap::new()).unwrap();
    let steps = if slow { 20 } else { 5 };
    let cases = [("kvasir80_png", 0.0005, 0.01), ("kvasir/train", 0.005, 0.03)];
    for (folder, first_bound, bound) in &cases[..if slow { 2 } else { 1 }] {
        let out = dir.path().join(folder.replace('/', "-"));
        let (images, masks) = (data.join(folder).join("images"), data.join(folder).join("masks"));
        // 800 JPEG files would make another epoch of the twenty steps, with another learning rate after them only
        #[rustfmt::skip]
        run(TRAIN, &["--images", text(&images), "--masks", text(&masks), "--variant", "tiny", "--batch-size", "4",
            "--steps", &steps.to_string(), "--no-shuffle", "--no-augment", "--init", text(&init), "--out", text(&out)]);
        for (i, (found, want)) in losses(&out).iter().zip(&expected).enumerate() {
            let (error, bound) = ((found / want - 1.0).abs(), if i < 5 { first_bound } else { bound });
            eprintln!("{folder} step {}: {found:.6}, PyTorch {want:.6}, off by {error:.1e}", i + 1);
            assert!(error <= *bound, "{folder} step {}: {found}, PyTorch {want}", i + 1);
        }
    }
}
