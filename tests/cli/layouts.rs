//! `train --check-data --data DIR`: each of the usual layouts, with its pairs, classes, and what is held out.

use crate::support::described::{DataSet, SIZE};
use serde_json::json;

/// Masks of one class, each white in its second half.
fn masks(set: &DataSet, paths: &[&str]) {
    paths.iter().for_each(|path| set.mask(path, &[0, 0, 0, 255]));
}

#[test]
fn images_beside_masks() {
    let set = DataSet::new();
    set.images(&["images/a.jpg", "images/b.jpg"]);
    masks(&set, &["masks/a.png", "masks/b.png"]);
    let found = set.good(&["--data", "."]);
    assert_eq!(found.found(), ["folders: images, masks"]);
    assert_eq!((found.pairs(), found.classes()), ((2, None), vec![("foreground", 2, 48)]));
    assert!(found.codes().is_empty(), "{}", found.err);
}

#[test]
fn sets_above_and_below() {
    let set = DataSet::new();
    set.images(&["train/images/a.jpg", "train/images/b.jpg", "val/images/c.jpg", "test/images/d.jpg"]);
    masks(&set, &["train/masks/a.png", "train/masks/b.png", "val/masks/c.png", "test/masks/d.png"]);
    let found = set.good(&["--data", "."]);
    let line = "folders: train/images, train/masks; validation val/images, val/masks; test test/images, test/masks";
    assert_eq!((found.found(), found.pairs()), (vec![line], (2, Some(1))));

    let set = DataSet::new();
    set.images(&["images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg"]);
    masks(&set, &["masks/train/a.png", "masks/train/b.png", "masks/val/c.png"]);
    let found = set.good(&["--data", "."]);
    let line = "folders: images/train, masks/train; validation images/val, masks/val";
    assert_eq!((found.found(), found.pairs()), (vec![line], (2, Some(1))));
}

#[test]
fn folders_of_published_sets() {
    let set = DataSet::new();
    set.images(&["Imgs/a.jpg", "Imgs/b.jpg"]);
    masks(&set, &["GT/a.png", "GT/b.png"]);
    let found = set.good(&["--data", "."]);
    assert_eq!((found.found(), found.pairs()), (vec!["folders: Imgs, GT"], (2, None)));

    let set = DataSet::new();
    set.images(&["DUTS-TR-Image/a.jpg", "DUTS-TR-Image/b.jpg", "DUTS-TE-Image/c.jpg"]);
    masks(&set, &["DUTS-TR-Mask/a.png", "DUTS-TR-Mask/b.png", "DUTS-TE-Mask/c.png"]);
    let found = set.good(&["--data", "."]);
    assert_eq!(found.found(), ["folders: DUTS-TR-Image, DUTS-TR-Mask; test DUTS-TE-Image, DUTS-TE-Mask"]);
    assert_eq!(found.pairs(), (2, None));
}

#[test]
fn voc_with_its_lists() {
    let set = DataSet::new();
    set.images(&["JPEGImages/a.jpg", "JPEGImages/b.jpg", "JPEGImages/c.jpg", "JPEGImages/d.jpg"]);
    set.palette_mask("SegmentationClass/a.png", &[0, 0, 1, 255]);
    set.palette_mask("SegmentationClass/b.png", &[0, 2]);
    set.palette_mask("SegmentationClass/c.png", &[1]);
    set.tree.write("ImageSets/Segmentation/train.txt", "a\nb\n");
    set.tree.write("ImageSets/Segmentation/val.txt", "c\n");
    let found = set.good(&["--data", "."]);
    let lines = [
        "VOC: JPEGImages, SegmentationClass, lists of ImageSets/Segmentation",
        "labels: masks whose values are numbers of classes (found)",
    ];
    assert_eq!((found.found(), found.pairs()), (lines.to_vec(), (2, Some(1))));
    assert_eq!(found.classes(), [("background", 2, 24), ("class 1", 1, 8), ("class 2", 1, 40)]);
    assert_eq!((&found.json["ignored"], &found.json["kind"]), (&24.into(), &"exclusive".into()));
    assert_eq!(found.json["values"], json!({"0": 24, "1": 8, "2": 40, "255": 24}));
    // with names
    let found = set.good(&["--data", ".", "--classes", "background,polyp,tool,snare"]);
    assert_eq!(found.classes()[3], ("snare", 0, 0));
    assert_eq!(found.codes(), [("class-never-seen", 1)]);
    assert!(found.err.contains("no pixel is of snare (class 3)"), "{}", found.err);
}

