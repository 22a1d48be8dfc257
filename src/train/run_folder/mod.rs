//! A run's folder: what lies in it, written so that the process may be killed at any moment.

pub(in crate::train) mod checkpoint;
pub(crate) mod error;
pub(crate) mod folder;
pub(in crate::train) mod history;
pub(in crate::train) mod log;
pub(in crate::train) mod names;
pub(crate) mod state;
