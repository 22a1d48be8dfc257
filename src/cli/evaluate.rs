//! `sam2unet evaluate`.

use super::console::{bar, let_warnings_through, print, say, tell, tell_unused, warn};
use super::failure::{Failure, Status};
use super::flags::{Reading, Threads, choice, shard, shard_told};
use super::json_file::{check, check_file, write_compact_json, write_json};
use super::labels::LabelFlags;
use super::ranks::{Waiting, own_shard, same_words};
use crate::choice::Choice;
use crate::data::classes::class::ClassKind;
use crate::data::description::describe::Description;
use crate::data::labels::kind::LabelKind;
use crate::data::names::has_ending;
use crate::data::read::facts::ReadOptions;
use crate::data::warning::{Warning, WarningCode};
use crate::data::write::write_png;
use crate::files::folder::parent;
use crate::files::place::FileId;
use crate::metrics::all::{MetricTitle, titles};
use crate::metrics::class_folders::ClassFolderScores;
use crate::metrics::classes::all::{ClassMetricTitle, class_titles};
use crate::metrics::classes::json::ClassJson;
use crate::metrics::classes::key::ClassKey;
use crate::metrics::classes::options::OutlineOptions;
use crate::metrics::classes::picture::confusion_picture;
use crate::metrics::classes::report::class_table;
use crate::metrics::classes::set::ClassSetScores;
use crate::metrics::evaluation_error::EvaluationError;
use crate::metrics::folders::{FolderScores, PairedFolders, ScoredFolders};
use crate::metrics::parts::about::PartOptions;
use crate::metrics::parts::merge::{MergedScores, merge};
use crate::metrics::parts::part::EvaluationPart;
use crate::metrics::report::{JsonReport, table};
use crate::metrics::spacing::Spacing;
use crate::metrics::task::Task;
use crate::shard::Shard;
use crate::train::together::ranks::Ranks;
use clap::{ArgGroup, Args};
use std::collections::HashSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

const EXAMPLES: &str = "\
Examples:
  sam2unet evaluate --predictions PREDICTED --masks MASKS --task polyp --json scores.json
  sam2unet evaluate --pair CAMO p/CAMO t/CAMO --pair COD10K p/COD10K t/COD10K --task camouflage
  sam2unet evaluate --predictions PREDICTED --masks MASKS --confusion matrix.png
  sam2unet evaluate --predictions PREDICTED --masks MASKS --classes colours.toml --spacing 0.5,0.5
  sam2unet evaluate --predictions PREDICTED --annotations coco.json
  sam2unet evaluate --predictions PREDICTED --masks MASKS --shard 2/3 --json part2.json
  sam2unet evaluate --merge part1.json part2.json part3.json --json scores.json
      by three tasks, a third of the pairs each, then put together: the scores of one task, to the byte

A prediction belongs to the mask with the same file stem. Where there is one choice, case and
Unicode's form do not matter. Predictions of one class are 8-bit maps of the mask's size, as
written by `sam2unet predict --like MASKS`, stretched between their own lowest and highest
level; a mask is foreground above 128 (for mirrors: at 255).

Predictions of several classes that exclude each other are index maps, as `predict` writes
them; of classes that may overlap they are a mask of each class, CLASS/STEM.png, foreground
above 128. What `predict` wrote says what its classes are: masks are then read as index maps
with 255 ignored, or as a folder for each class. Other masks are described as for `train`.";

/// What `--help` says after the flags: what is computed, with the names of the scores in JSON.
fn notes() -> String {
    let titles = titles();
    let line = |metric: &MetricTitle| format!("  {}: {}\n", metric.title, metric.keys.join(" "));
    let scores: String = titles.iter().map(line).collect();
    let of_kind = |metric: &ClassMetricTitle| match metric.kind {
        None => "",
        Some(ClassKind::Exclusive) => " (of classes that exclude each other)",
        Some(ClassKind::Overlapping) => " (of classes that may overlap)",
    };
    let line =
        |metric: &ClassMetricTitle| format!("  {}: {}{}\n", metric.title, metric.keys.join(" "), of_kind(metric));
    let of_classes: String = class_titles().iter().map(line).collect();
    let keys = ClassKey::names().join(" ");
    format!(
        "Scores of one class, and their names in JSON:\n{scores}\nScores of several classes, of each class, and their names \
         in JSON:\n{of_classes}\nScores of all classes together, by which `train --best-by` can choose (foreground: without \
         class 0, the background):\n  {keys}\n\n{EXAMPLES}"
    )
}