#[test]
fn nn_unet_with_its_json() {
    let set = DataSet::new();
    set.images(&["imagesTr/a_0000.png", "imagesTr/b_0000.png", "imagesTs/c_0000.png"]);
    set.mask("labelsTr/a.png", &[0, 1]);
    set.mask("labelsTr/b.png", &[2, 3]);
    set.tree.write("dataset.json", r#"{"labels": {"background": 0, "polyp": 1, "tool": 2, "ignore": 3}}"#);
    let found = set.good(&["--data", ".", "--val-fraction", "0.5"]);
    assert_eq!(found.found()[0], "nnU-Net (dataset.json): imagesTr, labelsTr");
    assert_eq!(found.found().len(), 3, "{:?}", found.found());
    assert_eq!(found.pairs(), (1, Some(1)));
    let found = set.good(&["--data", "."]);
    assert_eq!(found.classes(), [("background", 1, 8), ("polyp", 1, 40), ("tool", 1, 8)]);
    assert_eq!(found.json["ignored"], 40);
}

#[test]
fn cityscapes_with_its_cities() {
    let set = DataSet::new();
    for (split, city) in [("train", "bonn"), ("train", "ulm"), ("val", "jena")] {
        set.images(&[&format!("leftImg8bit/{split}/{city}/{city}_1_leftImg8bit.png")]);
        set.mask(&format!("gtFine/{split}/{city}/{city}_1_gtFine_labelTrainIds.png"), &[0, 1, 255]);
        set.mask(&format!("gtFine/{split}/{city}/{city}_1_gtFine_labelIds.png"), &[7, 8, 3]);
    }
    let found = set.good(&["--data", "."]);
    assert!(found.found()[0].starts_with("Cityscapes: leftImg8bit/train, gtFine/train"), "{:?}", found.found());
    assert_eq!(found.pairs(), (2, Some(1)));
    assert_eq!(found.classes(), [("background", 2, 16), ("class 1", 2, 16)]);
    assert_eq!(found.json["ignored"], 64);
}

#[test]
fn ultralytics_with_masks_and_with_polygons() {
    let set = DataSet::new();
    set.images(&["images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg"]);
    let yaml = "path: .\ntrain: images/train\nval: images/val\nnames:\n  0: background\n  1: polyp\n";
    for name in ["train/a", "train/b", "val/c"] {
        set.mask(&format!("masks/{name}.png"), &[0, 1]);
    }
    set.tree.write("data.yaml", format!("{yaml}masks_dir: masks\n"));
    for root in [".", "data.yaml"] {
        let found = set.good(&["--data", root]);
        assert!(
            found.found()[0].starts_with("Ultralytics (data.yaml): images/train, masks/train"),
            "{:?}",
            found.found()
        );
        assert_eq!(found.pairs(), (2, Some(1)));
        assert_eq!(found.classes(), [("background", 2, 16), ("polyp", 2, 80)]);
    }

    let set = DataSet::new();
    set.images(&["images/train/a.jpg", "images/train/b.jpg", "images/val/c.jpg"]);
    set.tree.write("data.yaml", "path: .\ntrain: images/train\nval: images/val\nnames: [polyp, tool]\n");
    set.tree.write("labels/train/a.txt", "0 0 0 0.5 0 0.5 1 0 1\n1 0.75 0 1 0 1 1 0.75 1\n");
    set.tree.write("labels/train/b.txt", "");
    set.tree.write("labels/val/c.txt", "1 0 0 1 0 1 1 0 1\n");
    let found = set.good(&["--data", "."]);
    assert_eq!(found.found()[1], "labels: Ultralytics' polygons (found)");
    assert_eq!(found.pairs(), (2, Some(1)));
    let names: Vec<_> = found.classes().into_iter().map(|(name, images, _)| (name, images)).collect();
    assert_eq!(names, [("background", 2), ("polyp", 1), ("tool", 1)]);
}

/// A COCO file of images in each of which a square is marked, of one class and the other in turn.
fn coco(images: &[&str]) -> String {
    let (width, height) = SIZE;
    let image = |(id, name): (usize, &&str)| json!({"id": id, "file_name": name, "width": width, "height": height});
    let annotation = |id: usize| {
        let square = [1, 1, 4, 1, 4, 4, 1, 4];
        json!({"id": id, "image_id": id, "category_id": 1 + id % 2, "iscrowd": 0, "segmentation": [square]})
    };
    json!({
        "images": images.iter().enumerate().map(image).collect::<Vec<_>>(),
        "annotations": (0..images.len()).map(annotation).collect::<Vec<_>>(),
        "categories": [{"id": 1, "name": "polyp"}, {"id": 2, "name": "tool"}],
    })
    .to_string()
}

#[test]
fn coco_with_its_files() {
    let set = DataSet::new();
    set.images(&["train2017/a.jpg", "train2017/b.jpg", "val2017/c.jpg"]);
    set.tree.write("annotations/instances_train2017.json", coco(&["a.jpg", "b.jpg"]));
    set.tree.write("annotations/instances_val2017.json", coco(&["c.jpg"]));
    set.tree.write("annotations/captions_train2017.json", "{}");
    let found = set.good(&["--data", "."]);
    let line = "COCO: train2017, annotations/instances_train2017.json; validation val2017, \
                annotations/instances_val2017.json";
    assert_eq!(found.found(), [line, "labels: COCO annotations (found)"]);
    assert_eq!(found.pairs(), (2, Some(1)));
    assert_eq!(found.classes(), [("background", 2, 78), ("polyp", 1, 9), ("tool", 1, 9)]);
    assert!(found.out.contains("masks      painted from annotations; 0 show nothing"), "{}", found.out);
    let found = set.good(&["--data", ".", "--overlapping", "--classes", "tool"]);
    assert_eq!(found.classes(), [("tool", 1, 9)]);
    assert_eq!(found.codes(), [("classes-left-out", 1), ("images-unannotated", 1)]);
}

#[test]
fn roboflow_has_its_file_beside_the_images() {
    let set = DataSet::new();
    set.images(&["train/a.jpg", "train/b.jpg", "valid/c.jpg"]);
    set.tree.write("train/_annotations.coco.json", coco(&["a.jpg", "b.jpg"]));
    set.tree.write("valid/_annotations.coco.json", coco(&["c.jpg"]));
    let found = set.good(&["--data", "."]);
    assert_eq!((found.pairs(), found.classes().len()), ((2, Some(1)), 3));
}

/// A file of Labelme with one rectangle.
fn labelme(label: &str) -> String {
    let shape = json!({"label": label, "shape_type": "rectangle", "points": [[1, 1], [3, 3]]});
    json!({"version": "5", "shapes": [shape], "imageWidth": SIZE.0, "imageHeight": SIZE.1}).to_string()
}

#[test]
fn labelme_has_its_files_beside_the_images() {
    for folder in ["", "images/", "train/"] {
        let set = DataSet::new();
        set.images(&["a.jpg", "b.jpg", "c.jpg"].map(|name| format!("{folder}{name}")).each_ref().map(|name| &name[..]));
        set.tree.write(&format!("{folder}a.json"), labelme("polyp"));
        set.tree.write(&format!("{folder}b.json"), labelme("tool"));
        let found = set.good(&["--data", "."]);
        let first = found.found()[0];
        assert!(first.starts_with("Labelme: ") && first.ends_with(", JSON files beside the images"), "{first}");
        assert_eq!(found.found()[1], "labels: Labelme annotations (found)");
        assert_eq!(found.pairs(), (3, None));
        assert_eq!(
            found.classes().into_iter().map(|(name, ..)| name).collect::<Vec<_>>(),
            ["background", "polyp", "tool"]
        );
        assert_eq!(found.codes(), [("images-unlabelled", 1)]);
    }
    // the same without a layout
    let set = DataSet::new();
    set.images(&["photos/a.jpg", "photos/b.jpg"]);
    set.tree.write("photos/a.json", labelme("polyp"));
    set.tree.write("photos/b.json", labelme("polyp"));
    let found = set.good(&["--images", "photos", "--labels", "labelme", "--overlapping"]);
    assert_eq!((found.pairs(), found.classes()), ((2, None), vec![("polyp", 2, 18)]));
    let found = set.good(&["--images", "photos", "--annotations", "photos", "--val-fraction", "0.5"]);
    assert_eq!(found.pairs(), (1, Some(1)));
}

#[test]
fn a_folder_or_a_suffix_for_each_class() {
    let set = DataSet::new();
    set.images(&["images/a.jpg", "images/b.jpg"]);
    masks(&set, &["masks/polyp/a.png", "masks/polyp/b.png", "masks/tool/a.png"]);
    let found = set.good(&["--data", "."]);
    assert_eq!(
        found.found(),
        ["folders: images, masks (a folder a class)", "labels: a folder of masks for each class (found)"]
    );
    assert_eq!((found.pairs(), found.classes()), ((2, None), vec![("polyp", 2, 48), ("tool", 1, 24)]));
    assert_eq!(found.json["kind"], "overlapping");
    // one of them, and the other is told
    let found = set.good(&["--data", ".", "--classes", "polyp"]);
    assert_eq!((found.classes(), found.codes()), (vec![("polyp", 2, 48)], vec![("other-classes", 1)]));
    assert_eq!(set.good(&["--images", "images", "--masks", "masks"]).classes().len(), 2);

    let set = DataSet::new();
    set.images(&["images/a.jpg", "images/b.jpg"]);
    masks(&set, &["masks/a_polyp.png", "masks/b_polyp.png", "masks/a_tool.png"]);
    for more in [["--classes", "polyp,tool"], ["--labels", "suffixes"]] {
        let found = set.good(&[&["--data", "."][..], &more].concat());
        assert_eq!((found.pairs(), found.classes()), ((2, None), vec![("polyp", 2, 48), ("tool", 1, 24)]));
    }
}

#[test]
fn lists_choose_what_is_held_out() {
    let set = DataSet::new();
    set.images(&["images/a.jpg", "images/b.jpg", "images/c.jpg"]);
    masks(&set, &["masks/a.png", "masks/b.png", "masks/c.png"]);
    set.tree.write("val.txt", "b\n");
    set.tree.write("train.txt", "a.jpg\n");
    assert_eq!(set.good(&["--data", ".", "--val-list", "val.txt"]).pairs(), (2, Some(1)));
    assert_eq!(set.good(&["--data", ".", "--val-list", "val.txt", "--train-list", "train.txt"]).pairs(), (1, Some(1)));
    let found = set.good(&["--images", "images", "--masks", "masks", "--val-fraction", "0.4"]);
    let (training, validation) = found.pairs();
    assert_eq!(training + validation.unwrap(), 3);
    assert_eq!(found.found(), ["40 % of the images are held out for validation, by name and seed"]);
    // a list of names that are not there, and one that shares images with the other
    set.tree.write("wrong.txt", "a\nz\n");
    let text = set.refused(&["--data", ".", "--val-list", "wrong.txt"]);
    assert!(text.contains("wrong.txt: 1 of 2 names belong to no image in images:\n  z (line 2)"), "{text}");
    let text = set.refused(&["--data", ".", "--val-list", "train.txt", "--train-list", "train.txt"]);
    assert!(text.contains("1 of the images of train.txt are in train.txt too:\n  a.jpg (line 1)"), "{text}");
    set.tree.write("all.txt", "a\nb\nc\n");
    let text = set.refused(&["--data", ".", "--val-list", "all.txt"]);
    assert!(text.contains("all.txt names all 3 images of images, so that none is left"), "{text}");
    let text = set.refused(&["--data", ".", "--val-list", "nowhere.txt"]);
    assert!(text.contains("cannot read the list of names nowhere.txt"), "{text}");
}
