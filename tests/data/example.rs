//! An image and its mask as a network takes them.

use crate::support::pictures::detailed;
use sam2unet::data::{BatchTruth, Example, Flips, Grey, Truth};

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
