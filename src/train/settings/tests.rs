//! Settings from layers, from files and of resumed runs.

use std::path::{Path, PathBuf};

use toml::Table;

use super::error::SettingsError;
use super::key::{Change, Flag};
use super::layers::{Layer, resolve, resolve_for_own_images, resume};
use super::origin::Origin;
use super::settings::{KEYS, Settings};
use crate::data::multi_scale::MultiScale;
use crate::device::DeviceChoice;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::metrics::task::Task;

const FOLDER: &str = "images = 'i'\nmasks = 'm'\n";

fn layer(text: &str) -> Layer {
    text.parse().unwrap()
}

/// Settings of a folder of images and what is given beside.
fn folder(text: &str) -> Settings {
    resolve(&[layer(&format!("{FOLDER}{text}"))]).unwrap().settings
}

fn refused(text: &str) -> String {
    let given = text.parse::<Layer>();
    given.and_then(|given| resolve(&[given])).unwrap_err().to_string()
}

fn file(dir: &Path, text: &str) -> PathBuf {
    let path = dir.join("run.toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn presets_are_those_of_the_paper_and_the_demonstration() {
    let paper = folder("");
    assert_eq!((paper.variant.name(), paper.size, paper.batch_size, paper.epochs), ("large", 352, 12, Some(20)));
    assert_eq!((paper.lr, paper.weight_decay, paper.shuffle, paper.augment), (1e-3, 5e-4, true, true));
    assert!(paper.images.unwrap().is_absolute() && paper.generated.is_none());
    let demo = resolve(&[]).unwrap().settings;
    assert_eq!((demo.variant.name(), demo.size, demo.batch_size, demo.lr), ("tiny", 128, 8, 2e-3));
    assert!(demo.generated.is_some());
    for task in Task::ALL {
        let settings = folder(&format!("task = '{task}'"));
        assert_eq!((settings.epochs, settings.multi_scale), (Some(task.epochs()), task.multi_scale()));
    }
    assert_eq!(folder("task = 'camouflage'").epochs, Some(50));
    assert_eq!(folder("task = 'polyp'").multi_scale, MultiScale::Random);
}

#[test]
fn what_is_given_wins_over_the_file_that_over_the_task_that_over_the_preset() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "lr = 1e-2\nsize = 96\n\nmulti_scale = \"both\"\ntask = \"marine\"");
    let given = layer(&format!("{FOLDER}lr = 3e-4\ntask = 'polyp'"));
    let resolved = resolve(&[Layer::file(&path).unwrap(), given]).unwrap();
    let settings = &resolved.settings;
    assert_eq!((settings.lr, settings.size), (3e-4, 96));
    assert_eq!((settings.task, settings.multi_scale), (Some(Task::Polyp), MultiScale::Both));
    assert_eq!((settings.epochs, settings.batch_size), (Some(20), 12));
    let origins = ["lr", "multi_scale", "epochs", "batch_size"].map(|key| resolved.origin(key));
    let in_file = Origin::File { path, line: Some(4) };
    assert_eq!(origins, [Origin::Given, in_file, Origin::Task(Task::Polyp), Origin::Default]);
}

#[test]
fn steps_alone_replace_a_lower_layers_epochs() {
    let length = |settings: Settings| (settings.steps, settings.epochs);
    assert_eq!(length(folder("steps = 7")), (Some(7), None));
    assert_eq!(length(folder("steps = 7\nepochs = 3")), (Some(7), Some(3)));
    let resolved = resolve(&[layer("steps = 7"), layer(&format!("{FOLDER}epochs = 3"))]).unwrap();
    assert_eq!(length(resolved.settings), (None, Some(3)));
}

#[test]
fn what_is_written_reads_back_equal() {
    let dir = tempfile::tempdir().unwrap();
    let polyp = folder("task = 'polyp'\nmulti_scale = 'off'");
    let steps = resolve(&[layer("steps = 5\nthreads = 2\nloss = 'published-script'")]).unwrap().settings;
    assert_eq!(steps.epochs, None);
    for settings in [polyp, steps] {
        let path = file(dir.path(), &settings.to_toml().unwrap());
        assert_eq!(Settings::read(&path).unwrap(), settings);
        assert_eq!(resolve(&[Layer::file(&path).unwrap()]).unwrap().settings, settings);
    }
}

