//! Which files are made of which images, and what is refused before one is computed.

use crate::support::pictures::{detailed, jpeg_bytes};
use sam2unet::data::{Grey, write_png};
use sam2unet::predict::{Destination, Images, Job, Like, PlanOptions, PredictError, plan};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

struct Place {
    root: TempDir,
}

impl Place {
    fn new(images: &[&str]) -> Self {
        let place = Self { root: TempDir::new().unwrap() };
        images.iter().for_each(|image| place.picture(image));
        place
    }

    fn at(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    /// A picture that no prediction wrote.
    fn picture(&self, name: &str) {
        let path = self.at(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        if name.ends_with("png") {
            write_png(&path, &Grey::filled(3, 2, [7])).unwrap();
        } else {
            fs::write(path, jpeg_bytes(&detailed(3, 2))).unwrap();
        }
    }

    fn plan(&self, images: &str, recursive: bool, out: &str) -> Result<Vec<Job>, PredictError> {
        let images = Images::at(&self.at(images), recursive)?;
        plan(&images, &Destination::of(&self.at(out)), &PlanOptions::default())
    }

    /// What is said of a plan that must be refused.
    #[track_caller]
    fn refusal(&self, images: &str, recursive: bool, out: &str) -> String {
        let error = self.plan(images, recursive, out).expect_err("this must be refused");
        error.to_string().replace(&format!("{}/", self.root.path().display()), "")
    }

    /// The masks of a plan, below the root.
    #[track_caller]
    fn masks(&self, images: &str, recursive: bool, out: &str) -> Vec<String> {
        let jobs = self.plan(images, recursive, out).unwrap();
        jobs.iter().map(|job| job.masks[0].strip_prefix(self.root.path()).unwrap().display().to_string()).collect()
    }
}

#[test]
fn the_tree_of_a_folder_is_kept() {
    let place = Place::new(&["in/1.jpg", "in/b/1.png", "in/b/c/1.2.jpg", "in/a/x.jpg"]);
    assert_eq!(place.masks("in", false, "out"), ["out/1.png"]);
    assert_eq!(place.masks("in", true, "out"), ["out/1.png", "out/a/x.png", "out/b/1.png", "out/b/c/1.2.png"]);
    // one image of a folder lies by itself
    assert_eq!(place.masks("in/b/1.png", true, "out"), ["out/1.png"]);
    let [mask, overlay] = {
        let images = Images::at(&place.at("in"), true).unwrap();
        let options = PlanOptions { overlay: true, ..PlanOptions::default() };
        let job = plan(&images, &Destination::of(&place.at("out")), &options).unwrap().pop().unwrap();
        [job.masks[0].clone(), job.overlay.unwrap()]
    };
    assert_eq!((mask, overlay), (place.at("out/b/c/1.2.png"), place.at("out/b/c/1.2.overlay.png")));
}

#[test]
fn two_images_never_give_one_file() {
    let place = Place::new(&["same/a.jpg", "same/a.png"]);
    let text = place.refusal("same", false, "out");
    assert!(text.starts_with("same/a.jpg and same/a.png have the same stem"), "{text}");
    // in different folders they have a place each
    let place = Place::new(&["in/a.jpg", "in/b/a.png"]);
    assert_eq!(place.masks("in", true, "out").len(), 2);

    // the mask of one image where another's folder has to be
    let place = Place::new(&["in/a.jpg", "in/a.png/x.jpg"]);
    let text = place.refusal("in", true, "out");
    assert_eq!(
        text,
        "in/a.jpg and in/a.png/x.jpg would both give out/a.png: predict them into different folders, or rename one"
    );
}

#[test]
fn masks_never_come_among_the_images() {
    let place = Place::new(&["in/a.jpg", "in/b/c.jpg", "elsewhere/d.jpg"]);
    for out in ["in", "in/.", "in/b/..", "in/new/..", "in/../in", "elsewhere/../in", "in/mask.png"] {
        if out.ends_with("png") {
            fs::remove_file(place.at("in/a.jpg")).unwrap();
            place.picture("in/a.jpg");
        }
        let text = place.refusal("in", false, out);
        assert!(text.ends_with("masks would be written over the images, or among them"), "{out}: {text}");
    }
    // images that are named one by one have a folder, too; one mask may be put beside its image by name
    let text = place.refusal("in/a.jpg", false, "in");
    assert!(text.ends_with("among them"), "{text}");
    let listed = format!("{}\n{}", place.at("in/b/c.jpg").display(), place.at("elsewhere/d.jpg").display());
    let images = Images::listed(listed.as_bytes(), Path::new("list")).unwrap();
    let plan_to = |out: &str| plan(&images, &Destination::of(&place.at(out)), &PlanOptions::default());
    assert!(matches!(plan_to("in/b"), Err(PredictError::OverImages(_))));
    assert!(matches!(plan_to("elsewhere"), Err(PredictError::OverImages(_))));
    assert_eq!(plan_to("in").unwrap().len(), 2);
    assert_eq!(place.masks("in/a.jpg", false, "in/mask.png"), ["in/mask.png"]);
    // where subfolders are not looked into, masks may lie in one
    assert_eq!(place.masks("in", false, "in/b"), ["in/b/a.png"]);
    // otherwise they would be images the next time
    for out in ["in", "in/b", "in/new", "in/b/new", "in/b/new/../../deep/er"] {
        let text = place.refusal("in", true, out);
        assert!(text.ends_with("masks would be written over the images, or among them"), "{out}: {text}");
    }
    // a folder of the tree may lead back
    fs::create_dir(place.at("above")).unwrap();
    fs::rename(place.at("in"), place.at("above/above")).unwrap();
    fs::create_dir(place.at("above/above/above")).unwrap();
    place.picture("above/above/above/e.jpg");
    let text = place.refusal("above/above", true, "above");
    assert!(text.contains("among them"), "{text}");
}

#[test]
fn predictions_never_come_among_the_masks_whose_sizes_they_take() {
    let place = Place::new(&["in/a.jpg", "truth/a.bmp"]);
    let images = Images::at(&place.at("in"), false).unwrap();
    let like = Like::of(&images, &place.at("truth"), false).unwrap();
    let options = PlanOptions { like: Some(&like), ..PlanOptions::default() };
    let plan_to = |out: &str| plan(&images, &Destination::of(&place.at(out)), &options);
    assert!(matches!(plan_to("truth"), Err(PredictError::AmongMasks(_))));
    assert!(matches!(plan_to("in"), Err(PredictError::OverImages(_))));
    assert_eq!(plan_to("out").unwrap().len(), 1);
}

#[cfg(unix)]
#[test]
fn links_are_seen_through() {
    use std::os::unix::fs::symlink;
    let place = Place::new(&["in/a.jpg", "in/b/c.jpg", "other/d.jpg"]);
    symlink("in", place.at("link")).unwrap();
    symlink("../other", place.at("in/linked")).unwrap();
    symlink(place.at("link"), place.at("link2")).unwrap();
    for (images, recursive, out) in [
        ("in", false, "link"),
        ("link", false, "in"),
        ("link2", false, "link"),
        ("in", true, "link/b/new"),
        ("in", true, "other"),
        ("in", true, "other/new"),
    ] {
        let text = place.refusal(images, recursive, out);
        assert!(text.contains("among them"), "{images} to {out}: {text}");
    }
    assert_eq!(place.masks("in", true, "out"), ["out/a.png", "out/b/c.png", "out/linked/d.png"]);
}

/// Not even with `overwrite`.
#[test]
fn nothing_is_written_over_a_file_that_is_read() {
    let place = Place::new(&["in/a.png", "masks/a.png", "out/other.png"]);
    let image = Images::at(&place.at("in/a.png"), false).unwrap();
    let like = Like::of(&image, &place.at("masks"), false).unwrap();
    let options = PlanOptions { overwrite: true, ..PlanOptions::default() };
    let refused = |out: &str, options: &PlanOptions| {
        let error = plan(&image, &Destination::of(&place.at(out)), options).unwrap_err();
        assert!(matches!(error, PredictError::OverSource(_)), "{out}: {error}");
    };
    refused("in", &options);
    refused("in/a.png", &options);
    refused("masks", &PlanOptions { like: Some(&like), ..options });
    #[cfg(unix)]
    {
        std::os::unix::fs::symlink("../in/a.png", place.at("out/soft.png")).unwrap();
        fs::hard_link(place.at("in/a.png"), place.at("out/hard.png")).unwrap();
        refused("out/soft.png", &options);
        refused("out/hard.png", &options);
        std::os::unix::fs::symlink("soft.png", place.at("out/mask.overlay.png")).unwrap();
        refused("out/mask.png", &PlanOptions { overlay: true, ..options });
    }
    assert!(plan(&image, &Destination::of(&place.at("out/other.png")), &options).is_ok());
}

#[test]
fn masks_whose_sizes_are_wanted_are_found_by_name() {
    let place = Place::new(&["in/A.jpg", "in/caf\u{e9}.jpg", "in/sub/x.jpg"]);
    for mask in ["masks/a.png", "masks/cafe\u{301}.png", "masks/sub/x.png", "masks/more.png"] {
        place.picture(mask);
    }
    let images = |recursive| Images::at(&place.at("in"), recursive).unwrap();
    let like = Like::of(&images(true), &place.at("masks"), true).unwrap();
    let names = ["masks/a.png", "masks/cafe\u{301}.png", "masks/sub/x.png"];
    assert_eq!(like.masks(), names.map(|name| Some(place.at(name))));
    assert_eq!(like.loosely_named(), [place.at("in/A.jpg"), place.at("in/caf\u{e9}.jpg")]);
    assert_eq!(Like::of(&images(false), &place.at("masks"), false).unwrap().masks().len(), 2);
    let jobs = plan(
        &images(true),
        &Destination::of(&place.at("out")),
        &PlanOptions { like: Some(&like), ..PlanOptions::default() },
    );
    let likes: Vec<_> = jobs.unwrap().into_iter().map(|job| job.like.unwrap()).collect();
    assert_eq!(likes, names.map(|name| place.at(name)));

    // an image by itself has no folders in its name
    let image = Images::at(&place.at("in/sub/x.jpg"), false).unwrap();
    assert_eq!(Like::of(&image, &place.at("masks/sub"), false).unwrap().masks(), [Some(place.at("masks/sub/x.png"))]);
}

#[test]
fn images_without_a_mask_are_named() {
    let place = Place::new(&["masks/0.png"]);
    for number in 0..13 {
        place.picture(&format!("in/{number:02}.jpg"));
    }
    place.picture("masks/05.png");
    let images = Images::at(&place.at("in"), false).unwrap();
    let text = Like::of(&images, &place.at("masks"), false).unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("12 of 13 images have no mask in ") && lines[0].contains("masks"), "{text}");
    assert!(lines[1].ends_with("in/00.jpg") && lines[10].ends_with("in/10.jpg"), "{text}");
    assert_eq!((lines.len(), lines[11]), (12, "  and 2 more"));

    let place = Place::new(&["in/ISIC_1.jpg", "in/ISIC_2.jpg"]);
    place.picture("masks/ISIC_1_segmentation.png");
    place.picture("masks/ISIC_2_segmentation.png");
    let images = Images::at(&place.at("in"), false).unwrap();
    let text = Like::of(&images, &place.at("masks"), false).unwrap_err().to_string();
    assert!(text.contains("every mask is called IMAGE_segmentation"), "{text}");
}

/// Names need not be Unicode.
#[cfg(target_os = "linux")]
#[test]
fn masks_keep_the_bytes_of_the_stem() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let place = Place::new(&["in/1.jpg", "in/2.jpg", "masks/1.png", "masks/2.png"]);
    let stems: [&[u8]; 2] = [b"\xcd\xbc\xd2\xbb", b"\xcd\xbc\xb6\xfe"];
    let named = |folder: &str, stem: &[u8], ending: &str| {
        place.at(folder).join(OsStr::from_bytes(&[stem, ending.as_bytes()].concat()))
    };
    for (old, stem) in ["1", "2"].iter().zip(stems) {
        fs::rename(place.at(&format!("in/{old}.jpg")), named("in", stem, ".jpg")).unwrap();
        fs::rename(place.at(&format!("masks/{old}.png")), named("masks", stem, ".png")).unwrap();
    }
    let images = Images::at(&place.at("in"), false).unwrap();
    let like = Like::of(&images, &place.at("masks"), false).unwrap();
    let options = PlanOptions { overlay: true, like: Some(&like), ..PlanOptions::default() };
    let jobs = plan(&images, &Destination::of(&place.at("out")), &options).unwrap();
    for stem in stems {
        let job = jobs.iter().find(|job| job.image == named("in", stem, ".jpg")).unwrap();
        assert_eq!(job.masks, [named("out", stem, ".png")]);
        assert_eq!(job.overlay.as_deref(), Some(&*named("out", stem, ".overlay.png")));
        assert_eq!(job.like.as_deref(), Some(&*named("masks", stem, ".png")));
    }
    assert_eq!(jobs.len(), 2);
}

#[test]
fn what_is_no_folder_is_told() {
    let place = Place::new(&["in/a.jpg"]);
    fs::write(place.at("file"), "").unwrap();
    let text = place.refusal("in", false, "file/deep");
    assert!(text.starts_with("cannot write into file/deep: "), "{text}");
    let text = Images::at(Path::new("no/such/folder"), true).unwrap_err().to_string();
    assert!(text.starts_with("no/such/folder: "), "{text}");
}
