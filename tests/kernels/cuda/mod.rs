//! Every operation on a GPU, or its stand-in, against the CPU: values and gradients, over shapes that leave tiles,
//! windows and warps half full.

mod adamw;
mod add_relu;
mod batch_norm;
mod block;
mod concat;
mod conv;
mod device;
mod loss;
mod patch_embed;
mod resample;
