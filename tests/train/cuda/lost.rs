//! What a run says and leaves when the GPU fails under it. A real one is not made to fail: this takes the stand-in.

use crate::programs::scenes;
use crate::support::gpu::gpu;
use crate::support::shared::skipped;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

/// `train` on three scenes of side 64, on the GPU.
fn train(set: &Path, arguments: &[&str], setting: (&str, &str)) -> Output {
    let mut train = Command::new(env!("CARGO_BIN_EXE_train"));
    train.arg("--images").arg(set.join("images")).arg("--masks").arg(set.join("masks"));
    train.args(["--variant", "tiny", "--size", "64", "--batch-size", "3", "--device", "cuda"]).args(arguments);
    train.env("CUDA_STANDIN_STATS", "1").env(setting.0, setting.1).env_remove("RUST_BACKTRACE").output().unwrap()
}

/// The one line that the program said, if the stand-in does not speak.
fn said(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<&str> =
        text.lines().filter(|l| !l.starts_with("CUDA stand-in") && !l.starts_with(' ') && !l.is_empty()).collect();
    assert!(lines.len() == 1, "{text}");
    lines[0].to_string()
}

#[test]
fn a_gpu_that_fails_costs_no_checkpoint() {
    if gpu().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (set, out) = (dir.path().join("set"), dir.path().join("run"));
    scenes(&set, 7, 3, 64);
    let run = out.to_str().unwrap();
    let whole = train(&set, &["--epochs", "1", "--out", run], ("CUDA_STANDIN_LOST", "-1"));
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let launches = String::from_utf8_lossy(&whole.stderr)
        .lines()
        .find_map(|line| line.strip_prefix("CUDA stand-in: ")?.split_once(" launches")?.0.parse::<usize>().ok());
    let Some(launches) = launches else {
        return skipped("a GPU that fails takes the stand-in");
    };
    let model = out.join("last/model.safetensors");
    let before = fs::read(&model).unwrap();

    // in the second epoch's step, well after the weights are there and before it is saved
    let mut resumed = Command::new(env!("CARGO_BIN_EXE_train"));
    resumed.args(["--resume", run, "--epochs", "9"]).env_remove("RUST_BACKTRACE");
    let output = resumed.env("CUDA_STANDIN_LOST", (launches / 2).to_string()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let line = said(&output);
    assert!(line.contains("the GPU is lost (CUDA_ERROR_ILLEGAL_ADDRESS)"), "{line}");
    assert!(fs::read(&model).unwrap() == before, "the checkpoint is as it was");

    // and one that is too small, for the model or for a step, says so
    for bytes in ["60000000", "130000000"] {
        let small = dir.path().join(bytes);
        let setting = ("CUDA_STANDIN_MEMORY", bytes);
        let output = train(&set, &["--epochs", "1", "--out", small.to_str().unwrap()], setting);
        assert!(matches!(output.status.code(), Some(1 | 2)), "{:?}", output.status);
        let line = said(&output);
        assert!(line.contains("the GPU is out of memory: smaller batches"), "{line}");
    }
}
