//! One image after the other.

use super::error::PredictError;
use super::job::Job;
use crate::data::pair_facts::PictureFacts;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

/// What became of [`Job`]s.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Predicted {
    /// The images that masks were written of, and what is known of them.
    pub images: Vec<(PathBuf, PictureFacts)>,
    /// Images that failed.
    pub failed: usize,
    /// Images that were not begun.
    pub left: usize,
    /// Why there are such.
    pub end: End,
}

/// Why there is no next image.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum End {
    /// All had their turn.
    #[default]
    All,
    /// It was asked for.
    Stopped,
    /// The last one failed for a reason that all others would fail for: a full disk.
    Full,
}

/// Does one job after the other with `predict` ([`Predictor::run`](super::Predictor::run)). An image that fails does
/// not keep the others from their turn, unless the disk is full. `stop` is looked at before each image; `done` is told
/// of each with its error, if it failed.
pub fn predict_all(
    jobs: &[Job],
    stop: &AtomicBool,
    predict: &mut dyn FnMut(&Job) -> Result<PictureFacts, PredictError>,
    done: &mut dyn FnMut(&Job, Option<&PredictError>),
) -> Predicted {
    let mut predicted = Predicted::default();
    for (begun, job) in jobs.iter().enumerate() {
        if stop.load(Ordering::Relaxed) {
            return Predicted { left: jobs.len() - begun, end: End::Stopped, ..predicted };
        }
        match predict(job) {
            Ok(facts) => {
                predicted.images.push((job.image.clone(), facts));
                done(job, None);
            }
            Err(error) => {
                predicted.failed += 1;
                done(job, Some(&error));
                if error.is_full() {
                    return Predicted { left: jobs.len() - begun - 1, end: End::Full, ..predicted };
                }
            }
        }
    }
    predicted
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::error::DataError;
    use crate::data::read::facts::ReadOptions;
    use crate::data::read::read_rgb_with;
    use std::io;
    use std::path::Path;

    fn job(name: &str) -> Job {
        Job {
            image: name.into(),
            like: None,
            masks: vec!["m.png".into()],
            probabilities: None,
            overlay: None,
            overwrite: false,
        }
    }

    fn facts() -> PictureFacts {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.png");
        crate::data::write::write_png(&path, &crate::data::pixels::Grey::filled(2, 3, [7])).unwrap();
        let (picture, facts) = read_rgb_with(&path, &ReadOptions::default()).unwrap();
        PictureFacts::of(picture.size(), &facts)
    }

    fn cannot_write(kind: io::ErrorKind) -> PredictError {
        DataError::Write { path: "m.png".into(), source: kind.into() }.into()
    }

    /// Runs four jobs, of which `second` is told how it ends; a stop is asked for when `stop` is done.
    fn run(second: impl Fn() -> Result<PictureFacts, PredictError>, stop: Option<&str>) -> (Predicted, Vec<String>) {
        let jobs = ["0", "1", "2", "3"].map(job);
        let flag = AtomicBool::new(false);
        let mut told = Vec::new();
        let mut predict = |job: &Job| if job.image == Path::new("1") { second() } else { Ok(facts()) };
        let mut done = |job: &Job, error: Option<&PredictError>| {
            told.push(format!("{} {}", job.image.display(), error.is_some()));
            flag.fetch_or(stop.is_some_and(|stop| job.image == Path::new(stop)), Ordering::Relaxed);
        };
        (predict_all(&jobs, &flag, &mut predict, &mut done), told)
    }

    #[test]
    fn an_image_that_fails_costs_itself_only() {
        let (predicted, told) = run(|| Err(cannot_write(io::ErrorKind::PermissionDenied)), None);
        assert_eq!(told, ["0 false", "1 true", "2 false", "3 false"]);
        let images: Vec<_> = predicted.images.iter().map(|(path, _)| path.to_str().unwrap()).collect();
        assert_eq!(images, ["0", "2", "3"]);
        assert_eq!((predicted.failed, predicted.left, predicted.end), (1, 0, End::All));
        assert_eq!(predicted.images[0].1.width, 2);
    }

    #[test]
    fn a_full_disk_is_told_once_and_ends_all() {
        for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
            let (predicted, told) = run(|| Err(cannot_write(kind)), None);
            assert_eq!(told, ["0 false", "1 true"]);
            assert_eq!((predicted.failed, predicted.left, predicted.end), (1, 2, End::Full));
        }
    }

    #[test]
    fn a_stop_comes_after_the_image_in_hand() {
        let (predicted, told) = run(|| Ok(facts()), Some("2"));
        assert_eq!(told.len(), 3);
        assert_eq!((predicted.images.len(), predicted.left, predicted.end), (3, 1, End::Stopped));
        // after the last one there is nothing to stop
        let (predicted, _) = run(|| Ok(facts()), Some("3"));
        assert_eq!((predicted.left, predicted.end), (0, End::All));
    }
}
