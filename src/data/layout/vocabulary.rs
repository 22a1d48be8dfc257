//! What the names of folders mean.

use std::ffi::OsStr;

/// What a folder holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Role {
    Images,
    Masks,
}

/// What a set is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Split {
    Training,
    Validation,
    Test,
}

/// A name of folders, which stands for all that have the same letters ([`words_of`]), and a set that uses it.
type Name = (&'static str, &'static str);

/// Folders of images.
const IMAGES: [Name; 7] = [
    ("images", "Kvasir-SEG, ADE20K, and most sets"),
    ("image", "DUTS (DUTS-TR-Image), COD10K as published, PraNet's training set"),
    ("Imgs", "CAMO and COD10K as SINet packs them"),
    ("img", "many of one's own"),
    ("JPEGImages", "PASCAL VOC"),
    ("original", "CVC-ClinicDB"),
    ("originals", "many of one's own"),
];

/// Folders of masks. Folders of such a name without any image file (VOC's `Annotations` are XML, Ultralytics' `labels`
/// are text) count for nothing.
const MASKS: [Name; 19] = [
    ("masks", "Kvasir-SEG, and most sets"),
    ("mask", "DUTS (DUTS-TR-Mask), PraNet's training set"),
    ("GT", "CAMO and COD10K as SINet packs them"),
    ("gts", "many of one's own"),
    ("GT_Object", "COD10K as published"),
    ("Ground Truth", "CVC-ClinicDB"),
    ("labels", "nnU-Net (labelsTr), and many of one's own"),
    ("label", "many of one's own"),
    ("annotations", "ADE20K"),
    ("annotation", "many of one's own"),
    ("annot", "many of one's own"),
    ("annots", "many of one's own"),
    ("segmentation", "many of one's own"),
    ("segmentations", "many of one's own"),
    ("SegmentationClass", "PASCAL VOC, and what CVAT and Labelme export as VOC"),
    ("SegmentationClassPNG", "Labelme's labelme2voc, older versions"),
    ("SegmentationClassAug", "VOC with the masks of SBD"),
    // DRIVE's `mask` is the camera's field of view: with this row its two folders are told apart by whoever asks
    ("1st_manual", "DRIVE"),
    ("manual", "sets of retinal vessels"),
];

/// Words for what a set is for.
const SPLITS: [(&str, Split); 12] = [
    ("train", Split::Training),
    ("training", Split::Training),
    ("tr", Split::Training),
    ("val", Split::Validation),
    ("valid", Split::Validation),
    ("validation", Split::Validation),
    ("va", Split::Validation),
    ("dev", Split::Validation),
    ("test", Split::Test),
    ("testing", Split::Test),
    ("te", Split::Test),
    ("ts", Split::Test),
];

/// Words that say nothing (`TrainDataset`, `test_set`).
const EMPTY: [&str; 4] = ["dataset", "data", "set", "sets"];

/// What a folder's name says. Names are read as words, in any case: `DUTS-TR-Image` is images, training, and `duts`;
/// `imagesTr` is images, training.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meaning {
    pub role: Option<Role>,
    pub split: Option<Split>,
    /// The other words, in lower case: folders of images and masks belong together if these are equal.
    pub rest: Vec<String>,
}

impl Meaning {
    /// A name that is no Unicode means nothing.
    pub fn of(name: &OsStr) -> Self {
        let mut words = words_of(name.to_str().unwrap_or_default());
        let role = take_role(&mut words);
        let split_of = |word: &String| SPLITS.iter().find(|(known, _)| known == word).map(|(_, split)| *split);
        let split = match words.iter().position(|word| split_of(word).is_some()) {
            Some(at) => split_of(&words.remove(at)),
            None => None,
        };
        words.retain(|word| !EMPTY.contains(&&word[..]));
        Self { role, split, rest: words }
    }

    /// What the set is for, if the name says that and no more of what a folder holds.
    pub fn split_alone(&self) -> Option<Split> {
        if self.role.is_none() { self.split } else { None }
    }
}

/// Takes the longest run of words out that names a role.
fn take_role(words: &mut Vec<String>) -> Option<Role> {
    for length in (1..=words.len()).rev() {
        for start in 0..=words.len() - length {
            let joined = words[start..start + length].concat();
            let named = |names: &[Name]| names.iter().any(|(name, _)| words_of(name).concat() == joined);
            let role = if named(&IMAGES) { Some(Role::Images) } else { named(&MASKS).then_some(Role::Masks) };
            if role.is_some() {
                words.drain(start..start + length);
                return role;
            }
        }
    }
    None
}

/// The words of a name, in lower case: they end at what is neither letter nor digit, and where capitals begin.
pub(super) fn words_of(name: &str) -> Vec<String> {
    let letters: Vec<char> = name.chars().collect();
    let mut words = vec![String::new()];
    for (at, letter) in letters.iter().enumerate() {
        let before = at.checked_sub(1).map(|at| letters[at]);
        let after = letters.get(at + 1);
        // `imagesTr`, and the second capital of `JPEGImages` that has a small letter behind it
        let begins = letter.is_uppercase()
            && before.is_some_and(|before| {
                before.is_lowercase() || (before.is_uppercase() && after.is_some_and(|after| after.is_lowercase()))
            });
        if begins || !letter.is_alphanumeric() {
            words.push(String::new());
        }
        if letter.is_alphanumeric()
            && let Some(word) = words.last_mut()
        {
            word.extend(letter.to_lowercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// The names that are looked for, for messages.
pub(super) fn looked_for(role: Role) -> String {
    let names: &[Name] = if role == Role::Images { &IMAGES } else { &MASKS };
    names.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_words() {
        assert_eq!(words_of("DUTS-TR-Image"), ["duts", "tr", "image"]);
        assert_eq!(words_of("imagesTr"), ["images", "tr"]);
        assert_eq!(words_of("JPEGImages"), ["jpeg", "images"]);
        assert_eq!(words_of("GT_Object 2"), ["gt", "object", "2"]);
        assert_eq!(words_of("IMAGES"), ["images"]);
        assert_eq!(words_of("--"), [""; 0]);
    }

    #[test]
    fn names_of_published_sets_mean_what_they_hold() {
        use Role::{Images, Masks};
        use Split::{Test, Training, Validation};
        let check = |name: &str, role, split, rest: &[&str]| {
            let meaning = Meaning::of(OsStr::new(name));
            assert_eq!((meaning.role, meaning.split), (role, split), "{name}");
            assert_eq!(meaning.rest, rest, "{name}");
        };
        check("DUTS-TE-Mask", Some(Masks), Some(Test), &["duts"]);
        check("Imgs", Some(Images), None, &[]);
        check("GT_Object", Some(Masks), None, &[]);
        check("GT_Instance", Some(Masks), None, &["instance"]);
        check("JPEGImages", Some(Images), None, &[]);
        check("SegmentationClass", Some(Masks), None, &[]);
        check("SegmentationObject", Some(Masks), None, &["object"]);
        check("labelsTr", Some(Masks), Some(Training), &[]);
        check("imagesTs", Some(Images), Some(Test), &[]);
        check("TrainDataset", None, Some(Training), &[]);
        check("valid", None, Some(Validation), &[]);
        check("Ground Truth", Some(Masks), None, &[]);
        check("1st_manual", Some(Masks), None, &[]);
        check("train_images", Some(Images), Some(Training), &[]);
        check("leftImg8bit", None, None, &["left", "img8bit"]);
        check("training-old", None, Some(Training), &["old"]);
        check("weights", None, None, &["weights"]);
    }
}
