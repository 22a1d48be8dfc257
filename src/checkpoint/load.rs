//! What a file holds against what a model asks for.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;

use crate::nn::weights::{Encoded, Role, SourceError, Value, WeightSource, WeightSpec};

use super::error::{CheckpointError, Fault, shown};
use super::file::{Dtype, WeightFile};
use super::layout::{Layout, Part};

/// How many names of a kind a report shows before it only counts them.
const NAMES_SHOWN: usize = 4;

/// Which of a model's weights are to come from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every weight: the file is a SAM2-UNet checkpoint.
    All,
    /// SAM2's trunk only: the file is a backbone. A SAM2-UNet checkpoint serves as one too.
    Trunk,
}

/// A weight's name: published, and as the file spells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `encoder.blocks.0.block.norm1.weight`.
    pub published: String,
    /// For example `image_encoder.trunk.blocks.0.norm1.weight`.
    pub in_file: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&shown(&self.in_file))?;
        if self.published != self.in_file {
            write!(f, " ({})", self.published)?;
        }
        Ok(())
    }
}

/// A weight that has another shape than the model's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongShape {
    /// Its name.
    pub key: Key,
    /// The model's shape.
    pub expected: Vec<usize>,
    /// The file's.
    pub found: Vec<usize>,
}

/// A weight whose numbers are of a type that is not read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongDtype {
    /// Its name.
    pub key: Key,
    /// Whether the model asks for a count (`i64`) and not for real numbers (`f32`, `f16`, `bf16`).
    pub count: bool,
    /// The file's type.
    pub found: Dtype,
}

/// What loading found, weight by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Weights that the model takes from the file.
    pub applied: usize,
    /// Tensors of SAM2's other parts (neck, memory, prompts, mask decoder), which nobody asked for.
    pub other_parts: usize,
    /// Tensors that a SAM2-UNet adds to the trunk, where only the trunk was asked for.
    pub not_asked_for: usize,
    /// Weights that the model asks for and the file lacks.
    pub missing: Vec<Key>,
    /// Keys of the file that nobody knows.
    pub unexpected: Vec<String>,
    /// Those of `unexpected` that are not tolerated: all in a SAM2-UNet checkpoint, those inside of the trunk in a backbone.
    pub intruders: usize,
    /// Weights of another shape.
    pub wrong_shape: Vec<WrongShape>,
    /// Weights of a type that is not read.
    pub wrong_dtype: Vec<WrongDtype>,
}

impl Report {
    /// Whether the file gives the model everything it asks for, and nothing that it should not.
    pub fn fits(&self) -> bool {
        self.problems() == 0
    }

    fn problems(&self) -> usize {
        self.missing.len() + self.wrong_shape.len() + self.wrong_dtype.len() + self.intruders
    }

    /// The unexpected key that a missing one was probably meant to be.
    fn closest(&self, missing: &Key) -> Option<&str> {
        const TOO_MANY: usize = 500;
        if self.unexpected.len() > TOO_MANY {
            return None;
        }
        let distance = |key: &&String| edit_distance(key, &missing.in_file);
        self.unexpected
            .iter()
            .filter(|key| key.len().abs_diff(missing.in_file.len()) <= 3 && key.len() <= 200)
            .min_by_key(distance)
            .filter(|key| distance(key) <= 3)
            .map(String::as_str)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "applied {} · other parts of SAM2 {}", self.applied, self.other_parts)?;
        if self.not_asked_for > 0 {
            write!(f, " · rest of SAM2-UNet {}", self.not_asked_for)?;
        }
        let missing = |key: &Key| match self.closest(key) {
            Some(close) => format!("{key}, the file has {}", shown(close)),
            None => key.to_string(),
        };
        list(f, "missing", &self.missing, missing)?;
        list(f, "unexpected", &self.unexpected, |key| shown(key))?;
        list(f, "wrong shape", &self.wrong_shape, |wrong| {
            format!("{} expected {:?}, found {:?}", wrong.key, wrong.expected, wrong.found)
        })?;
        if !self.wrong_dtype.is_empty() {
            list(f, "wrong type", &self.wrong_dtype, |wrong| {
                let expected = if wrong.count { "i64" } else { "f32, f16 or bf16" };
                format!("{} expected {expected}, found {}", wrong.key, wrong.found)
            })?;
        }
        Ok(())
    }
}

fn list<T>(f: &mut fmt::Formatter<'_>, what: &str, items: &[T], show: impl Fn(&T) -> String) -> fmt::Result {
    write!(f, " · {what} {}", items.len())?;
    for (i, item) in items.iter().take(NAMES_SHOWN).enumerate() {
        write!(f, "{}{}", if i == 0 { ": " } else { "; " }, show(item))?;
    }
    if items.len() > NAMES_SHOWN {
        write!(f, "; and {} more", items.len() - NAMES_SHOWN)?;
    }
    Ok(())
}

