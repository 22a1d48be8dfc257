//! `train --check-data` of sets with several classes: what is told of them, what is likely wrong, and what is refused.

use crate::support::described::{DataSet, SIZE};
use crate::support::pictures::{jpeg_bytes, png_bytes};
use sam2unet::choice::Choice;
use sam2unet::data::{Pixels, Rgb, WarningCode, read_rgb};
use serde_json::{Value, json};
use std::fs;

const FOLDERS: [&str; 4] = ["--images", "images", "--masks", "masks"];

/// Two images and masks of these rows.
fn two(first: &[u8], second: &[u8]) -> DataSet {
    let set = DataSet::new();
    set.images(&["images/a.png", "images/b.png"]);
    set.mask("masks/a.png", first);
    set.mask("masks/b.png", second);
    set
}

fn with<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&FOLDERS[..], more].concat()
}

#[test]
fn classes_are_shown_with_their_share() {
    let set = two(&[0, 1, 2, 255], &[0, 0, 0, 0, 0, 1]);
    let found = set.good(&with(&["--classes", "background,polyp,tool"]));
    for line in [
        "classes    3 classes that exclude each other",
        "           background  2 images   66.7 %",
        "           polyp       2 images   22.2 %",
        "           tool        1 images   11.1 %",
        "ignored    25.0 % of the pixels: they count nowhere",
        "values     0 (50.0 %), 1 (16.7 %), 2 (8.3 %), 255 (25.0 %)",
    ] {
        assert!(found.out.contains(&format!("{line}\n")), "{line}: {}", found.out);
    }
    assert_eq!(found.json["values"], json!({"0": 48, "1": 16, "2": 8, "255": 24}));
    assert_eq!((&found.json["ignored"], &found.json["pixels"]), (&json!(24), &json!(96)));
    assert_eq!(found.json["classes"][2], json!({"name": "tool", "images": 1, "pixels": 8}));
    assert_eq!((&found.json["empty_masks"], &found.json["duplicates"]), (&json!(0), &json!([])));
}

#[test]
fn colours_are_values_too() {
    let set = DataSet::new();
    set.images(&["images/a.png", "images/b.png"]);
    set.palette_mask("masks/a.png", &[0, 1]);
    set.palette_mask("masks/b.png", &[0, 0, 2]);
    set.tree.write("classes.toml", "background = 0\npolyp = [128, 0, 0]\ntool = '#008000'\n");
    let found = set.good(&with(&["--classes", "classes.toml"]));
    assert_eq!(found.json["values"], json!({"0": 24, "#800000": 40, "#008000": 32}));
    assert_eq!(found.classes(), [("background", 2, 24), ("polyp", 1, 40), ("tool", 1, 32)]);
    assert!(found.out.contains("#800000 (41.7 %)"), "{}", found.out);
}

/// What a run says of its classes before the first step, and nothing new of one class.
#[test]
fn the_start_of_a_run_says_it_in_short() {
    let run = |set: &DataSet, more: &[&str]| {
        let out = crate::cli::program::run(
            set.tree.root(),
            &[
                &["train", "--variant", "tiny", "--size", "64", "--batch-size", "2", "--steps", "1", "--out", "run"],
                &FOLDERS[..],
                more,
            ]
            .concat(),
        );
        assert_eq!(out.status, Some(0), "{}", out.err);
        out.out
    };
    let out = run(&two(&[0, 1, 2, 255], &[0]), &["--classes", "background,polyp,tool"]);
    let line =
        "data       3 classes that exclude each other: background, polyp, tool; 25.0 % of the pixels are ignored\n";
    assert!(out.contains(line), "{out}");
    let out = run(&two(&[0, 255], &[0, 255]), &[]);
    assert!(!out.contains("class") && !out.contains("ignored"), "{out}");
}

