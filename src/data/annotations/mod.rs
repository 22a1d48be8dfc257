//! Masks from annotation files.
//!
//! 1. A reader takes the files of a set: [`Coco`] one JSON for all images,
//!    [`Labelme`] one for each, [`PolygonText`] Ultralytics' text file for
//!    each. It checks all of them: what cannot be used is told together ([`BadAnnotations`]),
//!    what is worth knowing is counted ([`Notes`]).
//! 2. [`Annotated::drawing`] gives the shapes of one image, whatever file they come
//!    from.
//! 3. [`Drawing`] paints them: an index map, where a later shape lies over an earlier one, or a plane
//!    for each class, where they may overlap.
//!
//! Which pixels a shape covers depends on the tool, so each format is painted as its own tool does it, to the pixel:
//! COCO as pycocotools, Labelme as Labelme 7 with Pillow 13, Ultralytics' labels as OpenCV.

pub(crate) mod annotated;
mod canvas;
pub(crate) mod classes;
pub(crate) mod coco;
mod coco_polygon;
pub(crate) mod drawing;
pub(crate) mod files;
pub(crate) mod flaw;
mod json;
pub(crate) mod labelme;
pub(crate) mod notes;
mod open_cv;
mod pillow;
pub(crate) mod polygon_text;
pub(crate) mod region;
pub(crate) mod runs;
mod stamp;

pub use annotated::Annotated;
pub use classes::{Classes, MOST_CLASSES};
pub use coco::file::{Coco, CocoImage};
pub use drawing::{Drawing, Mark, Shape};
pub use files::{FileMatch, files_beside};
pub use flaw::{AnnotationError, BadAnnotation, BadAnnotations, Flaw, Id, Place};
pub use labelme::Labelme;
pub use notes::{Note, NoteKind, Notes};
pub use polygon_text::PolygonText;
pub use region::Region;
pub use runs::{Runs, RunsError};
