//! What is worth knowing of annotations that can be used.

use std::fmt;

use serde::Serialize;

use super::classes::Classes;
use super::drawing::Mark;
use super::flaw::{NAMED, few};
use crate::choice::choice;

choice! {
    /// What is worth knowing of annotations.
    #[derive(PartialOrd, Ord)]
    pub enum NoteKind: "note" {
        /// Shapes that reach beyond their image; what lies outside is left out.
        Clipped = "shapes-clipped",
        /// Annotations with a box only, which mark no pixels.
        BoxOnly = "boxes-only",
        /// Annotations with key points only, which mark no pixels.
        KeypointsOnly = "keypoints-only",
        /// Polygons or lines with too few points to mark any pixel.
        FewPoints = "too-few-points",
        /// Labelme's shapes of type `points`, which mark no pixels.
        PointLists = "points-without-area",
        /// COCO's crowds, which are ignored.
        Crowd = "crowds-ignored",
        /// Annotations of categories that are none of the classes that were given.
        LeftOut = "classes-left-out",
        /// Classes that no annotation is of.
        Unused = "classes-unused",
        /// Images without any annotation.
        Unannotated = "images-unannotated",
        /// Images without an annotation file of their own.
        WithoutFile = "images-without-file",
    }
}

/// Something that is worth knowing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Note {
    /// What.
    pub kind: NoteKind,
    /// Of how many it is true.
    pub count: usize,
    /// The first few of them.
    pub examples: Vec<String>,
}

/// What is worth knowing of a set, by kind.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Notes(Vec<Note>);

impl Notes {
    pub(super) fn add(&mut self, kind: NoteKind, example: impl FnOnce() -> String) {
        let at = match self.0.binary_search_by_key(&kind, |note| note.kind) {
            Ok(at) => at,
            Err(at) => {
                self.0.insert(at, Note { kind, count: 0, examples: Vec::new() });
                at
            }
        };
        let note = &mut self.0[at];
        note.count += 1;
        if note.examples.len() < NAMED {
            note.examples.push(example());
        }
    }

    /// Counts the classes that no shape is of.
    pub(super) fn add_unused(&mut self, classes: &Classes, marks: impl Iterator<Item = Mark>) {
        let mut used = vec![false; classes.names().len()];
        for mark in marks {
            if let Mark::Class(class) = mark
                && let Some(used) = used.get_mut(usize::from(class))
            {
                *used = true;
            }
        }
        for (name, _) in classes.names().iter().zip(used).filter(|(_, used)| !used) {
            self.add(NoteKind::Unused, || name.clone());
        }
    }

    /// All of them.
    pub fn all(&self) -> &[Note] {
        &self.0
    }

    /// Of how many one kind is true.
    pub fn count(&self, kind: NoteKind) -> usize {
        self.0.iter().find(|note| note.kind == kind).map_or(0, |note| note.count)
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.count;
        match self.kind {
            NoteKind::Clipped => write!(f, "{count} shapes reach beyond their image; what lies outside is left out")?,
            NoteKind::BoxOnly => write!(f, "{count} annotations have a box only, which marks no pixels")?,
            NoteKind::KeypointsOnly => write!(f, "{count} annotations have key points only, which mark no pixels")?,
            NoteKind::FewPoints => write!(f, "{count} polygons or lines have too few points to mark any pixel")?,
            NoteKind::PointLists => write!(f, "{count} shapes of type `points` have no area and mark no pixels")?,
            NoteKind::Crowd => write!(f, "{count} crowds (`iscrowd`) are ignored")?,
            NoteKind::LeftOut => write!(f, "{count} annotations are of other classes and count as background")?,
            NoteKind::Unused => write!(f, "{count} classes have no annotation")?,
            NoteKind::Unannotated => write!(f, "{count} images have no annotation and are background")?,
            NoteKind::WithoutFile => write!(f, "{count} images have no annotation file and are background")?,
        }
        write!(f, " ({})", few(&self.examples, count))
    }
}
