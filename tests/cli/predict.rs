//! What `sam2unet predict` takes and where its masks go. Masks themselves are tested elsewhere.

use super::program::{Ended, done, refused, run, sam2unet, tiny, tiny_with};
use crate::support::pictures::{detailed, png_of_16_bits, turned_png};
use crate::support::scenes::scenes;
use sam2unet::data::{Filter, Grey, is_prediction, overlay, read_grey, read_rgb, write_png};
use sam2unet::device::DeviceChoice;
use sam2unet::predict::{Destination, Images, PlanOptions, PredictOptions, Predictor, plan};
use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::Stdio;

/// Three images of side 64 in `images`, and a model.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    scenes(folder.path(), 5, 3, 64);
    tiny(&folder.path().join("model.safetensors"));
    folder
}

fn arguments<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [&["predict", "--checkpoint", "model.safetensors", "--size", "64", "--device", "cpu"], more].concat()
}

fn files(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[test]
fn a_folder_a_list_and_standard_input_give_the_same_masks() {
    let folder = workplace();
    let folder = folder.path();
    let said = done(folder, &arguments(&["--images", "images", "--out", "predicted"]));
    assert!(said.ends_with("3 masks written to predicted\n"), "{said}");
    assert_eq!(files(&folder.join("predicted")), ["000.png", "001.png", "002.png"]);
    let same = |out: &str, name: &str| {
        let [old, new] = ["predicted", out].map(|out| fs::read(folder.join(out).join(name)).unwrap());
        assert!(old == new, "{out}/{name}");
    };

    let whole = folder.join("images/001.png");
    fs::write(folder.join("list.txt"), format!("images/002.png\n\n{}\r\n", whole.display())).unwrap();
    let said = done(folder, &arguments(&["--list", "list.txt", "--out", "listed"]));
    assert!(said.ends_with("2 masks written to listed\n"), "{said}");
    assert_eq!(files(&folder.join("listed")), ["001.png", "002.png"]);
    same("listed", "001.png");
    same("listed", "002.png");

    let mut command = sam2unet(folder, &arguments(&["--images", "-", "--out", "piped"]));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"images/000.png\nimages/001.png").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert_eq!(files(&folder.join("piped")), ["000.png", "001.png"]);
    same("piped", "000.png");
    same("piped", "001.png");
}

#[test]
fn one_image_goes_to_the_file_that_is_named() {
    let folder = workplace();
    let folder = folder.path();
    let read = |name: &str| fs::read(folder.join(name)).unwrap();
    done(folder, &arguments(&["--images", "images/000.png", "--out", "predicted", "--overlay"]));
    assert_eq!(files(&folder.join("predicted")), ["000.overlay.png", "000.png"]);
    let said = done(folder, &arguments(&["--images", "images/000.png", "--out", "new/mask.PNG", "--overlay"]));
    assert!(said.ends_with("mask written to new/mask.PNG\n"), "{said}");
    assert_eq!(files(&folder.join("new")), ["mask.PNG", "mask.overlay.png"]);
    assert!(read("new/mask.PNG") == read("predicted/000.png"));
    assert!(read("new/mask.overlay.png") == read("predicted/000.overlay.png"));
    // over an older one
    done(folder, &arguments(&["--images", "images/001.png", "--out", "new/mask.PNG"]));
    assert!(read("new/mask.PNG") != read("predicted/000.png"));
    // a folder stays a folder, whatever its name
    fs::create_dir(folder.join("folder.png")).unwrap();
    done(folder, &arguments(&["--images", "images", "--out", "folder.png"]));
    assert_eq!(files(&folder.join("folder.png")).len(), 3);
}

