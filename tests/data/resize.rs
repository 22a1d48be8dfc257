//! Pictures of another size, against Pillow's.

use crate::support::pictures::largest_difference;
use crate::support::shared::shared;
use safetensors::SafeTensors;
use sam2unet::data::{Filter, read_grey, read_rgb};
use std::fs;

#[test]
fn every_resize_equals_pillows_to_the_pixel() {
    let Some(folder) = shared("golden/images") else { return };
    let bytes = fs::read(folder.join("expected.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let mut compared = 0;
    for (key, expected) in golden.iter() {
        // NAME.rgb.bilinear352 or NAME.l.bicubic224
        let [name, mode, how] = key.split('.').collect::<Vec<_>>()[..] else { continue };
        let file = folder.join(format!("{name}.png"));
        let side: usize = how.trim_start_matches(char::is_alphabetic).parse().unwrap();
        let resized = match mode {
            "rgb" => read_rgb(&file).unwrap().resize(side, side, Filter::Bilinear).data,
            _ => read_grey(&file).unwrap().resize(side, side, Filter::Bicubic).data,
        };
        assert!(
            resized == expected.data(),
            "{key}: largest difference {}",
            largest_difference(&resized, expected.data())
        );
        compared += 1;
    }
    assert_eq!(compared, 52, "pictures of the golden file");
}
