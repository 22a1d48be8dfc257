//! Trains a model for two steps and predicts with it.

use std::error::Error;
use std::sync::Arc;

use sam2unet::data::{Dataset, Synthetic};
use sam2unet::device::DeviceChoice;
use sam2unet::nn::VariantName;
use sam2unet::predict::{PredictOptions, Predictor};
use sam2unet::train::{Outcome, Settings, Trainer};

fn main() -> Result<(), Box<dyn Error>> {
    let out = std::env::args_os().nth(1).ok_or("usage: embedded FOLDER")?;
    let scenes = Arc::new(Synthetic::new(1, 4, 64));
    let settings =
        Settings { variant: VariantName::Tiny, size: 64, batch_size: 2, epochs: Some(1), ..Settings::default() };
    let trained = Trainer::new(settings).data(scenes.clone(), Some(scenes.clone())).out(out).run()?;
    assert_eq!(trained.outcome, Outcome::Finished);

    let predictor = Predictor::open(&trained.best_model(), &DeviceChoice::Cpu.open()?, None)?;
    let image = scenes.image(0)?;
    let mask = predictor.mask(&image, &PredictOptions { size: 64, ..PredictOptions::default() })?;
    assert_eq!(mask.size(), image.size());
    println!("trained and predicted a mask of {} x {} pixels", mask.width, mask.height);
    Ok(())
}
