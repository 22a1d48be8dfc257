//! `--shard` and `--merge`: work split over several tasks, and put together.

use super::program::{Ended, done, refused, run, sam2unet, tiny, tiny_of_classes, tiny_with};
use crate::support::predicted_set::{ClassSet, MASKS, NAMES, PREDICTIONS};
use crate::support::random::Random;
use crate::support::scenes::scenes;
use sam2unet::data::{ClassKind, Classes, Grey, write_png};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

fn read(folder: &Path, name: &str) -> Vec<u8> {
    fs::read(folder.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Scores of one task, and of so many put together, must be one: the files and what is printed.
fn check_parts(folder: &Path, set: &[&str], parts: usize) {
    let whole = run(folder, &[&["evaluate", "--json", "whole.json"], set].concat());
    assert_eq!(whole.status, Some(0), "{}", whole.err);
    let names: Vec<String> = (1..=parts).map(|part| format!("part{part}.json")).collect();
    for (part, name) in (1..).zip(&names) {
        let shard = format!("{part}/{parts}");
        let ended = run(folder, &[&["evaluate", "--json", name, "--shard", &shard], set].concat());
        assert_eq!(ended.status, Some(0), "{}", ended.err);
        // no table, which would be taken for the whole's
        assert_eq!(ended.out.lines().count(), 1, "{}", ended.out);
        assert!(ended.out.starts_with(&format!("part {part} of {parts}: ")), "{}", ended.out);
    }
    // in any order
    let names: Vec<&str> = names.iter().rev().map(|name| &name[..]).collect();
    let merged = run(folder, &[&["evaluate", "--json", "merged.json", "--merge"], &names[..]].concat());
    assert_eq!((merged.status, merged.out), (Some(0), whole.out), "{}", merged.err);
    assert!(read(folder, "merged.json") == read(folder, "whole.json"), "{set:?}: {parts} parts");
}

fn picture(path: &Path, levels: impl FnMut() -> u8) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let data = std::iter::repeat_with(levels).take(9 * 7).collect();
    write_png(path, &Grey { width: 9, height: 7, data }).unwrap();
}

/// Soft predictions and masks: `a` with seven images, `b` with two.
fn soft_sets() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let mut random = Random::new(11);
    for (set, images) in [("a", 7), ("b", 2)] {
        for image in 0..images {
            let file = |kind: &str| folder.path().join(format!("{set}/{kind}/{image}.png"));
            picture(&file("predictions"), || random.draw() as u8);
            // the first is empty
            picture(&file("masks"), || if image > 0 && random.draw().is_multiple_of(3) { 255 } else { 0 });
        }
    }
    folder
}

const SOFT: [&str; 4] = ["--predictions", "a/predictions", "--masks", "a/masks"];

#[test]
fn parts_of_one_class_give_one_tasks_bytes() {
    let sets = soft_sets();
    for parts in [1, 2, 3, 12] {
        check_parts(sets.path(), &SOFT, parts);
    }
    let mirrors = [&SOFT[..], &["--task", "mirror", "--name", "mirrors"]].concat();
    check_parts(sets.path(), &mirrors, 3);
    // a part goes over the end of a set
    let two = [&SOFT[..], &["--pair", "B", "b/predictions", "b/masks", "--scale-16-bit"]].concat();
    check_parts(sets.path(), &two, 4);
}

#[test]
fn a_part_says_how_much_it_is() {
    let sets = soft_sets();
    let said = done(sets.path(), &[&["evaluate", "--shard", "2/3", "--json", "p.json"], &SOFT[..]].concat());
    assert_eq!(said, "part 2 of 3: 2 of 7 pairs scored to p.json; evaluate --merge of all parts gives the scores\n");
    let part: serde_json::Value = serde_json::from_slice(&read(sets.path(), "p.json")).unwrap();
    assert_eq!((&part["format"], &part["shard"]), (&1.into(), &serde_json::json!([2, 3])));
    let said = done(sets.path(), &[&["evaluate", "--shard", "1/9", "--json", "p.json"], &SOFT[..]].concat());
    assert!(said.starts_with("part 1 of 9: 0 of 7 pairs"), "{said}");
}

