//! Where the files of a data set are, told by small trees of each layout.

mod class_masks;
mod described;
mod folders;
mod held_out;
mod name_list;
mod pairs;
mod refusals;
mod yaml;
