//! Training that is killed.
#![cfg(unix)]

use super::program::{done, losses, sam2unet, text};
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Steps in the log of a run; none where there is no log yet.
fn logged(run: &Path) -> usize {
    fs::read_to_string(run.join("log.jsonl"))
        .map_or(0, |log| log.lines().filter(|line| line.contains("\"step\":")).count())
}

/// SIGKILL at random moments of a run under way, a resume each time: the same bytes as in one go. `SAM2UNET_KILLS` sets how often.
#[test]
fn killed_and_resumed_is_the_same_to_the_byte() {
    let kills: u64 = std::env::var("SAM2UNET_KILLS").ok().and_then(|n| n.parse().ok()).unwrap_or(4);
    let dir = tempfile::tempdir().unwrap();
    let (whole, broken) = (dir.path().join("whole"), dir.path().join("broken"));
    // more than pass until the last kill
    let steps = (16 + 6 * kills).to_string();
    let start = |out: &Path| {
        #[rustfmt::skip]
        let arguments = ["train", "--size", "64", "--batch-size", "2", "--steps", &steps, "--checkpoint-minutes", "0", "--device",
            "cpu", "--out", text(out)];
        sam2unet(dir.path(), &arguments)
    };
    let quietly = |command: &mut Command| command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    assert!(quietly(&mut start(&whole)).wait().unwrap().success());
    let mut random = 0x2545_F491_4F6C_DD1Du64;
    for kill in 0..kills {
        let before = logged(&broken);
        let mut child = match kill {
            0 => quietly(&mut start(&broken)),
            _ => quietly(&mut sam2unet(dir.path(), &["train", "--resume", "broken"])),
        };
        // a resume first cuts off the steps after its checkpoint: its steps have begun, so that the kill hits it at work: between two steps, or in the middle of a save
        let begun = Instant::now();
        while logged(&broken) == before {
            assert!(begun.elapsed() < Duration::from_secs(300), "no step within five minutes");
            assert!(child.try_wait().unwrap().is_none(), "it ended before it was killed");
            std::thread::sleep(Duration::from_millis(2));
        }
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        std::thread::sleep(Duration::from_millis((random >> 33) % 100));
        child.kill().unwrap();
        let status = child.wait().unwrap();
        assert_eq!(status.signal(), Some(9), "kill {} came too late: {status}", kill + 1);
        eprintln!("kill {}: {} steps logged of {steps}", kill + 1, logged(&broken));
    }
    assert!(logged(&broken) > 0 && logged(&broken) < logged(&whole), "{} steps", logged(&broken));
    done(dir.path(), &["train", "--resume", "broken"]);
    for file in ["last/model.safetensors", "best/model.safetensors", "last/optimiser.safetensors"] {
        assert!(fs::read(whole.join(file)).unwrap() == fs::read(broken.join(file)).unwrap(), "{file} differs");
    }
    assert_eq!(losses(&whole), losses(&broken));
    assert!(done(dir.path(), &["train", "--resume", "broken"]).contains("finished"));
}
