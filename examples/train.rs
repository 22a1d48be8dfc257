//! Training on a folder of images and masks in a program of your own, in ten lines.
//!
//! ```text
//! cargo run --release --example train -- IMAGES MASKS OUT
//! ```
//!
//! Without arguments it trains for a moment on a few generated scenes, in a temporary folder.

use sam2unet::data::{Dataset, Synthetic, write_png};
use sam2unet::nn::VariantName;
use sam2unet::train::{Event, Settings, Trainer};
use std::error::Error;
use std::path::{Path, PathBuf};

fn main() -> Result<(), Box<dyn Error>> {
    let temporary = tempfile::tempdir()?;
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [images, masks, out] = match arguments.len() {
        0 => scenes(temporary.path())?,
        _ => arguments.try_into().map_err(|_| "usage: train [IMAGES MASKS OUT]")?,
    };

    let (images, masks, variant) = (Some(images), Some(masks), VariantName::Tiny);
    let settings = Settings { images, masks, variant, size: 96, batch_size: 4, epochs: Some(2), ..Settings::default() };
    let show = |event: &Event| {
        if let Event::Step { step, loss, .. } = event {
            println!("step {step}: loss {loss:.4}");
        }
    };
    // `Trainer::resume(folder)` goes on where a run was stopped; `.data(training, validation)` takes sets of your own
    let trained = Trainer::new(settings).out(out).on_event(show).run()?;
    println!("{:?}; the best model is {}", trained.outcome, trained.best_model().display());
    Ok(())
}

/// Eight generated scenes as files: the folders of images and masks, and one for the results.
fn scenes(place: &Path) -> Result<[PathBuf; 3], Box<dyn Error>> {
    let (scenes, [images, masks, out]) =
        (Synthetic::new(1, 8, 96), ["images", "masks", "run"].map(|name| place.join(name)));
    [&images, &masks].into_iter().try_for_each(std::fs::create_dir)?;
    for index in 0..scenes.len() {
        write_png(&images.join(format!("{index}.png")), &scenes.image(index)?)?;
        write_png(&masks.join(format!("{index}.png")), &scenes.mask(index)?)?;
    }
    Ok([images, masks, out])
}