#[test]
fn images_of_both_sets_are_named() {
    let set = two(&[0, 255], &[0, 255]);
    set.images(&["val/images/c.png", "val/images/d.png"]);
    set.tree.write("val/images/same.jpg", fs::read(set.tree.at("images/b.png")).unwrap());
    ["c", "d", "same"].iter().for_each(|name| set.mask(&format!("val/masks/{name}.png"), &[0, 255]));
    let found = set.good(&with(&["--val-images", "val/images", "--val-masks", "val/masks"]));
    assert_eq!(found.json["duplicates"], json!(["val/images/same.jpg"]));
    assert_eq!(found.validation_codes(), [("duplicates", 1)]);
    let text = "warning: validation: 1 of 3 validation images are training images, too, byte for byte (same.jpg)";
    assert!(found.err.contains(text), "{}", found.err);
}

fn coloured(rgb: [u8; 3]) -> Rgb {
    let (width, height) = (32, 32);
    let data = (0..width * height).flat_map(|at| if at % width < 16 { [0; 3] } else { rgb }).collect();
    Pixels { width, height, data }
}

#[test]
fn colours_in_masks_of_one_class_are_told() {
    let set = DataSet::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    names.iter().for_each(|name| {
        set.tree.write(&format!("images/{name}.png"), png_bytes(&coloured([9, 80, name.as_bytes()[0]])))
    });
    let masks: [(&str, Vec<u8>); 6] = [
        ("a.png", png_bytes(&coloured([255, 255, 0]))),
        ("b.jpg", jpeg_bytes(&coloured([200, 250, 40]))),
        // greys in three channels
        ("c.png", png_bytes(&coloured([255; 3]))),
        ("d.jpg", jpeg_bytes(&coloured([255; 3]))),
        ("e.tif", Vec::new()),
        ("f.png", Vec::new()),
    ];
    masks.iter().for_each(|(name, bytes)| set.tree.write(&format!("masks/{name}"), bytes));
    // a palette of colours
    let mut bytes = Vec::new();
    let mut encoder = png::Encoder::new(&mut bytes, 32, 32);
    encoder.set_color(png::ColorType::Indexed);
    encoder.set_depth(png::BitDepth::Eight);
    encoder.set_palette(vec![0, 0, 0, 250, 250, 90]);
    let indices: Vec<u8> = (0..32 * 32).map(|at| u8::from(at % 32 > 15)).collect();
    encoder.write_header().unwrap().write_image_data(&indices).unwrap();
    set.tree.write("masks/f.png", bytes);
    // a TIFF of three channels
    use crate::support::tiff::{short, tiff_bytes};
    let fields = [
        short(256, &[32]),
        short(257, &[32]),
        short(258, &[8, 8, 8]),
        short(259, &[1]),
        short(262, &[2]),
        short(277, &[3]),
        short(278, &[32]),
    ];
    set.tree.write("masks/e.tif", tiff_bytes(&fields, &coloured([250, 255, 0]).data));
    let found = set.good(&FOLDERS);
    assert_eq!(found.codes(), [("masks-in-colours", 3), ("colours-from-jpeg", 1)], "{}", found.err);
    for text in [
        "3 of 6 masks are in colours, but are read as one class, by their brightness (a.png, e.tif, f.png). For \
         several classes give a table of their colours (`--classes`)",
        "1 of 6 masks are in colours and in a lossy format (JPEG, WebP), which blurs them",
    ] {
        assert!(found.err.contains(text), "{text}: {}", found.err);
    }
    // in a table they are read as what they are, and the JPEG is refused
    set.tree.write("classes.toml", "background = 0\npolyp = ['#ffff00', '#faff00', '#fafa5a', 255]\n");
    let text = set.refused(&with(&["--classes", "classes.toml"]));
    assert!(text.starts_with("2 files of 6 pairs cannot be used\n2 keep no exact values:\n"), "{text}");
    assert!(text.contains("b.jpg: JPEG keeps no exact values") && text.contains("save masks as PNG"), "{text}");
}

