//! What scoring several classes refuses, and what it says then.

use sam2unet::data::{Description, GivenClasses, Grey, write_png};
use sam2unet::metrics::classes::{
    ClassError, ClassJson, ClassKind, ClassOptions, ClassPairScores, ClassSetScores, ClassSummary, OutlineOptions,
    score_classes, score_labels,
};
use sam2unet::metrics::{EvaluationError, PairedFolders, ScoredFolders};
use std::fs;
use std::path::Path;

fn score(prediction: &[u8], mask: &[u8], classes: usize) -> Result<ClassPairScores, ClassError> {
    score_classes(prediction, mask, mask.len(), 1, &ClassOptions::new(classes))
}

fn message(result: Result<ClassPairScores, ClassError>) -> String {
    result.expect_err("a refusal").to_string()
}

#[test]
fn values_that_are_no_class_are_named_with_their_pixels() {
    let refused = message(score(&[0, 7, 7, 255, 4], &[0, 1, 2, 3, 0], 4));
    assert_eq!(
        refused,
        "the prediction has values that are no class: 7 (2 pixels), 4 (1 pixel), 255 (1 pixel); with 4 classes they \
         are 0 to 3; only masks may have ignored pixels (255)"
    );
    let refused = message(score(&[0, 0, 0], &[0, 4, 255], 4));
    assert_eq!(
        refused,
        "the mask has values that are no class: 4 (1 pixel); with 4 classes they are 0 to 3, and 255 where a pixel is \
         ignored"
    );
    let many: Vec<u8> = (0..=254).collect();
    let refused = message(score(&many, &vec![0; many.len()], 2));
    assert!(refused.contains("10 (1 pixel), 11 (1 pixel) and 243 more;"), "{refused}");
    // where a pixel is ignored the prediction may say anything
    assert!(score(&[0, 7], &[0, 255], 4).is_ok());
}

#[test]
fn sizes_must_fit() {
    let options = ClassOptions::new(2);
    let short = score_classes(&[0; 5], &[0; 6], 3, 2, &options);
    assert_eq!(message(short), "a 3x2 pair needs 6 levels each, but the prediction has 5 and the mask 6");
    assert!(message(score_classes(&[], &[], 0, 3, &options)).starts_with("cannot score a 0x3 image"));
    assert!(score_labels(&[0; 12], &[0; 12], &[0; 12], 3, 2, &options).is_ok());
    for (prediction, masks, ignored) in [(11, 12, 0), (12, 6, 0), (12, 12, 5), (12, 12, 1)] {
        let [prediction, masks, ignored] = [prediction, masks, ignored].map(|levels| vec![0; levels]);
        let refused = message(score_labels(&prediction, &masks, &ignored, 3, 2, &options));
        assert!(refused.starts_with("2 classes of 3x2 pixels need 12 levels in the masks"), "{refused}");
    }
    assert!(message(score_labels(&[], &[], &[], usize::MAX, 1, &options)).starts_with("cannot score"));
}

#[test]
fn options_have_their_range() {
    for classes in [0, 256] {
        let refused = message(score(&[0], &[0], classes));
        assert!(refused.starts_with(&format!("cannot score {classes} classes: it takes 1 to 255")), "{refused}");
    }
    assert!(score(&[254], &[254], 255).is_ok());
    for nsd_tolerance in [-1.0, f64::NAN, f64::INFINITY] {
        let outlines = Some(OutlineOptions { nsd_tolerance, ..OutlineOptions::default() });
        let refused = message(score_classes(&[0], &[0], 1, 1, &ClassOptions { classes: 1, outlines }));
        assert_eq!(refused, format!("nsd_tolerance is a distance, 0 or more, not {nsd_tolerance}"));
    }
}

#[test]
fn sets_are_of_the_same_classes() {
    let (two, three) = (score(&[0, 1], &[0, 1], 2).expect("a pair"), score(&[0, 1], &[0, 1], 3).expect("a pair"));
    let labels = score_labels(&[0, 0], &[0, 0], &[], 1, 1, &ClassOptions::new(2)).expect("a pair");
    assert_eq!(ClassSummary::of(&[]), Err(ClassError::Empty));
    let refused = ClassSummary::of(&[two.clone(), three]).expect_err("two sets").to_string();
    assert_eq!(refused, "cannot add up images of different sets: one has 2 exclusive classes, another 3 exclusive");
    let (first, other) = ((ClassKind::Exclusive, 2), (ClassKind::Overlapping, 2));
    assert_eq!(ClassSummary::of(&[two.clone(), labels]), Err(ClassError::Mixed(first, other)));
    let refused =
        ClassSetScores::new("x", vec!["cat".to_string()], vec![("a".to_string(), two)]).expect_err("one name");
    assert_eq!(refused, ClassError::Names { classes: 2, names: 1 });
}

