//! One image file: Pillow's pixels, what is told beside them, what is refused and how, damage.

mod damage;
mod facts;
mod jpeg;
mod pillow;
mod refusals;
mod tiff;
