//! Data sets that a YAML file describes, as Ultralytics documents it.

use crate::support::tree::Tree;
use sam2unet::data::layout::{Labels, find_layout};
use sam2unet::data::{Folder, FolderOptions};

const MASKS: &str = "# a comment
path: .
train: images/train
val: images/val
masks_dir: masks

names:
    0: background
    1: road
    2: no
label_mapping:
  -1: ignore_label
  0: ignore_label
  7: 0
  8: 255
download: https://example.org/set.zip
";

fn tree(yaml: &str) -> Tree {
    let paths = [
        "images/train/a.jpg",
        "images/val/b.jpg",
        "masks/train/a.png",
        "masks/val/b.png",
        "labels/train/a.txt",
        "labels/val/",
    ];
    let tree = Tree::new(&paths);
    tree.write("data.yaml", yaml);
    tree
}

/// The message for a YAML file.
#[track_caller]
fn refusal(yaml: &str) -> String {
    let tree = tree(yaml);
    tree.told(find_layout(&tree.at("data.yaml")).expect_err("a refusal"))
}

#[test]
fn masks_stand_for_images_in_the_path() {
    let tree = tree(MASKS);
    // given itself, and found in its folder
    for root in [tree.at("data.yaml"), tree.root().to_owned()] {
        let layout = find_layout(&root).unwrap();
        assert_eq!(
            layout.name(),
            "Ultralytics (data.yaml): images/train, masks/train; validation images/val, masks/val"
        );
        let classes = layout.classes.unwrap();
        // YAML 1.1 would read `no` as a truth value
        assert_eq!(classes.names, ["background", "road", "no"]);
        assert_eq!(classes.values.into_iter().collect::<Vec<_>>(), [(-1, None), (0, None), (7, Some(0)), (8, None)]);
        assert_eq!(layout.training.unwrap().labels, Labels::Masks(tree.at("masks/train")));
    }
}

#[test]
fn without_masks_there_are_polygons() {
    let tree = tree("train: images/train\nval: [images/val]\ntest: # none\nnames: [person, 'car']\n");
    std::fs::remove_dir_all(tree.at("masks")).unwrap();
    let layout = find_layout(tree.root()).unwrap();
    assert_eq!(
        layout.name(),
        "Ultralytics (data.yaml): images/train, labels/train (polygons); validation images/val, labels/val (polygons)"
    );
    assert_eq!(layout.classes.unwrap().names, ["person", "car"]);
    assert_eq!(layout.training.unwrap().labels, Labels::Polygons(tree.at("labels/train")));
}

#[test]
fn masks_that_the_file_does_not_name_are_a_second_layout() {
    let tree = tree("train: images/train\nval: images/val\nnames: [person]\n");
    let text = tree.told(find_layout(tree.root()).unwrap_err());
    assert!(text.contains("\n  Ultralytics (data.yaml): images/train, labels/train (polygons)"), "{text}");
    assert!(text.contains("\n  folders: images/train, masks/train\n"), "{text}");
    // given itself, it says which
    assert!(find_layout(&tree.at("data.yaml")).is_ok());
}

#[test]
fn a_file_from_another_machine_need_not_be_edited() {
    for path in ["path: /elsewhere/datasets/roads\n", "path: roads\n", ""] {
        let tree = tree(&format!("{path}train: images/train\nmasks_dir: masks\nnames: [road]\n"));
        assert_eq!(find_layout(tree.root()).unwrap().training.unwrap().images, tree.at("images/train"), "{path}");
    }
    // Roboflow's paths lead out of the folder
    let tree = Tree::new(&["train/images/a.jpg", "train/labels/a.txt"]);
    tree.write("data.yaml", "train: ../train/images\nnc: 1\nnames: ['polyp']\n");
    assert_eq!(
        find_layout(tree.root()).unwrap().name(),
        "Ultralytics (data.yaml): train/images, train/labels (polygons)"
    );
    // the last `images` counts
    let tree = Tree::new(&["images/roads/images/a.jpg", "images/roads/masks/a.png"]);
    tree.write("data.yaml", "train: images/roads/images\nmasks_dir: masks\nnames: [road]\n");
    let part = find_layout(&tree.at("data.yaml")).unwrap().training.unwrap();
    assert_eq!(part.labels, Labels::Masks(tree.at("images/roads/masks")));
    // a set elsewhere
    let elsewhere = Tree::new(&["images/a.jpg", "masks/a.png"]);
    let tree = Tree::new(&[]);
    let path = elsewhere.root().display();
    tree.write("data.yaml", format!("path: {path}\ntrain: images\nmasks_dir: masks\nnames: [road]\n"));
    assert_eq!(find_layout(tree.root()).unwrap().training.unwrap().images, elsewhere.at("images"));
}