/// All of it before the model is read: there is none.
#[test]
fn what_cannot_be_done_is_refused_before_the_model_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    scenes(folder, 5, 2, 64);
    fs::create_dir(folder.join("more")).unwrap();
    fs::copy(folder.join("images/000.png"), folder.join("more/000.png")).unwrap();
    let lists = [
        ("missing.txt", "images/000.png\n\nimages/900.png\nimages/001.png\nimages/901.png\n"),
        ("folder.txt", "images\n"),
        ("empty.txt", "\n\r\n"),
        ("twice.txt", "images/000.png\nimages/000.png\n"),
        ("stems.txt", "images/000.png\nmore/000.png\n"),
        ("one.txt", "images/000.png\n"),
    ];
    for (name, text) in lists {
        fs::write(folder.join(name), text).unwrap();
    }
    let cases: [(&[&str], &[&str]); 9] = [
        (&["--list", "missing.txt", "--out", "o"], &["missing.txt, line 3: images/900.png", "2 of 4 images"]),
        (&["--list", "folder.txt", "--out", "o"], &["folder.txt, line 1: images", "directory"]),
        (&["--list", "empty.txt", "--out", "o"], &["empty.txt", "one path a line"]),
        (&["--list", "nothing.txt", "--out", "o"], &["nothing.txt"]),
        (&["--list", "twice.txt", "--out", "o"], &["images/000.png is given twice"]),
        (&["--list", "stems.txt", "--out", "o"], &["images/000.png and more/000.png", "o/000.png"]),
        (&["--images", "images", "--out", "o.png"], &["o.png", "one image", "there are 2", "--out"]),
        (&["--images", "images/000.png", "--out", "images/000.png"], &["over the images"]),
        (&["--list", "one.txt", "--out", "images"], &["over the images"]),
    ];
    for (more, parts) in cases {
        let message = refused(folder, &arguments(more));
        assert!(parts.iter().all(|part| message.contains(part)), "{more:?}: {message}");
    }
    // an empty standard input
    let mut command = sam2unet(folder, &arguments(&["--images", "-", "--out", "o"]));
    let ended = Ended::from(command.stdin(Stdio::null()).output().unwrap());
    assert!(ended.status == Some(2) && ended.err.contains("standard input lists no image"), "{ended:?}");
    // one of the two, and no more
    for more in [&["--out", "o"][..], &["--images", "images", "--list", "one.txt", "--out", "o"]] {
        let ended = run(folder, &arguments(more));
        assert!(ended.status == Some(2) && ended.err.contains("--list"), "{more:?}: {ended:?}");
    }
    assert!(!folder.join("o").exists() && !folder.join("o.png").exists());
    // with nothing else wrong it is the model
    let message = refused(folder, &arguments(&["--list", "one.txt", "--out", "o"]));
    assert!(message.contains("model.safetensors"), "{message}");
}

/// Names need not be Unicode.
#[cfg(target_os = "linux")]
#[test]
fn a_list_holds_any_bytes() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = workplace();
    let folder = folder.path();
    let name = OsStr::from_bytes(b"\xff\xfe.png");
    fs::rename(folder.join("images/000.png"), folder.join("images").join(name)).unwrap();
    fs::write(folder.join("list.txt"), b"images/\xff\xfe.png\n").unwrap();
    done(folder, &arguments(&["--list", "list.txt", "--out", "predicted"]));
    assert!(folder.join("predicted").join(name).is_file());
}

/// An image that cannot be read costs its own mask only, and exit status 1.
#[test]
fn a_broken_image_is_named_and_the_others_are_predicted() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("images/001.png"), "no picture").unwrap();
    let ended = run(folder, &arguments(&["--images", "images", "--out", "predicted"]));
    assert_eq!(ended.status, Some(1), "{ended:?}");
    assert!(
        ended.err.contains("images/001.png") && ended.err.ends_with("predict: 1 of 3 images failed, named above\n")
    );
    assert!(ended.out.ends_with("2 masks written to predicted\n"), "{ended:?}");
    assert_eq!(files(&folder.join("predicted")), ["000.png", "002.png"]);
}