#[test]
fn printed_settings_are_a_settings_file_and_tell_where_each_value_comes_from() {
    let dir = tempfile::tempdir().unwrap();
    let resolved = resolve(&[layer("lr = 1e-3")]).unwrap();
    let text = resolved.annotated().unwrap();
    let path = file(dir.path(), &text);
    assert_eq!(Settings::read(&path).unwrap(), resolved.settings);
    let line = |key: &str| text.lines().find(|line| line.starts_with(key)).unwrap().to_string();
    assert!(line("lr = 0.001 ").ends_with("# given"), "{text}");
    assert!(line("size = 128 ").contains("# preset for the demonstration"), "{text}");
    assert!(line("seed = 0 ").ends_with("# default"), "{text}");
    assert!(line("[generated] ").contains("# preset"), "{text}");
}

#[test]
fn a_bad_value_is_refused_by_its_key() {
    let with = |text: &str| refused(&format!("{FOLDER}{text}"));
    assert_eq!(
        with("size = 350"),
        "size = 350: the side must be a multiple of 32 from 64 to 1024; the nearest are 320 and 352"
    );
    assert!(with("size = 0").ends_with("64 and 96"));
    assert!(with("size = 9999").ends_with("992 and 1024"));
    assert!(with("variant = 'huge'").contains("choose one of tiny, small, base-plus, large"));
    assert!(with("epochs = 0").starts_with("epochs = 0"));
    assert!(with("batch_size = 0").starts_with("batch_size = 0"));
    assert!(with("lr = -1.0").starts_with("lr = -1"));
    assert!(with("lr = nan").starts_with("lr = NaN"));
    assert!(with("checkpoint_minutes = -1").starts_with("checkpoint_minutes"));
    assert!(with("checkpoint_minutes = 1e30").starts_with("checkpoint_minutes"));
    assert!(with("threads = 9999999").starts_with("threads = 9999999"));
    assert!(with("sise = 352").contains("sise"));
    assert!(with("size = 'big'").contains("size"));
    assert!(refused("images = 'i'").starts_with("`images` needs `masks`"));
    assert!(with("val_images = 'v'").contains("`val_masks`"));
    assert!(refused("task = 'polyp'").contains("`images`"));
    assert!(with("backbone = 'b'\ninit = 'i'").contains("exclude"));
    assert!(with("size = 1024\nmulti_scale = 'random'").contains("1280"));
    assert!(with("size = 1024\ntask = 'polyp'").starts_with("task polyp: multi_scale = random"));
    assert!(with("init = ''").starts_with("init = : the path is empty"));
    let seed = Settings { seed: u64::MAX, images: Some("i".into()), masks: Some("m".into()), ..folder("") };
    assert!(seed.check(false).unwrap_err().to_string().contains("seed"));
}

#[test]
fn a_bad_value_of_a_file_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    assert!(Layer::file(&dir.path().join("none.toml")).unwrap_err().to_string().contains("none.toml"));
    for (text, parts) in [
        ("seed = 1\nsise = 352", ["run.toml", "line 2", "sise"]),
        ("loss = \"dice\"", ["run.toml", "line 1", "paper, published-script"]),
        ("size = \"big\"", ["run.toml", "line 1", "size"]),
        ("size = ", ["run.toml", "line 1", "size"]),
        ("seed = 1\n\nsize = 350 # odd", ["run.toml:3:", "size = 350", "320 and 352"]),
        ("seed = 1\nimages = 'i'", ["run.toml:2:", "`images`", "`masks`"]),
        ("[generated]\nimages = 0\nval_images = 1", ["run.toml:1:", "`generated`", "at least one"]),
    ] {
        let path = file(dir.path(), text);
        let message = Layer::file(&path).and_then(|file| resolve(&[file])).unwrap_err().to_string();
        assert!(parts.iter().all(|part| message.contains(part)), "{parts:?}: {message}");
    }
}

