//! Generated scenes of several classes.

use sam2unet::data::{Dataset, Shapes, Truth};

fn index(truth: Truth) -> Vec<u8> {
    match truth {
        Truth::Index(map) => map.data,
        other => panic!("{other:?}"),
    }
}

#[test]
fn scenes_are_repeatable_and_the_same_at_any_side() {
    let set = Shapes::new(2, 8, 64);
    assert_eq!(set.pair(7).unwrap(), Shapes::new(2, 20, 64).pair(7).unwrap());
    assert_ne!(set.image(7).unwrap(), Shapes::new(3, 8, 64).image(7).unwrap());
    let (image, truth) = set.pair(3).unwrap();
    assert_eq!((image, truth.clone()), (set.image(3).unwrap(), set.truth(3).unwrap()));
    let large = Shapes::new(2, 8, 128).truth(3).unwrap().resized(64, 64);
    let off = index(truth).iter().zip(index(large)).filter(|(a, b)| **a != *b).count();
    assert!(off < 150, "{off} of 4096 pixels differ");
}

/// The mean colour of a class's pixels, in each scene that shows it.
fn colours(set: &Shapes, class: u8) -> Vec<[f64; 3]> {
    let mean = |scene: usize| {
        let (image, truth) = set.pair(scene).unwrap();
        let inside: Vec<_> = index(truth)
            .iter()
            .zip(image.data.as_chunks::<3>().0)
            .filter(|(found, _)| **found == class)
            .map(|(_, pixel)| *pixel)
            .collect();
        let sum = |c: usize| inside.iter().map(|pixel| f64::from(pixel[c])).sum::<f64>();
        (!inside.is_empty()).then(|| [0, 1, 2].map(|c| sum(c) / inside.len() as f64))
    };
    (0..set.len()).filter_map(mean).collect()
}

/// Neither colour nor area says which class a thing is.
#[test]
fn shape_alone_tells_the_classes_apart() {
    let set = Shapes::new(1, 300, 48);
    assert_eq!(set.classes().unwrap().names().collect::<Vec<_>>(), ["background", "circle", "square", "triangle"]);
    let mean = |class: u8| {
        let all = colours(&set, class);
        assert!(all.len() > 100, "{} of 300 scenes show class {class}", all.len());
        [0, 1, 2].map(|c| all.iter().map(|colour| colour[c]).sum::<f64>() / all.len() as f64)
    };
    let means = [1, 2, 3].map(mean);
    for (a, b) in [(0, 1), (0, 2), (1, 2)] {
        for (a, b) in means[a].iter().zip(means[b]) {
            // of a spread of about 33 levels in each channel
            assert!((a - b).abs() < 10.0, "mean colours {means:?}");
        }
    }
    let mut pixels = [0usize; 4];
    for scene in 0..set.len() {
        index(set.truth(scene).unwrap()).iter().for_each(|class| pixels[usize::from(*class)] += 1);
    }
    let things: usize = pixels[1..].iter().sum();
    assert!(pixels[1..].iter().all(|class| (class * 3).abs_diff(things) < things / 5), "{pixels:?}");
}
