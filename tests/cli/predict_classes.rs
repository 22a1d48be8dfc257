//! What `sam2unet predict` makes with models of several classes.

use super::program::{Ended, done, refused, run, tiny, tiny_of_classes};
use crate::support::scenes::scenes;
use sam2unet::data::{
    ClassKind, Classes, Filter, Grey, ReadOptions, Rgb, Truth, ValueTable, class_overlay, classes_of_prediction,
    predicted_index, read_grey, read_index, read_rgb, saved_mask, with_legend, write_png, write_prediction,
};
use sam2unet::device::DeviceChoice;
use sam2unet::predict::{PredictOptions, Predictor};
use std::collections::BTreeMap;
use std::fs;
use std::io::BufReader;
use std::path::Path;
use tempfile::TempDir;

const NAMES: [&str; 3] = ["background", "polyp", "tool"];

/// As the programs are told here.
fn options() -> PredictOptions {
    PredictOptions { size: 64, ..PredictOptions::default() }
}

fn classes(kind: ClassKind, names: &[&str]) -> Classes {
    Classes::named(kind, names.iter().map(|name| name.to_string())).unwrap()
}

/// Two images, 70 x 50 and 40 x 90, and a model of these classes.
fn workplace(kind: ClassKind, names: &[&str]) -> (TempDir, Classes) {
    let folder = images();
    let classes = classes(kind, names);
    tiny_of_classes(&folder.path().join("model.safetensors"), names.len(), &[classes.metadata()]);
    (folder, classes)
}

fn images() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    scenes(folder.path(), 5, 2, 96);
    fs::remove_dir_all(folder.path().join("masks")).unwrap();
    for (name, width, height) in [("000", 70, 50), ("001", 40, 90)] {
        let path = folder.path().join(format!("images/{name}.png"));
        let image = read_rgb(&path).unwrap().resize(width, height, Filter::Bilinear);
        write_png(&path, &image).unwrap();
    }
    folder
}

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    let all = ["predict", "--checkpoint", "model.safetensors", "--size", "64", "--device", "cpu", "--images", "images"];
    [&all[..], more].concat()
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

fn names(folder: &Path) -> Vec<String> {
    tree(folder).into_keys().collect()
}

fn predictor(folder: &Path) -> Predictor {
    Predictor::open(&folder.join("model.safetensors"), &DeviceChoice::Cpu.open().unwrap(), None).unwrap()
}

fn image(folder: &Path, name: &str) -> Rgb {
    read_rgb(&folder.join(format!("images/{name}.png"))).unwrap()
}

fn floats(path: &Path) -> Vec<f32> {
    let mut tiff = tiff::decoder::Decoder::new(BufReader::new(fs::File::open(path).unwrap())).unwrap();
    match tiff.read_image().unwrap() {
        tiff::decoder::DecodingResult::F32(numbers) => numbers,
        _ => panic!("no 32-bit numbers"),
    }
}

