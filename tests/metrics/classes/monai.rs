//! Distances between outlines against MONAI's: `monai.json`, which scripts/compare-nsd.py writes and compares with
//! MONAI.

use sam2unet::metrics::Spacing;
use sam2unet::metrics::classes::{ClassOptions, ClassSummary, OutlineOptions, score_classes};
use serde::Deserialize;
use serde_json::Value;

#[derive(Deserialize)]
struct Kept {
    by: String,
    classes: usize,
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    /// Rows of digits; `-` where a pixel is ignored.
    truth: Vec<String>,
    prediction: Vec<String>,
    spacing: [f64; 2],
    tolerance: f64,
    #[serde(rename = "NSD")]
    nsd: Vec<Option<f64>>,
    #[serde(rename = "HD95")]
    hd95: Vec<Value>,
}

fn map(rows: &[String]) -> Vec<u8> {
    rows.iter().flat_map(|row| row.bytes()).map(|digit| if digit == b'-' { 255 } else { digit - b'0' }).collect()
}

/// MONAI computes in single precision.
#[test]
fn distances_equal_those_of_monai() {
    let kept: Kept = serde_json::from_str(include_str!("monai.json")).expect("the kept numbers");
    assert!(kept.by.starts_with("MONAI 1.6.0") && kept.cases.len() == 30);
    let (mut finite, mut infinite) = (0, 0);
    for (number, case) in kept.cases.iter().enumerate() {
        let (width, height) = (case.truth[0].len(), case.truth.len());
        let spacing = Spacing::new(case.spacing[0], case.spacing[1]).expect("a spacing");
        let outlines = Some(OutlineOptions { spacing, nsd_tolerance: case.tolerance });
        let options = ClassOptions { classes: kept.classes, outlines };
        let scores = score_classes(&map(&case.prediction), &map(&case.truth), width, height, &options);
        let summary = ClassSummary::of_image(&scores.expect("a pair"));
        let of_class = |key: &str| summary.of_class(key).expect("a score");
        for class in 0..kept.classes {
            let what = format!("case {number}, class {class}");
            let nsd = of_class("NSD")[class];
            match case.nsd[class] {
                None => assert!(nsd.is_nan(), "{what}: NSD is {nsd}"),
                Some(expected) => assert!((nsd - expected).abs() < 1e-7, "{what}: NSD is {nsd}, MONAI's {expected}"),
            }
            let (hd95, misses) = (of_class("HD95")[class], of_class("HD95_infinite")[class]);
            assert_eq!(misses == 1.0, case.hd95[class] == "inf", "{what}");
            match case.hd95[class].as_f64() {
                Some(expected) => {
                    finite += 1;
                    assert!((hd95 - expected).abs() <= 1e-6 * expected, "{what}: HD95 is {hd95}, MONAI's {expected}");
                }
                None => {
                    infinite += u64::from(misses == 1.0);
                    assert!(hd95.is_nan(), "{what}: HD95 is {hd95}");
                }
            }
        }
    }
    assert!(finite > 40 && infinite > 3, "{finite}, {infinite}");
}
