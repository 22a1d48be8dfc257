//! Index maps, against PyTorch's and Pillow's.

use crate::support::shared::shared;
use safetensors::SafeTensors;
use sam2unet::data::{
    DataError, Grey, PixelValue, ReadOptions, ValueTable, predicted_index, predicted_labels, read_grey, read_index,
    resize_nearest, voc_palette,
};
use serde_json::Value;
use std::fs;

/// `[0]`, `["#800000", 3]`.
fn values(list: &Value) -> Vec<PixelValue> {
    let value = |value: &Value| match value {
        Value::String(text) => text.parse().unwrap(),
        number => number.to_string().parse().unwrap(),
    };
    list.as_array().unwrap().iter().map(value).collect()
}

#[test]
fn masks_as_files_mean_what_they_mean() {
    let Some(folder) = shared("golden/multiclass") else { return };
    let cases: Value = serde_json::from_slice(&fs::read(folder.join("decode.json")).unwrap()).unwrap();
    let bytes = fs::read(folder.join("decode.safetensors")).unwrap();
    let maps = SafeTensors::deserialize(&bytes).unwrap();
    let (mut read, mut unknown, mut refused) = (0, 0, 0);
    for case in cases.as_array().unwrap() {
        let ignored = case.get("ignore").map(values);
        let table = match case.get("table") {
            Some(table) => {
                let table: Vec<_> = table.as_array().unwrap().iter().map(values).collect();
                ValueTable::table(&table, &ignored.unwrap_or_default())
            }
            None => ValueTable::indices(case["classes"].as_u64().unwrap() as usize, ignored.as_deref()),
        };
        let path = folder.join("decode").join(case["file"].as_str().unwrap());
        let found = table.map_err(DataError::from).and_then(|table| read_index(&path, &table, &ReadOptions::default()));
        match (found, case.get("expect"), case.get("unknown")) {
            (Ok((map, _)), Some(expected), _) => {
                let expected = maps.tensor(expected.as_str().unwrap()).unwrap();
                assert_eq!(expected.shape(), [map.height, map.width]);
                assert!(map.data == expected.data(), "{case}");
                read += 1;
            }
            (Err(DataError::UnknownValues { unknown: found, .. }), _, Some(expected)) => {
                let found: Vec<_> = found.found.iter().map(|(value, pixels)| (value.to_string(), *pixels)).collect();
                let expected: Vec<_> = expected
                    .as_array()
                    .unwrap()
                    .iter()
                    .map(|pair| {
                        (values(&Value::Array(vec![pair[0].clone()]))[0].to_string(), pair[1].as_u64().unwrap())
                    })
                    .collect();
                assert_eq!(found, expected, "{case}");
                unknown += 1;
            }
            (Err(error), None, None) => {
                let expected = case["refused"].as_str().unwrap();
                let text = error.to_string();
                let part = if expected.contains("twice") { "named twice" } else { "keeps no exact values" };
                assert!(text.contains(part), "{case}: {text}");
                refused += 1;
            }
            (found, ..) => panic!("{case}: {found:?}"),
        }
    }
    assert_eq!((read, unknown, refused), (23, 5, 4));
}

#[test]
fn values_without_a_class_are_named_with_the_nearest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("m.png");
    let mask = Grey { width: 3, height: 2, data: vec![0, 1, 2, 2, 254, 0] };
    sam2unet::data::write_png(&path, &mask).unwrap();
    let table = ValueTable::indices(2, None).unwrap();
    let text = read_index(&path, &table, &ReadOptions::default()).unwrap_err().to_string();
    assert!(
        text.contains("m.png: 2 values mean no class: 2 (2 pixels), 254 (1 pixel); nearest to the first is 1, class 1")
    );
}

