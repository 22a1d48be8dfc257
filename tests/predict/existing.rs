//! Files that are there already.

use crate::support::pictures::{detailed, jpeg_bytes};
use sam2unet::data::{Grey, ReadOptions, write_png, write_prediction};
use sam2unet::predict::{Destination, Images, Job, Like, PlanOptions, PredictError, not_done, plan};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tempfile::TempDir;

/// `count` images of 6 x 4 pixels in `in`.
fn images(count: usize) -> TempDir {
    let root = TempDir::new().unwrap();
    for folder in ["in", "out"] {
        fs::create_dir(root.path().join(folder)).unwrap();
    }
    let bytes = jpeg_bytes(&detailed(6, 4));
    (0..count).for_each(|number| fs::write(root.path().join(format!("in/{number:05}.jpg")), &bytes).unwrap());
    root
}

fn planned(root: &Path, options: &PlanOptions) -> Result<Vec<Job>, PredictError> {
    plan(&Images::at(&root.join("in"), false)?, &Destination::of(&root.join("out")), options)
}

const PLAIN: PlanOptions<'static> =
    PlanOptions { classes: None, probabilities: None, overlay: false, like: None, overwrite: false };
const BOTH: PlanOptions<'static> = PlanOptions { overlay: true, ..PLAIN };
const OVERWRITE: PlanOptions<'static> = PlanOptions { overwrite: true, ..PLAIN };

fn prediction(path: PathBuf, width: usize, height: usize) {
    write_prediction(&path, &Grey::filled(width, height, [9])).unwrap();
}

#[test]
fn predictions_may_be_replaced_and_nothing_else() {
    let root = images(1);
    let (root, target) = (root.path(), root.path().join("out/00000.png"));
    let refused = || match planned(root, &PLAIN) {
        Err(PredictError::Existing { files, of }) => {
            assert_eq!((files, of), (vec![target.clone()], 1));
            true
        }
        Err(error) => panic!("{error}"),
        Ok(_) => false,
    };
    assert!(!refused());
    prediction(target.clone(), 6, 4);
    assert!(!refused());
    // also one of another size, or damaged
    let whole = fs::read(&target).unwrap();
    fs::write(&target, &whole[..whole.len() - 20]).unwrap();
    assert!(!refused());

    let others: [&dyn Fn(); 6] = [
        &|| write_png(&target, &Grey::filled(6, 4, [255])).unwrap(),
        &|| fs::write(&target, "").unwrap(),
        &|| fs::write(&target, "notes: Software sam2unet").unwrap(),
        &|| fs::write(&target, jpeg_bytes(&detailed(6, 4))).unwrap(),
        &|| fs::write(&target, &whole[..40]).unwrap(),
        &|| fs::write(&target, [b"x", &whole[..]].concat()).unwrap(),
    ];
    for (number, write) in others.iter().enumerate() {
        write();
        assert!(refused(), "{number}");
        assert_eq!(planned(root, &OVERWRITE).unwrap().len(), 1, "{number}");
    }
}

#[cfg(unix)]
#[test]
fn links_and_folders_are_refused() {
    use std::os::unix::fs::symlink;
    let root = images(1);
    let (root, target) = (root.path(), root.path().join("out/00000.png"));
    prediction(root.join("elsewhere.png"), 6, 4);
    for (link, name) in [("../elsewhere.png", "a prediction"), ("nowhere", "nothing"), ("../in", "a folder")] {
        symlink(link, &target).unwrap();
        assert!(matches!(planned(root, &PLAIN), Err(PredictError::Existing { .. })), "a link to {name}");
        assert!(planned(root, &OVERWRITE).is_ok(), "a link to {name}");
        fs::remove_file(&target).unwrap();
    }
    fs::create_dir(&target).unwrap();
    assert!(matches!(planned(root, &PLAIN), Err(PredictError::Existing { .. })));
    let text = planned(root, &OVERWRITE).unwrap_err().to_string();
    assert!(text.contains("00000.png is no file"), "{text}");
}

