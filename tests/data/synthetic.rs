//! Generated scenes.

use crate::support::baselines::{baselines, ellipse, iou, otsu};
use sam2unet::data::{Dataset, Filter, Rgb, Synthetic};
use std::collections::BTreeMap;

#[test]
fn the_baselines_find_what_they_are_made_for() {
    let mut image = Rgb::filled(64, 64, [50; 3]);
    let truth = ellipse(&image, [0.3, 0.4]);
    let area = truth.iter().filter(|inside| **inside).count() as f64 / (64.0 * 64.0);
    assert!((area - std::f64::consts::PI * 0.3 * 0.4).abs() < 0.01, "{area}");
    (0..64 * 64).filter(|i| truth[*i]).for_each(|i| image.set(i % 64, i / 64, [200, 90, 180]));
    assert_eq!(iou(&otsu(&image, &truth), &truth), 1.0);
    // whether the object is lighter than the rest or darker
    let rest: Vec<bool> = truth.iter().map(|inside| !inside).collect();
    assert_eq!(iou(&otsu(&image, &rest), &rest), 1.0);
    assert_eq!((iou(&rest, &truth), iou(&[false; 64 * 64], &truth)), (0.0, 0.0));
}

#[test]
fn generated_scenes_defeat_a_threshold_and_a_guess_at_the_middle() {
    let [threshold, guess] = baselines(&Synthetic::new(1, 100, 128));
    eprintln!("generated scenes, mean IoU: Otsu's threshold {threshold:.3}, the best centred ellipse {guess:.3}");
    assert!(threshold < 0.40 && guess < 0.40);
}

#[test]
fn generated_scenes_are_varied_and_repeatable() {
    let set = Synthetic::new(2, 60, 64);
    assert_eq!(set.pair(7).unwrap(), Synthetic::new(2, 8, 64).pair(7).unwrap());
    assert_ne!(set.image(7).unwrap(), Synthetic::new(3, 8, 64).image(7).unwrap());
    let mut sizes = BTreeMap::new();
    let mut at_border = 0;
    for index in 0..set.len() {
        let (image, mask) = set.pair(index).unwrap();
        assert_eq!(image, set.image(index).unwrap());
        let mask = mask.into_mask();
        let area = mask.data.iter().filter(|&&v| v > 128).count();
        assert!(area > 20, "scene {index} has no blob to find");
        *sizes.entry(area * 10 / mask.data.len()).or_insert(0) += 1;
        at_border += usize::from(
            (0..64).any(|i| [mask.at(i, 0), mask.at(i, 63), mask.at(0, i), mask.at(63, i)].iter().any(|v| v[0] > 128)),
        );
    }
    assert!(sizes.len() >= 3, "areas in tenths of the image: {sizes:?}");
    assert!((5..55).contains(&at_border), "{at_border} of 60 scenes touch the border");
    // one scene at another side is the same scene
    let (small, large) = (Synthetic::new(2, 1, 64).mask(0).unwrap(), Synthetic::new(2, 1, 128).mask(0).unwrap());
    let shrunk = large.resize(64, 64, Filter::Bilinear);
    assert_eq!(small.size(), shrunk.size());
    let off = small.data.iter().zip(&shrunk.data).filter(|(a, b)| a.abs_diff(**b) > 100).count();
    assert!(off < 20, "{off} pixels differ");
}
