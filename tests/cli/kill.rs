//! Training that is killed.
#![cfg(unix)]

use super::program::{Beside, done, sam2unet};
use crate::support::random::Random;
use crate::support::run_log::timeless;
use serde_json::Value;
use std::env::VarError;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// Steps in a run's newest checkpoint; none where there is no checkpoint yet, or `last` is turned while it is read.
fn saved(run: &Path) -> u64 {
    let state = fs::read(run.join("last/state.json")).ok();
    let state = state.and_then(|text| serde_json::from_slice::<Value>(&text).ok());
    state.and_then(|state| state["step"].as_u64()).unwrap_or(0)
}

fn kills() -> u64 {
    match std::env::var("SAM2UNET_KILLS") {
        Err(VarError::NotPresent) => 4,
        given => {
            let number = given.as_ref().ok().and_then(|n| n.parse().ok());
            number.unwrap_or_else(|| panic!("SAM2UNET_KILLS is a number of kills, not {given:?}"))
        }
    }
}

/// SIGKILL at random moments, a resume each time: the same bytes as in one go. `SAM2UNET_KILLS` sets how often.
///
/// Every second kill comes soon after the start, where the run may not have begun; the others come after a step that
/// was saved: in a later step, a save, or, as an epoch has six steps, its validation and the save of `best`.
#[test]
fn killed_and_resumed_is_the_same_to_the_byte() {
    let kills = kills();
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    fs::write(dir.path().join("small.toml"), "[generated]\nimages = 12\nval_images = 3\n").unwrap();
    // more steps than pass until the last kill, six for each, where a step and its save take as little as 60 ms
    let epochs = (kills + 1).to_string();
    let arguments = |out| {
        #[rustfmt::skip]
        let arguments = ["train", "--config", "small.toml", "--size", "64", "--batch-size", "2", "--epochs", &epochs,
            "--checkpoint-minutes", "0", "--device", "cpu", "--out", out];
        arguments
    };
    done(dir.path(), &arguments("whole"));
    let mut random = Random::new(0);
    for kill in 0..kills {
        let before = saved(&broken);
        // a kill before the settings were written leaves no run
        let mut command = match broken.join("config.toml").exists() {
            true => sam2unet(dir.path(), &["train", "--resume", "broken"]),
            false => sam2unet(dir.path(), &arguments("broken")),
        };
        let mut run = Beside(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let at_the_start = kill % 2 == 0;
        let begun = Instant::now();
        while !at_the_start && saved(&broken) <= before {
            assert!(before == 0 || fs::symlink_metadata(broken.join("last")).is_ok(), "`last` was not there");
            assert!(begun.elapsed() < Duration::from_secs(300), "no step within five minutes");
            assert!(run.0.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::sleep(Duration::from_millis(2));
        }
        let most = if at_the_start { 300 } else { 400 };
        std::thread::sleep(Duration::from_millis(u64::from(random.draw()) % most));
        run.0.kill().unwrap();
        let status = run.0.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "kill {} came too late: {status}", kill + 1);
        eprintln!("kill {}: {} of {} steps saved", kill + 1, saved(&broken), saved(&whole));
    }
    assert!(saved(&broken) < saved(&whole), "{} steps", saved(&broken));
    match broken.join("config.toml").exists() {
        true => done(dir.path(), &["train", "--resume", "broken"]),
        false => done(dir.path(), &arguments("broken")),
    };
    for file in ["last/model.safetensors", "last/optimiser.safetensors", "last/state.json", "best/model.safetensors"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(broken.join(file)).unwrap(), "{file} differs");
    }
    assert_eq!(timeless(&whole), timeless(&broken));
    assert!(done(dir.path(), &["train", "--resume", "broken"]).contains("finished"));
}