/// A layer below the one at fault is not blamed.
#[test]
fn a_value_given_over_a_files_is_not_the_files_fault() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), "size = 96");
    let error = resolve(&[Layer::file(&path).unwrap(), layer("size = 97")]).unwrap_err();
    assert!(matches!(&error, SettingsError::Value { origin: Origin::Given, .. }), "{error}");
}

/// Each choice, given and in a file.
#[test]
fn names_are_taken_in_any_case() {
    let dir = tempfile::tempdir().unwrap();
    let text = "task = 'Polyp'\nvariant = 'Base-Plus'\nloss = 'PUBLISHED-SCRIPT'\nprecision = 'BF16'\n\
                memory = 'Small'\ndevice = 'CPU'\nmulti_scale = 'Both'";
    let path = file(dir.path(), &format!("{FOLDER}{text}"));
    for settings in [folder(text), resolve(&[Layer::file(&path).unwrap()]).unwrap().settings] {
        assert_eq!((settings.task, settings.variant.name()), (Some(Task::Polyp), "base-plus"));
        assert_eq!((settings.precision, settings.memory), (Precision::Bf16, MemoryUse::Small));
        assert_eq!((settings.device, settings.multi_scale), (DeviceChoice::Cpu, MultiScale::Both));
        assert!(settings.to_toml().unwrap().contains("loss = \"published-script\""));
    }
}

/// A run's `config.toml`, and what a resume makes of it and of other values.
fn resumed(dir: &Path, run: &Settings, given: &str) -> Result<Settings, SettingsError> {
    let path = dir.join("config.toml");
    std::fs::write(&path, run.to_toml().unwrap()).unwrap();
    resume(&path, &layer(given)).map(|resolved| resolved.settings)
}

#[test]
fn a_resumed_run_takes_another_length_and_what_changes_results_by_rounding_at_most() {
    let dir = tempfile::tempdir().unwrap();
    let settings = folder("epochs = 2\nsteps = 5");
    let resumed = |text: &str| resumed(dir.path(), &settings, text).unwrap();
    assert_eq!(resumed(""), settings);
    let longer = resumed("steps = 10\nthreads = 1\nmemory = 'small'\ndevice = 'cpu'\ncheckpoint_minutes = 0");
    assert_eq!((longer.steps, longer.epochs, longer.threads), (Some(10), Some(2), Some(1)));
    assert_eq!((longer.memory, longer.device, longer.checkpoint_minutes), (MemoryUse::Small, DeviceChoice::Cpu, 0.0));
}

/// Every setting says what another value means; the kinds are those that the documentation of a resume lists.
#[test]
fn every_setting_says_what_another_value_means_for_a_resumed_run() {
    let of = |change| KEYS.iter().filter(|key| key.change == change).map(|key| key.name).collect::<Vec<_>>();
    assert_eq!(
        of(Change::Free),
        ["epochs", "steps", "split_batch", "threads", "device", "memory", "checkpoint_minutes", "keep"]
    );
    let places = ["data", "images", "masks", "val_images", "val_masks", "train_list", "val_list", "annotations"];
    assert_eq!(of(Change::Place), places);
    assert_eq!(of(Change::Start), ["backbone", "init"]);
    for key in ["loss", "lr", "weight_decay", "seed", "size", "batch_size", "accumulate", "augment", "shuffle"] {
        assert!(of(Change::Fixed).contains(&key), "{key}");
    }
}