#[derive(Args)]
#[command(about = "Scores predictions against masks", after_help = notes())]
#[command(group(ArgGroup::new("truth").args(["masks", "annotations"])))]
pub(crate) struct Evaluate {
    /// Folder of predicted maps
    #[arg(long, value_name = "DIR", requires = "truth", required_unless_present_any = ["pair", "merge"])]
    predictions: Option<PathBuf>,
    /// Folder of masks, one for each prediction; or with a folder of masks for each class
    #[arg(long, value_name = "DIR", requires = "predictions")]
    masks: Option<PathBuf>,
    /// What to call the set given by --predictions and --masks [default: the predictions folder's name]
    #[arg(long, requires = "predictions")]
    name: Option<String>,
    /// One more set of predictions and masks (or the file or folder of its annotations), with its name; may be repeated
    #[arg(long, num_args = 3, value_names = ["NAME", "PREDICTIONS", "MASKS"])]
    pair: Vec<OsString>,
    /// Show the scores that the paper prints for this task, in its order; the JSON then holds those too that no other task has
    #[arg(long, value_name = "NAME", value_parser = choice::<Task>())]
    task: Option<Task>,
    /// Write all scores to this file: an object with the scores and `per_image`, or of several classes with the scores of `all`
    /// and of each image; with --pair or --name, one such object for each set, under its name
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Draw the confusion matrix of several classes to this file; of several sets, each to FILE-NAME.png
    #[arg(long, value_name = "FILE.png")]
    confusion: Option<PathBuf>,
    /// How far apart rows and columns lie, for the distances of several classes: 0.5,0.7 [default: 1,1, pixels]
    #[arg(long, value_name = "ROW,COLUMN")]
    spacing: Option<Spacing>,
    /// How far an outline may be off in the normalised surface distance, in pixels or the unit of --spacing [default: 2]
    #[arg(long, value_name = "T", value_parser = tolerance)]
    nsd_tolerance: Option<f64>,
    /// Score only the I-th of N equal parts of the pairs, I from 1, and write what --merge needs of them to the file of --json. `slurm`
    /// takes I and N from the job array that this task is of
    #[arg(long, value_name = "I/N|slurm", value_parser = shard, requires = "json", conflicts_with = "confusion")]
    shard: Option<Shard>,
    /// Put the files of all parts together, in any order: table, --json and --confusion are those of one task without --shard
    #[arg(long, value_name = "FILE", num_args = 1.., conflicts_with_all = NOT_WITH_MERGE)]
    merge: Vec<PathBuf>,
    /// Look into the folders' subfolders, too: a prediction and its mask lie in subfolders of the same names
    #[arg(long)]
    recursive: bool,
    #[command(flatten)]
    labels: LabelFlags,
    #[command(flatten)]
    reading: Reading,
    #[command(flatten)]
    threads: Threads,
}

/// What says what is scored and how: the parts that are put together know it.
const NOT_WITH_MERGE: [&str; 18] = [
    "predictions",
    "masks",
    "name",
    "pair",
    "task",
    "spacing",
    "nsd_tolerance",
    "shard",
    "recursive",
    "mask_suffix",
    "labels",
    "classes",
    "ignore",
    "annotations",
    "overlapping",
    "exif_orientation",
    "scale_16_bit",
    "threads",
];

fn tolerance(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(distance) if (0.0..f64::INFINITY).contains(&distance) => Ok(distance),
        _ => Err("a distance is needed, 0 or more".to_string()),
    }
}

/// What is shown of scores, and where.
struct Shown {
    task: Option<Task>,
    /// Whether the only set stands under its name in JSON.
    named: bool,
    /// The file of each set's confusion matrix.
    pictures: Vec<PathBuf>,
}

impl Evaluate {
    /// Scores, or puts parts together that were scored.
    pub fn run(self) -> Result<Status, Failure> {
        if !self.merge.is_empty() {
            return self.merge_parts();
        }
        match self.shard {
            // a task of its own, whoever started it
            Some(_) => self.evaluate(&Ranks::alone()),
            None => Waiting::a_day().run("evaluate", |group| {
                let ranks = Ranks::of(group.clone())?;
                same_words(&ranks)?;
                let evaluated = self.evaluate(&ranks);
                ranks.together(1, evaluated)
            }),
        }
    }

