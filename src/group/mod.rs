//! Processes that work on one thing together: what they send each other, and nothing of what it means.
//!
//! All stands on one trait of two operations, [`Group`]. One process is [`Alone`]; several are `MpiGroup`, with the feature
//! `mpi`; threads of one process can be ranks, for tests ([`threads()`]), and [`Clocked`] tells what their messages would take on a
//! network. [`launched`] tells whether a launcher started this
//! process as one of several, and [`CoreShares`] which part of its machine each rank computes on.

pub(crate) mod alone;
pub(crate) mod clocked;
pub(crate) mod cores;
pub(crate) mod launcher;
#[cfg(feature = "mpi")]
pub(crate) mod mpi;
pub(crate) mod processes;
pub(crate) mod threads;

pub use alone::Alone;
pub use clocked::{Clocked, Link, Network};
pub use cores::{CoreShare, CoreShares};
pub use launcher::{Launched, launched};
#[cfg(feature = "mpi")]
pub use mpi::{MpiGroup, StartError};
pub use processes::{Group, GroupError};
pub use threads::{Thread, threads};
