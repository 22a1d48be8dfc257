//! The scores of several classes against those of the golden pairs.

use crate::support::class_scores::{compare, expected};
use crate::support::shared::shared;
use sam2unet::data::{Grey, read_grey, read_rgb};
use sam2unet::metrics::classes::{
    ClassJson, ClassOptions, ClassPairScores, ClassSetScores, score_classes, score_labels,
};
use serde_json::Value;
use std::path::Path;

/// The images of a golden file, in its order.
fn stems(expected: &Value) -> Vec<String> {
    let keys = expected.as_object().expect("an object").keys();
    keys.filter(|key| !["classes", "ignore", "all"].contains(&&key[..])).cloned().collect()
}

/// Our JSON of a set.
fn json(names: Vec<String>, images: Vec<(String, ClassPairScores)>) -> Value {
    let set = ClassSetScores::new("golden", names, images).expect("a set");
    serde_json::to_value(ClassJson { sets: &[set], named: false }).expect("numbers and strings")
}

/// The index map that a palette picture shows: PASCAL VOC's colours, whose first four are those of classes 0 to 3.
fn indices(path: &Path) -> Grey {
    let picture = read_rgb(path).expect("a golden prediction");
    let colours = [[0, 0, 0], [128, 0, 0], [0, 128, 0], [128, 128, 0]];
    let index =
        |pixel: &[u8]| colours.iter().position(|colour| colour == pixel).expect("one of the four colours") as u8;
    Grey { width: picture.width, height: picture.height, data: picture.data.chunks(3).map(index).collect() }
}

#[test]
fn exclusive_classes_equal_the_golden_scores() {
    let Some(folder) = shared("golden/multiclass/metrics") else { return };
    let expected = expected(&folder);
    let options = ClassOptions::new(4);
    let score = |stem: String| {
        let mask = read_grey(&folder.join(format!("masks/{stem}.png"))).expect("a golden mask");
        let prediction = indices(&folder.join(format!("preds/{stem}.png")));
        assert_eq!(prediction.size(), mask.size(), "{stem}");
        let scores = score_classes(&prediction.data, &mask.data, mask.width, mask.height, &options);
        (stem, scores.expect("a golden pair"))
    };
    let images: Vec<_> = stems(&expected).into_iter().map(score).collect();
    assert_eq!(images.len(), 12);
    let besides = compare(&json(Vec::new(), images), &expected, "");
    let of_all: Vec<&str> = besides.iter().filter_map(|place| place.strip_prefix(".all.")).collect();
    let more = [
        "NSD",
        "foreground_mBoundaryIoU",
        "foreground_mDice",
        "foreground_mHD95",
        "foreground_mIoU",
        "foreground_mNSD",
        "foreground_mPrecision",
        "foreground_mRecall",
        "mBoundaryIoU",
        "mHD95",
        "mNSD",
    ];
    let mut of_all = of_all;
    of_all.sort_unstable();
    assert_eq!(of_all, more);
    assert_eq!(besides.len(), more.len() * 13, "the same for each image");
}

#[test]
fn labels_equal_the_golden_scores() {
    let Some(folder) = shared("golden/multiclass/metrics_labels") else { return };
    let expected = expected(&folder);
    let names = ["cat", "dog", "sky"].map(String::from);
    let options = ClassOptions::new(3);
    let score = |stem: String| {
        let read = |kind: &str| read_grey(&folder.join(kind).join(format!("{stem}.png")));
        let planes = |kind: &str| -> Vec<Grey> {
            names.iter().map(|name| read(&format!("{kind}/{name}")).expect("a golden mask")).collect()
        };
        let (masks, predictions) = (planes("masks"), planes("preds"));
        let levels = |planes: &[Grey]| -> Vec<u8> { planes.iter().flat_map(|plane| plane.data.clone()).collect() };
        let ignored = read("masks/ignore").map(|plane| plane.data).unwrap_or_default();
        let (width, height) = masks[0].size();
        let scores = score_labels(&levels(&predictions), &levels(&masks), &ignored, width, height, &options);
        (stem, scores.expect("a golden pair"))
    };
    let images: Vec<_> = stems(&expected).into_iter().map(score).collect();
    assert_eq!(images.len(), 4);
    let besides = compare(&json(names.to_vec(), images), &expected, "");
    let mut of_all: Vec<&str> = besides.iter().filter_map(|place| place.strip_prefix(".all.")).collect();
    of_all.sort_unstable();
    let more =
        ["BoundaryIoU", "HD95", "HD95_infinite", "NSD", "image.IoU", "image.mIoU", "mBoundaryIoU", "mHD95", "mNSD"];
    assert_eq!(of_all, more);
}