#[test]
fn classes_that_exclude_each_other_give_index_maps_probabilities_and_a_legend() {
    let (folder, classes) = workplace(ClassKind::Exclusive, &NAMES);
    let folder = folder.path();
    let said = done(folder, &arguments(&["--out", "out", "--probabilities", "png", "--overlay"]));
    assert!(said.contains("3 classes that exclude each other: background, polyp, tool\n"), "{said}");
    assert!(said.ends_with("2 index masks written to out\n"), "{said}");
    let mut expected: Vec<String> = ["000", "001"]
        .iter()
        .flat_map(|stem| {
            let of_class = NAMES.map(|class| format!("{class}/{stem}.png"));
            of_class.into_iter().chain([format!("{stem}.png"), format!("{stem}.overlay.png")])
        })
        .collect();
    expected.sort();
    assert_eq!(names(&folder.join("out")), expected);

    let predictor = predictor(folder);
    assert_eq!(predictor.classes(), Some(&classes));
    let table = ValueTable::indices(3, None).unwrap();
    for stem in ["000", "001"] {
        let image = image(folder, stem);
        let (width, height) = image.size();
        let prediction = predictor.predict(&image, &options()).unwrap();
        let index = predicted_index(prediction.logits(), 3, 64, width, height);
        let path = folder.join(format!("out/{stem}.png"));
        assert!(read_index(&path, &table, &ReadOptions::default()).unwrap().0 == index);
        assert!(prediction.at(image.size()) == Truth::Index(index.clone()));
        assert_eq!(classes_of_prediction(&path).unwrap().as_ref(), Some(&classes));

        let maps = NAMES.map(|class| read_grey(&folder.join(format!("out/{class}/{stem}.png"))).unwrap());
        for pixel in 0..width * height {
            let levels = [0, 1, 2].map(|class: usize| u16::from(maps[class].data[pixel]));
            assert!((252..=255).contains(&levels.iter().sum::<u16>()), "{levels:?}");
            let most = levels.iter().max().unwrap();
            assert_eq!(levels[usize::from(index.data[pixel])], *most, "{levels:?}");
        }
        let drawn = with_legend(&class_overlay(&image, &Truth::Index(index), &classes), &classes);
        assert!(read_rgb(&folder.join(format!("out/{stem}.overlay.png"))).unwrap() == drawn);
    }

    // the colours of a palette are the classes'
    let file = BufReader::new(fs::File::open(folder.join("out/000.png")).unwrap());
    let decoder = png::Decoder::new(file).read_info().unwrap();
    let palette = decoder.info().palette.clone().unwrap();
    let colours: Vec<[u8; 3]> = classes.list().iter().map(|class| class.colour).collect();
    assert_eq!(palette[..9], *colours.as_flattened());
    assert_eq!(palette[765..], [224, 224, 192]);

    // floating point is what the library gives
    done(folder, &arguments(&["--out", "numbers", "--probabilities", "TIFF"]));
    let image = image(folder, "001");
    let prediction = predictor.predict(&image, &options()).unwrap();
    for (number, class) in NAMES.iter().enumerate() {
        let numbers = floats(&folder.join(format!("numbers/{class}/001.tiff")));
        assert!(numbers == prediction.probabilities(image.size()).class(number));
    }
}

#[test]
fn soft_masks_are_no_matter_of_classes_that_exclude_each_other() {
    let (folder, _) = workplace(ClassKind::Exclusive, &NAMES);
    let folder = folder.path();
    for (more, flag) in [(&["--threshold", "0.5"][..], "--threshold"), (&["--stretch"], "--stretch")] {
        let message = refused(folder, &arguments(&[&["--out", "out"], more].concat()));
        assert!(message.contains("exclude each other") && message.contains(flag), "{message}");
    }
    assert!(!folder.join("out").exists());
    let predictor = predictor(folder);
    let image = image(folder, "000");
    let error = predictor.mask(&image, &options()).unwrap_err().to_string();
    assert!(error.contains("3 classes"), "{error}");
    let error = predictor.predict(&image, &PredictOptions { stretch: true, ..options() }).unwrap_err().to_string();
    assert!(error.contains("`stretch`"), "{error}");

    // one index map goes to one file, what there is for each class does not
    let one = ["predict", "--checkpoint", "model.safetensors", "--size", "64", "--device", "cpu", "--images"];
    let one = [&one[..], &["images/000.png"]].concat();
    let said = done(folder, &[&one[..], &["--out", "one.png"]].concat());
    assert!(said.ends_with("index mask written to one.png\n"), "{said}");
    done(folder, &[&one[..], &["--out", "out"]].concat());
    assert!(fs::read(folder.join("one.png")).unwrap() == fs::read(folder.join("out/000.png")).unwrap());
    let message = refused(folder, &[&one[..], &["--out", "two.png", "--probabilities", "png"]].concat());
    assert!(message.starts_with("two.png ends in .png, so it is one file"), "{message}");
    assert!(message.contains("3 classes") && message.ends_with("give a folder as --out"), "{message}");
}

