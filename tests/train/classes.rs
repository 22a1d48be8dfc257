//! Training on several classes, in whatever form their labels come.

use crate::support::class_sets::{ClassSet, IMAGES, NAMES, index_map, plane};
use safetensors::SafeTensors;
use sam2unet::data::{
    BatchTruth, ClassKind, Classes, Dataset, Description, Flips, Folder, GivenClasses, LabelKind, Truth,
};
use sam2unet::nn::VariantName;
use sam2unet::train::{Event, Layer, RunError, Settings, Trainer, resolve};
use std::fs;
use std::path::{Path, PathBuf};

fn classes(names: &[&str]) -> GivenClasses {
    GivenClasses::named(names.iter().map(ToString::to_string))
}

fn described(set: &ClassSet, masks: PathBuf) -> Description {
    Description { images: Some(set.at("images")), masks: Some(masks), ..Description::default() }
}

fn annotated(set: &ClassSet) -> Description {
    Description { images: Some(set.at("images")), annotations: Some(set.coco()), ..Description::default() }
}

/// The forms of classes that exclude each other, each with what is said of it and the form that is found.
fn exclusive(set: &ClassSet) -> Vec<(Description, LabelKind)> {
    let names = Some(classes(&NAMES));
    let [(grey, grey_table), (colours, colour_table)] = [set.grey_table(), set.colour_table()];
    let table = |path: PathBuf| Some(GivenClasses::read(&path).unwrap());
    vec![
        (Description { classes: names.clone(), ..described(set, set.index()) }, LabelKind::Index),
        (Description { classes: names, ..described(set, set.palette()) }, LabelKind::Index),
        (Description { classes: table(grey_table), ..described(set, grey) }, LabelKind::Table),
        (Description { classes: table(colour_table), ..described(set, colours) }, LabelKind::Table),
        (annotated(set), LabelKind::Coco),
    ]
}

/// The forms of classes that may overlap.
fn overlapping(set: &ClassSet) -> Vec<(Description, LabelKind)> {
    let names = Some(classes(&NAMES[1..]));
    vec![
        (Description { classes: names.clone(), ..described(set, set.class_folders()) }, LabelKind::Folders),
        (Description { classes: names.clone(), ..described(set, set.suffixes()) }, LabelKind::Suffixes),
        (Description { overlapping: true, classes: names, ..annotated(set) }, LabelKind::Coco),
    ]
}

fn open(description: &Description, kind: LabelKind) -> Folder {
    let (folder, found) = description.open_one().unwrap();
    assert_eq!(found, kind);
    folder
}

#[test]
fn every_form_of_exclusive_labels_gives_the_same_index_maps() {
    let set = ClassSet::new();
    for (description, kind) in exclusive(&set) {
        let folder = open(&description, kind);
        let found = folder.classes().unwrap();
        assert_eq!((found.kind, found.names().collect::<Vec<_>>()), (ClassKind::Exclusive, NAMES.to_vec()), "{kind}");
        for image in 0..IMAGES {
            assert_eq!(folder.truth(image).unwrap(), Truth::Index(index_map(image)), "{kind}");
        }
    }
}

#[test]
fn every_form_of_overlapping_labels_gives_the_same_masks() {
    let set = ClassSet::new();
    for (description, kind) in overlapping(&set) {
        let folder = open(&description, kind);
        let found = folder.classes().unwrap();
        let told = (found.kind, found.names().collect::<Vec<_>>());
        assert_eq!(told, (ClassKind::Overlapping, NAMES[1..].to_vec()), "{kind}");
        for image in 0..IMAGES {
            let masks = [1, 2, 3].map(|class| plane(image, class)).to_vec();
            let expected = Truth::Labels { masks, ignored: Some(plane(image, 255)) };
            assert_eq!(folder.truth(image).unwrap(), expected, "{kind}");
        }
    }
}

/// Settings of a short run of the smallest model.
fn settings(description: &Description) -> Settings {
    let Description { images, masks, annotations, labels, classes, overlapping, .. } = description.clone();
    Settings {
        images,
        masks,
        annotations,
        labels,
        classes,
        overlapping,
        variant: VariantName::Tiny,
        size: 64,
        batch_size: 2,
        steps: Some(2),
        ..Settings::default()
    }
}