/// Insertions, deletions and replacements that turn `a` into `b` (Levenshtein), by bytes.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(x != y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// The weights of a file that a model asked for, under their published names; values are read when asked for.
#[derive(Debug)]
pub struct Loaded<'f> {
    file: &'f WeightFile,
    /// Published name to the file's.
    keys: HashMap<String, String>,
}

impl<'f> Loaded<'f> {
    /// A source that takes the trunk from this file and everything else from `rest`.
    pub fn with_rest<'r>(self, rest: &'r mut dyn WeightSource) -> Backbone<'f, 'r> {
        Backbone { trunk: self, rest }
    }

    /// The weight's key in the file.
    fn key(&self, spec: &WeightSpec) -> Result<&str, CheckpointError> {
        let missing = || CheckpointError::NoTensor { path: self.file.path().to_path_buf(), key: spec.name.clone() };
        let key = self.keys.get(&spec.name).ok_or_else(missing)?;
        let info = self.file.info(key).ok_or_else(missing)?;
        if !same_shape(&spec.shape, info.shape) {
            let reason = format!("{key}: expected {:?}, found {:?}", spec.shape, info.shape);
            return Err(Fault::Unsupported(reason).at(self.file.path()));
        }
        Ok(key)
    }

    fn spoilt(&self, key: &str, at: usize, number: f32) -> CheckpointError {
        Fault::Damaged(format!("{key}: number {at} is {number}: the weights are spoilt")).at(self.file.path())
    }

    fn read(&self, spec: &WeightSpec) -> Result<Value, CheckpointError> {
        let key = self.key(spec)?;
        match spec.role {
            Role::Counter => self.file.count(key).map(Value::Count),
            _ => {
                let values = self.file.values(key)?;
                match values.iter().position(|x| !x.is_finite()) {
                    None => Ok(Value::Real(values)),
                    Some(at) => Err(self.spoilt(key, at, values[at])),
                }
            }
        }
    }

    fn read_encoded(&self, spec: &WeightSpec) -> Result<Option<Encoded<'f>>, CheckpointError> {
        let key = self.key(spec)?;
        let encoded = if spec.role == Role::Counter { None } else { self.file.encoded(key)? };
        match encoded.as_ref().and_then(Encoded::not_finite) {
            None => Ok(encoded),
            Some((at, number)) => Err(self.spoilt(key, at, number)),
        }
    }
}

fn source_error(spec: &WeightSpec, error: &CheckpointError) -> SourceError {
    SourceError { name: spec.name.clone(), reason: error.to_string() }
}

impl WeightSource for Loaded<'_> {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        self.read(spec).map_err(|error| source_error(spec, &error))
    }
    fn encoded(&mut self, spec: &WeightSpec) -> Result<Option<Encoded<'_>>, SourceError> {
        self.read_encoded(spec).map_err(|error| source_error(spec, &error))
    }
}

/// The trunk from a file, the rest from another source (an initialisation).
pub struct Backbone<'f, 'r> {
    trunk: Loaded<'f>,
    rest: &'r mut dyn WeightSource,
}

impl WeightSource for Backbone<'_, '_> {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        if spec.in_trunk() { self.trunk.value(spec) } else { self.rest.value(spec) }
    }
    fn encoded(&mut self, spec: &WeightSpec) -> Result<Option<Encoded<'_>>, SourceError> {
        if spec.in_trunk() { self.trunk.encoded(spec) } else { self.rest.encoded(spec) }
    }
}

/// A scalar may be stored as one number in one dimension.
fn same_shape(expected: &[usize], found: &[usize]) -> bool {
    expected == found || expected.is_empty() && found == [1]
}

/// Compares a file with the weights `specs` of a model and gives a source for those in `scope`.
///
/// # Errors
/// [`CheckpointError::Mismatch`] where [`Report::fits`] does not hold; [`CheckpointError::Unsupported`] where the file is no
/// model of this kind at all.
pub fn load<'f>(
    file: &'f WeightFile,
    specs: &[WeightSpec],
    scope: Scope,
) -> Result<(Loaded<'f>, Report), CheckpointError> {
    let layout = known_layout(file)?;
    if scope == Scope::All && layout != Layout::Sam2Unet {
        let reason = format!(
            "holds SAM2's trunk only (layout: {layout}), not a whole SAM2-UNet; use it as a backbone, \
             or make a whole model of it with `convert IN OUT --to sam2-unet --seed N`"
        );
        return Err(Fault::Unsupported(reason).at(file.path()));
    }
    let (loaded, report) = compare(file, specs, scope)?;
    if report.fits() {
        Ok((loaded, report))
    } else {
        Err(CheckpointError::Mismatch { path: file.path().to_path_buf(), report: Box::new(report) })
    }
}