#[test]
fn parts_of_several_classes_give_one_tasks_bytes() {
    let set = ClassSet::new();
    set.palettes("p", &PREDICTIONS, NAMES);
    set.palettes("q", &MASKS.map(|map| map.map(|value| value % 255)), NAMES);
    set.greys("masks", &MASKS, |value| value);
    set.folders("each", &PREDICTIONS);
    set.folders("folders", &MASKS);
    // one image lacks a class, so that a distance is infinite
    let lacking = PREDICTIONS.map(|map| map.map(|value| if value == 2 { 0 } else { value }));
    set.folders("less", &lacking);
    let exclusive = ["--predictions", "p", "--masks", "masks", "--pair", "right", "q", "masks", "--spacing", "0.3,0.7"];
    let overlapping = ["--predictions", "each", "--masks", "folders", "--labels", "folders"];
    for parts in [2, 3, 9] {
        check_parts(set.path(), &exclusive, parts);
        check_parts(set.path(), &[&overlapping[..], &["--nsd-tolerance", "0.1"]].concat(), parts);
    }
    let less = ["--predictions", "less", "--masks", "folders", "--labels", "folders"];
    check_parts(set.path(), &less, 2);
    assert!(String::from_utf8(read(set.path(), "part2.json")).unwrap().contains("\"inf\""));
    // of numbers without names the whole set tells how many there are: the first image has one class less
    let few = [PREDICTIONS[0].map(|value| value % 2), PREDICTIONS[1]];
    set.greys("plain", &few, |value| value);
    set.greys("numbers", &few, |value| value);
    check_parts(set.path(), &["--predictions", "plain", "--masks", "numbers", "--labels", "index"], 2);
}

/// What the scores tell, too: parts tell it of no class, as another part may have it.
#[test]
fn the_confusion_matrix_and_missing_classes_are_those_of_one_task() {
    let set = ClassSet::new();
    set.palettes("p", &PREDICTIONS, NAMES);
    // each image shows another class, and none the last one
    let masks = [MASKS[0].map(|value| u8::from(value == 1)), MASKS[1].map(|value| 2 * u8::from(value == 1))];
    set.greys("masks", &masks, |value| value);
    set.text("classes.toml", "background = 0\ncat = 1\ndog = 2\n");
    let of = ["--predictions", "p", "--masks", "masks", "--classes", "classes.toml"];
    done(set.path(), &[&["evaluate", "--json", "whole.json", "--confusion", "whole.png"], &of[..]].concat());
    for shard in ["1/2", "2/2"] {
        let name = format!("{}.json", &shard[..1]);
        done(set.path(), &[&["evaluate", "--shard", shard, "--json", &name], &of[..]].concat());
    }
    done(set.path(), &["evaluate", "--merge", "1.json", "2.json", "--confusion", "merged.png"]);
    assert!(read(set.path(), "merged.png") == read(set.path(), "whole.png"));

    set.greys("masks", &[masks[0]; 2], |value| value);
    let never = "warning: p: masks: no pixel is of dog (class 2)\n";
    let whole = run(set.path(), &[&["evaluate"], &of[..]].concat());
    assert_eq!(whole.err, never);
    for shard in ["1/2", "2/2"] {
        let name = format!("{}.json", &shard[..1]);
        done(set.path(), &[&["evaluate", "--shard", shard, "--json", &name], &of[..]].concat());
    }
    let merged = run(set.path(), &["evaluate", "--merge", "1.json", "2.json"]);
    assert_eq!(merged, whole);
}

