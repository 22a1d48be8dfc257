//! What holds of shapes and run lengths whatever they are.

use proptest::prelude::*;
use sam2unet::data::Grey;
use sam2unet::data::annotations::{Drawing, Mark, Region, Runs, Shape};

fn mask() -> impl Strategy<Value = Grey> {
    (1..24usize, 1..24usize).prop_flat_map(|(width, height)| {
        let pixels = proptest::collection::vec(prop_oneof![3 => Just(0u8), 1 => 1..=255u8], width * height);
        pixels.prop_map(move |data| Grey { width, height, data })
    })
}

fn points(count: std::ops::Range<usize>) -> impl Strategy<Value = Vec<[f64; 2]>> {
    let coordinate = prop_oneof![-20.0..50.0, (-40..100i32).prop_map(|half| f64::from(half) / 2.0), -9e6..9e6f64];
    proptest::collection::vec([coordinate.clone(), coordinate], count)
}

fn region() -> impl Strategy<Value = Region> {
    prop_oneof![
        points(3..9).prop_map(|points| Region::coco(&[points.as_flattened().to_vec()]).unwrap()),
        points(3..9).prop_map(|points| Region::polygon(&points).unwrap()),
        points(3..9).prop_map(|points| Region::open_cv(&points).unwrap()),
        points(2..3).prop_map(|points| Region::rectangle(&points).unwrap()),
        points(2..5).prop_map(|points| Region::line(&points).unwrap()),
        ([-20.0..50.0, -20.0..50.0], 0.0..40.0)
            .prop_map(|([x, y], radius)| Region::circle(&[[x, y], [x + radius, y]]).unwrap()),
    ]
}

fn mark() -> impl Strategy<Value = Mark> {
    prop_oneof![3 => (0..3u8).prop_map(Mark::Class), 1 => Just(Mark::Background), 1 => Just(Mark::Ignored)]
}

fn drawing() -> impl Strategy<Value = Drawing> {
    let shape = (mark(), region()).prop_map(|(mark, region)| Shape { mark, region });
    let shapes = proptest::collection::vec(shape, 0..6);
    (1..40usize, 1..40usize, shapes).prop_map(|(width, height, shapes)| Drawing { width, height, shapes })
}

/// The pixels of one shape alone.
fn alone(drawing: &Drawing, number: usize) -> Vec<bool> {
    let shapes = vec![Shape { mark: Mark::Class(0), region: drawing.shapes[number].region.clone() }];
    Drawing { shapes, ..*drawing }.exclusive().data.iter().map(|value| *value != 0).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn run_lengths_lead_back_to_their_mask(mask in mask()) {
        let runs = Runs::of_mask(&mask);
        let counts: Vec<u32> = runs.counts().collect();
        prop_assert_eq!(counts.iter().map(|count| *count as usize).sum::<usize>(), mask.data.len());
        // none but the first is empty
        prop_assert!(counts.iter().skip(1).all(|count| *count > 0));
        prop_assert_eq!(&Runs::of_counts(&counts, mask.size()).unwrap(), &runs);
        prop_assert_eq!(&Runs::of_text(runs.text().to_vec(), mask.size()).unwrap(), &runs);
        let shapes = vec![Shape { mark: Mark::Class(0), region: Region::runs(runs) }];
        let painted = Drawing { width: mask.width, height: mask.height, shapes }.class(0);
        let inside: Vec<bool> = mask.data.iter().map(|value| *value != 0).collect();
        prop_assert_eq!(painted.data.iter().map(|value| *value != 0).collect::<Vec<_>>(), inside);
    }

    #[test]
    fn any_text_is_run_lengths_or_an_error(text in proptest::collection::vec(any::<u8>(), 0..40)) {
        if let Ok(runs) = Runs::of_text(text, (5, 4)) {
            prop_assert_eq!(runs.counts().sum::<u32>(), 20);
        }
    }

    #[test]
    fn each_pixel_is_what_the_last_shape_over_it_says(drawing in drawing()) {
        let mut wanted = vec![0u8; drawing.width * drawing.height];
        let mut planes = vec![vec![0u8; wanted.len()]; 4];
        for (number, shape) in drawing.shapes.iter().enumerate() {
            let inside = alone(&drawing, number);
            for at in (0..wanted.len()).filter(|at| inside[*at]) {
                match shape.mark {
                    Mark::Background => {
                        wanted[at] = 0;
                        planes.iter_mut().for_each(|plane| plane[at] = 0);
                    }
                    Mark::Class(class) => {
                        wanted[at] = class + 1;
                        planes[usize::from(class)][at] = 255;
                    }
                    Mark::Ignored => {
                        wanted[at] = 255;
                        planes[3][at] = 255;
                    }
                }
            }
        }
        prop_assert_eq!(drawing.exclusive().data, wanted);
        for (class, plane) in planes[..3].iter().enumerate() {
            prop_assert_eq!(&drawing.class(class as u8).data, plane);
        }
        prop_assert_eq!(&drawing.ignored().data, &planes[3]);
    }

    /// What lies outside is left out, and changes nothing inside. (Pillow and OpenCV look at the picture's end as they
    /// fill polygons, so that this need not hold of theirs.)
    #[test]
    fn a_larger_picture_holds_the_smaller_one(
        points in points(3..9), size in (1..30usize, 1..30usize), more in (0..9usize, 0..9usize),
    ) {
        let regions = [Region::coco(&[points.as_flattened().to_vec()]), Region::rectangle(&points[..2])];
        for region in regions {
            let shapes = vec![Shape { mark: Mark::Class(0), region: region.unwrap() }];
            let small = Drawing { width: size.0, height: size.1, shapes: shapes.clone() }.exclusive();
            let large = Drawing { width: size.0 + more.0, height: size.1 + more.1, shapes }.exclusive();
            for (x, y) in (0..size.0).flat_map(|x| (0..size.1).map(move |y| (x, y))) {
                prop_assert_eq!(small.at(x, y), large.at(x, y), "{}, {}", x, y);
            }
        }
    }

    /// pycocotools' polygons neither overlap nor leave gaps: of two that share an edge, each pixel belongs to one.
    #[test]
    fn polygons_that_share_an_edge_share_no_pixel(x in 0.0..30.0f64, top in 0.0..30.0f64, bottom in 0.0..30.0f64) {
        let bottom = bottom + 30.0;
        let left = [0.0, 0.0, x, top, x, bottom, 0.0, 60.0];
        let right = [x, top, 60.0, 0.0, 60.0, 60.0, x, bottom];
        let paint = |points: [f64; 8]| {
            let region = Region::coco(&[points.to_vec()]).unwrap();
            Drawing { width: 60, height: 60, shapes: vec![Shape { mark: Mark::Class(0), region }] }.exclusive().data
        };
        let (left, right) = (paint(left), paint(right));
        prop_assert!(left.iter().zip(&right).all(|(left, right)| left + right < 2));
    }
}