#[test]
fn classes_that_are_not_shown_are_told() {
    let set = two(&[0, 1], &[0]);
    set.images(&["val/images/c.png"]);
    set.mask("val/masks/c.png", &[0, 2]);
    let arguments =
        with(&["--val-images", "val/images", "--val-masks", "val/masks", "--classes", "background,polyp,tool,snare"]);
    let found = set.good(&arguments);
    assert_eq!(found.codes(), [("class-never-seen", 1), ("class-only-in-validation", 1)]);
    assert!(
        found.err.contains("validation images show tool (class 2), which no training image shows"),
        "{}",
        found.err
    );
    assert!(found.err.contains("no pixel is of snare (class 3)"), "{}", found.err);
}

#[test]
fn masks_of_one_class_read_as_numbers_are_told() {
    let set = two(&[0, 255], &[0, 255]);
    let found = set.good(&with(&["--classes", "background,polyp"]));
    assert_eq!(found.codes(), [("masks-0-255-as-index", 2), ("class-never-seen", 1)]);
    assert!(found.err.contains("For one class set `--labels` to \"binary\""), "{}", found.err);
    assert_eq!(set.good(&with(&["--labels", "binary"])).codes(), []);
    // nobody said that they were numbers, or how many
    let text = set.refused(&with(&["--labels", "index"]));
    assert!(text.contains("show one class only") && text.contains("set `--labels` to \"binary\""), "{text}");
    let set = two(&[0, 128], &[0, 200]);
    let text = set.refused(&with(&["--labels", "index"]));
    assert!(
        text.contains("(0, 128, 200) would make 201 classes") && text.contains("`--classes` with a file"),
        "{text}"
    );
}

#[test]
fn images_of_which_nothing_counts_are_told() {
    let set = two(&[255], &[0, 1]);
    let found = set.good(&with(&["--classes", "background,polyp"]));
    assert_eq!(found.codes(), [("images-all-ignored", 1)]);
    assert!(found.err.contains("all pixels of 1 of 2 images are ignored"), "{}", found.err);
    assert_eq!(found.json["warnings"][0]["files"], json!(["images/a.png"]));
    // one class and what is ignored
    let found = two(&[255, 1], &[0, 1]).good(&with(&["--classes", "polyp"]));
    assert_eq!((found.classes(), found.codes()), (vec![("polyp", 2, 80)], vec![]));
    assert_eq!((&found.json["ignored"], &found.json["empty_masks"]), (&json!(8), &json!(0)));
}

/// A COCO file with one annotation of each of these keys.
fn coco(images: &[&str], annotations: &[&str]) -> String {
    let image = |(id, name): (usize, &&str)| json!({"id": id, "file_name": name, "width": SIZE.0, "height": SIZE.1});
    let annotation = |(id, text): (usize, &&str)| {
        let mut own: Value = serde_json::from_str(text).unwrap();
        own["id"] = json!(id);
        for (key, usual) in [("image_id", json!(0)), ("category_id", json!(1)), ("iscrowd", json!(0))] {
            if own.get(key).is_none() {
                own[key] = usual;
            }
        }
        own
    };
    let categories = json!([{"id": 1, "name": "polyp"}, {"id": 2, "name": "tool"}]);
    json!({
        "images": images.iter().enumerate().map(image).collect::<Vec<_>>(),
        "annotations": annotations.iter().enumerate().map(annotation).collect::<Vec<_>>(),
        "categories": categories,
    })
    .to_string()
}