/// The layout, or an error that says what the file holds instead.
pub(super) fn known_layout(file: &WeightFile) -> Result<Layout, CheckpointError> {
    file.layout().ok_or_else(|| {
        let names: Vec<_> = file.names().take(3).map(shown).collect();
        let reason = format!(
            "none of its {} tensors is of SAM2's image encoder (the first are called {})",
            file.names().len(),
            names.join(", ")
        );
        Fault::Unsupported(reason).at(file.path())
    })
}

fn compare<'f>(
    file: &'f WeightFile,
    specs: &[WeightSpec],
    scope: Scope,
) -> Result<(Loaded<'f>, Report), CheckpointError> {
    let wanted: BTreeMap<&str, &WeightSpec> =
        specs.iter().filter(|spec| scope == Scope::All || spec.in_trunk()).map(|s| (s.name.as_str(), s)).collect();
    let mut report = Report::default();
    let mut keys = HashMap::new();
    let mut found = BTreeSet::new();
    for key in file.names() {
        let part = file.spelling().map_or(Part::Unknown, |spelling| spelling.part(key));
        let published = file.spelling().and_then(|spelling| spelling.published(key));
        let Some((name, spec)) = published.and_then(|name| Some((name.clone(), *wanted.get(name.as_str())?))) else {
            let inside = file.spelling().is_some_and(|spelling| spelling.inside_trunk(key));
            match part {
                Part::OtherSam2 => report.other_parts += 1,
                Part::Adapters | Part::Rfb | Part::Decoder | Part::Unused if scope == Scope::Trunk => {
                    report.not_asked_for += 1;
                }
                _ => {
                    report.unexpected.push(key.to_owned());
                    report.intruders += usize::from(scope == Scope::All || inside);
                }
            }
            continue;
        };
        found.insert(spec.name.as_str());
        let Some(info) = file.info(key) else { continue };
        let pair = || Key { published: name.clone(), in_file: key.to_owned() };
        let count = spec.role == Role::Counter;
        if !same_shape(&spec.shape, info.shape) {
            report.wrong_shape.push(WrongShape {
                key: pair(),
                expected: spec.shape.clone(),
                found: info.shape.to_vec(),
            });
        } else if count != (info.dtype == Dtype::I64) || !count && !info.dtype.is_real() {
            report.wrong_dtype.push(WrongDtype { key: pair(), count, found: info.dtype });
        } else {
            report.applied += 1;
            keys.insert(name, key.to_owned());
        }
    }
    for name in wanted.keys().filter(|name| !found.contains(*name)) {
        let in_file = file.spelling().map_or_else(|| (*name).to_owned(), |spelling| spelling.spelled(name));
        report.missing.push(Key { published: (*name).to_owned(), in_file });
    }
    Ok((Loaded { file, keys }, report))
}

