//! Writing files and folders so that each is whole under its name, whatever happens meanwhile.
//!
//! [`Replacement`] is a file or folder under a temporary name that gets its own name once it is complete; [`write()`]
//! does that for a small file in one call. Both return the system's error as it is: callers add the path.

pub(crate) mod folder;
pub(crate) mod place;
pub(crate) mod replace;
pub(crate) mod temporary;
pub(crate) mod write;

pub use replace::{Folder, Replacement, recover};
pub use write::{write, write_in_own_folder};
