//! A check of a set that takes a while: who reads, and what is said meanwhile.
#![cfg(target_os = "linux")]

use super::program::{Beside, sam2unet};
use crate::support::pictures::Folders;
use std::fs;
use std::io::Read;
use std::process::{Command, Stdio};
use std::time::Duration;

const CHECK: [&str; 7] = ["train", "--check-data", "--images", "images", "--masks", "masks", "--threads"];

/// Names of one image and its mask, which take a while to read.
fn many_large(count: usize) -> Folders {
    let folders = Folders::new();
    folders.image("0.png", 1000, 1000);
    folders.mask("0.png", 1000, 1000);
    for folder in [folders.images(), folders.masks()] {
        (1..count).for_each(|n| fs::hard_link(folder.join("0.png"), folder.join(format!("{n}.png"))).unwrap());
    }
    folders
}

/// How many threads a process has, as the system says; 0 if it is gone.
fn threads_of(process: u32) -> usize {
    let text = fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let threads = text.lines().find_map(|line| line.strip_prefix("Threads:")?.trim().parse().ok());
    threads.unwrap_or(0)
}

#[test]
fn as_many_threads_read_a_set_as_are_asked_for() {
    let folders = many_large(60);
    // the most that the program has at a time
    let most = |threads: &str| {
        let mut command = sam2unet(folders.root.path(), &[&CHECK[..], &[threads]].concat());
        let mut program = Beside(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
        let mut most = 0;
        while program.0.try_wait().unwrap().is_none() {
            most = most.max(threads_of(program.0.id()));
            std::thread::sleep(Duration::from_millis(1));
        }
        most
    };
    let (nine, one) = (most("9"), most("1"));
    assert!(nine > 9 && one < 9, "{nine} with 9, {one} with 1");
}

/// Where there is no terminal for a bar, a line now and then.
#[test]
fn a_long_check_says_how_far_it_is() {
    let folders = many_large(60);
    let mut command = sam2unet(folders.root.path(), &[&CHECK[..], &["1"]].concat());
    let mut program = Beside(command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap());
    let id = program.0.id();
    let signal = |name: &str| {
        let command = format!("kill -{name} {id}");
        assert!(Command::new("sh").args(["-c", &command]).status().unwrap().success());
    };
    while threads_of(id) < 2 {
        assert!(program.0.try_wait().unwrap().is_none(), "it ended before it began to read");
        std::thread::sleep(Duration::from_millis(1));
    }
    // time passes for it, and takes no work
    signal("STOP");
    std::thread::sleep(Duration::from_secs(11));
    signal("CONT");
    let mut said = String::new();
    program.0.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    let line = said.lines().find(|line| line.starts_with("reading images and masks: "));
    assert!(line.is_some_and(|line| line.ends_with(" of 60")), "{said}");
}
