//! Lists of names: which images of a folder are used.

use std::collections::{BTreeSet, HashMap};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use super::list_error::NameListError;
use crate::data::listing::{Listing, has_image_ending};
use crate::data::names::match_names;
use crate::files::write::write;

/// Names of images, as a text file lists them: one a line.
///
/// - A name is a path in the folder of the images, with or without its ending (`a`, `a.jpg`, `b/a`). It may begin with
///   the folder itself (`images/train/a.jpg`), or be an absolute path.
/// - Empty lines count for nothing, nor do lines that begin with `#` (write `./#1` for the name `#1`).
/// - Lines end in `\n` or `\r\n`. Text is UTF-8, or UTF-16 with a byte order mark, as PowerShell writes it. Names that
///   are no Unicode are taken byte for byte where the system has such.
/// - `\` stands for `/` where there is no such name otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameList {
    source: String,
    names: Vec<Listed>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Listed {
    name: OsString,
    line: usize,
}

/// Which images of a folder are used.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// All of them.
    #[default]
    All,
    /// Those of a list.
    Only(NameList),
    /// All but those of a list: what is left to train on when some are held out.
    Except(NameList),
    /// Those of these stems, to the letter.
    Stems(BTreeSet<OsString>),
}

impl NameList {
    /// Reads a list.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, is no text, or has no names.
    pub fn read(path: &Path) -> Result<Self, NameListError> {
        let bytes = std::fs::read(path).map_err(|source| NameListError::Read { path: path.to_owned(), source })?;
        let mut names = Vec::new();
        for (line, name) in (1..).zip(lines(&bytes)) {
            let bad = |encoding| NameListError::Encoding { path: path.to_owned(), line, encoding };
            let name = name.map_err(bad)?;
            let text = name.as_encoded_bytes().trim_ascii();
            if !text.is_empty() && !text.starts_with(b"#") {
                names.push(Listed { name, line });
            }
        }
        let list = path.display().to_string();
        if names.is_empty() { Err(NameListError::Empty { list }) } else { Ok(Self { source: list, names }) }
    }

    /// A list of one's own. `source` says in messages where it is from.
    pub fn of(source: impl Into<String>, names: impl IntoIterator<Item = OsString>) -> Self {
        let names = (1..).zip(names).map(|(line, name)| Listed { name, line }).collect();
        Self { source: source.into(), names }
    }

    /// The same lines with other names.
    pub(super) fn renamed(mut self, names: Vec<OsString>) -> Self {
        self.names.iter_mut().zip(names).for_each(|(listed, name)| listed.name = name);
        self
    }

