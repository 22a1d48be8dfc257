//! What holds of shares that are held out and of lists of names, whatever the names.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;

use proptest::prelude::*;
use sam2unet::data::Listing;
use sam2unet::data::layout::{NameList, Selection, hold_out};

fn names(count: std::ops::Range<usize>) -> impl Strategy<Value = BTreeSet<String>> {
    proptest::collection::btree_set("[a-zA-Z0-9 #_.-]{0,7}[a-z0-9]", count)
}

fn held(names: &[OsString], fraction: f64, seed: u64) -> BTreeSet<&OsString> {
    hold_out(names, fraction, seed).unwrap().into_iter().map(|at| &names[at]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Adding names moves none of those that were there, but for the one that fills a set that would be empty; and the
    /// order of the names counts for nothing.
    #[test]
    fn who_is_held_out_does_not_depend_on_the_others(
        few in names(2..40), more in names(0..40), fraction in 0.02..0.98f64, seed in any::<u64>(),
    ) {
        let before: Vec<OsString> = few.iter().map(OsString::from).collect();
        let mut after: Vec<OsString> = few.union(&more).map(OsString::from).collect();
        after.reverse();
        let (held_before, held_after) = (held(&before, fraction, seed), held(&after, fraction, seed));
        prop_assert!(!held_before.is_empty() && held_before.len() < before.len());
        let moved = before.iter().filter(|name| held_before.contains(name) != held_after.contains(name)).count();
        let filled = held_before.len() == 1 || held_before.len() == before.len() - 1;
        prop_assert!(moved <= usize::from(filled), "{moved} of {} moved", before.len());
    }

    /// A larger share holds out the same names and more.
    #[test]
    fn a_larger_share_holds_out_the_same_and_more(
        names in names(4..40), low in 0.1..0.9f64, high in 0.1..0.9f64, seed in any::<u64>(),
    ) {
        let names: Vec<OsString> = names.iter().map(OsString::from).collect();
        let (low, high) = (low.min(high), low.max(high));
        let (less, more) = (held(&names, low, seed), held(&names, high, seed));
        prop_assert!(less.is_subset(&more));
    }

    /// What is written as a list names the same images when it is read, and the others are all that is left.
    #[test]
    fn a_list_that_is_written_names_the_same_images(names in names(2..20), seed in any::<u64>()) {
        let root = tempfile::TempDir::new().unwrap();
        let images = root.path().join("images");
        fs::create_dir(&images).unwrap();
        for name in names.iter().filter(|name| !name.starts_with('.')) {
            fs::write(images.join(format!("{name}.jpg")), "x").unwrap();
        }
        fs::write(images.join("one.jpg"), "x").unwrap();
        fs::write(images.join("two.jpg"), "x").unwrap();
        let listing = Listing::of(&images, false).unwrap();
        let stems = listing.stems();
        let held = hold_out(&stems, 0.5, seed).unwrap();
        let file = root.path().join("list.txt");
        NameList::of("what is held out", held.iter().map(|at| stems[*at].clone())).write(&file).unwrap();
        let list = NameList::read(&file).unwrap();
        let left = Selection::Except(list.clone()).of(&listing).unwrap();
        prop_assert_eq!(&Selection::Only(list).of(&listing).unwrap(), &held);
        let mut all = [held, left].concat();
        all.sort_unstable();
        prop_assert_eq!(all, (0..stems.len()).collect::<Vec<_>>());
    }
}
