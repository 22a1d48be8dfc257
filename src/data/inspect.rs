//! Reads a whole set before it is trained on, so that bad files show before hours of training and not after.

use std::collections::BTreeMap;
use std::convert::Infallible;
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
use crate::digest::Digest;

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

/// The processes that read a set together: each a part of it, whose facts it tells the others.
pub(crate) trait Readers {
    /// Why they cannot go on together.
    type Error;

    /// Which of them this is, from 0, and how many they are.
    fn place(&self) -> (usize, usize);

    /// Sees whether all have the set that this number stands for.
    ///
    /// # Errors
    /// When one has another set, or is lost.
    fn agree(&self, set: u64) -> Result<(), Self::Error>;

    /// What the first of them knows already.
    ///
    /// # Errors
    /// When one is lost.
    fn tell(&self, known: Vec<Option<PairFacts>>) -> Result<Vec<Option<PairFacts>>, Self::Error>;

    /// What each found of its pairs, with their indices.
    ///
    /// # Errors
    /// When one is lost.
    fn gather(&self, found: Vec<(usize, PairFacts)>) -> Result<Vec<(usize, PairFacts)>, Self::Error>;
}

/// One process reads all.
pub(crate) struct OneReader;

impl Readers for OneReader {
    type Error = Infallible;

    fn place(&self) -> (usize, usize) {
        (0, 1)
    }

    fn agree(&self, _: u64) -> Result<(), Infallible> {
        Ok(())
    }

    fn tell(&self, known: Vec<Option<PairFacts>>) -> Result<Vec<Option<PairFacts>>, Infallible> {
        Ok(known)
    }

    fn gather(&self, found: Vec<(usize, PairFacts)>) -> Result<Vec<(usize, PairFacts)>, Infallible> {
        Ok(found)
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
    let Ok(found) = inspect_with(set, threads, kept, progress, &OneReader);
    found
}

/// [`inspect`] by several processes that see the same files. All get the same; only the first one has, or fills, `kept`.
///
/// A pair that its reader could not use is read by the others, too, so that each has the error itself. One that only its reader cannot
/// use is an error of that one.
///
/// # Errors
/// When they cannot go on together: see [`Readers`].
pub(crate) fn inspect_with<R: Readers>(
    set: &Folder,
    threads: usize,
    kept: Option<&Path>,
    progress: &mut dyn FnMut(usize, usize),
    readers: &R,
) -> Result<Inspection, R::Error> {
    let (count, (reader, all)) = (set.pairs().len(), readers.place());
    let mut memory = kept.filter(|_| reader == 0).map(|folder| KeptFacts::open(folder, set));
    // before the files are read: what changes them meanwhile is seen
    let stamps: Vec<_> = memory.iter().flat_map(|_| set.pairs()).map(Stamps::of).collect();
    let known = match &memory {
        Some(memory) => set.pairs().iter().map(|pair| memory.of(pair)).collect(),
        None => vec![None; count],
    };
    if all > 1 {
        readers.agree(set_digest(set))?;
    }
    let mut known = readers.tell(known)?;
    let unknown: Vec<usize> = (0..count).filter(|index| known[*index].is_none()).collect();
    let own: Vec<usize> = unknown.iter().copied().skip(reader).step_by(all).collect();
    let before = count - unknown.len();
    if before > 0 {
        progress(before, count);
    }
    // others are as fast
    let mut progress = |done: usize| progress((before + done * all).min(count), count);
    let (mut facts, mut errors) = (Vec::new(), BTreeMap::new());
    for (index, found) in read(set, &own, threads, &mut progress) {
        match found {
            Ok(found) => facts.push((index, found)),
            Err(error) => drop(errors.insert(index, error)),
        }
    }
    for (index, found) in readers.gather(facts)? {
        if let Some(place) = known.get_mut(index) {
            *place = Some(found);
        }
    }
    let unread: Vec<usize> =
        unknown.into_iter().filter(|index| known[*index].is_none() && !errors.contains_key(index)).collect();
    for (index, found) in read(set, &unread, threads, &mut |_| ()) {
        match found {
            Ok(found) => known[index] = Some(found),
            Err(error) => drop(errors.insert(index, error)),
        }
    }
    if let Some(memory) = &mut memory {
        memory.keep(set, &known, &stamps);
    }
    let warnings = warnings(set, &known);
    Ok(Inspection { pairs: known, bad: errors.into_values().flat_map(DataError::each).collect(), warnings })
}

/// What tells a set from others: the names of its pairs, and how long their files are.
pub(crate) fn set_digest(set: &Folder) -> u64 {
    let mut digest = Digest::new();
    for pair in set.pairs() {
        digest.text(&pair.stem);
        for file in std::iter::once(&pair.image).chain(&pair.masks) {
            // a file that is gone differs
            digest.bytes(&file.metadata().map_or(u64::MAX, |found| found.len()).to_le_bytes());
        }
    }
    digest.number()
}

/// Reads these pairs on this many threads; `progress` is called with how many of them are done. In their order.
fn read(
    set: &Folder,
    indices: &[usize],
    threads: usize,
    progress: &mut dyn FnMut(usize),
) -> Vec<(usize, Result<PairFacts, DataError>)> {
    let next = AtomicUsize::new(0);
    let (sender, receiver) = mpsc::channel();
    let mut found: Vec<Option<Result<PairFacts, DataError>>> = indices.iter().map(|_| None).collect();
    let work = |sender: Sender<_>| {
        // relaxed: the counter only hands out places
        while let place = next.fetch_add(1, Ordering::Relaxed)
            && let Some(index) = indices.get(place)
        {
            if sender.send((place, facts_of(set, *index))).is_err() {
                break;
            }
        }
    };
    std::thread::scope(|scope| {
        let start = |_| {
            let (sender, work) = (sender.clone(), &work);
            Builder::new().spawn_scoped(scope, move || work(sender)).ok()
        };
        let workers: Vec<_> = (0..threads.clamp(1, indices.len().max(1))).map_while(start).collect();
        if workers.is_empty() {
            // the system gives no thread
            work(sender.clone());
        }
        drop(sender);
        for (done, (place, facts)) in (1..).zip(receiver) {
            found[place] = Some(facts);
            progress(done);
        }
        // a panic of a worker is told as the error of the pair in its hands
        workers.into_iter().for_each(|worker| drop(worker.join()));
    });
    // a thread that panicked has left nothing
    let lost = |index: usize| Err(DataError::Worker { name: set.pairs()[index].stem.clone() });
    indices.iter().zip(found).map(|(index, found)| (*index, found.unwrap_or_else(|| lost(*index)))).collect()
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::pairs::FolderOptions;
    use crate::data::pixels::Grey;
    use crate::data::write::write_png;
    use std::cell::RefCell;
    use std::fs;

    /// One of two processes; what the other one found stands here.
    struct OneOfTwo<'a> {
        place: usize,
        others: &'a [(usize, PairFacts)],
        read: RefCell<Vec<usize>>,
    }

