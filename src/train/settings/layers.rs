//! How settings come about: a preset, the task's values, a file, what was given; the later wins.

use std::collections::BTreeMap;
use std::path::Path;
use std::str::FromStr;

use serde::Deserialize;
use toml::{Table, Value};

use super::check::check;
use super::data_table::{DATA, flatten, nest, setting_of};
use super::demo::Demo;
use super::error::{Difference, Problem, SettingsError};
use super::file::parse;
use super::key::{Change, Key};
use super::of_classes::WeightsOfClasses;
use super::origin::Origin;
use super::preset;
use super::settings::{KEYS, Settings};
use super::value::shown;
use crate::kernels::precision::Precision;

/// Values of some settings, each with its origin.
#[derive(Clone, Debug, Default)]
pub struct Layer(BTreeMap<&'static str, (Value, Origin)>);

/// Complete settings, and where each value comes from.
#[derive(Clone, Debug, PartialEq)]
pub struct Resolved {
    /// The settings.
    pub settings: Settings,
    origins: BTreeMap<&'static str, Origin>,
}

impl Layer {
    /// A settings file: TOML with the keys of [`Settings`], each of which may be absent. A run's `config.toml` is one. Paths in
    /// it start in the current folder.
    ///
    /// # Errors
    /// When the file cannot be read, has an unknown key or a value of the wrong type; with its line.
    pub fn file(path: &Path) -> Result<Self, SettingsError> {
        let file = parse(path)?;
        let origin = |key: &str| Origin::File { path: path.to_owned(), line: file.lines.get(key).copied() };
        Ok(Self::of(file.table, origin))
    }

    /// What was given for this run, by the keys of [`Settings`].
    ///
    /// # Errors
    /// When a key is unknown, or a value of the wrong type.
    pub fn given(mut table: Table) -> Result<Self, SettingsError> {
        flatten(&mut table).map_err(SettingsError::Type)?;
        of_table(table.clone())?;
        Ok(Self::of(table, |_| Origin::Given))
    }

    /// The settings file of a run, which holds all keys that every run has.
    fn of_run(path: &Path) -> Result<Self, SettingsError> {
        let layer = Self::file(path)?;
        match KEYS.iter().find(|key| key.always && !layer.0.contains_key(key.name)) {
            Some(key) => Err(SettingsError::Missing { path: path.to_owned(), key: key.name }),
            None => Ok(layer),
        }
    }

    fn of(mut table: Table, origin: impl Fn(&str) -> Origin) -> Self {
        let found = KEYS.iter().filter_map(|key| Some((key.name, (table.remove(key.name)?, origin(key.name)))));
        Self(found.collect())
    }

    /// The keys that it holds.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.0.keys().copied()
    }

    /// This layer with `higher` over it, as [`resolve`] puts one over the other.
    pub fn with(mut self, higher: Self) -> Self {
        self.put(higher);
        self
    }

    /// Puts `higher` over this layer. A layer with `epochs` or `steps` decides a run's length alone.
    fn put(&mut self, higher: Self) {
        if higher.0.contains_key("epochs") || higher.0.contains_key("steps") {
            self.0.remove("epochs");
            self.0.remove("steps");
        }
        self.0.extend(higher.0);
    }

    /// This layer with each value of `higher` in the place of its own: `epochs` and `steps` for themselves.
    fn with_each(mut self, higher: &Self) -> Self {
        self.0.extend(higher.0.clone());
        self
    }

    /// Whether a key has this value, a name in any case.
    fn gives(&self, key: &str, name: &str) -> bool {
        let value = self.0.get(key).and_then(|(value, _)| value.as_str());
        value.is_some_and(|value| value.eq_ignore_ascii_case(name))
    }

    /// The settings that it makes together with the defaults, not checked.
    pub(super) fn settings(self) -> Result<Resolved, SettingsError> {
        let table: Table = self.0.iter().map(|(key, (value, _))| (key.to_string(), value.clone())).collect();
        let mut settings = of_table(table)?;
        settings.make_absolute();
        Ok(Resolved { settings, origins: self.0.into_iter().map(|(key, (_, origin))| (key, origin)).collect() })
    }
}

impl FromStr for Layer {
    type Err = SettingsError;

    /// Values that are given, as TOML: `epochs = 40`.
    fn from_str(text: &str) -> Result<Self, SettingsError> {
        Self::given(text.parse().map_err(|e: toml::de::Error| SettingsError::Type(e.to_string().trim().to_string()))?)
    }
}

fn of_table(table: Table) -> Result<Settings, SettingsError> {
    Settings::deserialize(table).map_err(|e| SettingsError::Type(e.to_string().trim().to_string()))
}

/// Complete and checked settings of layers, the lowest first; below them all come the preset (for a folder of images the paper's,
/// without images the demonstration's) and what the paper sets for the task. Paths become absolute, so that a run can be resumed
/// from any folder.
///
/// # Errors
/// The first value that is out of range, or the first conflict: with file and line, where the value comes from a file.
pub fn resolve(layers: &[Layer]) -> Result<Resolved, SettingsError> {
    resolved(layers, false)
}

/// The same for a run whose images a program gives itself ([`Trainer::data`](crate::train::Trainer::data)): the preset is the
/// paper's.
///
/// # Errors
/// As [`resolve`]; and when a layer names images.
pub fn resolve_for_own_images(layers: &[Layer]) -> Result<Resolved, SettingsError> {
    resolved(layers, true)
}