#[test]
fn parts_that_do_not_go_together_are_refused() {
    let sets = soft_sets();
    let folder = sets.path();
    let score = |name: &str, shard: &str, more: &[&str]| {
        let ended = run(folder, &[&["evaluate", "--shard", shard, "--json", name], &SOFT[..], more].concat());
        assert_eq!(ended.status, Some(0), "{}", ended.err);
    };
    let names = ["1.json", "2.json", "3.json"];
    names.into_iter().zip(["1/3", "2/3", "3/3"]).for_each(|(name, shard)| score(name, shard, &[]));
    run(folder, &[&["evaluate", "--json", "whole.json"], &SOFT[..]].concat());
    score("of4.json", "2/4", &[]);
    score("task.json", "2/3", &["--task", "polyp"]);
    score("named.json", "2/3", &["--name", "other"]);
    score("read.json", "2/3", &["--scale-16-bit"]);
    score("two.json", "2/3", &["--pair", "B", "b/predictions", "b/masks"]);
    fs::copy(folder.join("1.json"), folder.join("copy.json")).unwrap();
    // another image, then another name of one
    for kind in ["predictions", "masks"] {
        fs::copy(folder.join(format!("a/{kind}/0.png")), folder.join(format!("a/{kind}/9.png"))).unwrap();
    }
    score("more.json", "2/3", &[]);
    for kind in ["predictions", "masks"] {
        fs::remove_file(folder.join(format!("a/{kind}/0.png"))).unwrap();
    }
    score("renamed.json", "2/3", &[]);
    let text = String::from_utf8(read(folder, "2.json")).unwrap();
    let write = |name: &str, text: &str| fs::write(folder.join(name), text).unwrap();
    write("newer.json", &text.replacen("\"format\":1", "\"format\":9", 1));
    write("half.json", &text[..text.len() / 2]);
    write("metrics.json", &text.replacen("\"Smeasure\"", "\"Xmeasure\"", 1));
    write("moved.json", &text.replacen("\"shard\":[2,3]", "\"shard\":[3,3]", 1));
    write("version.json", &text.replacen("\"version\":\"", "\"version\":\"9", 1));
    let cases: [(&[&str], &[&str]); 18] = [
        (&["1.json", "3.json"], &["part 2 of 3 is missing beside 1.json, 3.json", "--merge needs all parts"]),
        (&["2.json"], &["parts 1, 3 of 3 are missing beside 2.json"]),
        (&["1.json", "2.json", "copy.json"], &["1.json and copy.json are the same part, 1/3"]),
        (&["1.json", "of4.json", "3.json"], &["1.json is part 1/3 and of4.json is part 2/4"]),
        (&["1.json", "task.json", "3.json"], &["1.json and task.json", "the task: none and polyp"]),
        (&["1.json", "named.json", "3.json"], &["named.json", "alone and under their names"]),
        (&["1.json", "read.json", "3.json"], &["read.json", "`--scale-16-bit` (of predictions): false and true"]),
        (&["1.json", "two.json", "3.json"], &["two.json are parts of different evaluations"]),
        (&["1.json", "more.json", "3.json"], &["more.json", "number of pairs (of predictions): 7 and 8"]),
        (&["1.json", "renamed.json", "3.json"], &["renamed.json", "digest of the files' names (of predictions)"]),
        (&["1.json", "version.json", "3.json"], &["version.json", "the version of the program"]),
        (&["whole.json"], &["whole.json is no part of an evaluation", "--shard I/N --json FILE"]),
        (&["newer.json"], &["newer.json is a part in format 9", "knows 1 only"]),
        (&["half.json"], &["half.json is damaged", "EOF"]),
        (&["metrics.json"], &["metrics.json is damaged", "Xmeasure, wFmeasure", "Smeasure, wFmeasure"]),
        (&["moved.json"], &["moved.json is damaged", "2 images", "part 3/3 has 3"]),
        (&["nothing.json"], &["cannot read nothing.json"]),
        (&["1.json", "2.json", "3.json", "--json", "2.json"], &["--json 2.json: it is one of the parts"]),
    ];
    for (parts, expected) in cases {
        let message = refused(folder, &[&["evaluate", "--merge"], parts].concat());
        assert!(expected.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    }
    // what is there stays
    assert_eq!(String::from_utf8(read(folder, "2.json")).unwrap(), text);
}

#[test]
fn parts_of_other_classes_are_refused() {
    let set = ClassSet::new();
    set.greys("predictions", &PREDICTIONS, |value| value);
    set.greys("masks", &MASKS, |value| value);
    let score = |name: &str, shard: &str, more: &[&str]| {
        let set_of = ["evaluate", "--predictions", "predictions", "--masks", "masks", "--json", name, "--shard", shard];
        let ended = run(set.path(), &[&set_of, more].concat());
        assert_eq!(ended.status, Some(0), "{}", ended.err);
    };
    set.text("values.toml", "background = 0\ncat = 1\ndog = 2\nignore = [255, 254]\n");
    let three = ["--classes", "background,cat,dog"];
    score("1.json", "1/2", &three);
    score("names.json", "2/2", &["--classes", "background,cat,cow"]);
    score("four.json", "2/2", &["--classes", "background,cat,dog,cow"]);
    score("spacing.json", "2/2", &[&three[..], &["--spacing", "1,2"]].concat());
    score("tolerance.json", "2/2", &[&three[..], &["--nsd-tolerance", "3"]].concat());
    score("values.json", "2/2", &["--classes", "values.toml"]);
    for (other, expected) in [
        ("names.json", "background, cat, dog) and 3 exclusive (background, cat, cow)"),
        ("four.json", "3 exclusive (background, cat, dog) and 4 exclusive"),
        ("spacing.json", "the spacing (of predictions): 1,1 and 1,2"),
        ("tolerance.json", "surface distance (of predictions): 2 and 3"),
        ("values.json", "what values of labels mean"),
    ] {
        let message = refused(set.path(), &["evaluate", "--merge", "1.json", other]);
        assert!(message.starts_with(&format!("1.json and {other} are parts of different evaluations")), "{message}");
        assert!(message.contains(expected), "{message}");
    }
}

#[test]
fn flags_that_do_not_go_with_parts_are_refused() {
    let sets = soft_sets();
    for (arguments, expected) in [
        (&["--shard", "2/3"][..], "--json"),
        (&["--shard", "4/3", "--json", "p.json"], "`4/3`"),
        (&["--shard", "2/3", "--json", "p.json", "--confusion", "c.png"], "--confusion"),
        (&["--shard", "2/3", "--json", "p.json", "--merge", "q.json"], "--merge"),
        (&["--merge", "q.json"], "--merge"),
    ] {
        let Ended { status, out, err } = run(sets.path(), &[&["evaluate"], &SOFT[..], arguments].concat());
        assert_eq!((status, &out[..]), (Some(2), ""), "{arguments:?}: {err}");
        assert!(err.contains(expected), "{err}");
    }
    assert!(!sets.path().join("p.json").exists());
}

/// Runs with the variables of a SLURM array's task.
fn in_slurm(folder: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Ended {
    let mut command = sam2unet(folder, arguments);
    for name in ["ID", "MIN", "MAX", "STEP", "COUNT"] {
        command.env_remove(format!("SLURM_ARRAY_TASK_{name}"));
    }
    command.envs(variables.iter().map(|(name, value)| (format!("SLURM_ARRAY_TASK_{name}"), value)));
    command.output().unwrap().into()
}

#[test]
fn slurm_says_which_part_a_task_does_if_it_is_asked() {
    let sets = soft_sets();
    let score = |more: &[&str], variables: &[(&str, &str)]| {
        in_slurm(sets.path(), &[&["evaluate", "--json", "p.json"], &SOFT[..], more].concat(), variables)
    };
    let array = [("ID", "14"), ("MIN", "10"), ("MAX", "18"), ("STEP", "4"), ("COUNT", "3")];
    let asked = score(&["--shard", "slurm"], &array);
    assert!(asked.status == Some(0) && asked.out.starts_with("part 2 of 3: 2 of 7 pairs"), "{asked:?}");
    let unasked = score(&[], &array);
    assert!(unasked.status == Some(0) && unasked.out.contains("images"), "{unasked:?}");
    for (variables, expected) in [
        (&[][..], "SLURM_ARRAY_TASK_ID is not set"),
        (&array[..3], "SLURM_ARRAY_TASK_STEP is not set"),
        (&[("ID", "15"), ("MIN", "10"), ("MAX", "18"), ("STEP", "4")], "SLURM_ARRAY_TASK_ID is 15"),
    ] {
        let Ended { status, out, err } = score(&["--shard", "slurm"], variables);
        assert!(status == Some(2) && out.is_empty() && err.contains(expected), "{err}");
    }
}

/// All files below a folder, by their paths in it.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_string();
        match path.is_dir() {
            true => found.extend(tree(&path).into_iter().map(|(below, bytes)| (format!("{name}/{below}"), bytes))),
            false => drop(found.insert(name, fs::read(&path).unwrap())),
        }
    }
    found
}

