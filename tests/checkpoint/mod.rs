//! Weight files: the golden ones, files built here in every form, and bad ones.

mod advice;
mod convert;
mod describe;
mod detect;
mod file;
mod files;
mod found;
mod legacy;
mod load;
mod pickle;
mod report;
mod safetensors;
mod shards;
mod torch;
