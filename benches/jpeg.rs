//! How long JPEG files take, beside zune-jpeg: `cargo bench --bench jpeg -- FOLDER...` prints a line for each folder.
//!
//! The two take turns on each file, on one thread, and what counts is the processor's time where the system tells it
//! (Linux), so that whatever else the machine does slows both or none. A file's time is its shortest one; printed are
//! the median ratio over the files, its range, and both totals.

use sam2unet::data::read_rgb;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use zune_jpeg::JpegDecoder;
use zune_jpeg::zune_core::bytestream::ZCursor;

/// How often each of the two has its turn on a file, and how long a turn is at least, as the system counts in
/// milliseconds.
const TURNS: usize = 5;
const LEAST_TURN: Duration = Duration::from_millis(25);

fn main() {
    // cargo passes a flag of its own
    let folders: Vec<PathBuf> =
        std::env::args().skip(1).filter(|word| !word.starts_with("--")).map(Into::into).collect();
    for folder in &folders {
        let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.extension().is_some_and(|ending| ending == "jpg"));
        files.sort();
        let times: Vec<(f64, f64)> = files.iter().map(|path| both(path)).collect();
        let mut ratios: Vec<f64> = times.iter().map(|(ours, zune)| ours / zune).collect();
        ratios.sort_by(f64::total_cmp);
        let [Some(least), Some(most)] = [ratios.first(), ratios.last()] else { continue };
        println!(
            "{}: {} files, {:.3} of zune-jpeg's time (median; {least:.3} to {most:.3}), {:.1} ms and {:.1} ms in all",
            folder.display(),
            files.len(),
            ratios[ratios.len() / 2],
            times.iter().map(|(ours, _)| 1e3 * ours).sum::<f64>(),
            times.iter().map(|(_, zune)| 1e3 * zune).sum::<f64>(),
        );
    }
}

/// The shortest time of each, in seconds: ours and zune-jpeg's.
fn both(path: &Path) -> (f64, f64) {
    let (mut ours, mut zune) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..TURNS {
        ours = ours.min(seconds(|| read_rgb(path).unwrap().data.len()));
        zune = zune.min(seconds(|| JpegDecoder::new(ZCursor::new(&fs::read(path).unwrap())).decode().unwrap().len()));
    }
    (ours, zune)
}

/// What one call takes, from as many as a turn has time for.
fn seconds(work: impl Fn() -> usize) -> f64 {
    let (start, computed) = (Instant::now(), on_processor());
    let mut calls = 0.0;
    while calls < 1.0 || start.elapsed() < LEAST_TURN {
        std::hint::black_box(work());
        calls += 1.0;
    }
    match computed.zip(on_processor()) {
        Some((before, after)) => (after - before) as f64 / 1e9 / calls,
        None => start.elapsed().as_secs_f64() / calls,
    }
}

/// How many nanoseconds this thread has computed.
fn on_processor() -> Option<u64> {
    let numbers = fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    numbers.split_whitespace().next()?.parse().ok()
}