/// Without outlines only counts are there.
#[test]
fn outlines_can_be_left_out() {
    let options = ClassOptions { classes: 2, outlines: None };
    let scores = score_classes(&[0, 1], &[0, 0], 2, 1, &options).expect("a pair");
    let summary = ClassSummary::of_image(&scores);
    assert_eq!(summary.of_class("IoU"), Some(&[0.5, 0.0][..]));
    for key in ["HD95", "NSD", "BoundaryIoU"] {
        assert!(summary.of_class(key).expect(key).iter().all(|value| value.is_nan()), "{key}");
    }
}

/// All wrong files are named.
#[test]
fn folders_of_index_maps() {
    let folder = tempfile::tempdir().expect("a folder");
    let kinds = ["masks", "predictions"].map(|kind| folder.path().join(kind));
    let write = |name: &str, maps: [&[u8]; 2]| {
        for (kind, map) in kinds.iter().zip(maps) {
            fs::create_dir_all(kind).expect("a folder");
            let map = Grey { width: map.len(), height: 1, data: map.to_vec() };
            write_png(&kind.join(name), &map).expect("a file");
        }
    };
    let labels = |masks: &Path| Description {
        masks: Some(masks.to_owned()),
        classes: Some(GivenClasses::named(["a", "b", "c"].map(String::from))),
        ..Description::default()
    };
    let score = || {
        let [masks, predictions] = &kinds;
        let paired = PairedFolders::open_described("set", predictions, &labels(masks)).expect("pairs");
        paired.score(Some(OutlineOptions::default()), || {}).map(|scored| match scored {
            ScoredFolders::Classes(scores) => scores.set.images().to_vec(),
            ScoredFolders::OneClass(_) => panic!("three classes"),
        })
    };
    write("a.png", [&[0, 255, 2], &[0, 9, 1]]);
    write("b.png", [&[1, 1], &[1, 2]]);
    let scored = score().expect("scores");
    let expected = [(&[0, 9, 1][..], &[0, 255, 2][..]), (&[1, 2], &[1, 1])];
    let options = ClassOptions::new(3);
    let expected = expected.map(|(prediction, mask)| score_classes(prediction, mask, mask.len(), 1, &options));
    let expected: Vec<_> =
        ["a", "b"].map(String::from).into_iter().zip(expected.map(|one| one.expect("a pair"))).collect();
    assert_eq!(scored, expected);

    write("c.png", [&[0, 1], &[9, 0]]);
    write("d.png", [&[0, 0], &[8, 8]]);
    let told = |error: EvaluationError| error.to_string().replace(&format!("{}/", folder.path().display()), "");
    assert_eq!(
        told(score().expect_err("two files")),
        "2 of 4 pairs cannot be scored:\n  predictions/c.png: the prediction has values that are no class: 9 \
         (1 pixel); with 3 classes they are 0 to 2; only masks may have ignored pixels (255)\n  \
         predictions/d.png: the prediction has values that are no class: 8 (2 pixels); with 3 classes they are \
         0 to 2; only masks may have ignored pixels (255)"
    );
    // a mask's are told as those of training masks
    write("b.png", [&[0, 7], &[0, 0]]);
    write("c.png", [&[7, 5], &[9, 0]]);
    assert_eq!(
        told(score().expect_err("two masks")),
        "2 files of 4 pairs cannot be used\n2 hold values that mean no class:\n  masks/b.png: 1 value means no \
         class: 7 (1 pixel); nearest to the first is 2, class 2; correct the mask, or name the value with its class \
         (`classes` with a file) or as `ignore`\n  masks/c.png: 2 values mean no class: 5 (1 pixel), 7 (1 pixel); \
         nearest to the first is 2, class 2; correct the mask, or name the value with its class (`classes` with a \
         file) or as `ignore`"
    );
    write("b.png", [&[1, 1], &[1, 2]]);
    write("c.png", [&[1, 1], &[1, 2]]);

    write("e.png", [&[0, 0], &[0]]);
    assert!(matches!(score(), Err(EvaluationError::SizesDiffer { of: 5, .. })));
    fs::write(kinds[0].join("e.png"), "no image").expect("a file");
    assert!(matches!(score(), Err(EvaluationError::Data(_))));
}

/// Three words are taken in a set's object.
#[test]
fn an_image_may_have_any_stem() {
    let scores = score(&[0, 1], &[0, 1], 2).expect("a pair");
    let stems = ["all", "all (image)", "classes", "b"];
    let set = |name: &str| {
        let images = stems.iter().map(|stem| (stem.to_string(), scores.clone())).collect();
        ClassSetScores::new(name, Vec::new(), images).expect("a set")
    };
    let sets = [set("first"), set("second")];
    let text = serde_json::to_string(&ClassJson { sets: &sets, named: false }).expect("numbers and strings");
    let json: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let found = json["second"].as_object().expect("an object");
    let keys: Vec<&str> = found.keys().map(String::as_str).collect();
    assert_eq!(keys, ["all", "all (image)", "all (image)_", "b", "classes", "classes (image)", "ignore"]);
    assert_eq!(text.matches("\"all\":").count(), 2, "each key once");
    assert_eq!(json["first"]["all"]["mIoU"], 1.0);
}