fn resolved(layers: &[Layer], own_images: bool) -> Result<Resolved, SettingsError> {
    let mut given = Layer::default();
    for layer in layers {
        given.put(layer.clone());
    }
    let named = ["data", "images"].iter().any(|key| given.0.contains_key(key));
    let (name, table) = match own_images || named {
        true => ("of the paper", preset::paper()),
        false if given.gives("demo", Demo::Classes.name()) => {
            ("for the demonstration of several classes", preset::demonstration_of_classes())
        }
        false => ("for the demonstration without images", preset::demonstration()),
    };
    let mut all = Layer::of(table, |_| Origin::Preset(name));
    if let Some(task) = given.clone().settings()?.settings.task {
        all.put(Layer::of(preset::of_task(task), |_| Origin::Task(task)));
    }
    all.put(given);
    all.settings()?.checked(own_images)
}

/// The settings of a resumed run: those of its `config.toml`, with what is given in the place of its own: its length,
/// what changes its results by rounding at most, and where files lie that it has (see [`Change`]). Any other key may be
/// given with the run's value, so that the very command that began a run goes on with it.
///
/// # Errors
/// As [`Settings::read`]; [`SettingsError::Fixed`] with every other key that is given with another value; when the
/// settings do not hold together.
pub fn resume(config: &Path, given: &Layer) -> Result<Resolved, SettingsError> {
    let run = Layer::of_run(config)?;
    let before = run.clone().settings()?;
    let own_images = before.settings.names_no_images();
    let before = before.checked(own_images)?.settings;
    let mut given = given.clone();
    if before.class_weights.as_ref().is_some_and(|weights| matches!(weights, WeightsOfClasses::Found(_)))
        && given.gives("class_weights", "balanced")
    {
        // what was found for it
        given.0.remove("class_weights");
    }
    let mut after = run.clone().with_each(&given).settings()?;
    if before.precision == Precision::F32 && gives_way_to_f32(&after.settings) {
        given.0.remove("precision");
        after = run.with_each(&given).settings()?;
    }
    let differences = differences(&before, &after.settings, &given)?;
    match differences.is_empty() {
        true => after.checked(own_images),
        false => Err(SettingsError::Fixed { config: config.to_owned(), differences }),
    }
}

/// Whether the device has no products in the precision asked for. A run computes in f32 then, and its settings say so:
/// the same precision asked for again means the same. A device that cannot be opened is the business of who opens it.
fn gives_way_to_f32(settings: &Settings) -> bool {
    settings.precision != Precision::F32
        && settings.device.open().is_ok_and(|device| !device.supports(settings.precision))
}

/// Each given key that would make another run of it.
fn differences(before: &Settings, after: &Settings, given: &Layer) -> Result<Vec<Difference>, SettingsError> {
    let table = |settings| Table::try_from(settings).map_err(|e| SettingsError::Text(e.to_string()));
    let (before, after) = (table(before)?, table(after)?);
    let difference = |key: &Key| {
        let (_, origin) = given.0.get(key.name)?;
        let (run, new) = (before.get(key.name), after.get(key.name)?);
        let differs = match key.change {
            Change::Free => false,
            // a set or a file that the run does not have cannot have moved
            Change::Place | Change::Start => run.is_none(),
            Change::Fixed => run != Some(new),
        };
        differs.then(|| Difference { key: key.name, run: run.map(shown), given: shown(new), origin: origin.clone() })
    };
    Ok(KEYS.iter().filter_map(difference).collect())
}

impl Settings {
    /// Reads a run's `config.toml`, which is complete: no preset is added.
    ///
    /// # Errors
    /// When the file cannot be read, a key is missing or unknown, or a value is out of range.
    pub fn read(path: &Path) -> Result<Self, SettingsError> {
        Ok(resume(path, &Layer::default())?.settings)
    }
}

impl Resolved {
    /// Where the value of a key comes from.
    pub fn origin(&self, key: &str) -> Origin {
        self.origins.get(key).cloned().unwrap_or(Origin::Default)
    }

    fn checked(self, own_images: bool) -> Result<Self, SettingsError> {
        match check(&self.settings, own_images) {
            Ok(()) => Ok(self),
            Err(problem) => Err(self.located(problem)),
        }
    }

    fn located(&self, problem: Problem) -> SettingsError {
        SettingsError::Value { origin: self.origin(problem.key), problem }
    }

    /// The settings as TOML, each with where it comes from as a comment.
    ///
    /// # Errors
    /// As [`Settings::to_toml`].
    pub fn annotated(&self) -> Result<String, SettingsError> {
        let mut table = Table::try_from(&self.settings).map_err(|e| SettingsError::Text(e.to_string()))?;
        nest(&mut table);
        let line =
            |name: &str, value: &Value, origin: Origin| format!("{:<40}  # {origin}\n", format!("{name} = {value}"));
        let (mut lines, mut tables) = (String::new(), String::new());
        for name in KEYS.iter().map(|key| key.name).filter(|name| *name != DATA).chain([DATA]) {
            match table.remove(name) {
                Some(Value::Table(inner)) if name == DATA => {
                    tables += &format!("\n[{DATA}]\n");
                    for (key, value) in &inner {
                        let setting = setting_of(key).unwrap_or(DATA);
                        tables += &line(key, value, self.origin(setting));
                    }
                }
                Some(Value::Table(inner)) => tables += &format!("\n[{name}]  # {}\n{inner}", self.origin(name)),
                Some(value) => lines += &line(name, &value, self.origin(name)),
                None => {}
            }
        }
        Ok(lines + &tables)
    }
}