#[test]
fn a_resumed_run_takes_new_places_of_what_it_has() {
    let dir = tempfile::tempdir().unwrap();
    let settings = folder("backbone = 'trunk.pt'");
    let moved = resumed(dir.path(), &settings, "images = 'new/i'\nmasks = 'new/m'\nbackbone = '/b'").unwrap();
    assert!(moved.images.unwrap().ends_with("new/i") && moved.masks.unwrap().ends_with("new/m"));
    assert_eq!(moved.backbone, Some("/b".into()));
    // no set or file that it never had
    let error = resumed(dir.path(), &settings, "val_images = '/v'\nval_masks = '/w'\ninit = '/x'").unwrap_err();
    let message = error.to_string();
    for part in ["init = /x (the run has none)", "val_images = /v (the run has none)", "val_masks = /w"] {
        assert!(message.contains(part), "{part}: {message}");
    }
    let demonstration = resolve(&[]).unwrap().settings;
    let message = resumed(dir.path(), &demonstration, "images = '/i'\nmasks = '/m'").unwrap_err().to_string();
    assert!(message.contains("images = /i (the run has none)"), "{message}");
}

/// The command that began a run, given again: flags, a file, names in another case.
#[test]
fn a_resumed_run_takes_its_own_values_again() {
    let dir = tempfile::tempdir().unwrap();
    let text = "task = 'Polyp'\nvariant = 'TINY'\nlr = 1e-4\nseed = 3\nsize = 96\nshuffle = false\nprecision = 'BF16'";
    let settings = folder(text);
    assert_eq!(resumed(dir.path(), &settings, &format!("{FOLDER}{text}")).unwrap(), settings);
    let whole = settings.to_toml().unwrap();
    assert_eq!(resumed(dir.path(), &settings, &whole).unwrap(), settings);
    // an integer where a real number is meant
    let one = Settings { lr: 1.0, ..settings };
    assert_eq!(resumed(dir.path(), &one, "lr = 1").unwrap(), one);
    let demonstration = resolve(&[]).unwrap().settings;
    let sets = "[generated]\nimages = 192\nval_images = 48";
    assert_eq!(resumed(dir.path(), &demonstration, sets).unwrap(), demonstration);
}

/// The CPU has no tf32, so that a run of this command was trained in f32.
#[test]
fn a_precision_that_gave_way_is_taken_again() {
    let dir = tempfile::tempdir().unwrap();
    let run = folder("device = 'cpu'");
    assert_eq!(resumed(dir.path(), &run, "precision = 'tf32'").unwrap(), run);
    let message = resumed(dir.path(), &run, "precision = 'bf16'").unwrap_err().to_string();
    assert!(message.contains("precision = bf16 (the run has f32)"), "{message}");
}

#[test]
fn other_values_are_refused_together_with_both_values_and_where_they_come_from() {
    let dir = tempfile::tempdir().unwrap();
    let settings = folder("lr = 1e-2");
    let other = file(dir.path(), "seed = 7\n\nsize = 96\nloss = 'published-script'");
    let path = dir.path().join("config.toml");
    std::fs::write(&path, settings.to_toml().unwrap()).unwrap();
    let given = "lr = 1e-4\nbatch_size = 3\naccumulate = 2\naugment = false\ntask = 'polyp'\nweight_decay = nan";
    let error = resume(&path, &Layer::file(&other).unwrap().with(layer(given))).unwrap_err();
    let SettingsError::Fixed { differences, .. } = &error else { panic!("{error:?}") };
    let keys: Vec<_> = differences.iter().map(|difference| difference.key).collect();
    let wanted = ["task", "size", "batch_size", "accumulate", "lr", "weight_decay", "seed", "loss", "augment"];
    assert_eq!(keys, wanted);
    let message = error.to_string();
    let at = other.display();
    for part in [
        "task = polyp (the run has none)".to_string(),
        format!("size = 96 in {at}:3 (the run has 352)"),
        "lr = 0.0001 (the run has 0.01)".to_string(),
        format!("seed = 7 in {at}:1 (the run has 0)"),
        format!("loss = published-script in {at}:4 (the run has paper)"),
        "augment = false (the run has true)".to_string(),
        "last/model.safetensors".to_string(),
    ] {
        assert!(message.contains(&part), "{part}: {message}");
    }
}

