//! The scores against PySODMetrics 1.6.2.

use crate::support::scores::{assert_close, expected, golden};
use sam2unet::data::read_grey;
use sam2unet::metrics::{PairScores, Summary, score_pair};
use std::path::Path;

fn scored(folder: &Path, stem: &str) -> PairScores {
    let read = |kind: &str| read_grey(&folder.join(kind).join(format!("{stem}.png"))).expect("a golden image");
    let (prediction, mask) = (read("preds"), read("masks"));
    assert_eq!(prediction.size(), mask.size(), "{stem}");
    score_pair(&prediction.data, &mask.data, mask.width, mask.height).expect("a golden pair")
}

fn owned(summary: &Summary) -> Vec<(String, f64)> {
    summary.values().into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
}

#[test]
fn equal_to_pysodmetrics_per_pair_and_over_all() {
    let Some(folder) = golden() else { return };
    let expected = expected(&folder);
    let stems: Vec<&String> = expected.as_object().expect("an object").keys().filter(|key| *key != "all").collect();
    assert_eq!(stems.len(), 34);
    let pairs: Vec<PairScores> = stems.iter().map(|stem| scored(&folder, stem)).collect();
    for (stem, pair) in stems.iter().zip(&pairs) {
        assert_close(owned(&Summary::from(pair)), &expected[stem.as_str()], stem);
    }
    assert_close(owned(&Summary::of(&pairs)), &expected["all"], "all");
}