#[test]
fn what_is_odd_about_annotations_is_told() {
    let set = DataSet::new();
    set.images(&["images/a.png", "images/b.png", "images/c.png"]);
    let square = r#"{"segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]]}"#;
    let annotations = [
        square,
        // partly outside of the image
        r#"{"segmentation": [[5, 3, 99, 3, 99, 5, 5, 5]]}"#,
        r#"{"bbox": [1, 1, 2, 2], "segmentation": []}"#,
        r#"{"keypoints": [1, 1, 2], "num_keypoints": 1}"#,
        r#"{"segmentation": [[1, 1, 4, 1]]}"#,
        r#"{"iscrowd": 1, "segmentation": {"counts": [0, 6, 42], "size": [6, 8]}}"#,
        r#"{"category_id": 2, "segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]]}"#,
    ];
    set.tree.write("all.json", coco(&["a.png", "b.png"], &annotations));
    let found = set.good(&["--images", "images", "--annotations", "all.json", "--classes", "background,polyp"]);
    let expected = [
        ("images-not-listed", 1),
        ("shapes-clipped", 1),
        ("boxes-only", 1),
        ("keypoints-only", 1),
        ("too-few-points", 1),
        ("crowds-ignored", 1),
        ("classes-left-out", 1),
        ("images-unannotated", 1),
    ];
    assert_eq!(found.codes(), expected, "{}", found.err);
    // the square, and what of the other lies inside
    assert_eq!((found.classes()[1], &found.json["ignored"]), (("polyp", 1, 15), &json!(6)));
    assert!(found.err.contains("1 shapes reach beyond their image; what lies outside is left out"), "{}", found.err);
    assert_eq!(found.json["empty_masks"], 1);

    // Labelme's lists of points
    set.tree.write(
        "labelme/a.json",
        r#"{"imageWidth": 8, "imageHeight": 6, "shapes": [
        {"label": "polyp", "shape_type": "points", "points": [[1, 1], [2, 2]]},
        {"label": "polyp", "shape_type": "circle", "points": [[3, 3], [3, 4]]}]}"#,
    );
    let found = set.good(&["--images", "images", "--annotations", "labelme"]);
    assert_eq!(found.codes(), [("images-unlabelled", 2), ("points-without-area", 1)], "{}", found.err);
}

#[test]
fn a_sheet_shows_the_labels() {
    let set = two(&[0, 1, 2, 255], &[0, 0, 2]);
    let classes = ["--classes", "background,polyp,tool", "--sheet", "sheet.png"];
    let found = set.good(&with(&classes));
    assert!(found.out.contains("images with their labels: sheet.png\n"), "{}", found.out);
    let sheet = read_rgb(&set.tree.at("sheet.png")).unwrap();
    let colours: std::collections::HashSet<[u8; 3]> =
        sheet.data.chunks_exact(3).map(|rgb| [rgb[0], rgb[1], rgb[2]]).collect();
    // PASCAL VOC's, and that of what is ignored
    assert!([[128, 0, 0], [0, 128, 0], [224, 224, 192]].iter().all(|colour| colours.contains(colour)));
    // of one class
    two(&[0, 255], &[0]).good(&with(&["--sheet", "sheet.png"]));

    // nothing is written that would be in the way
    for (path, part) in [
        ("nowhere/sheet.png", "--sheet nowhere/sheet.png: it must be a file in a folder that exists"),
        ("images", "--sheet images: it must be a file in a folder that exists"),
        ("sheet.jpg", "--sheet sheet.jpg: it is a PNG; call it NAME.png"),
        ("images/sheet.png", "images or masks lie in this folder"),
        ("masks/a.png", "images or masks lie in this folder"),
    ] {
        let text = set.refused(&with(&["--sheet", path]));
        assert!(text.contains(part), "{text}");
    }
    assert!(!set.tree.at("images/sheet.png").exists());
    let alone = crate::cli::program::run(set.tree.root(), &["train", "--sheet", "s.png"]);
    assert!(alone.status == Some(2) && alone.err.contains("--check-data"), "{}", alone.err);
}

#[test]
fn values_without_a_class_are_refused_all_of_them() {
    let set = two(&[0, 1, 3], &[0, 7]);
    let text = set.refused(&with(&["--classes", "background,polyp"]));
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..2], ["2 files of 2 pairs cannot be used", "2 hold values that mean no class:"]);
    let advice = "; correct the mask, or name the value with its class (`--classes` with a file) or as `--ignore`";
    let one =
        format!("  masks/a.png: 1 value means no class: 3 (32 pixels); nearest to the first is 1, class 1{advice}");
    assert_eq!(lines[2], one);
    assert!(lines[3].starts_with("  masks/b.png: 1 value means no class: 7 (40 pixels)"), "{text}");
    assert_eq!(set.check(&with(&["--classes", "background,polyp"])).json["errors"].as_array().unwrap().len(), 2);
}

