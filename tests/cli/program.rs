//! Runs the programs.

use crate::support::run_log::log;
use sam2unet::checkpoint;
use sam2unet::nn::{BuildOptions, Initialiser, Sam2UNet, Tiny};
use std::path::Path;
use std::process::{Child, Command, Output};

/// `sam2unet`, where relative paths start in `folder`.
pub fn sam2unet(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sam2unet"));
    command.args(arguments).current_dir(folder);
    // what is remembered of data sets stays out of the user's own
    command.env("XDG_CACHE_HOME", env!("CARGO_TARGET_TMPDIR"));
    command
}

/// How a program ended.
#[derive(Debug, PartialEq)]
pub struct Ended {
    /// The exit status; `None` where a signal ended it.
    pub status: Option<i32>,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl From<Output> for Ended {
    fn from(output: Output) -> Self {
        Self {
            status: output.status.code(),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

/// Runs `sam2unet` to its end.
pub fn run(folder: &Path, arguments: &[&str]) -> Ended {
    sam2unet(folder, arguments).output().unwrap().into()
}

/// Standard output of a run that must succeed, and say nothing on standard error.
pub fn done(folder: &Path, arguments: &[&str]) -> String {
    let ended = run(folder, arguments);
    assert_eq!((ended.status, &ended.err[..]), (Some(0), ""), "{arguments:?}");
    ended.out
}

/// The one line of a run that must refuse its input, without the subcommand's name.
pub fn refused(folder: &Path, arguments: &[&str]) -> String {
    let Ended { status, out, err } = run(folder, arguments);
    assert_eq!((status, &out[..]), (Some(2), ""), "{arguments:?}: {err}");
    assert_eq!(err.lines().count(), 1, "{arguments:?}: {err}");
    err.strip_prefix(&format!("{}: ", arguments[0])).unwrap_or_else(|| panic!("no name: {err}")).trim_end().to_string()
}

/// A program that runs beside a test, and no longer than that.
pub struct Beside(pub Child);

impl Drop for Beside {
    fn drop(&mut self) {
        // it may have ended
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Writes a checkpoint of Tiny with random weights.
pub fn tiny(path: &Path) {
    tiny_with(path, &[]);
}

/// The same, with metadata.
pub fn tiny_with(path: &Path, metadata: &[(&str, &str)]) {
    let model = Sam2UNet::<Tiny>::from_source(&dfdx::tensor::Cpu::default(), &mut Initialiser::new(3)).unwrap();
    let metadata = metadata.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
    checkpoint::save(path, &Sam2UNet::<Tiny>::specs(), |put| model.each_value(put), &metadata).unwrap();
}

/// A path as an argument.
pub fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The losses of a run's steps.
pub fn losses(run: &Path) -> Vec<f64> {
    log(run).iter().filter_map(|r| r.get("step").and(r["loss"].as_f64())).collect()
}

/// Writes a checkpoint of Tiny with random weights and so many classes, with metadata.
pub fn tiny_of_classes(path: &Path, classes: usize, metadata: &[(String, String)]) {
    let (device, mut random) = (dfdx::tensor::Cpu::default(), Initialiser::new(3));
    let model = Sam2UNet::<Tiny, _, usize>::with_classes(&device, &mut random, classes, BuildOptions::default());
    let (model, specs) = (model.unwrap(), Sam2UNet::<Tiny, dfdx::tensor::Cpu, usize>::specs_for(classes));
    checkpoint::save(path, &specs, |put| model.each_value(put), &metadata.iter().cloned().collect()).unwrap();
}