#[test]
fn classes_that_may_overlap_have_a_folder_each() {
    let (folder, classes) = workplace(ClassKind::Overlapping, &["polyp", "a/b", "Polyp"]);
    let folder = folder.path();
    let said = done(folder, &arguments(&["--out", "out", "--overlay", "--probabilities", "tiff"]));
    assert!(said.contains("3 classes that may overlap: polyp, a/b, Polyp\n"), "{said}");
    for line in ["the class \"a/b\" has the folder a_b:", "the class \"Polyp\" has the folder Polyp_2:"] {
        assert!(said.contains(line), "{said}");
    }
    assert!(said.ends_with("2 sets of masks written to out\n"), "{said}");
    let folders = ["polyp", "a_b", "Polyp_2"];
    let found = names(&folder.join("out"));
    assert_eq!(found.len(), 14, "{found:?}");

    let predictor = predictor(folder);
    for stem in ["000", "001"] {
        let image = image(folder, stem);
        let (width, height) = image.size();
        let prediction = predictor.predict(&image, &options()).unwrap();
        let mut masks = Vec::new();
        for (number, class) in folders.iter().enumerate() {
            let path = folder.join(format!("out/{class}/{stem}.png"));
            let mask = read_grey(&path).unwrap();
            assert!(mask == saved_mask(&prediction.logits()[number * 4096..][..4096], 64, width, height, false));
            assert_eq!(classes_of_prediction(&path).unwrap().as_ref(), Some(&classes));
            let numbers = floats(&path.with_extension("probability.tiff"));
            assert!(numbers.iter().zip(&mask.data).all(|(p, level)| (p * 255.0) as u8 == *level));
            masks.push(mask);
        }
        let truth = Truth::Labels { masks, ignored: None };
        assert!(prediction.at(image.size()) == truth);
        let drawn = with_legend(&class_overlay(&image, &truth, &classes), &classes);
        assert!(read_rgb(&folder.join(format!("out/{stem}.overlay.png"))).unwrap() == drawn);
    }

    done(folder, &arguments(&["--out", "hard", "--threshold", "0.5"]));
    let hard = read_grey(&folder.join("hard/a_b/001.png")).unwrap();
    let soft = read_grey(&folder.join("out/a_b/001.png")).unwrap();
    assert!(hard.data.iter().zip(&soft.data).all(|(hard, soft)| *hard == if *soft >= 128 { 255 } else { 0 }));

    let message = refused(folder, &arguments(&["--out", "o", "--probabilities", "png"]));
    assert!(message.contains("probabilities already") && message.contains("--probabilities tiff"), "{message}");
    let one = ["predict", "--checkpoint", "model.safetensors", "--images", "images/000.png", "--out", "one.png"];
    let message = refused(folder, &one);
    assert!(message.contains("each of 3 classes; give a folder"), "{message}");
}

#[test]
fn one_class_without_a_name_is_what_it_was() {
    let folder = images();
    let folder = folder.path();
    tiny(&folder.join("model.safetensors"));
    let said = done(folder, &arguments(&["--out", "out"]));
    assert!(!said.contains("class") && said.ends_with("2 masks written to out\n"), "{said}");
    let predictor = predictor(folder);
    assert_eq!(predictor.classes(), None);
    for stem in ["000", "001"] {
        let image = image(folder, stem);
        let (width, height) = image.size();
        let prediction = predictor.predict(&image, &options()).unwrap();
        let mask = saved_mask(prediction.logits(), 64, width, height, false);
        assert!(mask == predictor.mask(&image, &options()).unwrap());
        write_prediction(&folder.join("expected.png"), &mask).unwrap();
        let [expected, found] =
            ["expected.png", &format!("out/{stem}.png")].map(|name| fs::read(folder.join(name)).unwrap());
        assert!(expected == found);
        assert_eq!(prediction.at(image.size()), Truth::Mask(mask));
    }
    done(folder, &arguments(&["--out", "numbers", "--probabilities", "tiff"]));
    let expected = ["000.png", "000.probability.tiff", "001.png", "001.probability.tiff"];
    assert_eq!(names(&folder.join("numbers")), expected);

    // with a name its file tells it, and its pixels are the same
    let one = classes(ClassKind::Overlapping, &["polyp"]);
    tiny_of_classes(&folder.join("model.safetensors"), 1, &[one.metadata()]);
    let said = done(folder, &arguments(&["--out", "named"]));
    assert!(said.contains("1 class: polyp\n") && said.ends_with("2 masks written to named\n"), "{said}");
    assert_eq!(names(&folder.join("named")), ["000.png", "001.png"]);
    let [plain, named] = ["out", "named"].map(|out| folder.join(out).join("000.png"));
    assert!(read_grey(&plain).unwrap() == read_grey(&named).unwrap());
    assert_eq!(classes_of_prediction(&plain).unwrap(), None);
    assert_eq!(classes_of_prediction(&named).unwrap(), Some(one));
}