fn train(settings: Settings, out: &Path) -> PathBuf {
    Trainer::new(settings).out(out).run().unwrap().best_model()
}

/// A tensor's name, shape and bytes.
type TensorBytes = (String, Vec<usize>, Vec<u8>);

/// Names, shapes and bytes of a model's tensors; its metadata.
fn model(path: &Path) -> (Vec<TensorBytes>, std::collections::HashMap<String, String>) {
    let bytes = fs::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut all: Vec<_> =
        tensors.iter().map(|(name, view)| (name.to_string(), view.shape().to_vec(), view.data().to_vec())).collect();
    all.sort();
    (all, metadata.metadata().clone().unwrap_or_default())
}

#[test]
fn every_form_trains_to_the_same_bytes() {
    let set = ClassSet::new();
    for (group, forms) in [("exclusive", exclusive(&set)), ("overlapping", overlapping(&set))] {
        let mut first = None;
        for (number, (description, kind)) in forms.iter().enumerate() {
            let out = set.at(&format!("{group}-{number}"));
            let (tensors, metadata) = model(&train(settings(description), &out));
            let told = Classes::of_metadata(&metadata.into_iter().collect()).unwrap().unwrap();
            assert_eq!(told.kind.name(), group);
            let heads: Vec<_> = tensors.iter().filter(|(name, ..)| name == "head.weight").map(|t| t.1[0]).collect();
            assert_eq!(heads, [told.len()]);
            let expected = first.get_or_insert_with(|| tensors.clone());
            assert!(tensors == *expected, "{kind}");
        }
    }
}

#[test]
fn a_run_on_classes_goes_on_to_the_same_bytes_and_tells_its_classes() {
    let set = ClassSet::new();
    let (description, _) = exclusive(&set).remove(2);
    let whole = Settings { class_weights: None, steps: Some(3), ..settings(&description) };
    let whole = Settings { val_fraction: Some(0.3), ..whole };
    let expected = fs::read(train(whole.clone(), &set.at("whole"))).unwrap();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let observe = |event: &Event| {
        if let Event::Step { step: 2, .. } = event {
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        }
    };
    Trainer::new(whole).out(set.at("parts")).stop_when(&stop).on_event(observe).run().unwrap();
    let config = fs::read_to_string(set.at("parts/config.toml")).unwrap();
    assert!(config.contains("\n[data]\n") && config.contains("\nval_fraction = 0.3\n"), "{config}");
    assert!(config.contains("name = \"ignore\""), "{config}");
    let resumed = Trainer::resume(set.at("parts")).run().unwrap();
    assert!(fs::read(resumed.best_model()).unwrap() == expected);
    // the very words that began it, and others
    let words = |text: &str| Trainer::resume(set.at("parts")).with(text.parse().unwrap()).run();
    // what was found at its start is what it has
    words("[data]\nval_fraction = 0.3\nlabels = \"table\"").map(drop).unwrap();
    let refused = words("labels = \"binary\"").map(drop).unwrap_err().to_string();
    assert!(refused.contains("labels"), "{refused}");
    words("[data]\nval_fraction = 0.3").map(drop).unwrap();
    let refused = words("ignore = 3").map(drop).unwrap_err().to_string();
    assert!(refused.contains("ignore = [3] (the run has none)"), "{refused}");
}

#[test]
fn balanced_weights_are_found_written_and_accepted_again() {
    let set = ClassSet::new();
    let (description, _) = exclusive(&set).remove(0);
    let layer: Layer = "class_weights = \"balanced\"".parse().unwrap();
    let given = resolve(&[layer]).unwrap().settings.class_weights;
    train(Settings { class_weights: given, ..settings(&description) }, &set.at("run"));
    let config: toml::Table = fs::read_to_string(set.at("run/config.toml")).unwrap().parse().unwrap();
    let found: Vec<f64> = config["class_weights"]["balanced"]
        .as_array()
        .unwrap()
        .iter()
        .map(|number| number.as_float().unwrap())
        .collect();
    let maps: Vec<u8> = (0..IMAGES).flat_map(|image| index_map(image).data).collect();
    let known = maps.iter().filter(|class| **class != 255).count() as f64;
    let expected: Vec<f64> =
        (0..4).map(|class| known / (4.0 * maps.iter().filter(|c| **c == class).count() as f64)).collect();
    assert_eq!(found, expected);
    let again = Trainer::resume(set.at("run")).with("class_weights = \"balanced\"".parse().unwrap()).run();
    again.map(drop).unwrap();
    let refused = Trainer::resume(set.at("run")).with("class_weights = [1.0, 1.0, 1.0, 1.0]".parse().unwrap()).run();
    assert!(refused.map(drop).unwrap_err().to_string().contains("class_weights"));
}

