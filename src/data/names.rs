//! Which names belong together.

use std::collections::{HashMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;

use unicode_normalization::UnicodeNormalization;

/// Whether a file's name ends so, in any case; `ending` is without its dot.
pub(crate) fn has_ending(path: &Path, ending: &str) -> bool {
    path.extension().is_some_and(|found| found.eq_ignore_ascii_case(ending))
}

/// How the stem of a mask follows from its image's: what the image has at its end is taken away, and what the mask has
/// is added. By default both are equal.
///
/// `a_leftImg8bit` becomes `a_gtFine_labelIds` with the suffixes `_leftImg8bit` and `_gtFine_labelIds`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StemRule {
    /// What every image has at the end of its stem, and its mask has not.
    pub image_suffix: String,
    /// What every mask has at the end of its stem, and its image has not.
    pub mask_suffix: String,
}

impl StemRule {
    /// Masks are called as their image, with `suffix` behind it.
    pub fn with_mask_suffix(suffix: &str) -> Self {
        Self { mask_suffix: suffix.to_string(), ..Self::default() }
    }

    /// The stem of the mask of the image `stem`; `None` if the image has not the suffix that it must have.
    pub fn mask_of(&self, stem: &OsStr) -> Option<OsString> {
        let mut mask = without_suffix(stem, &self.image_suffix)?;
        mask.push(&self.mask_suffix);
        Some(mask)
    }

    /// The stem of the image of the mask `stem`; `None` if the mask has not the suffix that it must have.
    pub fn image_of(&self, stem: &OsStr) -> Option<OsString> {
        let mut image = without_suffix(stem, &self.mask_suffix)?;
        image.push(&self.image_suffix);
        Some(image)
    }

    /// Whether a mask may have this stem.
    pub fn is_mask(&self, stem: &OsStr) -> bool {
        stem.as_encoded_bytes().ends_with(self.mask_suffix.as_bytes())
    }
}

/// What a mask is called, for people: `IMAGE_segmentation`.
impl fmt::Display for StemRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "IMAGE{}", self.mask_suffix)?;
        if self.image_suffix.is_empty() { Ok(()) } else { write!(f, " of an image IMAGE{}", self.image_suffix) }
    }
}

fn without_suffix(name: &OsStr, suffix: &str) -> Option<OsString> {
    if suffix.is_empty() {
        return Some(name.to_owned());
    }
    match name.to_str() {
        Some(text) => text.strip_suffix(suffix).map(OsString::from),
        #[cfg(unix)]
        None => {
            use std::os::unix::ffi::OsStrExt;
            name.as_bytes().strip_suffix(suffix.as_bytes()).map(|bytes| OsStr::from_bytes(bytes).to_owned())
        }
        #[cfg(not(unix))]
        None => None,
    }
}

/// Which candidate belongs to each name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// For each name, the index of its candidate.
    pub candidates: Vec<Option<usize>>,
    /// Names (their indices) that differ from their candidate in case, or in how Unicode spells them.
    pub loose: Vec<usize>,
    /// Candidates (their indices) that belong to no name.
    pub left: Vec<usize>,
}

/// Gives each name the candidate that is equal to it, byte for byte. A name that has none gets the one that differs in
/// case, or in Unicode's form (an accented letter is one character or two: NFC and NFD, as macOS and others write it),
/// if there is exactly one such candidate left, and no second such name.
pub fn match_names(names: &[OsString], candidates: &[OsString]) -> Matched {
    let exact: HashMap<&OsStr, usize> =
        candidates.iter().enumerate().map(|(at, name)| (name.as_os_str(), at)).collect();
    let mut found: Vec<Option<usize>> = names.iter().map(|name| exact.get(name.as_os_str()).copied()).collect();
    let mut taken = vec![false; candidates.len()];
    found.iter().flatten().for_each(|at| taken[*at] = true);

    let mut alike: HashMap<String, (Vec<usize>, Vec<usize>)> = HashMap::new();
    for (at, name) in names.iter().enumerate().filter(|(at, _)| found[*at].is_none()) {
        folded(name).into_iter().for_each(|key| alike.entry(key).or_default().0.push(at));
    }
    for (at, name) in candidates.iter().enumerate().filter(|(at, _)| !taken[*at]) {
        // only what some name looks for
        if let Some((_, same)) = folded(name).and_then(|key| alike.get_mut(&key)) {
            same.push(at);
        }
    }
    let mut loose = Vec::new();
    for (same_names, same_candidates) in alike.values() {
        if let (&[name], &[candidate]) = (&same_names[..], &same_candidates[..]) {
            found[name] = Some(candidate);
            taken[candidate] = true;
            loose.push(name);
        }
    }
    loose.sort_unstable();
    let left = (0..candidates.len()).filter(|at| !taken[*at]).collect();
    Matched { candidates: found, loose, left }
}