/// The files of a folder with their bytes.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    files(folder).into_iter().map(|name| (name.clone(), fs::read(folder.join(name)).unwrap())).collect()
}

/// What is said of a call that must be refused, over several lines.
fn refusal(folder: &Path, more: &[&str]) -> String {
    let Ended { status, out, err } = run(folder, &arguments(more));
    assert_eq!((status, &out[..]), (Some(2), ""), "{more:?}: {err}");
    err
}

#[test]
fn files_that_predict_did_not_write_stay() {
    let folder = workplace();
    let folder = folder.path();
    let truth = contents(&folder.join("masks"));
    let said = refusal(folder, &["--images", "images", "--out", "masks"]);
    assert_eq!(
        said,
        "predict: 3 of 3 files to write are there already, and were not written by `predict`:\n  masks/000.png\n  \
         masks/001.png\n  masks/002.png\ngive another --out, or --overwrite to replace what is there\n"
    );
    // one such file is enough for nothing to be written, and no flag but one lifts it
    fs::create_dir(folder.join("out")).unwrap();
    fs::write(folder.join("out/002.overlay.png"), "mine").unwrap();
    for more in [&[][..], &["--skip-existing"]] {
        let said = refused(folder, &arguments(&[&["--images", "images", "--out", "out", "--overlay"], more].concat()));
        let file = "1 of 6 files to write are there already, and were not written by `predict`: out/002.overlay.png; ";
        assert!(said.starts_with(file), "{said}");
    }
    assert_eq!(files(&folder.join("out")), ["002.overlay.png"]);
    assert!(contents(&folder.join("masks")) == truth);

    done(folder, &arguments(&["--images", "images", "--out", "masks", "--overwrite"]));
    let predicted = contents(&folder.join("masks"));
    assert!(predicted.iter().all(|(name, bytes)| truth[name] != *bytes) && predicted.len() == 3);
    // its own it replaces without a word
    done(folder, &arguments(&["--images", "images", "--out", "masks"]));
    assert!(contents(&folder.join("masks")) == predicted);
    // but never what it reads, or what is among it
    for out in ["images", "images/000.png"] {
        let images = if out == "images" { "images" } else { "images/000.png" };
        let message = refused(folder, &arguments(&["--images", images, "--out", out, "--overwrite"]));
        assert!(message.contains("over the images"), "{message}");
    }
}

/// Hours lie between the look at the folder and the last mask.
#[test]
fn a_file_that_came_in_the_meantime_stays() {
    let folder = workplace();
    let at = |name: &str| folder.path().join(name);
    let predictor = Predictor::open(&at("model.safetensors"), &DeviceChoice::Cpu.open().unwrap(), None).unwrap();
    let options = PredictOptions { size: 64, ..PredictOptions::default() };
    let images = Images::at(&at("images/000.png"), false).unwrap();
    let planned = |overwrite| {
        let wanted = PlanOptions { overwrite, ..PlanOptions::default() };
        plan(&images, &Destination::of(&at("out")), &wanted).unwrap().remove(0)
    };
    let (careful, bold) = (planned(false), planned(true));
    fs::create_dir(at("out")).unwrap();
    fs::write(at("out/000.png"), "mine").unwrap();
    let error = predictor.run(&careful, &options).unwrap_err().to_string();
    assert!(error.contains("not written by `predict`") && error.ends_with("out/000.png"), "{error}");
    assert_eq!(fs::read(at("out/000.png")).unwrap(), b"mine");
    predictor.run(&bold, &options).unwrap();
    predictor.run(&careful, &options).unwrap();
    assert!(is_prediction(&at("out/000.png")).unwrap());
}

#[test]
fn masks_and_overlays_are_known_as_predictions() {
    let folder = workplace();
    let folder = folder.path();
    done(folder, &arguments(&["--images", "images", "--out", "out", "--overlay"]));
    let names = files(&folder.join("out"));
    assert_eq!(names.len(), 6);
    assert!(names.iter().all(|name| is_prediction(&folder.join("out").join(name)).unwrap()), "{names:?}");
}