#[test]
fn masks_of_another_shape_are_refused_or_stretched() {
    let set = two(&[0, 1], &[0, 1]);
    let tall = Pixels::<1> { width: 4, height: 12, data: vec![1; 48] };
    set.tree.write("masks/b.png", png_bytes(&tall));
    let text = set.refused(&with(&["--classes", "background,polyp"]));
    let part = "images/b.png and masks/b.png: the image is 8x6 pixels but its mask is 4x12, another shape";
    assert!(text.starts_with(part) && text.contains("set `--resize-masks` to take it as it is"), "{text}");
    let found = set.good(&with(&["--classes", "background,polyp", "--resize-masks"]));
    assert_eq!((found.pairs(), found.codes()), ((2, None), vec![("shapes-differ", 1)]));
}

#[test]
fn a_class_without_masks_is_refused() {
    let set = DataSet::new();
    set.images(&["images/a.png", "images/b.png"]);
    set.mask("masks/polyp/a.png", &[0, 255]);
    let text = set.refused(&with(&["--classes", "polyp,tool"]));
    assert_eq!(
        text,
        "no image has a mask of tool: looked for tool/IMAGE in masks; the masks there are of polyp. Add the masks, \
         or leave the class out of `--classes`"
    );
    // masks of one image have one size
    set.tree.write("masks/tool/a.png", png_bytes(&Pixels::<1>::filled(16, 12, [255])));
    let text = set.refused(&FOLDERS);
    assert!(
        text.contains("polyp/a.png is 8x6 pixels and masks/tool/a.png is 16x12: all masks of an image must"),
        "{text}"
    );
}