/// Four images of side 64 in `images`, and a model.
fn workplace() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    scenes(folder.path(), 5, 4, 64);
    tiny(&folder.path().join("model.safetensors"));
    folder
}

fn predict<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let all = ["predict", "--checkpoint", "model.safetensors", "--size", "64", "--device", "cpu", "--images", "images"];
    [&all[..], more].concat()
}

#[test]
fn parts_of_a_prediction_leave_the_files_of_one_task() {
    let one = workplace();
    let several = workplace();
    let classes = Classes::named(ClassKind::Overlapping, ["cat", "dog"].map(String::from)).unwrap();
    tiny_of_classes(&several.path().join("model.safetensors"), 2, &[classes.metadata()]);
    for (folder, more) in [
        (one.path(), &["--like", "masks", "--overlay"][..]),
        (several.path(), &["--probabilities", "tiff", "--overlay"]),
    ] {
        done(folder, &predict(&[&["--out", "whole"], more].concat()));
        let mut before = 0;
        // the last is done first
        for (shard, told, made) in [
            ("3/3", "part 3 of 3: 2 of 4 images\n", 2),
            ("1/3", "part 1 of 3: 1 of 4 images\n", 1),
            ("2/3", "part 2 of 3: 1 of 4 images\n", 1),
        ] {
            let said = done(folder, &predict(&[&["--out", "parts", "--shard", shard], more].concat()));
            assert!(said.contains(told), "{said}");
            assert!(said.contains(&format!("\n{made} ")) && said.ends_with(" written to parts\n"), "{said}");
            let now = tree(&folder.join("parts")).len();
            assert_eq!(now - before, made * tree(&folder.join("whole")).len() / 4);
            before = now;
        }
        assert!(tree(&folder.join("parts")) == tree(&folder.join("whole")));
        // again, what is there is kept
        let said = done(folder, &predict(&[&["--out", "parts", "--shard", "3/3", "--skip-existing"], more].concat()));
        assert!(said.contains("; 2 were there already"), "{said}");
    }
}

