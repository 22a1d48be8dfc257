//! The data layer against results of Pillow and PyTorch, bad files, pairs, background loading, generated scenes,
//! annotation files.

mod annotations;
mod classes;
mod example;
mod folder;
mod inspect;
mod layout;
mod loader;
mod mask;
mod picture;
mod read;
mod resize;
mod shapes;
mod size;
mod synthetic;
mod write;
mod written;
