//! A run's folder: what lies in it, written so that the process may be killed at any moment.

pub(in crate::train) mod checkpoint;
pub(in crate::train) mod checkpoints;
pub(in crate::train) mod create;
pub(in crate::train) mod earlier;
pub(crate) mod error;
pub(crate) mod folder;
pub(in crate::train) mod history;
pub(in crate::train) mod holder;
pub(in crate::train) mod log;
pub(in crate::train) mod names;
pub(in crate::train) mod note;
pub(in crate::train) mod read;
pub(in crate::train) mod settle;
pub(crate) mod state;