#[test]
fn files_of_every_kind_are_kept_replaced_or_refused() {
    let (folder, _) = workplace(ClassKind::Exclusive, &NAMES);
    let folder = folder.path();
    let out = folder.join("out");
    for format in ["png", "tiff"] {
        let all = ["--out", "out", "--overlay", "--probabilities", format];
        let again = |more: &[&str]| done(folder, &arguments(&[&all[..], more].concat()));
        again(&[]);
        let whole = tree(&out);
        // its own it replaces
        again(&[]);
        assert!(tree(&out) == whole);
        let skipped = again(&["--skip-existing"]);
        assert!(skipped.ends_with("0 index masks written to out; 2 were there already\n"), "{skipped}");
        for name in ["000.png".to_string(), "001.overlay.png".to_string(), format!("polyp/000.{format}")] {
            for cut in [None, Some(20), Some(3)] {
                match cut {
                    None => fs::remove_file(out.join(&name)).unwrap(),
                    Some(cut) => fs::write(out.join(&name), &whole[&name][..whole[&name].len() - cut]).unwrap(),
                }
                let told = again(&["--skip-existing"]);
                assert!(told.ends_with("1 index masks written to out; 1 were there already\n"), "{name}: {told}");
                assert!(tree(&out) == whole, "{name}");
            }
        }
        // those of others stay
        let foreign = format!("tool/001.{format}");
        fs::write(out.join(&foreign), "mine").unwrap();
        let message = refused(folder, &arguments(&all));
        let first = "1 of 10 files to write are there already, and were not written by `predict`: out/";
        assert!(message.starts_with(&format!("{first}{foreign}; ")), "{message}");
        assert_eq!(fs::read(out.join(&foreign)).unwrap(), b"mine");
        again(&["--overwrite"]);
        assert!(tree(&out) == whole);
    }
    // masks of other classes are not what is wanted
    let other = classes(ClassKind::Exclusive, &["background", "polyp", "clip"]);
    tiny_of_classes(&folder.join("model.safetensors"), 3, &[other.metadata()]);
    let said = done(folder, &arguments(&["--out", "out", "--skip-existing"]));
    assert!(said.ends_with("2 index masks written to out\n"), "{said}");
    let said = done(folder, &arguments(&["--out", "out", "--skip-existing"]));
    assert!(said.ends_with("0 index masks written to out; 2 were there already\n"), "{said}");
    // a folder of a class is none of the images' or of their masks'
    let into = ["--out", "images/new", "--recursive", "--probabilities", "png"];
    let message = refused(folder, &arguments(&into));
    assert!(message.contains("over the images, or among them"), "{message}");
}

#[test]
fn a_folder_of_an_image_and_that_of_a_class_are_told_apart() {
    let (folder, _) = workplace(ClassKind::Exclusive, &NAMES);
    let folder = folder.path();
    fs::create_dir(folder.join("images/a")).unwrap();
    fs::copy(folder.join("images/000.png"), folder.join("images/a/000.png")).unwrap();
    done(folder, &arguments(&["--out", "out", "--recursive", "--probabilities", "png"]));
    let found = names(&folder.join("out"));
    assert!(found.contains(&"a/000.png".into()) && found.contains(&"tool/a/000.png".into()), "{found:?}");
    assert_eq!(found.len(), 12);
    fs::rename(folder.join("images/a"), folder.join("images/tool")).unwrap();
    let message = refused(folder, &arguments(&["--out", "new", "--recursive", "--probabilities", "png"]));
    assert!(message.contains("would both give new/tool/000.png"), "{message}");
}

