//! A run's folder: what lies in it, written so that the process may be killed at any moment.

pub(in crate::train) mod checkpoint;
pub(in crate::train) mod error;
pub(in crate::train) mod folder;
pub(in crate::train) mod history;
pub(in crate::train) mod log;
pub(in crate::train) mod names;
pub(in crate::train) mod state;