    /// Where it is from: its file.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The names as they were written, in their order.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &OsStr> {
        self.names.iter().map(|listed| listed.name.as_os_str())
    }

    /// Writes the list, so that [`read`](Self::read) reads the same names.
    ///
    /// # Errors
    ///
    /// When the file cannot be written, and when a name has the end of a line in it.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut text = Vec::new();
        for name in self.names() {
            let bytes = name.as_encoded_bytes();
            if bytes.contains(&b'\n') || bytes.ends_with(b"\r") {
                let reason = format!("the name {name:?} has the end of a line in it, so that no list can hold it");
                return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
            }
            if bytes.trim_ascii_start().starts_with(b"#") {
                text.extend_from_slice(b"./");
            }
            text.extend_from_slice(bytes);
            text.push(b'\n');
        }
        write(path, text)
    }

    /// The images (their indices, ascending) that the list names. A name that no image has to the letter may differ
    /// from an image's in case or Unicode's form, if only one image comes into question.
    ///
    /// # Errors
    ///
    /// When names belong to no image, and when two are the same image: all of them.
    pub fn find(&self, images: &Listing) -> Result<Vec<usize>, NameListError> {
        let mut found: Vec<(usize, &Listed)> = self.match_to(images)?;
        found.sort_by_key(|(image, listed)| (*image, listed.line));
        let mut twice: Vec<_> =
            found.windows(2).filter(|two| two[0].0 == two[1].0).map(|two| two[1].1.told()).collect();
        if !twice.is_empty() {
            twice.sort_by_key(|(_, line)| *line);
            return Err(NameListError::Twice { list: self.source.clone(), twice, of: self.names.len() });
        }
        Ok(found.into_iter().map(|(image, _)| image).collect())
    }

    /// Sees that two lists of one folder share no image, such as one to train on and one to validate on.
    ///
    /// # Errors
    ///
    /// When they do: all that they share. Also as [`find`](Self::find).
    pub fn check_apart(&self, other: &Self, images: &Listing) -> Result<(), NameListError> {
        let mine = self.find(images)?;
        let both = other.match_to(images)?.into_iter().filter(|(image, _)| mine.binary_search(image).is_ok());
        let shared: Vec<_> = both.map(|(_, listed)| listed.told()).collect();
        if shared.is_empty() {
            return Ok(());
        }
        Err(NameListError::Shared { first: self.source.clone(), second: other.source.clone(), shared })
    }

    /// The image of each name.
    fn match_to(&self, images: &Listing) -> Result<Vec<(usize, &Listed)>, NameListError> {
        let known = Known::of(images);
        let found: Vec<Option<usize>> = self.names.iter().map(|listed| known.find(&listed.name)).collect();
        // what is left on both sides may differ in case or in Unicode's form
        let left: Vec<usize> = (0..found.len()).filter(|at| found[*at].is_none()).collect();
        let stems: Vec<OsString> = left.iter().map(|at| stem_of(&known.plain(&self.names[*at].name))).collect();
        let loose = match_names(&stems, &known.stems).candidates;
        let loose: HashMap<usize, usize> =
            left.iter().zip(loose).filter_map(|(at, image)| Some((*at, image?))).collect();
        let found = found.iter().enumerate().map(|(at, image)| image.or_else(|| loose.get(&at).copied()));
        let (mut there, mut missing) = (Vec::new(), Vec::new());
        for (listed, image) in self.names.iter().zip(found) {
            match image {
                Some(image) => there.push((image, listed)),
                None => missing.push(listed),
            }
        }
        if missing.is_empty() {
            return Ok(there);
        }
        let first_column = |listed: &&Listed| {
            let text = listed.name.to_string_lossy();
            let first = text.split_whitespace().next().unwrap_or_default();
            first.len() < text.trim().len() && known.find(OsStr::new(first)).is_some()
        };
        Err(NameListError::NotThere {
            list: self.source.clone(),
            columns: missing.iter().all(first_column),
            missing: missing.into_iter().map(Listed::told).collect(),
            of: self.names.len(),
            images: images.folder().to_owned(),
        })
    }
}

impl Selection {
    /// The images (their indices, ascending) that are used.
    ///
    /// # Errors
    ///
    /// As [`NameList::find`], and when no image is left.
    pub fn of(&self, images: &Listing) -> Result<Vec<usize>, NameListError> {
        let all = 0..images.files().len();
        let list = match self {
            Self::All => return Ok(all.collect()),
            Self::Only(list) => return list.find(images),
            Self::Stems(stems) => return Ok(all.filter(|image| stems.contains(&images.stem(*image))).collect()),
            Self::Except(list) => list,
        };
        let without = list.find(images)?;
        let left: Vec<usize> = all.clone().filter(|image| without.binary_search(image).is_err()).collect();
        if left.is_empty() {
            let (list, images) = (list.source.clone(), images.folder().to_owned());
            return Err(NameListError::NoneLeft { list, of: all.len(), images });
        }
        Ok(left)
    }
}

impl Listed {
    /// The name and its line, for people.
    fn told(&self) -> (String, usize) {
        (self.name.to_string_lossy().trim().to_string(), self.line)
    }
}

/// What the images of a folder may be called.
struct Known<'a> {
    folder: &'a Path,
    stems: Vec<OsString>,
    names: HashMap<OsString, usize>,
}

impl<'a> Known<'a> {
    fn of(images: &'a Listing) -> Self {
        let (folder, stems) = (images.folder(), images.stems());
        let mut names: HashMap<OsString, usize> = stems.iter().cloned().zip(0..).collect();
        // the whole name comes first: `a.png` is `a.png`, and not `a.png.jpg`
        names.extend(images.files().iter().zip(0..).map(|(file, at)| (inside(file, folder).into_os_string(), at)));
        Self { folder, stems, names }
    }