#[test]
fn a_part_without_images_is_done_at_once() {
    let folder = workplace();
    let said = done(folder.path(), &predict(&["--out", "parts", "--shard", "1/5"]));
    assert_eq!(said, "part 1 of 5: 0 of 4 images\nthere is nothing to do, as there are more parts than images\n");
    assert!(!folder.path().join("parts").exists());
    let array = [("ID", "7"), ("MIN", "6"), ("MAX", "9"), ("STEP", "1")];
    let Ended { status, out, .. } = in_slurm(folder.path(), &predict(&["--out", "parts", "--shard", "SLURM"]), &array);
    assert!(status == Some(0) && out.contains("part 2 of 4: 1 of 4 images\n"), "{out}");
    assert_eq!(tree(&folder.path().join("parts")).keys().collect::<Vec<_>>(), ["001.png"]);
}

/// Each part looks at the whole: what is wrong with the others' images is refused, too.
#[test]
fn a_part_is_refused_for_what_the_whole_is_refused_for() {
    let folder = workplace();
    let folder = folder.path();
    tiny_with(&folder.join("model.safetensors"), &[]);
    let shard = ["--shard", "1/4"];
    // a file in the way of the last image
    fs::create_dir(folder.join("out")).unwrap();
    fs::copy(folder.join("masks/003.png"), folder.join("out/003.png")).unwrap();
    let whole = refused(folder, &predict(&["--out", "out"]));
    assert!(whole.contains("003.png"), "{whole}");
    assert_eq!(refused(folder, &predict(&[&["--out", "out"], &shard[..]].concat())), whole);
    // a mask of the last image that is not there
    fs::remove_file(folder.join("masks/003.png")).unwrap();
    let whole = refused(folder, &predict(&["--out", "new", "--like", "masks"]));
    assert_eq!(refused(folder, &predict(&[&["--out", "new", "--like", "masks"], &shard[..]].concat())), whole);
    // two images of one stem
    fs::copy(folder.join("images/003.png"), folder.join("images/003.jpg")).unwrap();
    let whole = refused(folder, &predict(&["--out", "new"]));
    assert!(whole.contains("003.jpg"), "{whole}");
    assert_eq!(refused(folder, &predict(&[&["--out", "new"], &shard[..]].concat())), whole);
    assert!(!folder.join("new").exists());
}
