//! Random shapes, pixel by pixel as other tools fill them: `make.py` wrote `shapes.json`.

use sam2unet::data::annotations::{Drawing, Mark, Region, Runs, Shape};

#[derive(serde::Deserialize)]
struct Sample {
    kind: String,
    width: usize,
    height: usize,
    points: Vec<[f64; 2]>,
    runs: String,
}

#[test]
fn shapes_cover_the_pixels_that_other_tools_give_them() {
    let samples: Vec<Sample> = serde_json::from_str(include_str!("shapes.json")).unwrap();
    let mut painted = 0;
    for (number, sample) in samples.iter().enumerate() {
        let Sample { kind, width, height, points, runs } = sample;
        let region = match &kind[..] {
            "coco" => Region::coco(&[points.as_flattened().to_vec()]),
            "polygon" => Region::polygon(points),
            "rectangle" => Region::rectangle(points),
            "circle" => Region::circle(points),
            "line" => Region::line(points),
            "open_cv" => Region::open_cv(points),
            other => panic!("{other}"),
        };
        let shapes = vec![Shape { mark: Mark::Class(0), region: region.unwrap() }];
        let map = Drawing { width: *width, height: *height, shapes }.exclusive();
        painted += map.data.iter().filter(|value| **value == 1).count();
        assert_eq!(Runs::of_mask(&map).text(), runs.as_bytes(), "{kind}, number {number}");
    }
    assert_eq!(samples.len(), 72);
    assert!(painted > 5_000, "{painted} pixels");
}
