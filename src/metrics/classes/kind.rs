//! Whether classes exclude each other.

use crate::choice::choice;

choice! {
    /// Whether classes exclude each other.
    pub enum ClassKind: "kind of classes" {
        /// A pixel is of one class: index maps.
        Exclusive = "exclusive",
        /// A pixel may be of several classes, or of none: a mask for each class.
        Overlapping = "overlapping",
    }
}