/// Names by what they have in common with others that differ in case or Unicode's form only.
pub struct Alike(HashMap<String, Vec<usize>>);

impl Alike {
    /// Of these names.
    pub fn of(names: &[OsString]) -> Self {
        let mut all: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, name) in names.iter().enumerate() {
            folded(name).into_iter().for_each(|key| all.entry(key).or_default().push(at));
        }
        Self(all)
    }

    /// Those (their indices) that differ from this one in case or Unicode's form at most.
    pub fn to(&self, name: &OsStr) -> &[usize] {
        folded(name).and_then(|key| self.0.get(&key)).map_or(&[], |found| &found[..])
    }
}

/// What names have in common that differ in case or Unicode's form only; `None` for what is no Unicode.
pub(in crate::data) fn folded(name: &OsStr) -> Option<String> {
    Some(name.to_str()?.nfc().collect::<String>().to_lowercase().nfc().collect())
}

/// What candidates have behind the names that they belong to (`_segmentation`), if it is the same for all names, each of which has
/// exactly one such candidate, or for all candidates.
pub fn common_suffix(names: &[OsString], candidates: &[OsString]) -> Option<String> {
    suffix_of_names(names, candidates).or_else(|| suffix_of_candidates(names, candidates))
}

/// What every candidate has behind a name, if it is the same for all.
fn suffix_of_candidates(names: &[OsString], candidates: &[OsString]) -> Option<String> {
    let names: HashSet<&[u8]> = names.iter().map(|name| name.as_encoded_bytes()).collect();
    let first = candidates.first()?.as_encoded_bytes();
    let all_have = |suffix: &&str| {
        let named = |candidate: &OsString| {
            candidate.as_encoded_bytes().strip_suffix(suffix.as_bytes()).is_some_and(|name| names.contains(name))
        };
        candidates.iter().all(named)
    };
    let ends = (1..first.len()).filter(|at| names.contains(&first[..*at]));
    let mut fitting = ends.filter_map(|at| std::str::from_utf8(&first[at..]).ok()).filter(all_have);
    let found = fitting.next()?;
    if fitting.next().is_none() { Some(found.to_string()) } else { None }
}

/// What every name has a candidate with, if that is one suffix.
fn suffix_of_names(names: &[OsString], candidates: &[OsString]) -> Option<String> {
    let first = names.first()?.as_encoded_bytes();
    let there: HashSet<&OsStr> = candidates.iter().map(OsString::as_os_str).collect();
    let has = |name: &OsString, suffix: &str| {
        let mut wanted = name.clone();
        wanted.push(suffix);
        there.contains(wanted.as_os_str())
    };
    let behind =
        |candidate: &OsString| String::from_utf8(candidate.as_encoded_bytes().strip_prefix(first)?.to_vec()).ok();
    let suffixes = candidates.iter().filter_map(behind).filter(|suffix| !suffix.is_empty());
    let mut fitting = suffixes.filter(|suffix| names.iter().all(|name| has(name, suffix)));
    let found = fitting.next()?;
    if fitting.next().is_none() { Some(found) } else { None }
}