#[test]
fn classes_that_a_file_tells_wrongly_are_refused() {
    let folder = images();
    let folder = folder.path();
    let model = folder.join("model.safetensors");
    let key = |text: &str| ("classes".to_string(), text.to_string());
    tiny_of_classes(&model, 3, &[classes(ClassKind::Exclusive, &["a", "b"]).metadata()]);
    let message = refused(folder, &arguments(&["--out", "out"]));
    let part =
        "model.safetensors: the classes that its metadata tell cannot be used: `classes` names 2, but the heads have 3";
    assert!(message.starts_with(part), "{message}");
    let texts = ["{", r#"{"kind":"exclusive","list":[{"name":"a","colour":[0,0,0]}]}"#, r#"{"kind":"odd","list":[]}"#];
    for text in texts {
        tiny_of_classes(&model, 3, &[key(text)]);
        let message = refused(folder, &arguments(&["--out", "out"]));
        assert!(message.contains("cannot be used: `classes`: "), "{text}: {message}");
        let told = done(folder, &["info", "model.safetensors"]);
        assert!(told.contains("classes                 not usable: `classes`: "), "{told}");
    }
    let otherwise = ("normalisation".to_string(), "[0, 1]".to_string());
    tiny_of_classes(&model, 3, &[classes(ClassKind::Exclusive, &NAMES).metadata(), otherwise]);
    let message = refused(folder, &arguments(&["--out", "out"]));
    assert!(message.starts_with("model.safetensors: its images were normalised by [0, 1]"), "{message}");
    assert!(!folder.join("out").exists());

    // a checkpoint of PyTorch tells nothing
    tiny_of_classes(&model, 3, &[]);
    let said = done(folder, &arguments(&["--out", "out", "--probabilities", "png"]));
    assert!(said.contains("3 classes that exclude each other, which the file does not name\n"), "{said}");
    assert!(said.contains("class 0, class 1 and so on\n"), "{said}");
    assert!(names(&folder.join("out")).contains(&"class 2/001.png".into()));
    let told = done(folder, &["info", "model.safetensors"]);
    assert!(told.contains("classes                 3, without names\n"), "{told}");
}

#[test]
fn sizes_come_from_labels_of_any_form() {
    let (folder, _) = workplace(ClassKind::Exclusive, &NAMES);
    let folder = folder.path();
    let mask = |name: &str, width: usize, height: usize| {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        write_png(&path, &Grey::filled(width, height, [0])).unwrap();
    };
    let sizes = |more: &[&str]| {
        let Ended { status, err, .. } = run(folder, &arguments(&[&["--out", "out"], more].concat()));
        assert_eq!(status, Some(0), "{more:?}: {err}");
        let size = |stem: &str| read_grey(&folder.join(format!("out/{stem}.png"))).unwrap().size();
        [size("000"), size("001")]
    };
    mask("folders/polyp/000.png", 35, 25);
    mask("folders/tool/000.png", 35, 25);
    mask("folders/tool/001.png", 20, 45);
    assert_eq!(sizes(&["--like", "folders", "--labels", "folders"]), [(35, 25), (20, 45)]);
    // an image that shows nothing has its own size
    fs::remove_file(folder.join("folders/tool/001.png")).unwrap();
    assert_eq!(sizes(&["--like", "folders", "--labels", "folders", "--classes", "polyp,tool"]), [(35, 25), (40, 90)]);
    let message = refused(
        folder,
        &arguments(&["--like", "folders", "--labels", "folders", "--out", "folders/tool", "--overwrite"]),
    );
    assert!(message.contains("over the images or masks"), "{message}");

    mask("suffix/000_gt.png", 36, 26);
    mask("suffix/001_gt.png", 22, 44);
    assert_eq!(sizes(&["--like", "suffix", "--mask-suffix", "_gt"]), [(36, 26), (22, 44)]);
    mask("each/000_tool.png", 31, 21);
    mask("each/001_tool.png", 21, 31);
    assert_eq!(sizes(&["--like", "each", "--labels", "suffixes"]), [(31, 21), (21, 31)]);
    let into = ["--like", "each", "--labels", "suffixes", "--out", "each", "--overwrite"];
    let message = refused(folder, &arguments(&into));
    assert!(message.contains("among the masks"), "{message}");

    let image = |id: u8, (width, height): (u8, u8)| {
        let name = format!("00{id}.png");
        serde_json::json!({"id": id, "file_name": name, "width": width, "height": height})
    };
    let coco = serde_json::json!({
        "images": [image(0, (70, 50)), image(1, (40, 90))],
        "categories": [{"id": 1, "name": "tool"}],
        "annotations": [],
    });
    fs::write(folder.join("coco.json"), coco.to_string()).unwrap();
    assert_eq!(sizes(&["--annotations", "coco.json"]), [(70, 50), (40, 90)]);

    let message = refused(folder, &arguments(&["--labels", "folders", "--out", "o"]));
    assert!(message.contains("--like DIR"), "{message}");
    let one = ["predict", "--checkpoint", "model.safetensors", "--images", "images/000.png", "--out", "o", "--like"];
    let message = refused(folder, &[&one[..], &["folders", "--labels", "folders"]].concat());
    assert!(message.contains("named one by one") && message.contains("--images DIR"), "{message}");
}