    fn evaluate(&self, ranks: &Ranks) -> Result<Status, Failure> {
        let sets = self.sets()?;
        let kinds: Vec<_> = sets.iter().map(|set| (set.name(), set.kind())).collect();
        let pictures = if ranks.is_first() { self.check_flags(&kinds)? } else { Vec::new() };
        sets.iter().for_each(tell_found);
        if let Some(path) = &self.json
            && ranks.is_first()
        {
            check(path)?;
        }
        let outlines = OutlineOptions {
            spacing: self.spacing.unwrap_or_default(),
            nsd_tolerance: self.nsd_tolerance.unwrap_or(OutlineOptions::default().nsd_tolerance),
        };
        let named = self.name.is_some() || !self.pair.is_empty();
        let options = PartOptions { outlines: Some(outlines), task: self.task, named };
        let threads = self.threads.start_as(ranks)?;
        if let (Some(shard), Some(path)) = (self.shard, &self.json) {
            let part = threads.install(|| score_part(&sets, shard, &options))?;
            return write_part(&part, path);
        }
        let scores = match own_shard(ranks)? {
            None => threads.install(|| score(&sets, outlines))?,
            Some(shard) => {
                let part = threads.install(|| score_part(&sets, shard, &options))?;
                // each process tells of its own images
                let_warnings_through();
                part.sets().iter().for_each(|set| tell_about(set.name(), set.about_predictions(), set.about_masks()));
                match all_parts(&part, ranks)? {
                    Some(parts) => merge(parts)?.sets,
                    None => return Ok(Status::Done),
                }
            }
        };
        self.show(scores, &Shown { task: self.task, named, pictures })
    }

    /// Puts the parts together, and shows them as one task would.
    fn merge_parts(&self) -> Result<Status, Failure> {
        if let Some(path) = &self.json {
            check(path)?;
            let id = FileId::of(path).ok();
            if id.is_some() && self.merge.iter().any(|part| FileId::of(part).ok() == id) {
                let path = path.display();
                return Err(Failure::input(format_args!("--json {path}: it is one of the parts; name another file")));
            }
        }
        let read = |path: &PathBuf| Ok((path.clone(), EvaluationPart::read(path)?));
        let parts = self.merge.iter().map(read).collect::<Result<_, Failure>>()?;
        let MergedScores { sets, task, named } = merge(parts)?;
        let kinds: Vec<_> = sets.iter().map(|set| (set.name(), set.kind())).collect();
        let pictures = self.check_flags(&kinds)?;
        self.show(sets, &Shown { task, named, pictures })
    }

    /// Tells warnings, prints the table and writes the files.
    fn show(&self, scores: Vec<ScoredFolders>, shown: &Shown) -> Result<Status, Failure> {
        let (mut of_one, mut of_classes) = (Vec::new(), Vec::new());
        for scores in scores {
            match scores {
                ScoredFolders::OneClass(scores) => {
                    tell_about(&scores.name, &scores.about_predictions, &scores.about_masks);
                    of_one.push(scores);
                }
                ScoredFolders::Classes(ClassFolderScores { set, about_predictions, about_masks }) => {
                    tell_about(set.name(), &about_predictions, &about_masks);
                    of_classes.push(set);
                }
            }
        }
        match of_classes.is_empty() {
            true => self.show_one_class(&of_one, shown),
            false => self.show_classes(&of_classes, shown),
        }
    }

    fn show_one_class(&self, scores: &[FolderScores], shown: &Shown) -> Result<Status, Failure> {
        // shown first, so that no failing disk takes them away
        let printed = print(table(scores, shown.task));
        if let Some(path) = &self.json {
            write_json(path, &JsonReport { sets: scores, named: shown.named, task: shown.task })?;
        }
        printed
    }

    fn show_classes(&self, scores: &[ClassSetScores], shown: &Shown) -> Result<Status, Failure> {
        let printed = print(class_table(scores));
        if let Some(path) = &self.json {
            write_json(path, &ClassJson { sets: scores, named: shown.named })?;
        }
        for (set, path) in scores.iter().zip(&shown.pictures) {
            if let Some(matrix) = set.summary().confusion() {
                write_png(path, &confusion_picture(matrix, set.classes()))?;
            }
        }
        printed
    }