#[test]
fn whole_masks_are_kept_and_the_rest_is_computed() {
    let folder = workplace();
    let folder = folder.path();
    let at = |name: &str| folder.join("out").join(name);
    let first = ["--images", "images", "--out", "out"];
    let again = |more: &[&str]| done(folder, &arguments(&[&first[..], &["--skip-existing"], more].concat()));
    done(folder, &arguments(&first));
    let whole = contents(&folder.join("out"));
    let written = |name: &str| fs::metadata(at(name)).unwrap().modified().unwrap();
    let before = written("000.png");
    // a mask of its own that is none of this image
    fs::copy(at("001.png"), at("000.png")).unwrap();
    let copied = written("000.png");
    fs::write(at("001.png"), &whole["001.png"][..whole["001.png"].len() - 5]).unwrap();
    fs::remove_file(at("002.png")).unwrap();
    let said = again(&[]);
    assert!(said.ends_with("2 masks written to out; 1 were there already\n"), "{said}");
    assert!(copied >= before && written("000.png") == copied);
    assert!(fs::read(at("000.png")).unwrap() == whole["001.png"]);
    for name in ["001.png", "002.png"] {
        assert!(fs::read(at(name)).unwrap() == whole[name], "{name}");
    }
    let said = again(&[]);
    assert!(said.ends_with("0 masks written to out; 3 were there already\n"), "{said}");
    // with overlays none is complete
    let said = again(&["--overlay"]);
    assert!(said.ends_with("3 masks written to out\n"), "{said}");
    fs::remove_file(at("001.overlay.png")).unwrap();
    let said = again(&["--overlay"]);
    assert!(said.ends_with("1 masks written to out; 2 were there already\n"), "{said}");
}

/// As the published test script writes them.
#[test]
fn predictions_take_the_sizes_of_masks() {
    let folder = workplace();
    let folder = folder.path();
    let sizes = [(66, 64), (31, 90), (64, 64)];
    fs::create_dir(folder.join("truth")).unwrap();
    for (number, (width, height)) in sizes.iter().enumerate() {
        let mask =
            Grey { width: *width, height: *height, data: (0..width * height).map(|i| (i % 2 * 255) as u8).collect() };
        write_png(&folder.join(format!("truth/00{number}.png")), &mask).unwrap();
    }
    done(folder, &arguments(&["--images", "images", "--out", "out", "--like", "truth", "--overlay"]));
    let predictor =
        Predictor::open(&folder.join("model.safetensors"), &DeviceChoice::Cpu.open().unwrap(), None).unwrap();
    let options = PredictOptions { size: 64, ..PredictOptions::default() };
    for (number, size) in sizes.into_iter().enumerate() {
        let image = read_rgb(&folder.join(format!("images/00{number}.png"))).unwrap();
        let mask = read_grey(&folder.join(format!("out/00{number}.png"))).unwrap();
        assert_eq!(mask.size(), size);
        assert!(mask == predictor.mask_at(&image, size, &options).unwrap());
        let drawn = read_rgb(&folder.join(format!("out/00{number}.overlay.png"))).unwrap();
        assert!(drawn == overlay(&image.resize(size.0, size.1, Filter::Bilinear), &mask));
    }
    // they can be scored now, and could not before
    let evaluate = ["evaluate", "--predictions", "out", "--masks", "truth"];
    assert_eq!(run(folder, &evaluate).status, Some(0));
    done(folder, &arguments(&["--images", "images", "--out", "out"]));
    let Ended { status, err, .. } = run(folder, &evaluate);
    assert!(status == Some(2) && err.contains("predict --like"), "{err}");
    // whole files of the images' sizes are not what is wanted
    let again = ["--images", "images", "--out", "out", "--like", "truth", "--skip-existing"];
    let said = done(folder, &arguments(&again));
    assert!(said.ends_with("2 masks written to out; 1 were there already\n"), "{said}");

    fs::remove_file(folder.join("truth/001.png")).unwrap();
    let said = refused(folder, &arguments(&["--images", "images", "--out", "new", "--like", "truth"]));
    assert!(said.starts_with("1 of 3 images have no mask in truth; ") && said.contains(": images/001.png; "), "{said}");
    assert!(said.contains("--like") && !folder.join("new").exists(), "{said}");
}

