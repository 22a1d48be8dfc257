//! What a file holds against what a model asks for.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::kernels::encoded::Encoded;
use crate::nn::weights::source::{SourceError, WeightSource};
use crate::nn::weights::spec::{Role, Value, WeightSpec};

use super::error::{CheckpointError, Fault};
use super::file::WeightFile;
use super::layout::{Layout, Part};
use super::report::{Key, Report, WrongDtype, WrongShape};
use super::shards::of_part;
use super::shown::shown;

/// Which of a model's weights are to come from a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every weight: the file is a SAM2-UNet checkpoint.
    All,
    /// Every weight but those of the three heads, whose shapes depend on the number of classes.
    AllButHeads,
    /// SAM2's trunk only: the file is a backbone. A SAM2-UNet checkpoint serves as one too.
    Trunk,
}

impl Scope {
    /// Whether a weight is to come from the file.
    fn includes(self, spec: &WeightSpec) -> bool {
        match self {
            Self::All => true,
            Self::AllButHeads => !is_of_head(&spec.name),
            Self::Trunk => spec.in_trunk(),
        }
    }
}

/// Whether a published name is one of the three heads'.
fn is_of_head(name: &str) -> bool {
    ["head.", "side1.", "side2."].iter().any(|head| name.starts_with(head))
}

/// The number of classes of the model that a file holds: the outputs of its head. `None` where it has none.
pub fn classes_of(file: &WeightFile) -> Option<usize> {
    let key = file.spelling()?.spelled("head.weight");
    file.info(&key)?.shape.first().copied().filter(|classes| *classes > 0)
}

/// The weights of the same model with so many classes.
pub(super) fn with_classes(specs: &[WeightSpec], classes: usize) -> Vec<WeightSpec> {
    let mut specs = specs.to_vec();
    for spec in specs.iter_mut().filter(|spec| is_of_head(&spec.name)) {
        spec.shape.first_mut().into_iter().for_each(|channels| *channels = classes);
    }
    specs
}

/// The weights of a file that a model asked for, under their published names; values are read when asked for.
#[derive(Debug)]
pub struct Loaded<'f> {
    file: &'f WeightFile,
    /// Published name to the file's.
    keys: HashMap<String, String>,
    /// What was lent last.
    lent: Option<&'f [u8]>,
}

impl<'f> Loaded<'f> {
    /// A source that takes from this file what it was asked for ([`Scope`]), and everything else from `rest`.
    pub fn with_rest<'r>(self, rest: &'r mut dyn WeightSource) -> Completed<'f, 'r> {
        Completed { loaded: self, rest }
    }

    /// The weight's key in the file.
    fn key(&self, spec: &WeightSpec) -> Result<&str, CheckpointError> {
        let missing = || CheckpointError::NoTensor { path: self.file.path().to_path_buf(), key: spec.name.clone() };
        let key = self.keys.get(&spec.name).ok_or_else(missing)?;
        let info = self.file.info(key).ok_or_else(missing)?;
        if !same_shape(&spec.shape, info.shape) {
            let key = shown(self.file.in_file(key));
            let reason = format!("{key}: expected {:?}, found {:?}", spec.shape, info.shape);
            return Err(Fault::Unsupported(reason).at(self.file.path()));
        }
        Ok(key)
    }

    fn spoilt(&self, name: &str, at: usize, number: f32) -> CheckpointError {
        let shape = self.file.info(name).map_or(&[][..], |info| info.shape);
        let (path, key) = (self.file.path_of(name).to_path_buf(), shown(self.file.in_file(name)));
        let position = position(shape, at);
        match self.file.double(name, at).filter(|double| double.is_finite()) {
            Some(double) => {
                let reason = format!(
                    "{key} holds {double:e} at {position:?}, which is beyond the largest number of single precision"
                );
                Fault::Unsupported(reason).at(&path)
            }
            None => CheckpointError::NotFinite { path, key, position, number },
        }
    }

    /// The value of one of the weights. A counter that the file lacks is 0.
    pub(super) fn read(&self, spec: &WeightSpec) -> Result<Value, CheckpointError> {
        if spec.role == Role::Counter && !self.keys.contains_key(&spec.name) {
            return Ok(Value::Count(0));
        }
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
        if spec.role == Role::Counter {
            return Ok(None);
        }
        let key = self.key(spec)?;
        let encoded = self.file.encoded(key)?;
        match encoded.as_ref().and_then(Encoded::not_finite) {
            None => Ok(encoded),
            Some((at, number)) => Err(self.spoilt(key, at, number)),
        }
    }
}

/// The indices of number `at` of an array, outermost dimension first.
fn position(shape: &[usize], mut at: usize) -> Vec<usize> {
    let mut position: Vec<usize> = shape
        .iter()
        .rev()
        .map(|&size| {
            let index = at % size.max(1);
            at /= size.max(1);
            index
        })
        .collect();
    position.reverse();
    position
}

/// The error names file and weight itself.
fn source_error(error: &CheckpointError) -> SourceError {
    SourceError { name: String::new(), reason: error.to_string() }
}

impl WeightSource for Loaded<'_> {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        self.read(spec).map_err(|error| source_error(&error))
    }
    fn encoded(&mut self, spec: &WeightSpec) -> Result<Option<Encoded<'_>>, SourceError> {
        // packed by now: else the whole file would stay in memory beside the model
        if let Some(read) = self.lent.take() {
            self.file.let_go(read);
        }
        let encoded = self.read_encoded(spec).map_err(|error| source_error(&error))?;
        self.lent = encoded.as_ref().and_then(Encoded::lent);
        Ok(encoded)
    }
}

