//! Processes that work on one thing together: what they send each other, and nothing of what it means.
//!
//! All stands on one trait of two operations, [`Group`]. One process is [`Alone`]; threads of one process can be ranks, for tests
//! ([`threads()`]).

pub(crate) mod alone;
pub(crate) mod processes;
pub(crate) mod threads;

pub use alone::Alone;
pub use processes::{Group, GroupError};
pub use threads::{Thread, threads};