    impl Readers for OneOfTwo<'_> {
        type Error = Infallible;

        fn place(&self) -> (usize, usize) {
            (self.place, 2)
        }

        fn agree(&self, _: u64) -> Result<(), Infallible> {
            Ok(())
        }

        fn tell(&self, known: Vec<Option<PairFacts>>) -> Result<Vec<Option<PairFacts>>, Infallible> {
            Ok(known)
        }

        fn gather(&self, found: Vec<(usize, PairFacts)>) -> Result<Vec<(usize, PairFacts)>, Infallible> {
            self.read.borrow_mut().extend(found.iter().map(|(index, _)| *index));
            Ok(found.into_iter().chain(self.others.to_vec()).collect())
        }
    }

    fn set(folder: &Path, count: usize) -> Folder {
        let [images, masks] = ["images", "masks"].map(|name| folder.join(name));
        for place in [&images, &masks] {
            fs::create_dir_all(place).unwrap();
            for index in 0..count {
                let level = |at: usize| if at.is_multiple_of(3) { 255 } else { 0 };
                let picture = Grey { width: 4, height: 3 + index, data: (0..4 * (3 + index)).map(level).collect() };
                write_png(&place.join(format!("{index}.png")), &picture).unwrap();
            }
        }
        Folder::open_with(&images, &masks, FolderOptions::default()).unwrap()
    }

    fn inspected(set: &Folder, readers: &OneOfTwo) -> Inspection {
        let Ok(found) = inspect_with(set, 2, None, &mut |_, _| (), readers);
        found
    }

    #[test]
    fn each_of_two_reads_its_half_and_has_all() {
        let dir = tempfile::tempdir().unwrap();
        let set = set(dir.path(), 5);
        let whole = inspect(&set, 1, None, &mut |_, _| ());
        let facts: Vec<(usize, PairFacts)> = whole.pairs.iter().flatten().cloned().enumerate().collect();
        assert_eq!(facts.len(), 5);
        for place in [0, 1] {
            let others: Vec<_> = facts.iter().filter(|(index, _)| index % 2 != place).cloned().collect();
            let readers = OneOfTwo { place, others: &others, read: RefCell::default() };
            let found = inspected(&set, &readers);
            assert_eq!(readers.read.take(), if place == 0 { vec![0, 2, 4] } else { vec![1, 3] });
            assert_eq!((found.pairs, found.bad.len()), (whole.pairs.clone(), 0));
        }
    }

    #[test]
    fn what_another_could_not_read_is_everyones_error() {
        let dir = tempfile::tempdir().unwrap();
        let set = set(dir.path(), 4);
        let whole = inspect(&set, 1, None, &mut |_, _| ());
        for bad in [1, 2] {
            fs::write(set.pairs()[bad].shown(), "no picture").unwrap();
        }
        let alone: Vec<String> = inspect(&set, 1, None, &mut |_, _| ()).bad.iter().map(DataError::to_string).collect();
        // the other one has read 3, and not 1
        let others = [(3, whole.pairs[3].clone().unwrap())];
        let found = inspected(&set, &OneOfTwo { place: 0, others: &others, read: RefCell::default() });
        assert_eq!(found.pairs.iter().map(Option::is_some).collect::<Vec<_>>(), [true, false, false, true]);
        assert_eq!(found.bad.iter().map(DataError::to_string).collect::<Vec<_>>(), alone);
        assert_eq!(alone.len(), 2);
    }

    #[test]
    fn the_first_alone_remembers() {
        let dir = tempfile::tempdir().unwrap();
        let (set, kept) = (set(dir.path(), 3), dir.path().join("kept"));
        let Ok(_) = inspect_with(
            &set,
            1,
            Some(&kept),
            &mut |_, _| (),
            &OneOfTwo { place: 1, others: &[], read: RefCell::default() },
        );
        assert!(!kept.exists());
    }
}
