//! The scored images of a set, with the names of its classes.

use super::error::ClassError;
use super::pair::ClassPairScores;
use super::summary::ClassSummary;

/// The scored images of a set: all of the same classes.
#[derive(Clone, Debug)]
pub struct ClassSetScores {
    name: String,
    classes: Vec<String>,
    images: Vec<(String, ClassPairScores)>,
    summary: ClassSummary,
}

impl ClassSetScores {
    /// Of a set's name, the names of its classes in order (none where they have only numbers), and its images: stems
    /// and scores.
    ///
    /// # Errors
    /// Without images, when they differ in the kind or the number of classes, or when there is another number of names.
    pub fn new(
        name: impl Into<String>,
        classes: Vec<String>,
        images: Vec<(String, ClassPairScores)>,
    ) -> Result<Self, ClassError> {
        let summary = ClassSummary::over(images.iter().map(|(_, scores)| scores))?;
        if !classes.is_empty() && classes.len() != summary.classes() {
            return Err(ClassError::Names { classes: summary.classes(), names: classes.len() });
        }
        Ok(Self { name: name.into(), classes, images, summary })
    }

    /// The set's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The names of its classes, in order; none where they have only numbers.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Each image's stem and scores.
    pub fn images(&self) -> &[(String, ClassPairScores)] {
        &self.images
    }

    /// The scores over all images.
    pub fn summary(&self) -> &ClassSummary {
        &self.summary
    }
}

/// The name of each class: its own, or its number.
pub(super) fn shown_names(classes: usize, names: &[String]) -> Vec<String> {
    (0..classes).map(|class| names.get(class).cloned().unwrap_or_else(|| class.to_string())).collect()
}
