//! One training example: what is drawn for it, and the numbers that the network is given.

use std::collections::BTreeMap;

use super::flip::Flips;
use super::pixels::Rgb;
use super::random::Draws;
use super::resize::Filter;
use super::truth::{BatchTruth, Truth};

/// The mean of ImageNet's red, green and blue, of values in 0..=1.
const MEAN: [f32; 3] = [0.485, 0.456, 0.406];
/// Their standard deviations.
const DEVIATION: [f32; 3] = [0.229, 0.224, 0.225];

/// What a network is trained on: an image and what is true of its pixels, both `side` x `side`.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// `(3, side, side)`, normalised by [`normalise`].
    pub image: Vec<f32>,
    /// What is true of each pixel: of a batch of this image alone. Masks are soft: resizing leaves values between, and they are
    /// kept.
    pub truth: BatchTruth,
}

impl Example {
    /// Resizes (image bilinear, masks bicubic, as the published pipeline does; index maps to the nearest pixel), then flips all
    /// alike, then turns them into numbers.
    pub fn new(image: &Rgb, truth: &Truth, side: usize, flips: Flips) -> Self {
        let mut image = image.resize(side, side, Filter::Bilinear);
        if flips.horizontal {
            image.flip_horizontal();
        }
        if flips.vertical {
            image.flip_vertical();
        }
        Self { image: normalise(&image), truth: truth.at(side, flips) }
    }
}

/// `(v / 255 - mean) / deviation` with ImageNet's figures, in single precision and in this order, as PyTorch computes
/// it; shape `(3, height, width)`.
pub fn normalise(rgb: &Rgb) -> Vec<f32> {
    let mut planes = Vec::with_capacity(rgb.data.len());
    let (pixels, _) = rgb.data.as_chunks::<3>();
    for channel in 0..3 {
        let table: [f32; 256] = std::array::from_fn(|v| (v as f32 / 255.0 - MEAN[channel]) / DEVIATION[channel]);
        planes.extend(pixels.iter().map(|pixel| table[usize::from(pixel[channel])]));
    }
    planes
}

/// Where a checkpoint's metadata say how images are normalised.
const NORMALISATION: &str = "normalisation";

/// What the metadata of a checkpoint of several classes say of how its images were normalised.
pub fn normalisation_metadata() -> (String, String) {
    let numbers = |numbers: [f32; 3]| numbers.map(|number| number.to_string()).join(", ");
    (NORMALISATION.to_string(), format!("{{\"mean\": [{}], \"deviation\": [{}]}}", numbers(MEAN), numbers(DEVIATION)))
}

/// Whether a checkpoint's images were normalised as [`normalise`] does; one that says nothing of it counts so.
///
/// # Errors
///
/// When they were normalised in another way: what the metadata say.
pub fn check_normalisation(metadata: &BTreeMap<String, String>) -> Result<(), String> {
    let (_, ours) = normalisation_metadata();
    match metadata.get(NORMALISATION) {
        Some(other) if *other != ours => Err(format!("its images were normalised by {other}, and here by {ours}")),
        _ => Ok(()),
    }
}

// what a stream of draws is for, so that equal seeds in different uses stay unrelated
const ORDER: u64 = 1;
const FLIPS: u64 = 2;

/// The order in which an epoch visits `len` samples: by name, or shuffled anew each epoch. Depends on nothing but
/// its arguments.
pub fn epoch_order(seed: u64, epoch: u64, len: usize, shuffle: bool) -> Vec<usize> {
    let mut order: Vec<usize> = (0..len).collect();
    if shuffle {
        Draws::new(&[ORDER, seed, epoch]).shuffle(&mut order);
    }
    order
}

/// The flips of a sample in an epoch, each with probability one half. Depends on nothing but its arguments: not on the
/// order of the samples, nor on how many threads load them.
pub fn flips(seed: u64, epoch: u64, index: usize) -> Flips {
    let bits = Draws::new(&[FLIPS, seed, epoch, index as u64]).bits();
    Flips { horizontal: bits & 1 == 1, vertical: bits & 2 == 2 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn normalised_values_equal_numpys() {
        // (torch.tensor([0, 1, 128, 255]) / 255 - mean) / std in float32, of PyTorch 2.13 and NumPy 2 alike
        const TORCH: [u32; 12] = [
            0xc007_8bbd,
            0xc006_732b,
            0x3d97_af32,
            0x400f_ee1d,
            0xc002_4924,
            0xc001_2a4f,
            0x3e52_1b48,
            0x401b_6db7,
            0xbfe6_f809,
            0xbfe4_bcea,
            0x3eda_5d3c,
            0x4028_f5c3,
        ];
        let rgb = Rgb { width: 4, height: 1, data: [0, 1, 128, 255].iter().flat_map(|&v| [v; 3]).collect() };
        let values = normalise(&rgb);
        assert_eq!(values.iter().map(|v| v.to_bits()).collect::<Vec<_>>(), TORCH);
    }

    #[test]
    fn another_normalisation_is_told() {
        let mut metadata = BTreeMap::from([normalisation_metadata()]);
        assert_eq!(check_normalisation(&metadata), Ok(()));
        assert_eq!(check_normalisation(&BTreeMap::new()), Ok(()));
        assert_eq!(metadata[NORMALISATION], r#"{"mean": [0.485, 0.456, 0.406], "deviation": [0.229, 0.224, 0.225]}"#);
        metadata.insert(NORMALISATION.to_string(), "{}".to_string());
        assert!(
            check_normalisation(&metadata).unwrap_err().starts_with("its images were normalised by {}, and here by")
        );
    }

    #[test]
    fn every_kind_of_flip_is_drawn_about_equally() {
        let mut counts = [0; 4];
        for index in 0..4000 {
            let drawn = flips(3, 5, index);
            counts[usize::from(drawn.horizontal) + 2 * usize::from(drawn.vertical)] += 1;
        }
        assert!(counts.iter().all(|count| (880..1120).contains(count)), "{counts:?}");
    }

    #[test]
    fn orders_differ_between_epochs_and_seeds() {
        assert_eq!(epoch_order(1, 0, 5, false), [0, 1, 2, 3, 4]);
        let order = epoch_order(1, 0, 100, true);
        assert_eq!(order, epoch_order(1, 0, 100, true));
        assert_ne!(order, epoch_order(1, 1, 100, true));
        assert_ne!(order, epoch_order(2, 0, 100, true));
    }
}