/// Before memory is taken for them, and without overflow.
#[test]
fn numbers_beyond_all_measure_are_refused() {
    let with = |text: &str| refused(&format!("{FOLDER}{text}"));
    assert!(with("batch_size = 99999999999").starts_with("batch_size = 99999999999: it must be at most 65536"));
    assert!(with("accumulate = 9223372036854775807").contains("at most 65536"));
    assert!(with("threads = 1025").contains("at most 1024"));
    let sets =
        |images: u64, val_images: u64| refused(&format!("[generated]\nimages = {images}\nval_images = {val_images}"));
    assert!(sets(9_000_000_000_000_000_000, 1).contains("images = 9000000000000000000: a set has at most 1000000"));
    assert!(sets(1, 1_000_000_000).contains("val_images = 1000000000"));
    let long = folder("epochs = 9223372036854775807\nsteps = 9223372036854775807");
    assert_eq!(long.steps, Some(i64::MAX as u64));
}

#[cfg(unix)]
#[test]
fn a_settings_file_without_an_end_is_refused() {
    let message = Layer::file(Path::new("/dev/zero")).unwrap_err().to_string();
    assert!(message.contains("/dev/zero") && message.contains("no settings file"), "{message}");
}

#[test]
fn a_runs_settings_are_complete() {
    let dir = tempfile::tempdir().unwrap();
    let text = folder("").to_toml().unwrap();
    let without = |gone: &str| {
        let kept: Vec<_> = text.lines().filter(|line| !line.starts_with(gone)).collect();
        assert!(kept.len() < text.lines().count(), "{gone}");
        Settings::read(&file(dir.path(), &kept.join("\n")))
    };
    // runs of before these could be chosen
    assert_eq!(without("precision").unwrap().precision, Precision::F32);
    assert_eq!(without("memory").unwrap().memory, MemoryUse::default());
    let message = without("lr").unwrap_err().to_string();
    assert!(message.contains("run.toml") && message.contains("`lr`"), "{message}");
}

/// Fields, keys in files, and the table that flags are made of are one set.
#[test]
fn every_field_is_a_key_once() {
    let full = Settings {
        images: Some("i".into()),
        masks: Some("m".into()),
        val_images: Some("i".into()),
        val_masks: Some("m".into()),
        mask_suffix: Some("_m".into()),
        task: Some(Task::Polyp),
        epochs: Some(1),
        steps: Some(1),
        backbone: Some("b".into()),
        init: Some("i".into()),
        threads: Some(1),
        generated: resolve(&[]).unwrap().settings.generated,
        data: Some("d".into()),
        val_fraction: Some(0.1),
        train_list: Some("t".into()),
        val_list: Some("v".into()),
        annotations: Some("a".into()),
        overlapping: true,
        ..layer(OF_CLASSES).settings().unwrap().settings
    };
    let mut written: Table = full.to_toml().unwrap().parse().unwrap();
    assert_eq!(written["data"].as_table().unwrap().len(), 9);
    super::data_table::flatten(&mut written).unwrap();
    let mut keys: Vec<_> = KEYS.iter().map(|key| key.name).collect();
    keys.sort_unstable();
    assert_eq!(written.keys().collect::<Vec<_>>(), keys);
    let flags: Vec<_> = KEYS.iter().filter_map(|key| key.flag_name()).collect();
    assert_eq!(flags.len(), KEYS.iter().filter(|key| key.flag != Flag::FileOnly).count());
    assert!(KEYS.iter().all(|key| !key.help.trim().is_empty()));
    // a flag's text becomes what a file holds
    let table = Table::try_from(&full).unwrap();
    for key in KEYS.iter().filter(|key| matches!(key.flag, Flag::Value(_))) {
        let value = &table[key.name];
        let text = match key.name {
            // lists have a form of their own on a command line
            "classes" => "a".to_string(),
            "ignore" => "255".to_string(),
            _ => value.as_str().map_or(value.to_string(), str::to_string),
        };
        assert_eq!((key.parse)(text.as_ref()).as_ref(), Ok(value), "{}", key.name);
    }
}