/// What a run with these settings is refused for.
fn refusal(settings: Settings, set: &ClassSet) -> String {
    match Trainer::new(settings).out(set.at("refused")).run() {
        Err(RunError::Prepare(error)) => error.to_string(),
        Err(other) => panic!("{other}"),
        Ok(run) => panic!("{run:?}"),
    }
}

/// A file of annotations may be changed behind a run: its outputs must not become other classes.
#[test]
fn a_run_goes_on_with_the_classes_that_it_had_only() {
    let set = ClassSet::new();
    let run = Settings { steps: Some(2), ..settings(&annotated(&set)) };
    train(run, &set.at("run"));
    let config = fs::read_to_string(set.at("run/config.toml")).unwrap();
    assert!(config.contains("labels = \"coco\"") && config.contains("name = \"round\""), "{config}");
    let longer = || Trainer::resume(set.at("run")).with("steps = 3".parse().unwrap()).run();
    // categories in another order are the same classes, as the run has their names
    let file = set.at("coco.json");
    let text = fs::read_to_string(&file).unwrap();
    let mut coco: serde_json::Value = serde_json::from_str(&text).unwrap();
    let id = |name: &str| NAMES.iter().position(|other| *other == name).unwrap();
    for category in coco["categories"].as_array_mut().unwrap() {
        category["id"] = (10 - id(category["name"].as_str().unwrap())).into();
    }
    for annotation in coco["annotations"].as_array_mut().unwrap() {
        annotation["category_id"] = (10 - annotation["category_id"].as_u64().unwrap()).into();
    }
    fs::write(&file, coco.to_string()).unwrap();
    longer().unwrap();
    // a run that does not have them, as of an earlier version
    let config: String = fs::read_to_string(set.at("run/config.toml")).unwrap();
    let mut table: toml::Table = config.parse().unwrap();
    table["data"].as_table_mut().unwrap().remove("class");
    table["steps"] = 4.into();
    fs::write(set.at("run/config.toml"), table.to_string()).unwrap();
    let error = Trainer::resume(set.at("run")).run().map(drop).unwrap_err().to_string();
    let wanted = "was trained on 4 exclusive classes (background, round, square, line), but now there are \
                  4 exclusive classes \
                  (background, line, square, round)";
    assert!(error.contains(wanted), "{error}");
}

#[test]
fn what_does_not_go_with_the_classes_is_refused() {
    let set = ClassSet::new();
    let (description, _) = exclusive(&set).remove(0);
    let with = |text: &str| {
        let values = resolve(&[text.parse().unwrap()]).unwrap().settings;
        Settings { class_weights: values.class_weights, best_by: values.best_by, ..settings(&description) }
    };
    let text = refusal(with("class_weights = [1.0, 2.0]"), &set);
    assert!(text.starts_with("`class_weights` has 2 numbers, but there are 4 classes: background, round"), "{text}");
    assert_eq!(
        refusal(Settings { classes: None, ..with("class_weights = \"balanced\"") }, &set),
        "`class_weights` needs several classes, but there is one"
    );
    let text = refusal(with("best_by = \"mAcc\""), &set);
    assert!(text.contains("only overlapping classes have it"), "{text}");
    let text = refusal(Settings { classes: None, ..with("best_by = \"mIoU\"") }, &set);
    assert!(text.contains("there is one class"), "{text}");
    assert!(!set.at("refused").exists());
}