#[test]
fn folders_in_folders_keep_their_places() {
    let folder = workplace();
    let folder = folder.path();
    fs::create_dir_all(folder.join("images/a/b")).unwrap();
    fs::rename(folder.join("images/001.png"), folder.join("images/a/000.png")).unwrap();
    fs::rename(folder.join("images/002.png"), folder.join("images/a/b/000.png")).unwrap();
    let Ended { status, err, .. } = run(folder, &arguments(&["--images", "images", "--out", "flat"]));
    let warning = "warning: images: not used: 1 subfolder, not looked into (`--recursive`): a\n";
    assert_eq!((status, &err[..]), (Some(0), warning));
    assert_eq!(files(&folder.join("flat")), ["000.png"]);

    let said = done(folder, &arguments(&["--images", "images", "--out", "tree", "--recursive"]));
    assert!(said.ends_with("3 masks written to tree\n"), "{said}");
    let masks = ["tree/000.png", "tree/a/000.png", "tree/a/b/000.png"].map(|name| fs::read(folder.join(name)).unwrap());
    assert!(masks[0] != masks[1] && masks[1] != masks[2] && masks[0] != masks[2]);
    let again = ["--images", "images", "--out", "tree", "--recursive", "--skip-existing"];
    let said = done(folder, &arguments(&again));
    assert!(said.ends_with("0 masks written to tree; 3 were there already\n"), "{said}");
    let message = refused(folder, &arguments(&["--images", "images", "--out", "images/a/out", "--recursive"]));
    assert!(message.contains("among them"), "{message}");
    // a list names its files itself
    let ended = run(folder, &arguments(&["--list", "list.txt", "--out", "o", "--recursive"]));
    assert!(ended.status == Some(2) && ended.err.contains("--recursive"), "{ended:?}");
}

#[test]
fn what_a_folder_holds_and_is_not_used_is_told() {
    let folder = workplace();
    let folder = folder.path();
    for name in ["a.heic", "b.HEIC", "c.avif", "notes.txt", ".hidden.png"] {
        fs::write(folder.join("images").join(name), "x").unwrap();
    }
    fs::write(folder.join("images/empty.png"), "").unwrap();
    let Ended { status, err, .. } = run(folder, &arguments(&["--images", "images", "--out", "out"]));
    let warning = "warning: images: not used: 2 HEIC files, not read (save as JPEG or PNG): a.heic, b.HEIC; 1 AVIF \
                   file, not read (save as JPEG or PNG): c.avif; 1 image file of zero bytes: empty.png\n";
    assert_eq!((status, &err[..]), (Some(0), warning));
    assert_eq!(files(&folder.join("out")).len(), 3);
}

#[test]
fn images_are_read_as_for_training_or_as_is_asked_for() {
    let folder = workplace();
    let folder = folder.path();
    let said = |more: &[&str]| done(folder, &arguments(&[&["--images", "images", "--out", "out"], more].concat()));
    assert!(!said(&[]).contains("images are read"));
    let asked = said(&["--exif-orientation", "APPLY", "--scale-16-bit"]);
    let line = "images are read with EXIF orientation apply, grey of 16 bits divided by 257; the model was trained \
                with EXIF orientation ignore, grey of 16 bits clipped\n";
    assert!(asked.contains(line), "{asked}");

    tiny_with(&folder.join("model.safetensors"), &[("exif_orientation", "apply"), ("scale_16_bit", "true")]);
    let line =
        "images are read as for the model's training: with EXIF orientation apply, grey of 16 bits divided by 257\n";
    let as_trained = said(&[]);
    assert!(as_trained.contains(line), "{as_trained}");
    let asked = said(&["--exif-orientation", "ignore", "--scale-16-bit=false"]);
    let line = "images are read with EXIF orientation ignore, grey of 16 bits clipped; the model was trained with EXIF \
                orientation apply, grey of 16 bits divided by 257\n";
    assert!(asked.contains(line), "{asked}");
}

