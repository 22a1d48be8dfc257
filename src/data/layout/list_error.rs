//! What can be wrong with a list of names.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What is wrong with a list of names, where, and what to do about it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NameListError {
    /// The list cannot be read.
    #[error("cannot read the list of names {}: {source}", path.display())]
    Read {
        /// The list.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
    /// A line is no text in the encoding of the list.
    #[error("{}, line {line}: not {encoding}; save the list as UTF-8", path.display())]
    Encoding {
        /// The list.
        path: PathBuf,
        /// The line, from 1 on.
        line: usize,
        /// What it should be.
        encoding: &'static str,
    },
    /// The list has no names.
    #[error("the list of names {list} is empty; write one name of an image on each line")]
    Empty {
        /// The list.
        list: String,
    },
    /// Names belong to no image.
    #[error(
        "{list}: {} of {of} names belong to no image in {}:{}{}",
        missing.len(), images.display(), Lines(missing),
        if *columns { "\nA line holds one name, and no second column" } else { "" }
    )]
    NotThere {
        /// The list.
        list: String,
        /// The names with their lines.
        missing: Vec<(String, usize)>,
        /// How many names the list has.
        of: usize,
        /// The folder of the images.
        images: PathBuf,
        /// Whether the names would be there without what follows a space or tab.
        columns: bool,
    },
    /// Names stand in the list twice, or two of them are one image.
    #[error("{list}: {} names of {of} stand there before:{}\nLeave each of them out once", twice.len(), Lines(twice))]
    Twice {
        /// The list.
        list: String,
        /// The later of the two, with their lines.
        twice: Vec<(String, usize)>,
        /// How many names the list has.
        of: usize,
    },
    /// Two lists share images.
    #[error(
        "{} of the images of {second} are in {first} too:{}\nLeave them out of one of both",
        shared.len(), Lines(shared)
    )]
    Shared {
        /// The one list.
        first: String,
        /// The other list.
        second: String,
        /// The names that both have, with their lines in the second.
        shared: Vec<(String, usize)>,
    },
    /// A list leaves out every image.
    #[error("{list} names all {of} images of {}, so that none is left", images.display())]
    NoneLeft {
        /// The list.
        list: String,
        /// How many images there are.
        of: usize,
        /// The folder of the images.
        images: PathBuf,
    },
}

/// Names with their lines: the first ten, one below the other.
struct Lines<'a>(&'a [(String, usize)]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 10;
        for (name, line) in self.0.iter().take(SHOWN) {
            write!(f, "\n  {name} (line {line})")?;
        }
        if self.0.len() > SHOWN { write!(f, "\n  and {} more", self.0.len() - SHOWN) } else { Ok(()) }
    }
}
