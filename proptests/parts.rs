//! What holds for every split of an evaluation.

use std::path::{Path, PathBuf};

use proptest::collection::vec;
use proptest::prelude::*;
use sam2unet::data::{Description, Grey, LabelKind, write_png};
use sam2unet::metrics::classes::{ClassJson, OutlineOptions};
use sam2unet::metrics::parts::{EvaluationPart, PartOptions, merge};
use sam2unet::metrics::{JsonReport, PairedFolders, ScoredFolders};
use sam2unet::shard::Shard;

const WIDTH: usize = 5;
const PIXELS: usize = 20;

/// The predictions and masks of a set.
type Set = Vec<(Vec<u8>, Vec<u8>)>;
type Maps = Vec<Set>;

fn maps(levels: impl Strategy<Value = u8> + Clone + 'static) -> impl Strategy<Value = Maps> {
    let map = prop_oneof![3 => vec(levels.clone(), PIXELS), 1 => levels.prop_map(|level| vec![level; PIXELS])];
    vec(vec((map.clone().boxed(), map.boxed()), 1..6), 1..4)
}

/// Soft maps; index maps of three classes without names, some of them in none; masks of two classes.
fn sets() -> impl Strategy<Value = (Option<LabelKind>, Maps)> {
    prop_oneof![
        maps(any::<u8>()).prop_map(|maps| (None, maps)),
        maps(0..3_u8).prop_map(|mut maps| {
            // the largest number in a set's masks says how many classes there are
            maps.iter_mut().for_each(|set| set[0].1[0] = 2);
            (Some(LabelKind::Index), maps)
        }),
        maps(0..3_u8).prop_map(|maps| (Some(LabelKind::Folders), maps)),
    ]
}

/// An order of the numbers below `count`, by a number.
fn order(count: usize, mut number: usize) -> Vec<usize> {
    let mut left: Vec<usize> = (0..count).collect();
    let next = |left_over: usize| {
        let at = number % left_over;
        number /= left_over;
        left.remove(at)
    };
    (1..=count).rev().map(next).collect()
}

fn write(path: &Path, levels: Vec<u8>) {
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("a new folder");
    write_png(path, &Grey { width: WIDTH, height: PIXELS / WIDTH, data: levels }).expect("a picture");
}

fn open(folder: &Path, kind: Option<LabelKind>, maps: &Maps) -> Vec<PairedFolders> {
    let set = |(number, pairs): (usize, &Set)| {
        let [predictions, masks] = ["predictions", "masks"].map(|kind| folder.join(format!("{number}/{kind}")));
        for (image, (prediction, mask)) in pairs.iter().enumerate() {
            for (folder, map) in [(&predictions, prediction), (&masks, mask)] {
                if kind == Some(LabelKind::Folders) {
                    for (class, name) in [(1, "cat"), (2, "dog")] {
                        let levels = map.iter().map(|value| if *value == class { 255 } else { 0 }).collect();
                        write(&folder.join(format!("{name}/{image}.png")), levels);
                    }
                } else {
                    write(&folder.join(format!("{image}.png")), map.clone());
                }
            }
        }
        let labels = Description { masks: Some(masks), labels: kind, ..Description::default() };
        PairedFolders::open_described(number.to_string(), &predictions, &labels).expect("a set")
    };
    maps.iter().enumerate().map(set).collect()
}

fn json(scores: Vec<ScoredFolders>, options: &PartOptions) -> String {
    let (mut of_one, mut of_classes) = (Vec::new(), Vec::new());
    for scores in scores {
        match scores {
            ScoredFolders::OneClass(scores) => of_one.push(scores),
            ScoredFolders::Classes(scores) => of_classes.push(scores.set),
        }
    }
    let (task, named) = (options.task, options.named);
    match of_classes.is_empty() {
        true => serde_json::to_string(&JsonReport { sets: &of_one, named, task }),
        false => serde_json::to_string(&ClassJson { sets: &of_classes, named }),
    }
    .expect("numbers and strings")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn parts_in_any_order_give_the_scores_of_one_task(
        (kind, maps) in sets(),
        of in 1..10_usize,
        number in any::<usize>(),
        outlines in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let sets = open(folder.path(), kind, &maps);
        let outlines = outlines.then(OutlineOptions::default);
        let options = PartOptions { outlines, named: true, task: None };
        let whole = sets.iter().map(|set| set.score(outlines, || ())).collect::<Result<_, _>>().expect("scores");
        let part = |at: usize| {
            let shard = Shard::new(at + 1, of).expect("a part");
            let part = EvaluationPart::score(&sets, shard, &options, || ()).expect("scores");
            let text = serde_json::to_vec(&part).expect("JSON");
            let name = PathBuf::from(format!("part {at}"));
            let read = EvaluationPart::of_json(&text, &name).expect("what was written");
            (name, read)
        };
        let parts = order(of, number).into_iter().map(part).collect();
        let merged = merge(parts).expect("all parts");
        prop_assert_eq!(json(merged.sets, &options), json(whole, &options));
    }
}