#[test]
fn turned_images_are_told_and_turned_when_asked_for() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("images/001.png"), turned_png(&detailed(70, 40))).unwrap();
    let size = || read_grey(&folder.join("out/001.png")).unwrap().size();
    let with =
        |more: &[&'static str]| arguments(&[&["--images", "images", "--out", "out", "--overlay"], more].concat());
    let Ended { status, err, .. } = run(folder, &with(&[]));
    assert!(status == Some(0) && err.starts_with("warning: 1 of 3 files have an EXIF orientation"), "{err}");
    assert!(err.contains("001.png") && err.contains("--exif-orientation") && err.lines().count() == 1, "{err}");
    assert_eq!(size(), (70, 40));
    // a mask of the other size is not what is wanted now
    let apply = ["--exif-orientation", "apply", "--skip-existing"];
    let said = done(folder, &with(&apply));
    assert!(said.ends_with("1 masks written to out; 2 were there already\n"), "{said}");
    assert_eq!((size(), read_rgb(&folder.join("out/001.overlay.png")).unwrap().size()), ((40, 70), (40, 70)));
    let said = done(folder, &with(&apply));
    assert!(said.ends_with("0 masks written to out; 3 were there already\n"), "{said}");
    // and so for a mask whose size is wanted
    fs::create_dir(folder.join("like")).unwrap();
    for name in files(&folder.join("images")) {
        fs::write(folder.join("like").join(name), turned_png(&detailed(30, 20))).unwrap();
    }
    done(folder, &with(&["--exif-orientation", "apply", "--like", "like"]));
    assert_eq!(size(), (20, 30));
}

#[test]
fn a_mask_of_the_turned_image_is_no_size_for_the_one_that_lies() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("images/001.png"), turned_png(&detailed(70, 40))).unwrap();
    for name in files(&folder.join("images")) {
        let (width, height) = read_rgb(&folder.join("images").join(&name)).unwrap().size();
        let (width, height) = if name == "001.png" { (height, width) } else { (width, height) };
        fs::create_dir_all(folder.join("like")).unwrap();
        write_png(&folder.join("like").join(name), &detailed(width, height).to_grey()).unwrap();
    }
    let with =
        |more: &[&'static str]| arguments(&[&["--images", "images", "--out", "out", "--like", "like"], more].concat());
    let Ended { status, err, .. } = run(folder, &with(&[]));
    assert_eq!(status, Some(1), "{err}");
    assert!(err.contains("001.png") && err.contains("fits the image only if it is turned"), "{err}");
    assert!(err.contains("`--exif-orientation`") && err.contains("apply"), "{err}");
    assert_eq!(files(&folder.join("out")).len(), 2);
    done(folder, &with(&["--exif-orientation", "apply"]));
    assert_eq!(read_grey(&folder.join("out/001.png")).unwrap().size(), (40, 70));
}

