//! An image and its mask as a network takes them.

use crate::support::pictures::detailed;
use sam2unet::data::{BatchTruth, Example, Filter, Flips, Grey, Truth};

#[test]
fn an_example_is_resized_then_flipped_then_normalised() {
    let image = detailed(50, 40);
    let mut mask = Grey::filled(50, 40, [0]);
    for y in 0..20 {
        mask.set(3, y, [255]);
    }
    let mask = Truth::Mask(mask);
    let plain = Example::new(&image, &mask, 32, Flips::default());
    let soft = |example: &Example| match &example.truth {
        BatchTruth::Masks(mask) => mask.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!((plain.image.len(), soft(&plain).len()), (3 * 32 * 32, 32 * 32));
    assert!(soft(&plain).iter().any(|&v| v > 0.0 && v < 1.0), "masks stay soft");
    let flipped = Example::new(&image, &mask, 32, Flips { horizontal: true, vertical: true });
    // a half turn reverses the order of the pixels
    assert!(soft(&plain).iter().eq(soft(&flipped).iter().rev()));
    for channel in 0..3 {
        let plane = |example: &Example| example.image[channel * 1024..][..1024].to_vec();
        assert!(plane(&plain).iter().eq(plane(&flipped).iter().rev()));
    }
}

/// As the field's scripts do: a mask of another size is not brought to its image's size first.
#[test]
fn an_image_and_its_mask_are_resized_each_by_itself() {
    let (image, mask) = (detailed(50, 40), detailed(76, 60).to_grey());
    let example = Example::new(&image, &mask.clone().into(), 64, Flips::default());
    let resized = mask.resize(64, 64, Filter::Bicubic);
    let expected = resized.data.iter().map(|level| f32::from(*level) / 255.0).collect();
    assert_eq!(example.truth, BatchTruth::Masks(expected));
}
