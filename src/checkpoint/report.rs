//! What loading found, weight by weight.

use std::fmt;

use super::shown::shown;
use super::tensor::Dtype;

/// How many names of a kind a report shows before it only counts them.
const NAMES_SHOWN: usize = 4;

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
    /// Whether the model asks for a count and not for real numbers.
    pub count: bool,
    /// The file's type.
    pub found: Dtype,
}

/// What loading found, weight by weight.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Weights that the model takes from the file.
    pub applied: usize,
    /// What leads to them in a file of PyTorch, which may hold several models; empty where they lie at the top.
    pub section: String,
    /// Tensors of SAM2's other parts (neck, memory, prompts, mask decoder), which nobody asked for.
    pub other_parts: usize,
    /// Tensors that a SAM2-UNet adds to the trunk, where only the trunk was asked for.
    pub not_asked_for: usize,
    /// Weights that the model asks for and the file lacks.
    pub missing: Vec<Key>,
    /// Counters of batches that the file lacks, each of which is taken as 0. No result depends on them.
    pub counters: usize,
    /// Keys that nobody knows, of a file of which that is to be left out ([`Selection::known_only`](super::Selection::known_only)).
    pub left_out: Vec<String>,
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

    /// How many things do not fit.
    pub(super) fn problems(&self) -> usize {
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
        write!(f, "applied {}", self.applied)?;
        if !self.section.is_empty() {
            write!(f, " from `{}`", self.section)?;
        }
        write!(f, " · other parts of SAM2 {}", self.other_parts)?;
        if self.not_asked_for > 0 {
            write!(f, " · rest of SAM2-UNet {}", self.not_asked_for)?;
        }
        if self.counters > 0 {
            write!(f, " · counters not there, taken as 0: {}", self.counters)?;
        }
        let missing = |key: &Key| match self.closest(key) {
            Some(close) => format!("{key}, the file has {}", shown(close)),
            None => key.to_string(),
        };
        list(f, "missing", &self.missing, missing)?;
        if !self.left_out.is_empty() {
            list(f, "left out", &self.left_out, |key| shown(key))?;
        }
        list(f, "unexpected", &self.unexpected, |key| shown(key))?;
        list(f, "wrong shape", &self.wrong_shape, |wrong| {
            format!("{} expected {:?}, found {:?}", wrong.key, wrong.expected, wrong.found)
        })?;
        if !self.wrong_dtype.is_empty() {
            list(f, "wrong type", &self.wrong_dtype, |wrong| {
                let expected = if wrong.count { "a count" } else { "real numbers" };
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
            section: "states[0].model".into(),
            other_parts: 840,
            not_asked_for: 0,
            counters: 0,
            missing: vec![key("rfb1.branch0.0.conv.weight")],
            left_out: vec![],
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
            "applied 312 from `states[0].model` · other parts of SAM2 840 · missing 1: rfb1.branch0.0.conv.weight, the file has rfb1.branch0.0.conv.wieght \
             · unexpected 1: rfb1.branch0.0.conv.wieght · wrong shape 1: head.weight expected [1, 64, 1, 1], found [2, 64, 1, 1]"
        );
        assert!(!report.fits());
    }
}
