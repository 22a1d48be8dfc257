//! The data layer against results of Pillow and PyTorch, bad files, pairs, background loading, generated scenes.

mod example;
mod folder;
mod inspect;
mod layout;
mod loader;
mod mask;
mod picture;
mod read;
mod resize;
mod synthetic;
mod write;