    /// That what is asked for goes together with the sets; gives the file of each set's confusion matrix.
    fn check_flags(&self, sets: &[(&str, Option<ClassKind>)]) -> Result<Vec<PathBuf>, Failure> {
        let of_one = sets.iter().find(|(_, kind)| kind.is_none());
        let of_several = sets.iter().find(|(_, kind)| kind.is_some());
        if let (Some((one, _)), Some((several, _))) = (of_one, of_several) {
            return Err(Failure::input(format_args!(
                "the set {one} is of one class, {several} of several or with ignored pixels; score them by themselves, as their \
                 scores differ"
            )));
        }
        let of_classes = [
            ("--confusion", self.confusion.is_some()),
            ("--spacing", self.spacing.is_some()),
            ("--nsd-tolerance", self.nsd_tolerance.is_some()),
        ];
        match of_classes.iter().find(|(_, given)| *given) {
            Some((flag, _)) if of_one.is_some() => {
                return Err(Failure::input(format_args!(
                    "{flag} is for several classes, but the masks are read as those of one; say what they are (--labels, --classes)"
                )));
            }
            _ if self.task.is_some() && of_several.is_some() => {
                return Err(Failure::input(
                    "--task is for one class: its scores are not those of several classes. Leave it out",
                ));
            }
            _ => {}
        }
        let Some(path) = &self.confusion else { return Ok(Vec::new()) };
        if let Some((name, _)) = sets.iter().find(|(_, kind)| *kind == Some(ClassKind::Overlapping)) {
            return Err(Failure::input(format_args!(
                "--confusion: the classes of {name} may overlap, so that there is no confusion matrix"
            )));
        }
        if !has_ending(path, "png") {
            return Err(Failure::input(format_args!("--confusion {}: it must end in .png", path.display())));
        }
        if let [_] = sets {
            self.check_picture(path)?;
            return Ok(vec![path.clone()]);
        }
        let of_set = |(set, _): &(&str, Option<ClassKind>)| match set.contains(['/', '\\']) {
            true => Err(Failure::input(format_args!(
                "--confusion: the name {set} cannot be part of a file's; give the set another one"
            ))),
            false => {
                let mut name = path.file_stem().unwrap_or_default().to_owned();
                name.push(format!("-{set}.png"));
                let path = path.with_file_name(name);
                self.check_picture(&path)?;
                Ok(path)
            }
        };
        sets.iter().map(of_set).collect()
    }

    /// That a picture can be written, and would not lie among what is scored, where it would be a prediction or a mask the next time.
    fn check_picture(&self, path: &Path) -> Result<(), Failure> {
        check_file("--confusion", path)?;
        let of_pairs = self.pair.chunks_exact(3).flat_map(|pair| pair[1..].iter().map(Path::new));
        let mut folders = self.predictions.iter().chain(&self.masks).map(PathBuf::as_path).chain(of_pairs);
        let place = parent(path).canonicalize().ok();
        let holds = |folder: &Path| {
            place.as_ref().zip(folder.canonicalize().ok()).is_some_and(|(place, f)| place.starts_with(f))
        };
        match folders.find(|folder| folder.is_dir() && holds(folder)) {
            None => Ok(()),
            Some(folder) => Err(Failure::input(format_args!(
                "--confusion {}: it would lie among the predictions or masks of {}; name a file elsewhere",
                path.display(),
                folder.display()
            ))),
        }
    }

    /// The named sets to score, their files paired up.
    fn sets(&self) -> Result<Vec<PairedFolders>, Failure> {
        let mut named: Vec<(String, &Path, Option<&Path>)> = Vec::new();
        if let Some(predictions) = &self.predictions {
            let folder = predictions.file_name().unwrap_or(predictions.as_os_str());
            let name = self.name.clone().unwrap_or_else(|| folder.to_string_lossy().into_owned());
            named.push((name, predictions.as_path(), self.masks.as_deref()));
        } else if self.labels.annotations.is_some() {
            return Err(Failure::input(
                "--annotations is of the set given by --predictions; with --pair the file stands in the place of MASKS",
            ));
        }
        for pair in self.pair.chunks_exact(3) {
            named.push((pair[0].to_string_lossy().into_owned(), Path::new(&pair[1]), Some(Path::new(&pair[2]))));
        }
        let mut seen = HashSet::new();
        if let Some((twice, ..)) = named.iter().find(|(name, ..)| !seen.insert(name.clone())) {
            return Err(Failure::input(format_args!(
                "two sets are called {twice}; give each its own name (--name, --pair NAME ...)"
            )));
        }
        let open = |(name, predictions, masks): (String, &Path, Option<&Path>)| {
            Ok(PairedFolders::open_described(name, predictions, &self.description(predictions, masks))?)
        };
        named.into_iter().map(open).collect()
    }