/// A name as text that no other name has: itself where it is Unicode; otherwise bytes that are none stand as `\xFF`. A
/// backslash is doubled in such names, and in names that hold `\x` themselves.
pub fn name_as_text(name: &OsStr) -> String {
    const MARK: &str = "\\x";
    if let Some(text) = name.to_str().filter(|text| !text.contains(MARK)) {
        return text.to_owned();
    }
    let mut text = String::new();
    for chunk in name.as_encoded_bytes().utf8_chunks() {
        text += &chunk.valid().replace('\\', "\\\\");
        chunk.invalid().iter().for_each(|byte| text += &format!("{MARK}{byte:02X}"));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(names: &[&str]) -> Vec<OsString> {
        names.iter().map(OsString::from).collect()
    }

    fn matched(names: &[&str], candidates: &[&str]) -> (Vec<Option<usize>>, Vec<usize>, Vec<usize>) {
        let Matched { candidates, loose, left } = match_names(&list(names), &list(candidates));
        (candidates, loose, left)
    }

    #[test]
    fn equal_names_come_first() {
        assert_eq!(matched(&["a", "A"], &["A", "a"]), (vec![Some(1), Some(0)], vec![], vec![]));
        assert_eq!(matched(&["a", "B"], &["b", "a", "c"]), (vec![Some(1), Some(0)], vec![1], vec![2]));
        // the candidate that differs in case is another name's
        assert_eq!(matched(&["a", "A"], &["a"]), (vec![Some(0), None], vec![], vec![]));
    }

    #[test]
    fn both_spellings_of_an_accent_are_one_name() {
        let (nfc, nfd) = ("caf\u{e9}", "cafe\u{301}");
        assert_eq!(matched(&[nfc], &[nfd]), (vec![Some(0)], vec![0], vec![]));
        assert_eq!(matched(&[nfd, "x"], &["x", "CAF\u{c9}"]), (vec![Some(1), Some(0)], vec![0], vec![]));
    }

    #[test]
    fn what_could_belong_to_two_belongs_to_none() {
        assert_eq!(matched(&["Ab"], &["aB", "AB"]), (vec![None], vec![], vec![0, 1]));
        assert_eq!(matched(&["Ab", "aB"], &["ab"]), (vec![None, None], vec![], vec![0]));
    }

    #[test]
    fn the_stem_of_a_mask_follows_from_its_images() {
        let mask = |image: &str, mask: &str, stem: &str| {
            let rule = StemRule { image_suffix: image.to_string(), mask_suffix: mask.to_string() };
            rule.mask_of(OsStr::new(stem)).map(|mask| mask.into_string().unwrap())
        };
        assert_eq!(mask("", "", "a").as_deref(), Some("a"));
        assert_eq!(mask("", "_mask", "b/a").as_deref(), Some("b/a_mask"));
        assert_eq!(mask("_left", "_ids", "b/a_left").as_deref(), Some("b/a_ids"));
        assert_eq!(mask("_0000", "", "a_0000").as_deref(), Some("a"));
        assert_eq!(mask("_0000", "", "a_0001"), None);
        let rule = StemRule { image_suffix: "_left".to_string(), mask_suffix: "_ids".to_string() };
        assert_eq!(rule.image_of(OsStr::new("b/a_ids")).unwrap(), "b/a_left");
        assert_eq!(rule.image_of(OsStr::new("b/a")), None);
        assert!(StemRule::with_mask_suffix("_mask").is_mask(OsStr::new("a_mask")));
        assert!(!StemRule::with_mask_suffix("_mask").is_mask(OsStr::new("a")));
    }

    #[cfg(unix)]
    #[test]
    fn suffixes_of_names_of_any_bytes() {
        use std::os::unix::ffi::OsStrExt;
        let rule = StemRule { image_suffix: "_left".to_string(), mask_suffix: "_ids".to_string() };
        assert_eq!(rule.mask_of(OsStr::from_bytes(b"\xcd_left")).unwrap(), OsStr::from_bytes(b"\xcd_ids"));
        assert_eq!(rule.mask_of(OsStr::from_bytes(b"\xcd_right")), None);
    }

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_are_matched_byte_for_byte() {
        use std::os::unix::ffi::OsStringExt;
        let gbk = |last| OsString::from_vec(vec![0xcd, 0xbc, 0xb6, last]);
        let Matched { candidates, loose, left } = match_names(&[gbk(0xac), gbk(0xad)], &[gbk(0xad), gbk(0xac)]);
        assert_eq!((candidates, loose, left), (vec![Some(1), Some(0)], vec![], vec![]));
        assert_eq!(match_names(&[gbk(0xac)], &[gbk(0xad)]).candidates, [None]);
    }

    #[test]
    fn a_suffix_counts_only_if_all_names_have_it() {
        let suffix = |names: &[&str], candidates: &[&str]| common_suffix(&list(names), &list(candidates));
        assert_eq!(suffix(&["a", "b"], &["a_mask", "b_mask", "c"]).as_deref(), Some("_mask"));
        assert_eq!(suffix(&["a", "b"], &["a_mask", "b_seg"]), None);
        assert_eq!(suffix(&["a"], &["a_1", "a_2"]), None);
        assert_eq!(suffix(&["a", "b"], &["a", "b"]), None);
        // some images have no mask, or are no images
        assert_eq!(suffix(&["a", "b", "c"], &["a_m", "c_m"]).as_deref(), Some("_m"));
        assert_eq!(suffix(&["a", "a_super", "b", "b_super"], &["a_seg", "b_seg"]).as_deref(), Some("_seg"));
        assert_eq!(suffix(&["a", "b"], &["a_m", "x_m"]), None);
    }

    #[cfg(unix)]
    #[test]
    fn names_of_any_bytes_are_told_apart_as_text() {
        use std::os::unix::ffi::OsStrExt;
        let text = |bytes: &[u8]| name_as_text(OsStr::from_bytes(bytes));
        assert_eq!(text("caf\u{e9}/1".as_bytes()), "caf\u{e9}/1");
        assert_eq!(text(b"a\\b"), "a\\b");
        assert_eq!(text(b"a\xcd\xbc\xff"), "a\u{37c}\\xFF");
        let alike: [&[u8]; 7] = [b"\xff", b"\xfe", b"\\xFF", b"\\\\xFF", b"\\\xff", b"\\\\\xff", "\u{fffd}".as_bytes()];
        let texts: HashSet<String> = alike.iter().map(|name| text(name)).collect();
        assert_eq!(texts.len(), alike.len(), "{texts:?}");
    }
}
