//! What is to be made of images, checked before anything is written.

use super::error::PredictError;
use super::existing::check_existing;
use super::images::Images;
use super::job::{Destination, Files, Job, ProbabilityFormat};
use super::like::Like;
use crate::data::classes::class::Classes;
use crate::files::folder::parent;
use crate::files::place::{FileId, resolved};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

/// What is to be made of images.
#[derive(Clone, Copy, Debug, Default)]
pub struct PlanOptions<'a> {
    /// The classes of the model ([`Predictor::classes`](super::Predictor::classes)); `None`: one without a name.
    pub classes: Option<&'a Classes>,
    /// Probabilities too.
    pub probabilities: Option<ProbabilityFormat>,
    /// An overlay too.
    pub overlay: bool,
    /// Masks whose sizes predictions take.
    pub like: Option<&'a Like>,
    /// Whether files are replaced that are there already and that no prediction made
    /// ([`is_prediction`](crate::data::is_prediction)): never images and masks that are read.
    pub overwrite: bool,
}

/// What is to be made of these images. Writes nothing.
///
/// # Errors
/// When one file is to take the masks of several images or classes, when masks are asked for as probabilities that they are
/// already, when two images would give one file, when masks would be written over files that are read or among the images of the folder that was given, and, unless `overwrite` is set,
/// when files are in the way that no prediction made.
pub fn plan(images: &Images, to: &Destination, options: &PlanOptions) -> Result<Vec<Job>, PredictError> {
    if let Destination::File(path) = to
        && images.files().len() != 1
    {
        return Err(PredictError::OneFile { path: path.clone(), images: images.files().len() });
    }
    let files = Files::of(options.classes, options.probabilities, options.overlay, to)?;
    let masks = options.like.map(Like::masks).unwrap_or_default();
    let jobs: Vec<Job> = images
        .files()
        .iter()
        .zip(images.stems())
        .enumerate()
        .map(|(index, (image, stem))| {
            let like = masks.get(index).cloned().flatten();
            Job { like, overwrite: options.overwrite, ..files.job(to, stem, image) }
        })
        .collect();
    check_names(&jobs)?;
    check_sources(&jobs, options.like)?;
    check_folders(images, options.like, to, &jobs)?;
    check_existing(&jobs, options.overwrite)?;
    Ok(jobs)
}

/// That each file is made once, and none is to be a file and a folder.
fn check_names(jobs: &[Job]) -> Result<(), PredictError> {
    let mut made: HashMap<&Path, &Path> = HashMap::new();
    for job in jobs {
        for target in job.targets() {
            match made.insert(target, &job.image) {
                None => {}
                Some(first) if first == job.image => return Err(PredictError::Twice { image: job.image.clone() }),
                Some(first) => return Err(same_target(first, &job.image, target)),
            }
        }
    }
    for (job, target) in jobs.iter().flat_map(|job| job.targets().map(move |target| (job, target))) {
        if let Some((folder, file)) = target.ancestors().skip(1).find_map(|folder| made.get_key_value(folder)) {
            return Err(same_target(file, &job.image, folder));
        }
    }
    Ok(())
}

fn same_target(first: &Path, second: &Path, target: &Path) -> PredictError {
    PredictError::SameTarget { first: first.into(), second: second.into(), target: target.into() }
}

/// That nothing is written over a file that is read.
fn check_sources(jobs: &[Job], like: Option<&Like>) -> Result<(), PredictError> {
    let read = jobs.iter().map(|job| &job.image).chain(like.map(Like::files).unwrap_or_default());
    let read: HashSet<FileId> = read.filter_map(|path| FileId::of(path).ok()).collect();
    let is_read = |path: &&Path| FileId::of(path).is_ok_and(|id| read.contains(&id));
    match jobs.iter().flat_map(Job::targets).find(is_read) {
        Some(target) => Err(PredictError::OverSource(target.to_path_buf())),
        None => Ok(()),
    }
}

/// That no mask is written into a folder of the images, where it would be an image the next time, nor into that of the masks
/// whose sizes are taken, where it would be a second mask of its image. The mask of one image that was named by itself may
/// lie beside it, if it is named, too.
fn check_folders(images: &Images, like: Option<&Like>, to: &Destination, jobs: &[Job]) -> Result<(), PredictError> {
    let by_itself = images.folder().is_none() && matches!(to, Destination::File(_));
    let of_images = images.files().iter().map(|file| parent(file)).chain(images.folder());
    let of_images = Folders::of(of_images.filter(|_| !by_itself));
    let of_like = Folders::of(like.into_iter().flat_map(Like::folders));
    let of_masks: HashSet<&Path> = jobs.iter().flat_map(Job::targets).map(parent).collect();
    // where folders in folders count, a folder below one of those that are read is one, too
    let looked_into = if images.is_recursive() { usize::MAX } else { 1 };
    for of_mask in of_masks {
        let place = resolved(of_mask);
        let lies_in = |folders: &Folders| place.ancestors().take(looked_into).any(|folder| folders.hold(folder));
        if lies_in(&of_images) {
            return Err(PredictError::OverImages(of_mask.to_path_buf()));
        }
        if lies_in(&of_like) {
            return Err(PredictError::AmongMasks(of_mask.to_path_buf()));
        }
    }
    Ok(())
}

/// Some folders, by their places and by what the system calls them, as one folder may be mounted twice.
struct Folders {
    places: HashSet<PathBuf>,
    known: HashSet<FileId>,
}

impl Folders {
    fn of<'a>(folders: impl Iterator<Item = &'a Path>) -> Self {
        let folders: HashSet<&Path> = folders.collect();
        let known = folders.iter().filter_map(|folder| FileId::of(folder).ok()).collect();
        Self { places: folders.into_iter().map(resolved).collect(), known }
    }

    fn hold(&self, folder: &Path) -> bool {
        self.places.contains(folder) || FileId::of(folder).is_ok_and(|id| self.known.contains(&id))
    }
}
