//! Layouts that have files of their own: VOC, nnU-Net, Cityscapes, COCO.

use crate::support::tree::Tree;
use sam2unet::data::layout::{Labels, LayoutError, LayoutKind, find_layout};
use sam2unet::data::{Folder, FolderOptions, StemRule};

/// The stems of the pairs of a set.
fn stems(folder: &Folder) -> Vec<&str> {
    folder.pairs().iter().map(|pair| &pair.stem[..]).collect()
}

fn voc() -> Tree {
    let tree = Tree::new(&["SegmentationObject/a.png", "Annotations/a.xml", "ImageSets/Main/train.txt"]);
    for name in ["a", "b", "c", "d"] {
        tree.add(&format!("JPEGImages/{name}.jpg"));
    }
    for name in ["a", "b", "c"] {
        tree.add(&format!("SegmentationClass/{name}.png"));
    }
    tree.write("ImageSets/Segmentation/train.txt", "a\nc\n");
    tree.write("ImageSets/Segmentation/val.txt", "b\n");
    tree.write("ImageSets/Segmentation/trainval.txt", "a\nb\nc\n");
    tree
}

#[test]
fn voc_takes_its_lists() {
    let tree = voc();
    let layout = find_layout(tree.root()).unwrap();
    assert_eq!(layout.kind, LayoutKind::Voc);
    assert_eq!(layout.name(), "VOC: JPEGImages, SegmentationClass, lists of ImageSets/Segmentation");
    let open = |part: &sam2unet::data::layout::Part| {
        Folder::open_with(&part.images, part.labels.path(), part.options(FolderOptions::default())).unwrap()
    };
    // `d` has no mask, and is in no list
    let training = open(layout.training.as_ref().unwrap());
    assert_eq!(stems(&training), ["a", "c"]);
    assert_eq!(stems(&open(layout.validation.as_ref().unwrap())), ["b"]);
    assert!(layout.tests.is_empty());
    // the masks of the other list have their images
    assert!(training.found().masks_without_image.is_empty());
}

#[test]
fn voc_with_one_list_trains_on_it() {
    let tree = voc();
    std::fs::remove_file(tree.at("ImageSets/Segmentation/train.txt")).unwrap();
    let layout = find_layout(tree.root()).unwrap();
    assert_eq!(layout.training.unwrap().names.unwrap().names().len(), 3);
    assert!(layout.validation.is_none());
}

#[test]
fn two_folders_of_masks_of_voc_are_two_layouts() {
    let tree = voc();
    tree.add("SegmentationClassAug/a.png");
    let text = tree.told(find_layout(tree.root()).unwrap_err());
    assert_eq!(
        text,
        "ROOT can be read in 2 ways:\n  VOC: JPEGImages, SegmentationClass, lists of ImageSets/Segmentation\n  \
         folders: JPEGImages, SegmentationClassAug\nSet `images` and `masks` (or `annotations`) to say which"
    );
}

#[test]
fn nn_unet_strips_the_channel_and_names_its_classes() {
    let tree = Tree::new(&[
        "imagesTr/a_0000.png",
        "imagesTr/b_0000.png",
        "labelsTr/a.png",
        "labelsTr/b.png",
        "imagesTs/c_0000.png",
        "labelsTs/c.png",
    ]);
    tree.write(
        "dataset.json",
        r#"{"labels": {"tool": 2, "background": 0, "polyp": 1, "ignore": 3}, "numTraining": 2}"#,
    );
    let layout = find_layout(tree.root()).unwrap();
    assert_eq!(layout.name(), "nnU-Net (dataset.json): imagesTr, labelsTr; test imagesTs, labelsTs");
    let part = layout.training.as_ref().unwrap();
    let folder = Folder::open_with(&part.images, part.labels.path(), part.options(FolderOptions::default())).unwrap();
    assert_eq!(stems(&folder), ["a_0000", "b_0000"]);
    assert_eq!(folder.pairs()[1].masks[0], tree.at("labelsTr/b.png"));
    let classes = layout.classes.unwrap();
    assert_eq!(classes.names, ["background", "polyp", "tool"]);
    assert_eq!(classes.values.into_iter().collect::<Vec<_>>(), [(3, None)]);
}

