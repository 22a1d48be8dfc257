//! What is there already where files are to be written: files of an earlier prediction may be replaced or kept, all
//! others stay.

use super::error::PredictError;
use super::job::{Job, ProbabilityFormat};
use crate::data::class_picture::size_with_legend;
use crate::data::classes::class::Classes;
use crate::data::read::facts::ReadOptions;
use crate::data::size::picture_size;
use crate::data::written::{classes_of_prediction, is_prediction, whole_prediction};
use crate::files::folder::parent;
use rayon::prelude::*;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What is at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Existing {
    Nothing,
    /// A file that a prediction wrote.
    Prediction,
    /// Another file, or a link to whatever it may be.
    Other,
    /// What no file can be put in the place of: a folder, a pipe, a device.
    InTheWay,
}

fn existing(path: &Path) -> io::Result<Existing> {
    Ok(match fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Existing::Nothing,
        Err(error) => return Err(error),
        Ok(found) if found.is_symlink() => Existing::Other,
        // what cannot be read is not known to be a prediction
        Ok(found) if found.is_file() && is_prediction(path).unwrap_or(false) => Existing::Prediction,
        Ok(found) if found.is_file() => Existing::Other,
        Ok(_) => Existing::InTheWay,
    })
}

/// Whether all files of the jobs can be written. Of files that are there their beginning is read.
///
/// # Errors
/// When folders are in the way, and, unless `overwrite` is set, when files are there that no prediction made.
pub(super) fn check_existing(jobs: &[Job], overwrite: bool) -> Result<(), PredictError> {
    let targets: Vec<&Path> = jobs.iter().flat_map(Job::targets).collect();
    let found: Vec<_> = targets.par_iter().map(|target| existing(target)).collect();
    let mut files = Vec::new();
    for (target, found) in targets.iter().zip(found) {
        match found {
            Err(source) => return Err(PredictError::Folder { path: parent(target).to_path_buf(), source }),
            Ok(Existing::Other) if !overwrite => files.push(target.to_path_buf()),
            Ok(Existing::InTheWay) if overwrite => return Err(PredictError::InTheWay(target.to_path_buf())),
            Ok(Existing::InTheWay) => files.push(target.to_path_buf()),
            Ok(_) => {}
        }
    }
    if files.is_empty() { Ok(()) } else { Err(PredictError::Existing { files, of: targets.len() }) }
}

/// The same for one file, just before it is written: it may have come in the meantime.
pub(super) fn check_target(target: &Path, overwrite: bool) -> Result<(), PredictError> {
    match existing(target) {
        Ok(Existing::Other) if !overwrite => Err(PredictError::Existing { files: vec![target.to_path_buf()], of: 1 }),
        Ok(Existing::InTheWay) => Err(PredictError::InTheWay(target.to_path_buf())),
        // whatever else is wrong there, writing tells
        _ => Ok(()),
    }
}

/// The jobs that are still to be done: those of which a file is missing, is not whole, is of another size than it
/// would have, or a mask of other classes. `classes` are the model's, as for [`plan`](super::plan()).
pub fn not_done(jobs: Vec<Job>, read: &ReadOptions, classes: Option<&Classes>) -> Vec<Job> {
    jobs.into_par_iter().filter(|job| !is_done(job, read, classes)).collect()
}

fn is_done(job: &Job, read: &ReadOptions, classes: Option<&Classes>) -> bool {
    let sizes: Option<Vec<(usize, usize)>> = job.targets().map(whole_size).collect();
    // only where there are such files: an image that cannot be read is told when its turn comes
    sizes.is_some_and(|sizes| {
        let wanted = |path: &Path, size| match classes {
            Some(classes) if job.overlay.as_deref() == Some(path) => size_with_legend(size, classes),
            _ => size,
        };
        let size = picture_size(job.like.as_deref().unwrap_or(&job.image), read);
        size.is_ok_and(|size| job.targets().zip(&sizes).all(|(path, found)| *found == wanted(path, size)))
            && tell_classes(job).all(|path| classes_of_prediction(path).is_ok_and(|found| found.as_ref() == classes))
    })
}

/// The files of a job that tell of which classes they are.
fn tell_classes(job: &Job) -> impl Iterator<Item = &Path> {
    let probabilities = job.probabilities.iter().filter(|files| files.format == ProbabilityFormat::Png);
    job.masks.iter().chain(probabilities.flat_map(|files| &files.files)).map(PathBuf::as_path)
}

/// The size of the whole prediction at this path, if there is one.
fn whole_size(path: &Path) -> Option<(usize, usize)> {
    match existing(path) {
        Ok(Existing::Prediction) => whole_prediction(path).ok()?,
        _ => None,
    }
}