/// The one of `candidates` (names and weights of variants) whose trunk is the file's.
///
/// # Errors
/// [`CheckpointError::Variant`], which says what was seen against each candidate and how the closest one differs.
pub fn detect<'c>(file: &WeightFile, candidates: &'c [(&'c str, Vec<WeightSpec>)]) -> Result<&'c str, CheckpointError> {
    known_layout(file)?;
    let mut reports = Vec::new();
    for (variant, specs) in candidates {
        let (_, mut report) = compare(file, specs, Scope::Trunk)?;
        // a variant is told by names and shapes; other types are `load`'s to report
        report.wrong_dtype.clear();
        if report.fits() {
            return Ok(variant);
        }
        reports.push((report, *variant));
    }
    let seen =
        TrunkSize::of(file.names().filter_map(|key| Some((file.spelling()?.published(key)?, file.info(key)?.shape))));
    let sizes: Vec<_> = candidates
        .iter()
        .map(|(_, specs)| TrunkSize::of(specs.iter().filter(|s| s.in_trunk()).map(|s| (s.name.clone(), &s.shape[..]))))
        .collect();
    let known: Vec<_> = candidates.iter().zip(&sizes).map(|((variant, _), size)| format!("{variant} {size}")).collect();
    // with another number of channels every weight differs: no use in listing them
    let closest = reports
        .iter()
        .zip(&sizes)
        .filter(|(_, size)| size.channels == seen.channels || seen.channels.is_none() && size.blocks == seen.blocks)
        .min_by_key(|((report, _), _)| report.problems())
        .map_or_else(String::new, |((report, variant), _)| format!("; closest is {variant}: {report}"));
    let reason = format!("it has {seen}; known are {}{closest}", known.join(", "));
    Err(CheckpointError::Variant { path: file.path().to_path_buf(), reason })
}

/// The trunk's weights as the file's own size demands, for a trunk of a size that no candidate has (a variant that a user
/// declared). `None` where a candidate has as many channels: such a file is that variant, or a damaged one.
pub(super) fn own_trunk(file: &WeightFile, candidates: &[(&str, Vec<WeightSpec>)]) -> Option<Vec<WeightSpec>> {
    let spelling = file.spelling()?;
    let shape = |published: &str| file.info(&spelling.spelled(published)).map(|info| info.shape);
    let maps = [shape("encoder.pos_embed")?, shape("encoder.pos_embed_window")?];
    let &[_, channels, ..] = maps[0] else { return None };
    let names = || file.names().filter_map(|key| spelling.published(key));
    let TrunkSize { blocks, .. } = TrunkSize::of(names().map(|name| (name, &[][..])));
    let known = |(_, specs): &(&str, Vec<WeightSpec>)| {
        specs.iter().any(|s| s.name == "encoder.pos_embed" && s.shape.get(1) == Some(&channels))
    };
    if candidates.iter().any(known) || blocks > file.names().len() {
        return None;
    }
    let mut specs = Vec::new();
    let mut add = |name: String, shape: Vec<usize>| specs.push(WeightSpec { name, shape, role: Role::Frozen });
    let mut module = |name: String, weight: Vec<usize>| {
        add(format!("{name}.bias"), weight[..1].to_vec());
        add(format!("{name}.weight"), weight);
    };
    module("encoder.patch_embed.proj".into(), vec![channels, 3, 7, 7]);
    let mut from = channels;
    for block in 0..blocks {
        let name = |module: &str| format!("encoder.blocks.{block}.block.{module}");
        let grows = shape(&name("proj.weight")).is_some();
        let to = if grows { from.checked_mul(2)? } else { from };
        module(name("norm1"), vec![from]);
        module(name("attn.qkv"), vec![to.checked_mul(3)?, from]);
        module(name("attn.proj"), vec![to, to]);
        module(name("norm2"), vec![to]);
        module(name("mlp.layers.0"), vec![to.checked_mul(4)?, to]);
        module(name("mlp.layers.1"), vec![to, to.checked_mul(4)?]);
        if grows {
            module(name("proj"), vec![to, from]);
        }
        from = to;
    }
    for (name, map) in ["encoder.pos_embed", "encoder.pos_embed_window"].into_iter().zip(maps) {
        let &[.., height, width] = map else { return None };
        add(name.into(), vec![1, channels, height, width]);
    }
    Some(specs)
}

/// What tells variants apart at a glance.
struct TrunkSize {
    blocks: usize,
    channels: Option<usize>,
}

impl TrunkSize {
    fn of<'s>(weights: impl Iterator<Item = (String, &'s [usize])>) -> Self {
        let mut size = TrunkSize { blocks: 0, channels: None };
        for (name, shape) in weights {
            if name == "encoder.pos_embed" {
                size.channels = shape.get(1).copied();
            }
            let number = name.strip_prefix("encoder.blocks.").and_then(|rest| rest.split('.').next()?.parse().ok());
            size.blocks = size.blocks.max(number.map_or(0, |n: usize| n.saturating_add(1)));
        }
        size
    }
}

impl fmt::Display for TrunkSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} blocks from ", self.blocks)?;
        match self.channels {
            Some(channels) => write!(f, "{channels} channels"),
            None => f.write_str("unknown channels"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edit_distances() {
        assert_eq!(edit_distance("", "abc"), 3);
        assert_eq!(edit_distance("kitten", "sitting"), 3);
        assert_eq!(edit_distance("norm1.weight", "norm1.weight"), 0);
    }

    #[test]
    fn a_report_shows_names_shapes_and_close_keys() {
        let key = |name: &str| Key { published: name.into(), in_file: name.into() };
        let report = Report {
            applied: 312,
            other_parts: 840,
            not_asked_for: 0,
            missing: vec![key("rfb1.branch0.0.conv.weight")],
            unexpected: vec!["rfb1.branch0.0.conv.wieght".into()],
            intruders: 1,
            wrong_shape: vec![WrongShape {
                key: key("head.weight"),
                expected: vec![1, 64, 1, 1],
                found: vec![2, 64, 1, 1],
            }],
            wrong_dtype: vec![],
        };
        assert_eq!(
            report.to_string(),
            "applied 312 · other parts of SAM2 840 · missing 1: rfb1.branch0.0.conv.weight, the file has rfb1.branch0.0.conv.wieght \
             · unexpected 1: rfb1.branch0.0.conv.wieght · wrong shape 1: head.weight expected [1, 64, 1, 1], found [2, 64, 1, 1]"
        );
        assert!(!report.fits());
    }
}
