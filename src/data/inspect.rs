//! Reads a whole set before it is trained on, so that bad files show before hours of training and not after.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::thread::Builder;

use super::class_warnings::class_warnings;
use super::classes::class::Classes;
use super::dataset::{Dataset, is_same_shape};
use super::error::DataError;
use super::folder::Folder;
use super::kept::{KeptFacts, Stamps};
use super::pair_facts::{LabelFacts, PairFacts, PictureFacts};
use super::pairs::Pair;
use super::unused::Unused;
use super::warning::{Warning, WarningCode, colour_warnings, image_warnings, mask_warnings, size_warnings};

/// What was found by reading a set.
#[derive(Debug)]
pub struct Inspection {
    /// What is known of each pair, in order; `None` for one that cannot be used.
    pub pairs: Vec<Option<PairFacts>>,
    /// What cannot be used, in the order of the pairs.
    pub bad: Vec<DataError>,
    /// What is likely wrong, or worth knowing.
    pub warnings: Vec<Warning>,
}

impl Inspection {
    /// Of a set whose files cannot even be paired.
    pub fn refused(error: DataError) -> Self {
        Self { pairs: Vec::new(), bad: vec![error], warnings: Vec::new() }
    }
}

/// Decodes every file of a set on this many threads. `progress` is called with how many pairs are done, of how many. With a folder
/// `kept`, what was found is written there, and files whose size and time are as they were are not read again.
///
/// What cannot be used is part of the result, not an error: all of it, whatever the threads.
pub fn inspect(
    set: &Folder,
    threads: usize,
    kept: Option<&Path>,
    progress: &mut dyn FnMut(usize, usize),
) -> Inspection {
    let count = set.pairs().len();
    let mut memory = kept.map(|folder| KeptFacts::open(folder, set));
    let known: Vec<Option<PairFacts>> = match &memory {
        Some(memory) => set.pairs().iter().map(|pair| memory.of(pair)).collect(),
        None => vec![None; count],
    };
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut found: Vec<Option<Result<PairFacts, DataError>>> = (0..count).map(|_| None).collect();
    let mut stamps = vec![None; count];
    let work = |sender: Sender<_>| {
        // relaxed: the counter only hands out indices
        while let index = next.fetch_add(1, Ordering::Relaxed)
            && let Some(known) = known.get(index)
        {
            // before the files are read: what changes them meanwhile is seen
            let stamp = kept.and_then(|_| Stamps::of(&set.pairs()[index]));
            let facts = known.clone().map_or_else(|| facts_of(set, index), Ok);
            if sender.send((index, facts, stamp)).is_err() {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        let start = |_| {
            let (sender, work) = (sender.clone(), &work);
            Builder::new().spawn_scoped(scope, move || work(sender)).ok()
        };
        let workers: Vec<_> = (0..threads.clamp(1, count.max(1))).map_while(start).collect();
        if workers.is_empty() {
            // the system gives no thread
            work(sender.clone());
        }
        drop(sender);
        for (done, (index, facts, stamp)) in (1..).zip(receiver) {
            found[index] = Some(facts);
            stamps[index] = stamp;
            progress(done, count);
        }
        // a panic of a worker is told as the error of the pair in its hands
        workers.into_iter().for_each(|worker| drop(worker.join()));
    });
    let (mut pairs, mut bad) = (Vec::with_capacity(count), Vec::new());
    for (index, found) in found.into_iter().enumerate() {
        // a thread that panicked has left nothing
        let lost = || Err(DataError::Worker { name: set.pairs()[index].stem.clone() });
        match found.unwrap_or_else(lost) {
            Ok(facts) => pairs.push(Some(facts)),
            Err(error) => {
                pairs.push(None);
                bad.extend(error.each());
            }
        }
    }
    if let Some(memory) = &mut memory {
        memory.keep(set, &pairs, &stamps);
    }
    let warnings = warnings(set, &pairs);
    Inspection { pairs, bad, warnings }
}

fn facts_of(set: &Folder, index: usize) -> Result<PairFacts, DataError> {
    let pair = set.read(index)?;
    let (classes, planes) = (set.classes().map(Classes::len), set.reader().planes(index));
    let facts = PairFacts {
        image: PictureFacts::of(pair.image.size(), &pair.image_facts),
        masks: pair.masks.iter().map(|(size, facts)| PictureFacts::of(*size, facts)).collect(),
        size: pair.truth.size(),
        labels: LabelFacts { colours: pair.colours, ..LabelFacts::of(&pair.truth, planes, classes, pair.values) },
    };
    set.check_sizes(
        index,
        pair.image.size(),
        facts.size,
        &pair.image_facts,
        pair.masks.first().map(|(_, facts)| facts),
    )?;
    Ok(facts)
}

/// What is known of the pairs that can be used.
fn usable<'a>(set: &'a Folder, pairs: &'a [Option<PairFacts>]) -> impl Iterator<Item = (&'a Pair, &'a PairFacts)> + 'a {
    set.pairs().iter().zip(pairs).filter_map(|(pair, facts)| Some((pair, facts.as_ref()?)))
}

/// What is likely wrong with masks, each of one class.
fn level_warnings(set: &Folder, pairs: &[Option<PairFacts>]) -> Vec<Warning> {
    let levels: Vec<_> = usable(set, pairs)
        .flat_map(|(pair, facts)| {
            let pixels = (facts.size.0 * facts.size.1) as u64;
            pair.masks.iter().zip(&facts.labels.levels).map(move |(mask, levels)| (mask.as_path(), levels, pixels))
        })
        .collect();
    let colours: Vec<_> = usable(set, pairs)
        .flat_map(|(pair, facts)| pair.masks.iter().map(PathBuf::as_path).zip(facts.labels.colours.iter().copied()))
        .collect();
    let mut warnings = mask_warnings(&levels);
    warnings.extend(colour_warnings(&colours));
    warnings
}

/// What is worth knowing of how masks were read.
fn mask_picture_warnings(set: &Folder, pairs: &[Option<PairFacts>]) -> Vec<Warning> {
    let of_pair = |(pair, facts): (&'_ Pair, &'_ PairFacts)| (pair.masks.clone(), facts.masks.clone());
    let masks: Vec<(PathBuf, PictureFacts)> =
        usable(set, pairs).map(of_pair).flat_map(|(paths, facts)| paths.into_iter().zip(facts)).collect();
    let pictures: Vec<_> = masks.iter().map(|(path, facts)| (path.as_path(), facts)).collect();
    image_warnings(&pictures)
}

/// What is likely wrong with labels whose images are looked at elsewhere, and what is worth knowing of how they were read.
pub(crate) fn label_warnings(set: &Folder, pairs: &[Option<PairFacts>]) -> Vec<Warning> {
    let mut warnings = level_warnings(set, pairs);
    warnings.extend(mask_picture_warnings(set, pairs));
    warnings.extend(class_warnings(set, pairs));
    warnings
}

fn warnings(set: &Folder, pairs: &[Option<PairFacts>]) -> Vec<Warning> {
    let read = || usable(set, pairs);
    let images: Vec<_> = read().map(|(pair, facts)| (pair.image.as_path(), &facts.image)).collect();
    let both: Vec<_> = read().map(|(pair, facts)| (pair.shown(), facts)).collect();
    let same_shape = |facts: &PairFacts| is_same_shape((facts.image.width, facts.image.height), facts.size);
    let found = set.found();
    let unused = |listed: &Unused, folder: &str| {
        let suspicious = listed.suspicious();
        let files = suspicious.kinds().flat_map(|(_, paths)| paths.to_vec()).collect();
        Warning::about(WarningCode::Unused, files, set.pairs().len(), format!("{folder}: {suspicious}"))
    };
    let mut warnings = level_warnings(set, pairs);
    warnings.extend(size_warnings(&both, same_shape));
    warnings.extend(image_warnings(&images));
    warnings.extend(mask_picture_warnings(set, pairs));
    warnings.extend(class_warnings(set, pairs));
    let of = set.pairs().len();
    let listed = [
        Warning::about(WarningCode::MasksWithoutImage, found.masks_without_image.clone(), of, ""),
        Warning::about(WarningCode::NamesDiffer, found.loosely_named.clone(), of, ""),
        unused(&found.among_images, "among the images"),
        unused(&found.among_masks, "among the masks"),
    ];
    warnings.extend(listed.into_iter().flatten());
    warnings
}