#[cfg(unix)]
#[test]
fn a_path_that_is_not_utf8_is_refused_by_its_key() {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::OsStr::from_bytes(b"images\xff");
    let key = KEYS.iter().find(|key| key.name == "init").unwrap();
    assert!((key.parse)(path).unwrap_err().contains("UTF-8"));
    let settings = Settings { init: Some(path.into()), ..folder("") };
    let message = settings.check(false).unwrap_err().to_string();
    assert!(message.contains("init = ") && message.contains("UTF-8"), "{message}");
}

#[test]
fn the_larger_side_is_rounded_to_32() {
    let side = |size| Settings { size, ..Settings::default() }.larger_side();
    assert_eq!([side(352), side(64), side(128), side(224)], [448, 96, 160, 288]);
}

#[test]
fn images_of_ones_own_are_named_nowhere_and_the_preset_is_the_papers() {
    let settings = resolve_for_own_images(&[layer("task = 'polyp'\nsize = 96")]).unwrap().settings;
    assert_eq!((settings.epochs, settings.multi_scale, settings.batch_size), (Some(20), MultiScale::Random, 12));
    assert!(settings.images.is_none() && settings.generated.is_none());
    for named in ["images = 'i'\nmasks = 'm'", "val_images = 'i'", "[generated]\nimages = 1\nval_images = 1"] {
        let message = resolve_for_own_images(&[layer(named)]).unwrap_err().to_string();
        assert!(message.contains("the program gives the images itself"), "{message}");
    }
}

/// The settings of several classes.
const OF_CLASSES: &str = "labels = 'index'\nclasses = [{ name = 'a' }]\nignore = 255\nclass_weights = 'balanced'\n\
                          best_by = 'mIoU'\ndemo = 'blobs'\n";

const DATA_TABLE: &str = "lr = 1e-2\nmasks = 'm'\n\n[data]\nimages = 'i'\nval_fraction = 0.1\nignore = 254\n\n\
                          [[data.class]]\nname = 'background'\nvalues = [0, 7]\n\n[[data.class]]\nname = 'polyp'\nvalues = ['#ff0000']\n";

#[test]
fn a_data_set_may_stand_in_a_table_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    let path = file(dir.path(), DATA_TABLE);
    let resolved = resolve(&[Layer::file(&path).unwrap()]).unwrap();
    let settings = &resolved.settings;
    assert!(settings.images.as_ref().unwrap().ends_with("i") && settings.masks.as_ref().unwrap().ends_with("m"));
    assert_eq!((settings.val_fraction, settings.lr), (Some(0.1), 1e-2));
    let classes = settings.classes.as_ref().unwrap();
    assert_eq!(classes.names(), ["background", "polyp"]);
    assert_eq!(classes.values()[0].len(), 2);
    let line = |key| match resolved.origin(key) {
        Origin::File { line, .. } => line,
        other => panic!("{other}"),
    };
    assert_eq!(["images", "val_fraction", "classes", "masks"].map(line), [Some(5), Some(6), Some(9), Some(2)]);
    // what a run records reads back as the same, and says of each where it is from
    let text = settings.to_toml().unwrap();
    assert!(text.contains("\n[data]\nignore = [254]\nval_fraction = 0.1\n"), "{text}");
    let again: Settings = resume(&file(dir.path(), &text), &Layer::default()).unwrap().settings;
    assert_eq!(again, *settings);
    let told = resolved.annotated().unwrap();
    assert!(told.contains("\n[data]\n") && told.contains("run.toml:6"), "{told}");
    let printed = resume(&file(dir.path(), &told), &Layer::default()).unwrap().settings;
    assert_eq!(printed, *settings);
}

