//! Several ranks with a GPU: threads are ranks, on one card. What they send is on its way while they compute.

use crate::support::golden::{Pico, Synthetic};
use crate::support::gpu::gpu;
use crate::support::ranks::with_ranks;
use crate::support::toy::{result, settings, sources};
use dfdx::prelude::*;
use sam2unet::nn::BuildOptions;
use sam2unet::train::{AdamWConfig, Control, Event, Outcome, Ranks, RunFolder, Session, Settings, train_together};
use std::sync::atomic::AtomicBool;

#[test]
fn every_number_of_ranks_writes_the_bytes_of_one() {
    if gpu().is_none() {
        return;
    }
    // a step of three batches, and an epoch's last one of two
    let settings = Settings { accumulate: 3, batch_size: 1, epochs: Some(1), ..settings() };
    let sources = sources(5);
    let dir = tempfile::tempdir().unwrap();
    let results = [1, 2, 4].map(|count| {
        let path = dir.path().join(count.to_string());
        let ended = with_ranks(count, |group| {
            let ranks = Ranks::of(group).unwrap();
            let mut folder = ranks.is_first().then(|| RunFolder::create(&path, &settings).unwrap());
            let (config, options) = (AdamWConfig::default(), BuildOptions::default());
            let mut session = Session::<Pico, Cuda>::new(gpu().unwrap(), &mut Synthetic, config, options).unwrap();
            let stop = AtomicBool::new(false);
            let control = Control::from(&stop);
            train_together(&settings, &sources, folder.as_mut(), &mut session, control, &mut |_: &Event| (), &ranks)
        });
        assert!(ended.iter().all(|ended| *ended.as_ref().unwrap() == Outcome::Finished), "{ended:?}");
        result(&path)
    });
    for other in &results[1..] {
        assert!(*other == results[0], "the number of ranks shows");
    }
}