#[test]
fn clipped_images_are_told_and_scaled_when_asked_for() {
    let folder = workplace();
    let folder = folder.path();
    let grey = detailed(50, 40).to_grey();
    let image = folder.join("images/001.png");
    let predicted = |out: &str, more: &[&str]| {
        let ended = run(folder, &arguments(&[&["--images", "images", "--out", out], more].concat()));
        assert_eq!(ended.status, Some(0), "{ended:?}");
        (fs::read(folder.join(out).join("001.png")).unwrap(), ended.err)
    };
    write_png(&image, &grey).unwrap();
    let (expected, said) = predicted("eight", &[]);
    assert_eq!(said, "");
    fs::write(&image, png_of_16_bits(&grey)).unwrap();
    let (clipped, said) = predicted("clipped", &[]);
    assert!(said.starts_with("warning: 1 of 3 files are grey with more than 8 bits"), "{said}");
    assert!(said.contains("`--scale-16-bit`") && said.lines().count() == 1 && clipped != expected, "{said}");
    assert!(predicted("scaled", &["--scale-16-bit"]) == (expected.clone(), String::new()));
    // as the model was trained
    tiny_with(&folder.join("model.safetensors"), &[("scale_16_bit", "true")]);
    assert!(predicted("trained", &[]) == (expected, String::new()));
    assert!(predicted("otherwise", &["--scale-16-bit=false"]).0 == clipped);
}

/// Names made on another system need not be Unicode: masks keep their bytes, and scoring finds them.
#[cfg(target_os = "linux")]
#[test]
fn names_of_any_bytes_go_there_and_back() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = workplace();
    let folder = folder.path();
    // in GBK, and two that are equal once what is no Unicode is replaced
    let stems: [&[u8]; 3] = [b"\xcd\xbc\xb6\xfe", b"x\xff", b"x\xfe"];
    for (number, stem) in stems.iter().enumerate() {
        let name = [stem, &b".png"[..]].concat();
        for part in ["images", "masks"] {
            let part = folder.join(part);
            fs::rename(part.join(format!("00{number}.png")), part.join(OsStr::from_bytes(&name))).unwrap();
        }
    }
    done(folder, &arguments(&["--images", "images", "--out", "out", "--overlay"]));
    for stem in stems {
        for ending in [&b".png"[..], b".overlay.png"] {
            assert!(folder.join("out").join(OsStr::from_bytes(&[stem, ending].concat())).is_file(), "{stem:?}");
        }
    }
    let Ended { status, err, .. } =
        run(folder, &["evaluate", "--predictions", "out", "--masks", "masks", "--json", "scores.json"]);
    // overlays are not missed among the masks
    assert!(status == Some(0) && !err.contains("no mask"), "{err}");
    let scores: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("scores.json")).unwrap()).unwrap();
    let images: Vec<&String> = scores["per_image"].as_object().unwrap().keys().collect();
    assert_eq!(images, ["x\\xFE", "x\\xFF", "\u{37c}\\xB6\\xFE"]);
}

/// Nobody reads what is said, or the disk of it is full: the masks come all the same.
#[cfg(target_os = "linux")]
#[test]
fn a_closed_or_full_standard_error_costs_no_mask() {
    let folder = workplace();
    let folder = folder.path();
    fs::write(folder.join("images/001.png"), "no picture").unwrap();
    for (out, full) in [("full", true), ("closed", false)] {
        let mut command = sam2unet(folder, &arguments(&["--images", "images", "--out", out]));
        command.stdout(Stdio::null());
        if full {
            command.stderr(fs::OpenOptions::new().write(true).open("/dev/full").unwrap());
        } else {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command.stderr(writer);
        }
        assert_eq!(command.status().unwrap().code(), Some(1), "{out}");
        assert_eq!(files(&folder.join(out)), ["000.png", "002.png"]);
    }
}

#[test]
fn if_every_image_fails_the_status_says_so() {
    let folder = workplace();
    let folder = folder.path();
    for name in files(&folder.join("images")) {
        fs::write(folder.join("images").join(name), "no picture").unwrap();
    }
    let Ended { status, out, err } = run(folder, &arguments(&["--images", "images", "--out", "out"]));
    assert!(status == Some(1) && out.ends_with("0 masks written to out\n"), "{out}{err}");
    assert_eq!(err.lines().count(), 4, "{err}");
}
