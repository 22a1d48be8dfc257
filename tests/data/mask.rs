//! Masks as they are saved, against PyTorch's.

use crate::support::pictures::largest_difference;
use crate::support::shared::shared;
use safetensors::SafeTensors;
use sam2unet::data::{Grey, saved_mask};
use std::fs;

#[test]
fn saved_masks_equal_pytorchs_but_for_a_level() {
    let Some(folder) = shared("golden/images") else { return };
    let bytes = fs::read(folder.join("expected.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let logits: Vec<f32> =
        golden.tensor("logits").unwrap().data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    let mut compared = 0;
    for (key, expected) in golden.iter().filter(|(key, _)| key.starts_with("saved.")) {
        let &[height, width] = expected.shape() else { panic!("{key} is no map") };
        let saved = saved_mask(&logits, 352, width, height, true);
        assert!(largest_difference(&saved.data, expected.data()) <= 1, "{key}");
        let off = saved.data.iter().zip(expected.data()).filter(|(a, b)| a != b).count();
        assert!(off * 1000 <= expected.data().len(), "{key}: {off} pixels are a level off");
        compared += 1;
    }
    assert_eq!(compared, 4, "masks of the golden file");
}

#[test]
fn a_saved_mask_without_stretch_is_the_floor_of_the_sigmoid() {
    let saved = saved_mask(&[0.0, 100.0, -100.0, 1.0], 2, 2, 2, false);
    assert_eq!(saved.data, [127, 255, 0, 186]);
    assert_eq!(saved_mask(&[f32::NAN], 1, 1, 1, true).data, [0]);
    // a flat map has nothing to stretch
    assert_eq!(saved_mask(&[3.0; 4], 2, 5, 4, true), Grey::filled(5, 4, [0]));
}
