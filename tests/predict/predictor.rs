//! The model that makes masks of images.

use crate::cli::program::tiny;
use crate::support::pictures::detailed;
use dfdx::tensor::Cpu;
use sam2unet::checkpoint::{Scope, WeightFile, load};
use sam2unet::data::{normalise, saved_mask};
use sam2unet::device::DeviceChoice;
use sam2unet::nn::{Precision, VariantName, open_network, specs};
use sam2unet::predict::{PredictOptions, Predictor};

/// As in the published script: what takes the size of the mask is the logits, not the map at the image's size.
#[test]
fn a_mask_of_another_size_is_made_of_the_logits() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.safetensors");
    tiny(&path);
    let predictor = Predictor::open(&path, &DeviceChoice::Cpu.open().unwrap(), None).unwrap();
    let file = WeightFile::open(&path).unwrap();
    let (mut weights, _) = load(&file, &specs(VariantName::Tiny, 1), Scope::All).unwrap();
    let network = open_network(VariantName::Tiny, &Cpu::default(), &mut weights, 1, Precision::F32).unwrap();
    let image = detailed(64, 64);
    let logits = network.logits(&normalise(&image), 1, 64).unwrap();
    let options = PredictOptions { size: 64, ..PredictOptions::default() };
    for (width, height) in [(64, 64), (150, 70), (31, 90)] {
        let mask = predictor.mask_at(&image, (width, height), &options).unwrap();
        assert!(mask == saved_mask(&logits, 64, width, height, false), "{width}x{height}");
    }
}