#[test]
fn the_first_ten_names_and_the_count_are_told() {
    let root = images(30);
    let (root, out) = (root.path(), root.path().join("out"));
    for number in 5..17 {
        write_png(&out.join(format!("{number:05}.png")), &Grey::filled(1, 1, [0])).unwrap();
    }
    // an overlay's place counts too
    fs::write(out.join("00001.overlay.png"), "").unwrap();
    prediction(out.join("00002.png"), 6, 4);
    let text = planned(root, &BOTH).unwrap_err().to_string();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "13 of 60 files to write are there already, and were not written by `predict`:");
    assert!(lines[1].ends_with("out/00001.overlay.png") && lines[10].ends_with("out/00013.png"), "{text}");
    assert_eq!((lines.len(), lines[11]), (12, "  and 3 more"));
}

/// Which images are still to be done, by their numbers.
fn open(root: &Path, options: &PlanOptions) -> Vec<usize> {
    let jobs = planned(root, options).unwrap();
    let number = |job: Job| job.image.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    not_done(jobs, &ReadOptions::default(), None).into_iter().map(number).collect()
}

#[test]
fn whole_predictions_of_the_right_size_are_kept() {
    let root = images(6);
    let (root, out) = (root.path(), root.path().join("out"));
    assert_eq!(open(root, &PLAIN), [0, 1, 2, 3, 4, 5]);
    prediction(out.join("00000.png"), 6, 4);
    // another size: turned, and that of another image
    prediction(out.join("00001.png"), 4, 6);
    prediction(out.join("00002.png"), 12, 8);
    let whole = fs::read(out.join("00000.png")).unwrap();
    fs::write(out.join("00003.png"), &whole[..whole.len() - 1]).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() - 20] ^= 1;
    fs::write(out.join("00004.png"), damaged).unwrap();
    prediction(out.join("00005.png"), 6, 4);
    assert_eq!(open(root, &PLAIN), [1, 2, 3, 4]);
    // an overlay belongs to each
    assert_eq!(open(root, &BOTH), [0, 1, 2, 3, 4, 5]);
    prediction(out.join("00005.overlay.png"), 6, 4);
    prediction(out.join("00000.overlay.png"), 6, 5);
    assert_eq!(open(root, &BOTH), [0, 1, 2, 3, 4]);
    // an image that cannot be read has its turn
    fs::write(root.join("in/00005.jpg"), "no picture").unwrap();
    assert_eq!(open(root, &BOTH), [0, 1, 2, 3, 4, 5]);
}

#[test]
fn the_right_size_is_that_of_the_mask_where_masks_are_given() {
    let root = images(2);
    let root = root.path();
    fs::create_dir(root.join("masks")).unwrap();
    for number in 0..2 {
        write_png(&root.join(format!("masks/0000{number}.png")), &Grey::filled(7, 5, [0])).unwrap();
    }
    let like = Like::of(&Images::at(&root.join("in"), false).unwrap(), &root.join("masks"), false).unwrap();
    let options = PlanOptions { like: Some(&like), ..PLAIN };
    prediction(root.join("out/00000.png"), 6, 4);
    prediction(root.join("out/00001.png"), 7, 5);
    assert_eq!((open(root, &options), open(root, &PLAIN)), (vec![0], vec![1]));
}

/// Of files that are there the beginning is read, whatever their length.
#[test]
fn many_files_are_looked_at_in_no_time() {
    let root = images(1000);
    let (root, out) = (root.path(), root.path().join("out"));
    write_prediction(&out.join("00000.png"), &detailed(120, 100)).unwrap();
    let mask = fs::read(out.join("00000.png")).unwrap();
    (1..1000).for_each(|number| fs::write(out.join(format!("{number:05}.png")), &mask).unwrap());
    let start = Instant::now();
    let jobs = planned(root, &PLAIN).unwrap();
    let seconds = start.elapsed().as_secs_f64();
    assert!(seconds < 5.0, "{seconds}");
    // all are of another size than their image
    assert_eq!(not_done(jobs, &ReadOptions::default(), None).len(), 1000);
}