    /// The image of a name: as it was written, then without space around it.
    fn find(&self, written: &OsStr) -> Option<usize> {
        self.exactly(written).or_else(|| self.exactly(OsStr::new(written.to_str()?.trim())))
    }

    fn exactly(&self, name: &OsStr) -> Option<usize> {
        let path = self.in_folder(Path::new(name));
        let of = |name: &OsStr| self.names.get(name).copied();
        // the list may have been made of masks, whose endings are others
        of(path.as_os_str()).or_else(|| of(&stem_of(&path)))
    }

    /// A name in the spelling that is compared last: no space around it, `/`, the path in the folder.
    fn plain(&self, written: &OsStr) -> PathBuf {
        match written.to_str() {
            Some(text) => self.in_folder(Path::new(&text.trim().replace('\\', "/"))),
            None => self.in_folder(Path::new(written)),
        }
    }

    /// A listed path as one in the folder: without `.`, and without the folder where it begins with that.
    fn in_folder(&self, path: &Path) -> PathBuf {
        if let Ok(inside) = path.strip_prefix(self.folder) {
            return inside.to_owned();
        }
        if path.is_absolute()
            && let (Ok(path), Ok(folder)) = (path.canonicalize(), self.folder.canonicalize())
            && let Ok(inside) = path.strip_prefix(folder)
        {
            return inside.to_owned();
        }
        let parts: Vec<Component> = path.components().filter(|part| *part != Component::CurDir).collect();
        let folder: Vec<Component> = self.folder.components().collect();
        // the longest end of the folder's path that the name begins with, unless the name itself is there
        let whole: PathBuf = parts.iter().collect();
        if self.names.contains_key(whole.as_os_str()) || self.names.contains_key(&stem_of(&whole)) {
            return whole;
        }
        let begins = |length: &usize| parts[..*length] == folder[folder.len() - *length..];
        let length = (1..parts.len().min(folder.len() + 1)).rev().find(begins).unwrap_or(0);
        parts[length..].iter().collect()
    }
}

/// A path without its ending, if that is an image's: `a.9` has none.
fn stem_of(path: &Path) -> OsString {
    if has_image_ending(path) { path.with_extension("").into_os_string() } else { path.as_os_str().to_owned() }
}

fn inside(file: &Path, folder: &Path) -> PathBuf {
    file.strip_prefix(folder).unwrap_or(file).to_owned()
}

/// The lines of a text without their ends, decoded by its byte order mark. A line that cannot be decoded is the
/// encoding's name.
fn lines(bytes: &[u8]) -> Vec<Result<OsString, &'static str>> {
    let utf16 = |bytes: &[u8], unit: fn([u8; 2]) -> u16| {
        let units: Vec<u16> = bytes.chunks(2).map(|two| unit([two[0], two.get(1).copied().unwrap_or(0)])).collect();
        let line = |line: &[u16]| String::from_utf16(line).map(without_end).map_err(|_| "UTF-16");
        units.split(|unit| *unit == u16::from(b'\n')).map(line).collect()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => utf16(rest, u16::from_le_bytes),
        [0xfe, 0xff, rest @ ..] => utf16(rest, u16::from_be_bytes),
        _ => {
            let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
            bytes.split(|byte| *byte == b'\n').map(|line| name_of(line.strip_suffix(b"\r").unwrap_or(line))).collect()
        }
    }
}

fn without_end(mut line: String) -> OsString {
    if line.ends_with('\r') {
        line.pop();
    }
    line.into()
}

#[cfg(unix)]
fn name_of(line: &[u8]) -> Result<OsString, &'static str> {
    use std::os::unix::ffi::OsStrExt;
    Ok(OsStr::from_bytes(line).to_owned())
}

#[cfg(not(unix))]
fn name_of(line: &[u8]) -> Result<OsString, &'static str> {
    String::from_utf8(line.to_vec()).map(OsString::from).map_err(|_| "UTF-8")
}