#[test]
fn a_checkpoint_of_other_classes_gives_all_but_its_heads() {
    let set = ClassSet::new();
    let four = settings(&exclusive(&set).remove(0).0);
    let from = train(four.clone(), &set.at("four"));
    let (mut told, three) = (String::new(), settings(&overlapping(&set).remove(0).0));
    let observe = |event: &Event| {
        if let Event::Note(note) = event
            && note.topic() == "weights"
        {
            told += &format!("{note}\n");
        }
    };
    // a learning rate so small that nothing moves
    let three = Settings { init: Some(from.clone()), lr: 1e-30, weight_decay: 0.0, steps: Some(1), ..three };
    let to = Trainer::new(three).out(set.at("three")).on_event(observe).run().unwrap().best_model();
    assert!(told.contains("is a model of 4 exclusive classes (background, "), "{told}");
    assert!(told.contains("and this run has 3 overlapping classes (round, square, line): all is taken"), "{told}");
    let (from, to) = (model(&from).0, model(&to).0);
    let heads = ["head", "side1", "side2"];
    for ((name, shape, bytes), (_, new_shape, new_bytes)) in from.iter().zip(&to) {
        let is_head = heads.iter().any(|head| name.starts_with(&format!("{head}.")));
        assert_eq!(shape != new_shape, is_head, "{name}");
        // running statistics move with each step
        assert!(is_head || name.contains("running") || name.contains("num_batches") || bytes == new_bytes, "{name}");
    }
}

#[test]
fn the_number_of_classes_is_found_where_nobody_names_them() {
    let set = ClassSet::new();
    let masks = set.index();
    let settings = Settings { labels: Some(LabelKind::Index), ..settings(&described(&set, masks.clone())) };
    let (_, metadata) = model(&train(settings.clone(), &set.at("found")));
    let told = Classes::of_metadata(&metadata.into_iter().collect()).unwrap().unwrap();
    assert_eq!(told.names().collect::<Vec<_>>(), ["background", "class 1", "class 2", "class 3"]);
    // values that are no numbers of classes
    let (grey, _) = set.grey_table();
    let text = refusal(Settings { masks: Some(grey), ..settings }, &set);
    assert!(text.contains("the values of the masks (0, 9, 77, 150) would make 151 classes"), "{text}");
}

#[test]
fn one_class_with_ignored_pixels_is_a_hard_mask() {
    let set = ClassSet::new();
    let table = "background = [0, 2, 3]\nround = 1\nignore = 255\n";
    fs::write(set.at("one.toml"), table).unwrap();
    // as numbers: 0, 1 and 255
    let masks = set.at("ones");
    fs::create_dir(&masks).unwrap();
    for image in 0..IMAGES {
        let mut map = index_map(image);
        map.data.iter_mut().filter(|class| [2, 3].contains(*class)).for_each(|class| *class = 0);
        sam2unet::data::write_png(&masks.join(format!("{image}.png")), &map).unwrap();
    }
    let one = Description { classes: Some(classes(&["round"])), ..described(&set, masks) };
    let folder = open(&one, LabelKind::Index);
    assert_eq!(folder.classes().map(|classes| (classes.kind, classes.len())), Some((ClassKind::Overlapping, 1)));
    let example = folder.example(0, 64, Flips::default()).unwrap();
    let BatchTruth::MasksAndKnown { masks, known } = example.truth else { panic!("{:?}", example.truth) };
    assert!(masks.iter().all(|v| *v == 0.0 || *v == 1.0) && known.contains(&0) && known.contains(&1));
    train(settings(&one), &set.at("run"));
    // the same as a table of two classes
    let table = Description { classes: Some(GivenClasses::read(&set.at("one.toml")).unwrap()), ..one };
    assert_eq!(table.open_one().unwrap().1, LabelKind::Table);
}

#[test]
fn unknown_values_are_told_with_their_file_and_the_nearest_entry() {
    let set = ClassSet::new();
    let three = Description { classes: Some(classes(&NAMES[..3])), ..described(&set, set.index()) };
    let text = refusal(settings(&three), &set);
    assert!(text.contains("4 files of 4 pairs cannot be used"), "{text}");
    for image in 0..IMAGES {
        let pixels = index_map(image).data.iter().filter(|class| **class == 3).count();
        let line =
            format!("{image}.png: 1 value means no class: 3 ({pixels} pixels); nearest to the first is 2, class 2");
        assert!(text.contains(&line), "{text}");
    }
}