#[test]
fn what_is_wrong_in_the_data_table_is_told_with_its_place() {
    let dir = tempfile::tempdir().unwrap();
    let told = |text: &str| match Layer::file(&file(dir.path(), text)) {
        Err(error) => error.to_string(),
        Ok(layer) => resolve(&[layer]).unwrap_err().to_string(),
    };
    for (text, parts) in [
        ("[data]\nimage = 'i'", &["`image` is no key of [data]", "root, images, masks"][..]),
        ("images = 'i'\n[data]\nimages = 'j'", &["`images` stands in [data] and beside it"]),
        ("[data]\nval_fraction = 'a'", &["line 2: `val_fraction`", "f64"]),
        ("lr = 1e-3\nsiez = 3\n[data]\nroot = 'r'", &["siez"]),
        ("[data]\nroot = 'r'\n[[data.class]]\nnam = 'a'", &["line 3: `classes`", "nam"]),
        ("[data]\nroot = 'r'\nval_fraction = 1.5", &["run.toml:3: val_fraction = 1.5: it must be above 0 and below 1"]),
        ("[data]\nroot = 'r'\nlabels = 'indices'", &["there is no `indices`", "binary, index, table"]),
    ] {
        let text = told(text);
        assert!(parts.iter().all(|part| text.contains(part)), "{text}");
    }
}

#[test]
fn settings_of_data_that_exclude_each_other_are_refused() {
    for (text, part) in [
        ("data = 'd'\nimages = 'i'\nmasks = 'm'", "`data` and `images` exclude each other"),
        ("images = 'i'", "`images` needs `masks`"),
        ("images = 'i'\nmasks = 'm'\nannotations = 'a.json'", "`annotations` and `masks` exclude each other"),
        ("classes = [{ name = 'a' }]", "`classes` needs `images` or `data`"),
        ("labels = 'index'", "`labels` needs `images` or `data`"),
        ("data = 'd'\nval_fraction = 0.1\nval_list = 'l'", "`val_fraction` and `val_list` exclude each other"),
        (
            "data = 'd'\nval_fraction = 0.1\nval_images = 'i'\nval_masks = 'm'",
            "`val_fraction` and `val_images` exclude",
        ),
        ("data = 'd'\ndemo = 'classes'", "`demo` is for runs without `images`"),
        ("data = 'd'\nclass_weights = [0.0, 0.0]", "one of them must be above 0"),
        ("data = 'd'\nclass_weights = [1.0, -1.0]", "class_weights = -1: it must be a number of at least 0"),
        ("data = 'd'\nbest_by = 'IoU'", "score of classes: there is no `IoU`"),
    ] {
        let text = refused(text);
        assert!(text.contains(part), "{text}");
    }
    for text in
        ["images = 'i'\nannotations = 'a'", "images = 'i'\nlabels = 'labelme'", "data = 'd'\nval_fraction = 0.2"]
    {
        assert!(resolve(&[layer(text)]).is_ok(), "{text}");
    }
}

#[test]
fn texts_of_a_command_line_become_values_of_classes() {
    let parse = |name: &str, text: &str| {
        let key = KEYS.iter().find(|key| key.name == name).unwrap();
        (key.parse)(text.as_ref()).map(|value| value.to_string())
    };
    assert_eq!(parse("class_weights", "Balanced").unwrap(), "\"balanced\"");
    assert_eq!(parse("class_weights", "1, 2,0.5").unwrap(), "[1.0, 2.0, 0.5]");
    assert!(parse("class_weights", "1,x").unwrap_err().contains("or `balanced`"));
    assert_eq!(parse("ignore", "255,#FF0000").unwrap(), "[255, \"#ff0000\"]");
    assert!(parse("ignore", "red").unwrap_err().contains("no pixel value"));
    assert_eq!(parse("best_by", "foreground_miou").unwrap(), "\"foreground_mIoU\"");
    assert_eq!(parse("labels", "COCO").unwrap(), "\"coco\"");
    assert!(parse("classes", "a,b").unwrap().contains("name = \"b\""));
    let demo = resolve(&[layer("demo = 'Classes'")]).unwrap().settings;
    assert_eq!((demo.size, demo.epochs), (super::demo::SIZE, Some(super::demo::EPOCHS_OF_CLASSES)));
}