    /// What the labels of a set are.
    fn description(&self, predictions: &Path, masks: Option<&Path>) -> Description {
        let mut description = self.labels.description(predictions.to_owned(), masks.map(Path::to_owned));
        description.recursive = self.recursive;
        description.read = self.reading.over(ReadOptions::default());
        if let Some(masks) = masks {
            // of a pair, MASKS may be annotations
            let is_annotated = matches!(self.labels.labels, Some(LabelKind::Coco | LabelKind::Labelme));
            let is_json = has_ending(masks, "json");
            let annotated = is_annotated || (is_json && masks.is_file());
            description.annotations = annotated.then(|| masks.to_owned());
            description.masks = (!annotated).then(|| masks.to_owned());
        }
        description
    }
}

/// Warns of what lies in the folders of a set and is not scored, and of names that match loosely.
fn tell_found(set: &PairedFolders) {
    let (name, found) = (set.name(), set.found());
    if !found.without_mask.is_empty() {
        let count = found.without_mask.len();
        warn(format_args!("warning: {name}: not scored, because they have no mask: {count}"));
    }
    tell_unused(&found.among_predictions, format!("{name}: predictions"));
    tell_unused(&found.among_masks, format!("{name}: masks"));
    let loose = Warning::about(WarningCode::NamesDiffer, found.loosely_named.clone(), set.pairs(), "");
    if let Some(loose) = loose {
        tell(&loose, &format!("{name}:"));
    }
}

/// Tells what is worth knowing of the files of a set.
fn tell_about(name: &str, predictions: &[Warning], masks: &[Warning]) {
    predictions.iter().for_each(|warning| tell(warning, &format!("{name}: predictions:")));
    masks.iter().for_each(|warning| tell(warning, &format!("{name}: masks:")));
}

/// Scores the sets one after the other, with a progress bar where a person watches.
fn score(sets: &[PairedFolders], outlines: OutlineOptions) -> Result<Vec<ScoredFolders>, EvaluationError> {
    let bar = bar(sets.iter().map(PairedFolders::pairs).sum::<usize>() as u64).with_message("images");
    let scores = sets.iter().map(|set| set.score(Some(outlines), || bar.inc(1))).collect();
    bar.finish_and_clear();
    scores
}

/// Scores a part of their pairs.
fn score_part(sets: &[PairedFolders], shard: Shard, options: &PartOptions) -> Result<EvaluationPart, EvaluationError> {
    let pairs = sets.iter().map(PairedFolders::pairs).sum();
    let bar = bar(shard.stretch(pairs).len() as u64).with_message("images");
    let part = EvaluationPart::score(sets, shard, options, || bar.inc(1));
    bar.finish_and_clear();
    part
}

/// The parts of all processes, on the first of them.
fn all_parts(part: &EvaluationPart, ranks: &Ranks) -> Result<Option<Vec<(PathBuf, EvaluationPart)>>, Failure> {
    let own = serde_json::to_vec(part).map_err(Failure::later)?;
    let parts = ranks.gather_any(&own)?;
    if !ranks.is_first() {
        return Ok(None);
    }
    let read = |(rank, part): (usize, &Vec<u8>)| {
        let name = PathBuf::from(format!("the part of rank {rank}"));
        Ok((name.clone(), EvaluationPart::of_json(part, &name)?))
    };
    parts.iter().enumerate().map(read).collect::<Result<_, Failure>>().map(Some)
}

/// Writes a part. Its scores are not shown: they would be taken for those of the whole.
fn write_part(part: &EvaluationPart, path: &Path) -> Result<Status, Failure> {
    part.sets().iter().for_each(|set| tell_about(set.name(), set.about_predictions(), set.about_masks()));
    write_compact_json(path, part)?;
    let told = shard_told(part.shard(), part.pairs(), "pairs");
    say(format_args!("{told} scored to {}; evaluate --merge of all parts gives the scores", path.display()));
    Ok(Status::Done)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Command;

    /// A flag that is added says what is scored, or belongs to those that go with parts.
    #[test]
    fn every_flag_goes_with_parts_or_is_refused_beside_them() {
        let command = Evaluate::augment_args(Command::new("evaluate"));
        let mut flags: Vec<&str> = command.get_arguments().map(|flag| flag.get_id().as_str()).collect();
        flags.retain(|flag| !["json", "confusion", "merge"].contains(flag));
        let mut refused = NOT_WITH_MERGE.to_vec();
        flags.sort_unstable();
        refused.sort_unstable();
        assert_eq!(flags, refused);
    }
}
