//! Shapes as Pillow's `ImageDraw` fills them, to the pixel.

pub(super) mod ellipse;
pub(super) mod line;
pub(super) mod polygon;
