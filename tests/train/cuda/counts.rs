//! What a training step and a prediction ask of the driver, as the stand-in counts it: the host hands out work and
//! waits for none of it.

use crate::support::golden::{Pico, Synthetic};
use crate::support::gpu::gpu;
use crate::support::shared::skipped;
use dfdx::prelude::*;
use sam2unet::data::{Batch, BatchTruth};
use sam2unet::nn::{BuildOptions, Loss, Network, Precision, Sam2UNet};
use sam2unet::train::{AdamWConfig, BatchSender, Learner, Session};
use std::process::Command;

const SIDE: usize = 64;
const IMAGES: usize = 2;
/// What the counted process is told: how many steps, how many of batches that are sent, and how many predictions.
const COUNTED: &str = "SAM2UNET_TEST_COUNTED";

/// Calls of the driver.
struct Counts {
    launches: i64,
    to_device: i64,
    to_device_bytes: i64,
    to_host: i64,
    to_host_bytes: i64,
    waits: i64,
    event_waits: i64,
}

impl Counts {
    /// Of a process of this test that does so much; `None` if nobody counts.
    fn of(steps: usize, sent: usize, predictions: usize, precision: Precision) -> Option<Self> {
        let mut process = Command::new(std::env::current_exe().unwrap());
        let (_, module) = module_path!().split_once("::").unwrap();
        let test = format!("{module}::a_step_waits_for_nothing");
        process.args(["--exact", &test]).env("CUDA_STANDIN_STATS", "1");
        process.env(COUNTED, format!("{steps} {sent} {predictions} {}", precision.name()));
        let output = process.output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{said}");
        let ran = String::from_utf8(output.stdout).unwrap();
        assert!(ran.contains("1 passed"), "this test under another name: {ran}");
        let line = said.lines().find(|line| line.contains("copies to the device"))?;
        let numbers: Vec<i64> =
            line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect();
        let [launches, to_device, to_device_bytes, to_host, to_host_bytes, waits, event_waits] = numbers[..] else {
            panic!("{line}")
        };
        Some(Self { launches, to_device, to_device_bytes, to_host, to_host_bytes, waits, event_waits })
    }

    /// What `times` more of something cost, of each.
    fn each(&self, more: &Self, times: i64, what: &str) -> Self {
        let each = |of: fn(&Self) -> i64| {
            let difference = of(more) - of(self);
            assert_eq!(difference % times, 0, "{what}: each is like the others");
            difference / times
        };
        let each = Self {
            launches: each(|c| c.launches),
            to_device: each(|c| c.to_device),
            to_device_bytes: each(|c| c.to_device_bytes),
            to_host: each(|c| c.to_host),
            to_host_bytes: each(|c| c.to_host_bytes),
            waits: each(|c| c.waits),
            event_waits: each(|c| c.event_waits),
        };
        println!(
            "{what}: {} launches, {} copies to the device ({} bytes), {} to the host ({} bytes), \
             {} waits for all work, {} for an upload",
            each.launches,
            each.to_device,
            each.to_device_bytes,
            each.to_host,
            each.to_host_bytes,
            each.waits,
            each.event_waits
        );
        each
    }
}

/// So many steps, whose losses nobody asks for, so many of two batches that are sent to the host, and predictions.
fn work(device: Cuda, told: &str) {
    let [steps, sent, predictions, precision] = told.split(' ').collect::<Vec<_>>()[..] else { panic!("{told}") };
    let options = BuildOptions { precision: precision.parse().unwrap(), ..BuildOptions::default() };
    let pixels = IMAGES * SIDE * SIDE;
    let images: Vec<f32> = (0..3 * pixels).map(|i| (i * 7919 % 1000) as f32 / 250.0 - 2.0).collect();
    let masks = (0..pixels).map(|i| f32::from(u8::from(i % 100 < 50))).collect();
    let (indices, truth) = ((0..IMAGES).collect(), BatchTruth::Masks(masks));
    let batch = Batch { side: SIDE, indices, images: images.clone(), truth };
    let model = Sam2UNet::<Pico, Cuda>::with_options(&device, &mut Synthetic, options).unwrap();
    let mut session = Session::<Pico, Cuda>::new(device, &mut Synthetic, AdamWConfig::default(), options).unwrap();
    for _ in 0..steps.parse().unwrap() {
        session.accumulate(&batch, 1.0, Loss::Paper).unwrap();
        session.update(1e-4).unwrap();
    }
    for _ in 0..sent.parse().unwrap() {
        let (mut gradient, mut statistics) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            session.accumulate(&batch, 0.5, Loss::Paper).unwrap();
            session.send_batch().unwrap();
        }
        for _ in 0..2 {
            let mut parts = vec![Vec::new(); session.parts().len()];
            session.receive_statistics(&mut statistics).unwrap();
            parts.iter_mut().for_each(|part| session.receive_part(part).unwrap());
            parts.reverse();
            gradient = parts.concat();
        }
        session.update_with(&gradient, &statistics, 1e-4).unwrap();
    }
    for _ in 0..predictions.parse().unwrap() {
        model.logits(&images, IMAGES, SIDE).unwrap();
    }
}

#[test]
fn a_step_waits_for_nothing() {
    let Some(device) = gpu() else {
        return;
    };
    if let Ok(told) = std::env::var(COUNTED) {
        return work(device, &told);
    }
    let bytes = (4 * IMAGES * SIDE * SIDE) as i64;
    let (config, options) = (AdamWConfig::default(), BuildOptions::default());
    let sizes = Session::<Pico, Cpu>::new(Cpu::default(), &mut Synthetic, config, options).unwrap().sizes();
    for precision in [Precision::F32, Precision::Bf16] {
        // after so many predictions no place for uploads grows any more
        let Some(before) = Counts::of(2, 1, 4, precision) else {
            return skipped("the stand-in alone counts calls of the driver");
        };
        let name = precision.name();
        let step = before.each(&Counts::of(5, 1, 4, precision).unwrap(), 3, &format!("a training step in {name}"));
        assert_eq!((step.to_host, step.waits), (0, 0));
        // image and mask, and dfdx's shapes of what it adds up
        assert!((4 * bytes..4 * bytes + 1024).contains(&step.to_device_bytes), "{} bytes", step.to_device_bytes);
        assert_eq!(step.event_waits, 2);
        let sent = before.each(
            &Counts::of(2, 3, 4, precision).unwrap(),
            2,
            &format!("a step of two batches that are sent in {name}"),
        );
        assert_eq!((sent.to_host_bytes, sent.waits), (8 * (sizes.gradient + sizes.statistics) as i64, 0));
        let prediction = before.each(&Counts::of(2, 1, 7, precision).unwrap(), 3, &format!("a prediction in {name}"));
        assert_eq!((prediction.to_host, prediction.to_host_bytes), (1, bytes));
        assert_eq!((prediction.to_device, prediction.to_device_bytes, prediction.waits), (1, 3 * bytes, 1));
        assert!(prediction.launches > 0);
    }
}