#[test]
fn other_sizes_are_those_of_pillow() {
    let Some(folder) = shared("golden/multiclass") else { return };
    let bytes = fs::read(folder.join("nearest.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    for (key, expected) in golden.iter() {
        let [_, source, target] = key.split('.').collect::<Vec<_>>()[..] else { panic!("{key}") };
        let (source, target): (usize, usize) = (source.parse().unwrap(), target.parse().unwrap());
        // a row whose pixels name their position, in two bytes
        let byte =
            |shift: usize| Grey { width: source, height: 1, data: (0..source).map(|i| (i >> shift) as u8).collect() };
        let [low, high] = [0, 8].map(|shift| resize_nearest(&byte(shift), target, 1).data);
        let found: Vec<u8> = low.iter().zip(&high).flat_map(|(low, high)| [*low, *high]).collect();
        assert!(found == expected.data(), "{key}");
    }
    assert_eq!(golden.len(), 243);
    let mut compared = 0;
    for entry in fs::read_dir(folder.join("nearest")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        let expected = read_grey(&path).unwrap();
        let [source, _, flip @ ..] = &name.split('.').collect::<Vec<_>>()[..] else { continue };
        let source = read_grey(&folder.join(format!("nearest/{source}.png"))).unwrap();
        let mut found = resize_nearest(&source, expected.width, expected.height);
        if let [flip] = flip {
            if ["horizontal", "both"].contains(flip) {
                found.flip_horizontal();
            }
            if ["vertical", "both"].contains(flip) {
                found.flip_vertical();
            }
        }
        assert!(found == expected, "{name}");
        compared += 1;
    }
    assert_eq!(compared, 16);
}

#[test]
fn predictions_are_those_of_pytorch() {
    let Some(folder) = shared("golden/multiclass") else { return };
    let bytes = fs::read(folder.join("predict.safetensors")).unwrap();
    let golden = SafeTensors::deserialize(&bytes).unwrap();
    let (mut maps, mut masks) = (0, 0);
    for (key, expected) in golden.iter() {
        let [of, what @ ("index" | "labels"), size] = key.split('.').collect::<Vec<_>>()[..] else { continue };
        let (height, width) = size.split_once('x').unwrap();
        let (height, width): (usize, usize) = (height.parse().unwrap(), width.parse().unwrap());
        let logits = golden.tensor(&format!("{of}.logits")).unwrap();
        let [classes, side, other] = logits.shape()[..] else { panic!("{of}") };
        assert_eq!(side, other);
        let logits: Vec<f32> = logits.data().iter().map(|&byte| f32::from(byte as i8) / 16.0).collect();
        let clear = if what == "index" { "clear" } else { "labels_clear" };
        let clear = golden.tensor(&format!("{of}.{clear}.{size}")).unwrap();
        let found: Vec<u8> = match what {
            "index" => predicted_index(&logits, classes, side, width, height).data,
            _ => {
                predicted_labels(&logits, classes, side, width, height).into_iter().flat_map(|mask| mask.data).collect()
            }
        };
        let found = found.iter().map(|v| if what == "labels" { v / 255 } else { *v });
        assert_eq!(expected.data().len(), found.len(), "{key}");
        let wrong = found.zip(expected.data()).zip(clear.data()).filter(|((a, b), clear)| **clear == 1 && a != *b);
        assert_eq!(wrong.count(), 0, "{key}");
        if what == "index" { maps += 1 } else { masks += 1 }
    }
    assert!(maps >= 12 && masks >= 12, "{maps} {masks}");
    let palette: Vec<u8> = voc_palette().concat();
    assert!(golden.tensor("palette").unwrap().data() == palette);
}

#[test]
fn the_first_of_equal_logits_counts() {
    let map = predicted_index(&[1.0, 1.0, 2.0, -1.0, 1.0, 3.0, 2.0, 0.0, 1.0, 3.0, 2.0, 0.0], 3, 2, 2, 2);
    assert_eq!(map.data, [0, 1, 0, 1]);
    let map = predicted_index(&[f32::NAN, -9.0], 2, 1, 2, 1);
    assert_eq!(map.data, [1, 1]);
}
