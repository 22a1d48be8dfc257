//! Bringing a weight file of any layout into one of our two forms.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;

use crate::choice::choice;
use crate::nn::weights::source::WeightSource;
use crate::nn::weights::spec::WeightSpec;

use super::classes::FileClasses;
use super::describe::beside;
use super::detect::{detect, own_trunk};
use super::error::CheckpointError;
use super::file::WeightFile;
use super::layout::{Layout, trunk_file_name};
use super::load::{Scope, classes_of, known_layout, load, with_classes};
use super::output::{Output, is_torch};
use super::report::Report;
use super::selection::Selection;
use crate::data::classes::class::{ClassKind, Classes};

choice! {
    /// What [`convert`] writes.
    pub enum Target: "target" {
        /// A whole SAM2-UNet under the published names.
        Sam2Unet = "sam2-unet",
        /// SAM2's trunk alone, under Meta's names (`image_encoder.trunk.*`).
        Trunk = "trunk",
    }
}

/// What [`convert`] did.
#[derive(Clone, Debug)]
pub struct Converted {
    /// The candidate that the input is, or `a variant of its own`.
    pub variant: String,
    /// How the input was spelled.
    pub from: Layout,
    /// What was written.
    pub to: Target,
    /// What was taken from the input.
    pub report: Report,
    /// How many tensors were written.
    pub written: usize,
    /// What lies beside the weights in the input and was left out.
    pub beside: Vec<String>,
    /// The classes that the input tells, where the output has no place for them: an archive of PyTorch has none.
    pub untold: Option<Classes>,
}

impl fmt::Display for Converted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Converted { variant, from, to, report, written, beside, untold } = self;
        write!(f, "{variant}, {from} -> {to}: {written} tensors written\n{report}")?;
        if !beside.is_empty() {
            write!(f, "\nbeside the weights, not read: {}", beside.join(", "))?;
        }
        match untold {
            Some(classes) if classes.kind == ClassKind::Overlapping && classes.len() > 1 => write!(
                f,
                "\nwarning: not written: the names of the classes, and that they may overlap. Read back, the file counts as \
                 of {} classes that exclude each other; a .safetensors file keeps both",
                classes.len()
            )?,
            Some(_) => write!(f, "\nnot written: the names of the classes; a .safetensors file keeps them")?,
            None => {}
        }
        Ok(())
    }
}

/// Converts the weight file `input` into the file `output`, all real numbers as `f32`. A name that ends in `.pth`,
/// `.pt`, `.bin` or `.ckpt` gives an archive as `torch.save` writes it, any other a safetensors file.
///
/// The output depends on nothing but the weights (and the classes that they are of): the trunk of one variant gives the
/// same bytes from every layout. Without `to`, a whole SAM2-UNet stays one, of as many classes as it has; if its metadata
/// tell these, they stay, all of them, in a safetensors file. `rest` gives what a trunk lacks of a whole SAM2-UNet. To
/// [`Target::Trunk`], a trunk of a size that no candidate has (a variant that a user declared) is taken by its own size.
///
/// # Errors
/// Everything that [`WeightFile::open`], [`detect`], [`load`] and [`Writer`](super::Writer) report;
/// [`CheckpointError::NoTarget`] and [`CheckpointError::NoRest`] where `to` or `rest` is needed and missing;
/// [`CheckpointError::Request`] where input and output are one file.
pub fn convert<N: Copy + PartialEq + fmt::Display>(
    input: &Path,
    output: &Path,
    to: Option<Target>,
    candidates: &[(N, Vec<WeightSpec>)],
    rest: Option<&mut dyn WeightSource>,
) -> Result<Converted, CheckpointError> {
    convert_selected(input, &Selection::default(), output, to, candidates, rest)
}

/// The same, of the section, the prefix and the tensors of the input that a [`Selection`] names.
///
/// # Errors
/// As [`convert`], and what [`WeightFile::open_selected`] reports.
pub fn convert_selected<N: Copy + PartialEq + fmt::Display>(
    input: &Path,
    selection: &Selection,
    output: &Path,
    to: Option<Target>,
    candidates: &[(N, Vec<WeightSpec>)],
    rest: Option<&mut dyn WeightSource>,
) -> Result<Converted, CheckpointError> {
    if is_same_file(input, output) {
        return Err(CheckpointError::Request(format!(
            "{} is input and output at once; what the conversion leaves out would be lost: name another output",
            input.display()
        )));
    }
    let file = WeightFile::open_selected(input, selection)?;
    let from = known_layout(&file)?;
    let own;
    let (variant, specs) = match detect(&file, candidates) {
        Ok(variant) => {
            let specs = candidates.iter().find(|(name, _)| *name == variant);
            (variant.to_string(), specs.map_or(&[][..], |(_, specs)| specs))
        }
        Err(error) => match own_trunk(&file, candidates) {
            Some(specs) if to == Some(Target::Trunk) => {
                own = specs;
                ("a variant of its own".to_owned(), &own[..])
            }
            _ => return Err(error),
        },
    };
    let to = match to {
        Some(to) => to,
        None if from == Layout::Sam2Unet => Target::Sam2Unet,
        None => {
            return Err(CheckpointError::NoTarget { path: input.to_path_buf(), layout: from });
        }
    };
    let mut untold = None;
    let (output, report, written) = match (to, from) {
        (Target::Trunk, _) => {
            let (trunk, report) = load(&file, specs, Scope::Trunk)?;
            let specs: Vec<_> = specs.iter().filter(|spec| spec.in_trunk()).cloned().collect();
            let renamed: Vec<_> =
                specs.iter().map(|spec| WeightSpec { name: trunk_file_name(&spec.name), ..spec.clone() }).collect();
            let mut output = Output::create(output, &renamed, BTreeMap::new())?;
            for (spec, renamed) in specs.iter().zip(&renamed) {
                output.put_value(&renamed.name, &trunk.read(spec)?)?;
            }
            (output, report, specs.len())
        }
        (Target::Sam2Unet, Layout::Sam2Unet) => {
            // without names of classes the output depends on the weights alone
            let told = match FileClasses::of(&file)? {
                FileClasses::Told(classes) => {
                    untold = Some(classes).filter(|_| is_torch(output));
                    file.metadata().clone()
                }
                FileClasses::One | FileClasses::Assumed(_) => BTreeMap::new(),
            };
            let specs = classes_of(&file).map_or_else(|| specs.to_vec(), |classes| with_classes(specs, classes));
            let (model, report) = load(&file, &specs, Scope::All)?;
            let mut output = Output::create(output, &specs, told)?;
            for spec in &specs {
                output.put_value(&spec.name, &model.read(spec)?)?;
            }
            (output, report, specs.len())
        }
        (Target::Sam2Unet, _) => {
            let Some(rest) = rest else {
                return Err(CheckpointError::NoRest { path: input.to_path_buf(), layout: from });
            };
            let (trunk, report) = load(&file, specs, Scope::Trunk)?;
            let mut output = Output::create(output, specs, BTreeMap::new())?;
            for spec in specs {
                let value = if spec.in_trunk() { trunk.read(spec)? } else { rest.value(spec)? };
                output.put_value(&spec.name, &value)?;
            }
            (output, report, specs.len())
        }
    };
    output.finish()?;
    Ok(Converted { variant, from, to, report, written, beside: beside(file.beside()), untold })
}

fn is_same_file(a: &Path, b: &Path) -> bool {
    match (a.canonicalize(), b.canonicalize()) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}
