//! Writing files and folders so that each is whole under its name, whatever happens meanwhile.
//!
//! [`Replacement`] is a file or folder under a temporary name that gets its own name once it is complete; [`write()`]
//! does that for a small file in one call. [`Pointer`] is a name that stands for another folder and can be turned to a
//! third one at any time. All return the system's error as it is: callers add the path.
//!
//! What killed processes leave under temporary names is removed by the next one that writes into the folder
//! (`temporary::sweep`).

pub(crate) mod folder;
pub(crate) mod place;
pub(crate) mod pointer;
pub(crate) mod replace;
pub(crate) mod space;
pub(crate) mod temporary;
pub(crate) mod unfinished;
pub(crate) mod write;

pub use pointer::Pointer;
pub use replace::{Folder, Replacement};
pub use unfinished::{Held, remove_unfinished};
pub use write::{write, write_in_own_folder};