/// Weights from a file, and the rest from another source (an initialisation).
pub struct Completed<'f, 'r> {
    loaded: Loaded<'f>,
    rest: &'r mut dyn WeightSource,
}

impl Completed<'_, '_> {
    fn is_loaded(&self, spec: &WeightSpec) -> bool {
        self.loaded.keys.contains_key(&spec.name)
    }
}

impl WeightSource for Completed<'_, '_> {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        if self.is_loaded(spec) { self.loaded.value(spec) } else { self.rest.value(spec) }
    }
    fn encoded(&mut self, spec: &WeightSpec) -> Result<Option<Encoded<'_>>, SourceError> {
        if self.is_loaded(spec) { self.loaded.encoded(spec) } else { self.rest.encoded(spec) }
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
    if scope != Scope::Trunk && layout != Layout::Sam2Unet {
        let reason = format!(
            "holds SAM2's trunk only (layout: {layout}), not a whole SAM2-UNet; use it as a backbone, \
             or make a whole model of it with `convert`"
        );
        return Err(Fault::Unsupported(reason).at(file.path()));
    }
    let (loaded, report) = compare(file, specs, scope)?;
    if report.fits() {
        Ok((loaded, report))
    } else {
        let missing: Vec<_> = report.missing.iter().map(|key| key.in_file.clone()).collect();
        let hint = file.hint(&missing, !report.wrong_dtype.is_empty(), report.intruders > 0);
        Err(CheckpointError::Mismatch { path: file.path().to_path_buf(), report: Box::new(report), hint })
    }
}

/// The layout, or an error that says what the file holds instead.
pub(super) fn known_layout(file: &WeightFile) -> Result<Layout, CheckpointError> {
    file.layout().ok_or_else(|| {
        let names: Vec<_> = file.names().take(3).map(|name| shown(file.in_file(name))).collect();
        let reason = file.instead().unwrap_or_else(|| {
            let tensors = file.names().len();
            let part = of_part(file.path()).map_or_else(String::new, |part| format!("; {part}"));
            let names = names.join(", ");
            format!("none of its {tensors} tensors is of SAM2's image encoder (the first are called {names}){part}")
        });
        Fault::Unsupported(reason).at(file.path())
    })
}

/// Compares a file with the weights `specs` of a model, those in `scope`; all that differs stands in the report.
pub(super) fn compare<'f>(
    file: &'f WeightFile,
    specs: &[WeightSpec],
    scope: Scope,
) -> Result<(Loaded<'f>, Report), CheckpointError> {
    let wanted: BTreeMap<&str, &WeightSpec> =
        specs.iter().filter(|spec| scope.includes(spec)).map(|s| (s.name.as_str(), s)).collect();
    let mut report = Report { section: file.shown_section(), ..Report::default() };
    let mut keys = HashMap::new();
    let mut found = BTreeSet::new();
    for key in file.names() {
        let part = file.spelling().map_or(Part::Unknown, |spelling| spelling.part(key));
        let published = file.spelling().and_then(|spelling| spelling.published(key));
        let Some((name, spec)) = published.clone().and_then(|name| Some((name.clone(), *wanted.get(name.as_str())?)))
        else {
            let inside = file.spelling().is_some_and(|spelling| spelling.inside_trunk(key));
            match part {
                Part::OtherSam2 => report.other_parts += 1,
                Part::Adapters | Part::Rfb | Part::Decoder | Part::Unused if scope == Scope::Trunk => {
                    report.not_asked_for += 1;
                }
                _ if scope == Scope::AllButHeads && published.as_deref().is_some_and(is_of_head) => {
                    report.not_asked_for += 1;
                }
                _ if file.known_only() => report.left_out.push(file.in_file(key).to_owned()),
                _ => {
                    report.unexpected.push(file.in_file(key).to_owned());
                    report.intruders += usize::from(scope != Scope::Trunk || inside);
                }
            }
            continue;
        };
        found.insert(spec.name.as_str());
        let Some(info) = file.info(key) else { continue };
        let pair = || Key { published: name.clone(), in_file: file.in_file(key).to_owned() };
        let count = spec.role == Role::Counter;
        if !same_shape(&spec.shape, info.shape) {
            report.wrong_shape.push(WrongShape {
                key: pair(),
                expected: spec.shape.clone(),
                found: info.shape.to_vec(),
            });
        } else if !info.dtype.is_real() {
            report.wrong_dtype.push(WrongDtype { key: pair(), count, found: info.dtype });
        } else {
            report.applied += 1;
            keys.insert(name, key.to_owned());
        }
    }
    for name in wanted.keys().filter(|name| !found.contains(*name)) {
        if wanted[name].role == Role::Counter {
            report.counters += 1;
            continue;
        }
        let spelled = file.spelling().map_or_else(|| (*name).to_owned(), |spelling| spelling.spelled(name));
        let in_file = format!("{}{spelled}", file.prefix());
        report.missing.push(Key { published: (*name).to_owned(), in_file });
    }
    Ok((Loaded { file, keys, lent: None }, report))
}

#[cfg(test)]
mod tests {
    use super::position;

    #[test]
    fn numbers_have_a_place_in_each_dimension() {
        assert_eq!(position(&[2, 3, 4], 0), [0, 0, 0]);
        assert_eq!(position(&[2, 3, 4], 23), [1, 2, 3]);
        assert_eq!(position(&[2, 3, 4], 13), [1, 0, 1]);
        assert_eq!(position(&[5], 4), [4]);
        assert_eq!(position(&[], 0), [0; 0]);
    }
}
