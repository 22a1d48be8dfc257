//! The folder of each class's files.

use std::collections::HashSet;
use std::ffi::OsStr;

use super::class::Classes;
use crate::data::names::folded;

/// A folder for each class, called as the class is wherever that is a name of a folder on every system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClassFolders {
    names: Vec<String>,
    replaced: Vec<usize>,
}

/// The longest name, in bytes.
const LONGEST: usize = 200;

impl ClassFolders {
    /// Of these classes. In a name that cannot be a folder's on some system, `_` stands for `/ \ : * ? " < > |`, control characters and a
    /// dot at its beginning or end, and its end is cut if it is too long; names of devices (`CON`) get a `_` behind them. Where two
    /// would be equal, or equal but for case or Unicode's form, the number of the class comes behind the later one. A name that needs
    /// no change keeps itself before any that does.
    pub fn of(classes: &Classes) -> Self {
        let safe: Vec<String> = classes.names().map(safe).collect();
        let mut names: Vec<Option<String>> = vec![None; safe.len()];
        let mut taken = HashSet::new();
        for ((name, safe), place) in classes.names().zip(&safe).zip(&mut names) {
            if name == safe && taken.insert(alike(safe)) {
                *place = Some(safe.clone());
            }
        }
        let mut replaced = Vec::new();
        let mut made = |number: usize| {
            replaced.push(number);
            let mut name = safe[number].clone();
            while !taken.insert(alike(&name)) {
                name.push_str(&format!("_{number}"));
            }
            name
        };
        let names = names.into_iter().enumerate().map(|(number, name)| name.unwrap_or_else(|| made(number))).collect();
        Self { names, replaced }
    }

    /// The names, in the order of the classes.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The numbers of the classes whose folder is called otherwise than they are.
    pub fn replaced(&self) -> &[usize] {
        &self.replaced
    }
}

/// What equal names have in common on systems that tell neither case nor Unicode's forms apart.
fn alike(name: &str) -> String {
    folded(OsStr::new(name)).unwrap_or_else(|| name.to_string())
}

/// Names that are devices on Windows, whatever their ending.
const DEVICES: [&str; 4] = ["con", "prn", "aux", "nul"];

fn is_device(name: &str) -> bool {
    let name = name.split('.').next().unwrap_or_default().to_ascii_lowercase();
    let numbered = |kind: &str| name.strip_prefix(kind).is_some_and(|rest| matches!(rest.as_bytes(), [b'1'..=b'9']));
    DEVICES.contains(&&name[..]) || numbered("com") || numbered("lpt")
}

fn safe(name: &str) -> String {
    let fits = |c: char| !(c.is_control() || "/\\:*?\"<>|".contains(c));
    let mut safe: String = name.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    let end = (0..=LONGEST.min(safe.len())).rev().find(|end| safe.is_char_boundary(*end));
    safe.truncate(end.unwrap_or(0));
    // hidden, or cut off by some systems
    if safe.starts_with('.') {
        safe.replace_range(..1, "_");
    }
    if safe.ends_with(['.', ' ']) {
        safe.pop();
        safe.push('_');
    }
    if is_device(&safe) {
        safe.push('_');
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::classes::class::ClassKind;

    fn folders(names: &[&str]) -> (Vec<String>, Vec<usize>) {
        let classes = Classes::named(ClassKind::Overlapping, names.iter().map(|name| name.to_string())).unwrap();
        let ClassFolders { names, replaced } = ClassFolders::of(&classes);
        (names, replaced)
    }

    #[test]
    fn folders_are_called_as_their_classes_where_that_is_possible() {
        assert_eq!(
            folders(&["polyp", "a b", "größe", "a.b"]),
            (["polyp", "a b", "größe", "a.b"].map(String::from).to_vec(), vec![])
        );
        let (names, replaced) = folders(&["a/b", ".", "..", "x\0\ny", "/etc", "C:\\", "end.", ".git"]);
        assert_eq!(names, ["a_b", "_", "__", "x__y", "_etc", "C__", "end_", "_git"]);
        assert_eq!(replaced, [0, 1, 2, 3, 4, 5, 6, 7]);
    }

    #[test]
    fn no_two_classes_share_a_folder() {
        let (names, replaced) = folders(&["a/b", "a_b", "Polyp", "polyp", "a\\b", "polyp_3"]);
        assert_eq!(names, ["a_b_0", "a_b", "Polyp", "polyp_3_3", "a_b_4", "polyp_3"]);
        assert_eq!(replaced, [0, 3, 4]);
        // one name in Unicode's two forms, and what Windows has no folders of
        let (names, _) = folders(&["caf\u{e9}", "cafe\u{301}", "con", "what?", "lpt1"]);
        assert_eq!(names, ["caf\u{e9}", "cafe\u{301}_1", "con_", "what_", "lpt1_"]);
        let long = "é".repeat(300);
        let (names, _) = folders(&[&long, &format!("{long}x"), "_"]);
        assert!(names[0].len() == 200 && names[1] == format!("{}_1", names[0]) && names[2] == "_");
    }
}
