//! Multi-head attention inside of windows.

mod gather;
pub mod shape;
pub mod windowed;
pub mod windows;
