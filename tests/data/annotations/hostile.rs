//! Files that were damaged, or made to do harm: an error, no panic, and no memory beyond what the file is worth.

use super::Files;
use sam2unet::data::annotations::{Annotated, Coco, Drawing, Labelme, Mark, PolygonText, Region, Shape};
use std::path::Path;

const COCO: &str = r#"{"images": [{"id": 1, "file_name": "a.png", "width": 4, "height": 3}],
"categories": [{"id": 1, "name": "x"}],
"annotations": [{"id": 1, "image_id": 1, "category_id": 1, "iscrowd": 0, "bbox": [0, 0, 1, 1],
"segmentation": [[0, 0, 4.5, 0, -4, 3]]},
{"id": 2, "image_id": 1, "category_id": 1, "segmentation": {"size": [3, 4], "counts": [3, 2, 7]}},
{"id": 3, "image_id": 1, "category_id": 1, "segmentation": {"size": [3, 4], "counts": "327"}}]}"#;

const LABELME: &str = r#"{"imageHeight": 3, "imageWidth": 4, "shapes": [
{"label": "a", "points": [[0, 0], [3, 0.5], [0, 2]], "shape_type": "polygon"},
{"label": "b", "points": [[0, 0], [3, 2]], "shape_type": "circle"},
{"label": "c", "points": [[0, 0], [3, 2], [0, 9]], "shape_type": "linestrip"}]}"#;

const TEXT: &str = "0 0 0 1 0 1 1\n1 .5 .5 .2 .2\n1 0 0 .25 .5 1 1 0.75 0.1\n";

/// Everything that can be asked of a file, as each reader.
fn read_all(path: &Path) {
    let names = ["a", "b"].map(str::to_string);
    if let Ok(coco) = Coco::read(path, None) {
        (0..coco.images()).for_each(|image| paint(&coco, image));
    }
    if let Ok(labelme) = Labelme::read(&[Some(path.to_owned())], None) {
        paint(&labelme, 0);
    }
    match PolygonText::read(&[Some(path.to_owned())], &names) {
        Ok(text) => paint(&text, 0),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

fn paint(set: &impl Annotated, image: usize) {
    if let Ok(drawing) = set.drawing(image, (4, 3)) {
        assert_eq!(drawing.exclusive().data.len(), 12);
        assert_eq!(drawing.class(0).data.len(), 12);
    }
}

#[test]
fn damaged_files_never_panic() {
    let files = Files::new();
    let mut state = 1u64;
    let mut random = move |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    let replacements: [&[u8]; 12] =
        [b"-", b"1e308", b"null", b"[", b"]", b"{}", b"\"", b"99999999999999999999", b"-1", b"0", b"", b"4294967296"];
    for base in [COCO, LABELME, TEXT] {
        for _ in 0..300 {
            let mut bytes = base.as_bytes().to_vec();
            for _ in 0..=random(3) {
                let at = random(bytes.len());
                match random(4) {
                    0 => bytes[at] = random(256) as u8,
                    1 => bytes.truncate(at + 1),
                    2 => {
                        let end = (at + 1 + random(6)).min(bytes.len());
                        bytes.splice(at..end, replacements[random(12)].iter().copied());
                    }
                    _ => {
                        let end = (at + random(40)).min(bytes.len());
                        let copy = bytes[at..end].to_vec();
                        bytes.splice(at..at, copy);
                    }
                }
                if bytes.is_empty() {
                    break;
                }
            }
            read_all(&files.write("x.json", bytes));
        }
    }
}

#[test]
fn nesting_counts_and_sizes_beyond_reason_are_refused() {
    let files = Files::new();
    let deep = "[".repeat(200_000);
    let objects = "{\"images\":".repeat(100_000);
    for text in [deep.clone(), objects, format!("{{\"annotations\": {deep}"), format!("{{\"shapes\": {deep}")] {
        read_all(&files.write("deep.json", text));
    }
    let runs = |size: &str, counts: &str| {
        let text =
            COCO.replace("\"size\": [3, 4], \"counts\": [3, 2, 7]", &format!("\"size\": {size}, \"counts\": {counts}"));
        assert_ne!(text, COCO);
        Coco::read(&files.write("runs.json", text), None).unwrap_err().to_string()
    };
    let error = runs("[4294967296, 4294967296]", "[1]");
    assert!(error.contains("its size 4294967296x4294967296"), "{error}");
    let error = runs("[13377, 13378]", "[1]");
    assert!(error.contains("its size"), "{error}");
    let error = runs("[3, 4]", "[4294967295, 13]");
    assert!(error.contains("a count is 4294967295"), "{error}");
    let error = runs("[3, 4]", "[18446744073709551604, 12]");
    assert!(error.contains("a count is"), "{error}");
    let error = runs("[3, 4]", &format!("\"{}\"", "o".repeat(100)));
    assert!(error.contains("a count is"), "{error}");
    let error = runs("[3, 4]", "\"o\"");
    assert!(error.contains("end within a number"), "{error}");
    let error = runs("[3, 4]", &format!("[{}]", vec!["178956970"; 1000].join(",")));
    assert!(error.contains("the counts add up to 178956970000"), "{error}");
}

#[test]
fn a_png_that_says_that_it_is_huge_is_refused() {
    // signature and header of a grey PNG of 100000 x 100000 pixels, without its pixels
    let png = "iVBORw0KGgoAAAANSUhEUgABhqAAAYagCAAAAAAAAAAA";
    let shape = format!(r#"{{"label": "a", "points": [[0, 0], [1, 1]], "shape_type": "mask", "mask": "{png}"}}"#);
    let files = Files::new();
    let path = files.write("x.json", format!(r#"{{"shapes": [{shape}]}}"#));
    let error = Labelme::read(&[Some(path)], None).unwrap_err().to_string();
    assert!(error.contains("its mask cannot be used"), "{error}");
}

#[test]
fn shapes_far_outside_take_no_longer_than_others() {
    let far = 1e7;
    let corners = [[-far, -far], [far, -far + 3.0], [far, far], [-far + 1.0, far]];
    let regions = [
        Region::coco(&[corners.as_flattened().to_vec()]),
        Region::polygon(&corners),
        Region::open_cv(&corners),
        Region::rectangle(&[corners[0], corners[2]]),
        Region::line(&corners),
    ];
    let start = std::time::Instant::now();
    for (number, region) in regions.into_iter().enumerate() {
        let shapes = vec![Shape { mark: Mark::Class(0), region: region.unwrap() }];
        let map = Drawing { width: 30, height: 20, shapes }.exclusive();
        let painted = map.data.iter().filter(|value| **value == 1).count();
        assert!(painted == 600 || number == 4, "{number}: {painted}");
    }
    assert!(start.elapsed().as_secs() < 5, "{:?}", start.elapsed());
    assert!(Region::polygon(&[[0.0, 0.0], [1.1e7, 0.0], [0.0, 1.0]]).is_err());
    assert!(Region::polygon(&[[0.0, 0.0], [f64::NAN, 0.0], [0.0, 1.0]]).is_err());
    assert!(Region::circle(&[[0.0, 0.0], [9e6, 9e6]]).is_err(), "its radius is too large");
}