#[test]
fn nn_unets_classes_may_be_written_as_version_1_did_and_regions_are_none() {
    let tree = Tree::new(&["imagesTr/a_0000.png", "labelsTr/a.png"]);
    tree.write("dataset.json", r#"{"labels": {"0": "background", "1": "polyp"}}"#);
    assert_eq!(find_layout(tree.root()).unwrap().classes.unwrap().names, ["background", "polyp"]);
    tree.write("dataset.json", r#"{"labels": {"background": 0, "whole": [1, 2], "core": [2]}}"#);
    assert_eq!(find_layout(tree.root()).unwrap().classes, None);
}

#[test]
fn nn_unets_file_is_refused_with_what_is_wrong_in_it() {
    let tree = Tree::new(&["imagesTr/a_0000.png", "labelsTr/a.png"]);
    let told = |text: &str| {
        tree.write("dataset.json", text);
        tree.told(find_layout(tree.root()).unwrap_err())
    };
    let text = told("{\n\"labels\": [");
    assert!(text.starts_with("ROOT/dataset.json: ") && text.contains("line 2"), "{text}");
    assert_eq!(
        told(r#"{"labels": {"background": 0, "polyp": 2}}"#),
        "ROOT/dataset.json: \"labels\" must have the values 0, 1, 2, ..., not 0, 2"
    );
    assert_eq!(
        told(r#"{"labels": {"background": 0, "polyp": 0}}"#),
        "ROOT/dataset.json: \"labels\": background and polyp both have the value 0"
    );
    assert!(told(r#"{"labels": {"background": 0, "polyp": 0.5}}"#).contains("polyp has no whole number"));
}

#[test]
fn channels_in_files_of_their_own_are_refused() {
    let tree = Tree::new(&["imagesTr/a_0000.png", "imagesTr/a_0001.png", "labelsTr/a.png"]);
    assert_eq!(
        tree.told(find_layout(tree.root()).unwrap_err()),
        "ROOT/imagesTr holds images of 2 channels, each a file (a_0000.png, a_0001.png); the network takes one \
         picture of up to \
         three colours: make one of them, or copy the files of one channel to a folder, and set `images` and `masks`"
    );
}

#[test]
fn folders_that_are_called_as_nn_unets_without_channels_are_folders() {
    let tree = Tree::new(&["imagesTr/a.png", "labelsTr/a.png"]);
    assert_eq!(find_layout(tree.root()).unwrap().name(), "folders: imagesTr, labelsTr");
}

fn cityscapes(masks: &[&str]) -> Tree {
    let tree = Tree::new(&["gtFine/test/berlin/z_gtFine_labelIds.png", "leftImg8bit/test/berlin/z_leftImg8bit.png"]);
    for (set, city) in [("train", "aachen"), ("val", "ulm")] {
        for frame in ["x_0", "x_1"] {
            tree.add(&format!("leftImg8bit/{set}/{city}/{frame}_leftImg8bit.png"));
            for mask in masks.iter().chain(&["color.png", "instanceIds.png", "polygons.json"]) {
                tree.add(&format!("gtFine/{set}/{city}/{frame}_gtFine_{mask}"));
            }
        }
    }
    tree
}

#[test]
fn cityscapes_pairs_cities_and_prefers_the_classes_that_are_scored() {
    let tree = cityscapes(&["labelIds.png"]);
    let layout = find_layout(tree.root()).unwrap();
    assert_eq!(
        layout.name(),
        "Cityscapes: leftImg8bit/train, gtFine/train (masks *_gtFine_labelIds); validation leftImg8bit/val, gtFine/val \
         (masks *_gtFine_labelIds)"
    );
    assert!(layout.tests.is_empty());
    let part = layout.training.unwrap();
    let folder = Folder::open_with(&part.images, part.labels.path(), part.options(FolderOptions::default())).unwrap();
    assert_eq!(stems(&folder), ["aachen/x_0_leftImg8bit", "aachen/x_1_leftImg8bit"]);
    assert_eq!(folder.pairs()[0].masks[0], tree.at("gtFine/train/aachen/x_0_gtFine_labelIds.png"));
    // pictures of other kinds are no masks without an image
    assert!(folder.found().masks_without_image.is_empty());
    assert_eq!(folder.found().masks_without_suffix.len(), 4);

    let layout = find_layout(cityscapes(&["labelIds.png", "labelTrainIds.png"]).root()).unwrap();
    let part = layout.training.unwrap();
    assert_eq!(part.stems.mask_suffix, "_gtFine_labelTrainIds");
    // a suffix that is set counts more
    let stems = StemRule::with_mask_suffix("_gtFine_labelIds");
    let options = part.options(FolderOptions { stems, ..FolderOptions::default() });
    assert_eq!([&options.stems.image_suffix[..], &options.stems.mask_suffix], ["_leftImg8bit", "_gtFine_labelIds"]);
}

#[test]
fn coco_finds_the_images_of_each_file() {
    let name_of = |paths: &[&str]| find_layout(Tree::new(paths).root()).unwrap().name();
    let published = [
        "train2017/a.jpg",
        "val2017/b.jpg",
        "annotations/instances_train2017.json",
        "annotations/instances_val2017.json",
        "annotations/captions_val2017.json",
        "annotations/person_keypoints_train2017.json",
    ];
    assert_eq!(
        name_of(&published),
        "COCO: train2017, annotations/instances_train2017.json; validation val2017, annotations/instances_val2017.json"
    );
    let below = ["images/train/a.jpg", "images/val/b.jpg", "annotations/train.json", "annotations/val.json"];
    assert_eq!(
        name_of(&below),
        "COCO: images/train, annotations/train.json; validation images/val, annotations/val.json"
    );
    // as CVAT and COCO Annotator write it
    assert_eq!(
        name_of(&["images/default/a.jpg", "annotations/instances_default.json"]),
        "COCO: images/default, annotations/instances_default.json"
    );
    assert_eq!(name_of(&["images/a.jpg", "annotations/instances.json"]), "COCO: images, annotations/instances.json");
    // as Roboflow writes it
    let roboflow = ["train/a.jpg", "train/_annotations.coco.json", "valid/b.jpg", "valid/_annotations.coco.json"];
    assert_eq!(
        name_of(&roboflow),
        "COCO: train, train/_annotations.coco.json; validation valid, valid/_annotations.coco.json"
    );
}

#[test]
fn two_files_of_coco_for_one_set_and_masks_beside_coco_are_two_layouts() {
    let tree = Tree::new(&["images/a.jpg", "annotations/cats.json", "annotations/dogs.json"]);
    let text = tree.told(find_layout(tree.root()).unwrap_err());
    assert!(text.starts_with("ROOT can be read in 2 ways:"), "{text}");
    assert!(text.contains("annotations/cats.json") && text.contains("annotations/dogs.json"), "{text}");

    let tree = Tree::new(&["images/a.jpg", "annotations/instances.json", "masks/a.png"]);
    let text = tree.told(find_layout(tree.root()).unwrap_err());
    assert!(text.contains("\n  COCO: images, annotations/instances.json\n  folders: images, masks\n"), "{text}");
    let layout = find_layout(Tree::new(&["images/a.jpg", "annotations/instances.json"]).root()).unwrap();
    assert!(matches!(layout.training.unwrap().labels, Labels::Coco(_)));
}

#[test]
fn labelme_has_its_files_beside_the_images() {
    let labelme = |paths: &[&str]| {
        let tree =
            Tree::new(&["a.jpg", "b.jpg"].map(|name| format!("{}{name}", paths[0])).each_ref().map(|path| &**path));
        for folder in paths {
            tree.add(&format!("{folder}a.jpg"));
            tree.write(&format!("{folder}a.json"), "{\"shapes\": []}");
        }
        tree
    };
    let name = |tree: &Tree| tree.told(find_layout(tree.root()).unwrap().name());
    assert_eq!(name(&labelme(&[""])), "Labelme: ROOT, JSON files beside the images");
    assert_eq!(name(&labelme(&["images/"])), "Labelme: images, JSON files beside the images");
    let beside = "JSON files beside the images";
    for paths in [["train/", "val/"], ["images/train/", "images/val/"], ["train/images/", "val/images/"]] {
        let [training, validation] = paths.map(|path| path.trim_end_matches('/'));
        assert_eq!(name(&labelme(&paths)), format!("Labelme: {training}, {beside}; validation {validation}, {beside}"));
    }
    let tree = labelme(&["images/", "train/"]);
    assert!(matches!(find_layout(tree.root()), Err(LayoutError::Ambiguous { .. })));
    // masks beside them are another layout, and JSON of another kind is none
    let tree = labelme(&["images/"]);
    tree.add("masks/a.png");
    let text = tree.told(find_layout(tree.root()).unwrap_err());
    assert!(text.contains("\n  Labelme: images, JSON files beside the images\n  folders: images, masks\n"), "{text}");
    let tree = Tree::new(&["images/a.jpg", "images/a.json"]);
    assert!(matches!(find_layout(tree.root()), Err(LayoutError::NotFound { .. })));
}