#[test]
fn a_list_of_images_may_stand_for_a_folder() {
    let tree = tree("train: train.txt\nval: images/val\nmasks_dir: masks\nnames: [road]\n");
    tree.add("images/train/c.jpg");
    tree.write("train.txt", "./images/train/a.jpg\r\n");
    let part = find_layout(tree.root()).unwrap().training.unwrap();
    let folder = Folder::open_with(&part.images, part.labels.path(), part.options(FolderOptions::default())).unwrap();
    let stems: Vec<_> = folder.pairs().iter().map(|pair| &pair.stem[..]).collect();
    assert_eq!(stems, ["train/a"]);
    assert_eq!(folder.pairs()[0].masks[0], tree.at("masks/train/a.png"));
}

#[test]
fn errors_name_the_line() {
    let line = |yaml: &str| {
        let text = refusal(yaml);
        assert!(text.starts_with("ROOT/data.yaml, line "), "{text}");
        text
    };
    let text = line("train: images/train\nnames: [a\nval: images/val\n");
    assert!(text.starts_with("ROOT/data.yaml, line 3") || text.starts_with("ROOT/data.yaml, line 2"), "{text}");
    let text = line("train: images/train\nval: images/val\n");
    assert!(text.contains("names"), "{text}");
    let text = line("train: images/train\nnames:\n  0: a\n  0: b\n");
    assert!(text.starts_with("ROOT/data.yaml, line 4"), "{text}");
    let text = line("names: [a]\ntrain:\n  - images/train\n  - images/val\n");
    assert!(text.contains("several folders; name one, or a text file"), "{text}");
    let text = line("names: [a]\ntrain: 7\n");
    assert!(text.starts_with("ROOT/data.yaml, line 2") && text.contains("the path of a folder of images"), "{text}");
    let text = line("names: road\ntrain: images/train\n");
    assert!(text.starts_with("ROOT/data.yaml, line 1") && text.contains("a list of class names"), "{text}");
    let text = line("train: images/train\n\nnames: {0: a, 2: b}\n");
    assert_eq!(text, "ROOT/data.yaml, line 3, column 8: `names` must be numbered 0, 1, 2, ..., not 0, 2");
    let text = line("train: images/train\nnames: [a]\nlabel_mapping: {3: 1}\n");
    assert_eq!(text, "ROOT/data.yaml, line 3, column 16: `label_mapping` maps 3 to 1, but the last class is 0");
    let text = line("train: images/train\nnames: [a]\nlabel_mapping: {3: ignored}\n");
    assert!(text.contains("write a number, or `ignore_label`"), "{text}");
}

#[test]
fn what_is_not_there_is_named_with_where_it_was_looked_for() {
    assert_eq!(
        refusal("path: roads\nnames: [a]\ntrain: images/training\n"),
        "ROOT/data.yaml, line 3, column 8: `train`: there is no ROOT/roads/images/training, and no ROOT/images/training"
    );
    assert_eq!(
        refusal("names: [a]\ntrain: images/train\nmasks_dir: semantic\n"),
        "ROOT/data.yaml, line 2, column 8: `train`: there is no folder ROOT/semantic/train with the masks of \
         ROOT/images/train"
    );
    assert!(
        refusal("names: [a]\ntrain: masks/train\nmasks_dir: masks\n").contains("has no folder \"images\" in its path")
    );
    assert!(refusal("names: [a]\n").contains("there is neither `train` nor `val` nor `test`"));
}

#[test]
fn other_files_of_yaml_are_passed_over() {
    let tree = tree(MASKS);
    tree.write("docker-compose.yml", "services:\n  train: {image: x}\n");
    tree.write("broken.yaml", "a: [\n");
    assert!(find_layout(tree.root()).is_ok());
    tree.write("second.YML", MASKS);
    let text = tree.told(find_layout(tree.root()).unwrap_err());
    assert!(text.contains("Ultralytics (data.yaml): ") && text.contains("Ultralytics (second.YML): "), "{text}");
    // one that would describe a set is not passed over because it is broken
    tree.write("second.YML", "train: images/train\nnames: [\n");
    let text = tree.told(find_layout(tree.root()).unwrap_err());
    assert!(text.starts_with("ROOT/second.YML, line "), "{text}");
}

#[test]
fn bytes_that_are_no_text_are_told_with_their_line() {
    let tree = tree("");
    tree.write("data.yaml", b"train: images/train\nnames: [caf\xe9]\n");
    assert_eq!(
        tree.told(find_layout(tree.root()).unwrap_err()),
        "ROOT/data.yaml, line 2, column 1: not UTF-8; save the file as UTF-8"
    );
}