#[test]
fn classes_that_cannot_be_are_refused() {
    let set = two(&[0, 1], &[0, 1]);
    let names = |count: usize| (0..count).map(|class| format!("c{class}")).collect::<Vec<_>>().join(",");
    let many = names(256);
    let cases: &[(&[&str], &str)] = &[
        (&["--classes", &many], "256 classes that are exclusive: there must be 2 to 255"),
        (&["--classes", "a,b,a"], "two classes are called `a`; give each its own name"),
        (&["--classes", "nowhere.toml"], "nowhere.toml: "),
        (
            &["--labels", "folders", "--classes", "polyp,polyp"],
            "the class `polyp`: another one has this name; give each its own (`--classes`)",
        ),
        (&["--labels", "table"], "`--labels` is table, which needs the values of each class: `--classes` with a file"),
        (
            &["--labels", "coco"],
            "is coco, which does not go with what is given, masks of one class: give the JSON file (`--annotations`)",
        ),
        (
            &["--labels", "binary", "--classes", "a,b"],
            "`--labels` is binary, which is one class without a name; set `--labels` to \"index\" or \"table\"",
        ),
        (
            &["--labels", "binary", "--ignore", "255"],
            "`--ignore` is for masks whose values mean classes, but the labels are masks of one class",
        ),
        (&["--overlapping"], "`--overlapping` is for several classes, but the labels are masks of one"),
        (&["--overlapping", "--classes", "a,b"], "its classes cannot overlap; give a folder of masks for each class"),
        (&["--classes", "a,b", "--ignore", "1"], "the value 1 is the class \"b\", and cannot be ignored, too"),
        (&["--annotations", "all.json"], "`--annotations` and `--masks` exclude each other"),
        (&["--data", "."], "`--data` and `--images` exclude each other"),
        (&["--val-fraction", "1.5"], "it must be above 0 and below 1, for example 0.1"),
        (&["--val-fraction", "0.1", "--val-list", "v.txt"], "`--val-fraction` and `--val-list` exclude each other"),
        (&["--val-masks", "masks"], "`--val-masks` needs `--val-images`"),
    ];
    for (arguments, part) in cases {
        let text = set.refused(&with(arguments));
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    set.tree.write("twice.toml", "background = 0\npolyp = [1, 2]\ntool = 2\n");
    let text = set.refused(&with(&["--classes", "twice.toml"]));
    assert!(text.contains("the value 2 is named twice"), "{text}");
    set.tree.write("none.toml", "[[class]]\nname = 'background'\nvalues = [0]\n[[class]]\nname = 'polyp'\n");
    let text = set.refused(&with(&["--classes", "none.toml"]));
    assert!(text.contains("the class \"polyp\" has no values, but others have; give it its own"), "{text}");
    set.tree.write("same.toml", "background = 0\npolyp = 1\npolyp = 2\n");
    let text = set.refused(&with(&["--classes", "same.toml"]));
    assert!(text.contains("same.toml: ") && text.contains("line 3"), "{text}");
}

#[test]
fn annotations_that_cannot_be_used_are_refused() {
    let set = DataSet::new();
    set.images(&["images/a.png", "images/b.png"]);
    let annotated = |text: String| {
        set.tree.write("all.json", text);
        set.refused(&["--images", "images", "--annotations", "all.json"])
    };
    let square = r#"{"segmentation": [[1, 1, 4, 1, 4, 4, 1, 4]]}"#;
    let text = annotated(coco(&["a.png", "b.png", "gone.png"], &[square]));
    assert_eq!(
        text,
        "1 of 3 images that all.json lists are not in images: gone.png; add them, or take them out of the annotation \
         file"
    );
    let text = annotated(coco(&["x.png", "y.png"], &[square]));
    assert_eq!(text, "all.json lists none of the images in images; is it another set's?");
    let text = annotated(coco(&["a.png"], &[r#"{"category_id": 9, "segmentation": [[1, 1, 4, 1, 4, 4]]}"#]));
    assert!(text.contains("all.json, annotation 0: its category_id 9 is not among the \"categories\""), "{text}");
    let text = annotated("{\n\"images\": [".to_string());
    assert!(text.contains("all.json") && text.contains("line 2"), "{text}");
    // images of another size than was annotated: all of them
    set.tree.write("images/a.png", png_bytes(&Pixels::<1>::filled(6, 8, [9])));
    let text = annotated(coco(&["a.png", "b.png"], &[square]));
    assert!(text.contains("a.png is 8x6 pixels, but it is 6x8"), "{text}");
    let text = set.refused(&["--images", "images"]);
    assert!(text.contains("`--images` needs `--masks`"), "{text}");
    let text = set.refused(&["--images", "images", "--labels", "labelme"]);
    assert!(text.contains("none of the images in images has its labels in a file IMAGE.json beside it"), "{text}");
}

#[test]
fn a_folder_of_two_layouts_or_of_none_is_refused() {
    let set = two(&[0, 1], &[0, 1]);
    set.mask("gt/a.png", &[0]);
    let text = set.refused(&["--data", "."]);
    assert!(
        text.starts_with("ROOT can be read in 2 ways:\n") || text.starts_with(". can be read in 2 ways:\n"),
        "{text}"
    );
    assert!(text.contains("Set `--images` and `--masks` (or `--annotations`) to say which"), "{text}");
    let text = set.refused(&["--data", "images"]);
    assert!(
        text.contains("images has no layout that is known; set `--images` and `--masks` to the two folders"),
        "{text}"
    );
    let text = set.refused(&["--data", "nowhere"]);
    assert!(text.contains("cannot read nowhere"), "{text}");
    let text = set.refused(&["--data", "images/a.png"]);
    assert!(
        text.contains("images/a.png is a file; set `--data` to the folder of a data set, or to its YAML file"),
        "{text}"
    );
}

#[test]
fn each_code_is_explained() {
    let messages = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/messages.md")).unwrap();
    for code in WarningCode::names() {
        let rows = messages.lines().filter(|line| line.starts_with("| ") && line.contains(&format!("`{code}`")));
        assert!(rows.count() > 0, "{code}");
    }
}
