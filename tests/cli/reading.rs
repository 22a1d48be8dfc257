//! How files are read: a run does as it is told, remembers it, and so does its model.

use super::program::{Ended, done, run};
use crate::support::pictures::{detailed, png_of_16_bits, turned_png};
use sam2unet::checkpoint::WeightFile;
use sam2unet::data::{ExifOrientation, Grey, ReadOptions, Rgb, read_rgb_with, write_png};
use std::fs;
use std::path::Path;

/// What is said of two images in `images`, each with a mask of this size.
fn arguments<'a>(images: &'a str, out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    #[rustfmt::skip]
    let all = ["train", "--images", images, "--masks", "masks", "--variant", "tiny", "--size", "64", "--batch-size",
        "2", "--steps", "1", "--device", "cpu", "--out", out];
    [&all, more].concat()
}

fn pictures() -> [Rgb; 2] {
    let picture = detailed(48, 32);
    let mut other = picture.clone();
    other.flip_horizontal();
    [picture, other]
}

/// Masks whose upper half is foreground.
fn masks(folder: &Path, width: usize, height: usize) {
    fs::create_dir(folder.join("masks")).unwrap();
    let data = (0..width * height).map(|at| if at < width * height / 2 { 255 } else { 0 }).collect();
    let mask = Grey { width, height, data };
    (0..2).for_each(|number| write_png(&folder.join(format!("masks/{number}.png")), &mask).unwrap());
}

/// What the optimiser of a run gathered: of the images alone.
fn gathered(folder: &Path, run: &str) -> Vec<u8> {
    fs::read(folder.join(run).join("last/optimiser.safetensors")).unwrap()
}

/// What the settings and the model of a run say of a key.
fn told(folder: &Path, run: &str, key: &str) -> (Option<String>, Option<String>) {
    let config = fs::read_to_string(folder.join(run).join("config.toml")).unwrap();
    let line = config.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")));
    let model = WeightFile::open(&folder.join(run).join("best/model.safetensors")).unwrap();
    (line.map(str::to_string), model.metadata().get(key).cloned())
}

#[test]
fn grey_of_16_bits_is_trained_on_as_it_is_asked_for_and_predicted_alike() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    masks(folder, 48, 32);
    for name in ["eight", "sixteen"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    for (number, picture) in pictures().iter().enumerate() {
        let grey = picture.to_grey();
        write_png(&folder.join(format!("eight/{number}.png")), &grey).unwrap();
        fs::write(folder.join(format!("sixteen/{number}.png")), png_of_16_bits(&grey)).unwrap();
    }
    done(folder, &arguments("eight", "plain", &[]));
    done(folder, &arguments("sixteen", "scaled", &["--scale-16-bit"]));
    let Ended { status, err, .. } = run(folder, &arguments("sixteen", "clipped", &[]));
    assert!(status == Some(0) && err.contains("2 of 2 files are grey with more than 8 bits"), "{err}");
    assert!(gathered(folder, "plain") == gathered(folder, "scaled"), "scaled");
    assert!(gathered(folder, "plain") != gathered(folder, "clipped"), "clipped");
    assert_eq!(told(folder, "scaled", "scale_16_bit"), (Some("true".to_string()), Some("true".to_string())));
    assert_eq!(told(folder, "clipped", "scale_16_bit"), (Some("false".to_string()), None));
    // nothing is said of it any more
    for (images, of) in [("eight", "plain"), ("sixteen", "scaled")] {
        let out = format!("{of}-masks");
        done(folder, &["predict", "--checkpoint", of, "--images", images, "--out", &out, "--device", "cpu"]);
    }
    for name in ["0.png", "1.png"] {
        let [plain, scaled] =
            ["plain", "scaled"].map(|of| fs::read(folder.join(format!("{of}-masks/{name}"))).unwrap());
        assert!(plain == scaled, "{name}");
    }
}

#[test]
fn turned_images_are_trained_on_as_it_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    masks(folder, 32, 48);
    for name in ["turned", "upright"] {
        fs::create_dir(folder.join(name)).unwrap();
    }
    for (number, picture) in pictures().iter().enumerate() {
        let turned = folder.join(format!("turned/{number}.png"));
        fs::write(&turned, turned_png(picture)).unwrap();
        let apply = ReadOptions { exif_orientation: ExifOrientation::Apply, ..ReadOptions::default() };
        let (shown, _) = read_rgb_with(&turned, &apply).unwrap();
        write_png(&folder.join(format!("upright/{number}.png")), &shown).unwrap();
    }
    let Ended { status, err, .. } = run(folder, &arguments("turned", "refused", &[]));
    assert_eq!(status, Some(2), "{err}");
    assert!(err.contains("2 fit their image only when it is turned") && err.contains("`--exif-orientation`"), "{err}");
    done(folder, &arguments("upright", "plain", &[]));
    done(folder, &arguments("turned", "applied", &["--exif-orientation", "Apply"]));
    assert!(gathered(folder, "plain") == gathered(folder, "applied"));
    let expected = (Some("\"apply\"".to_string()), Some("apply".to_string()));
    assert_eq!(told(folder, "applied", "exif_orientation"), expected);
    assert_eq!(told(folder, "plain", "exif_orientation"), (Some("\"ignore\"".to_string()), None));
}
