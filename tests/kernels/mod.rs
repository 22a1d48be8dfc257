//! Tests of `src/kernels` as a user of the crate sees it.

mod cuda_stubs;
