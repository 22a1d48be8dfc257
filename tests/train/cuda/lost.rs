//! What a run says and leaves when the GPU fails under it. A real one is not made to fail: this takes the stand-in.

use crate::cli::program::{Ended, sam2unet};
use crate::support::gpu::gpu;
use crate::support::scenes::scenes;
use crate::support::shared::skipped;
use std::fs;
use std::path::Path;

/// Runs `train` with settings of the stand-in.
fn train(folder: &Path, arguments: &[&str], settings: &[(&str, &str)]) -> Ended {
    let mut command = sam2unet(folder, &[&["train"], arguments].concat());
    command.envs(settings.iter().copied()).env_remove("RUST_BACKTRACE").output().unwrap().into()
}

/// A new run on three scenes of side 64, on the GPU.
fn new_run(folder: &Path, out: &str, more: &[&str], setting: (&str, &str)) -> Ended {
    #[rustfmt::skip]
    let arguments = ["--images", "set/images", "--masks", "set/masks", "--variant", "tiny", "--size", "64",
        "--batch-size", "3", "--device", "cuda", "--epochs", "1", "--out", out];
    train(folder, &[&arguments, more].concat(), &[("CUDA_STANDIN_STATS", "1"), setting])
}

/// The one line that the program said beside warnings, if the stand-in does not speak.
fn said(Ended { err, .. }: &Ended) -> &str {
    let others = ["CUDA stand-in", "warning: ", " "];
    let lines: Vec<&str> =
        err.lines().filter(|l| !l.is_empty() && !others.iter().any(|other| l.starts_with(other))).collect();
    assert!(lines.len() == 1, "{err}");
    lines[0]
}

#[test]
fn a_gpu_that_fails_costs_no_checkpoint() {
    if gpu().is_none() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    scenes(&folder.join("set"), 7, 3, 64);
    let whole = new_run(folder, "run", &[], ("CUDA_STANDIN_LOST", "-1"));
    assert_eq!(whole.status, Some(0), "{}", whole.err);
    let launches = (whole.err.lines())
        .find_map(|line| line.strip_prefix("CUDA stand-in: ")?.split_once(" launches")?.0.parse::<usize>().ok());
    let Some(launches) = launches else {
        return skipped("a GPU that fails takes the stand-in");
    };
    let model = folder.join("run/last/model.safetensors");
    let before = fs::read(&model).unwrap();

    // in the second epoch's step, well after the weights are there and before it is saved
    let lost = [("CUDA_STANDIN_LOST", &(launches / 2).to_string()[..])];
    let ended = train(folder, &["--resume", "run", "--epochs", "9"], &lost);
    assert_eq!(ended.status, Some(1));
    let line = said(&ended);
    assert!(line.contains("the GPU is lost (CUDA_ERROR_ILLEGAL_ADDRESS)"), "{line}");
    assert!(fs::read(&model).unwrap() == before, "the checkpoint is as it was");

    // and one that is too small, for the model or for a step, says so
    for bytes in ["60000000", "130000000"] {
        let ended = new_run(folder, bytes, &[], ("CUDA_STANDIN_MEMORY", bytes));
        assert!(ended.status == Some(2) && said(&ended).contains("the GPU has 0.1 GB"), "{}", ended.err);
        // where the estimate is not believed, the GPU says it
        let ended = new_run(folder, bytes, &["--any-memory"], ("CUDA_STANDIN_MEMORY", bytes));
        assert!(matches!(ended.status, Some(1 | 2)), "{:?}", ended.status);
        let line = said(&ended);
        assert!(line.contains("the GPU is out of memory: smaller batches"), "{line}");
    }
}
