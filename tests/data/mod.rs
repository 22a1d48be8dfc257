//! The data layer against results of Pillow and PyTorch, bad files, pairs, background loading, generated scenes,
//! annotation files.

mod annotations;
mod example;
mod folder;
mod inspect;
mod loader;
mod mask;
mod picture;
mod read;
mod resize;
mod synthetic;
mod write;
