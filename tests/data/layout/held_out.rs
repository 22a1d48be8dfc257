//! Shares that are held out.

use crate::support::tree::Tree;
use sam2unet::data::layout::{LayoutError, NameList, Selection, hold_out};
use sam2unet::data::{Folder, FolderOptions, Listing};
use std::ffi::OsString;

fn names(count: usize) -> Vec<OsString> {
    (0..count).map(|i| format!("case_{i}").into()).collect()
}

#[test]
fn the_share_is_right_on_average_and_the_seed_decides_who() {
    let names = names(4000);
    for (fraction, seed) in [(0.1, 1), (0.1, 2), (0.5, 1)] {
        let held = hold_out(&names, fraction, seed).unwrap();
        let expected = 4000.0 * fraction;
        // four standard deviations
        let off = (held.len() as f64 - expected).abs();
        assert!(off < 4.0 * (expected * (1.0 - fraction)).sqrt(), "{} of 4000 at {fraction}", held.len());
        assert!(held.is_sorted());
    }
    assert_ne!(hold_out(&names, 0.1, 1).unwrap(), hold_out(&names, 0.1, 2).unwrap());
}

#[test]
fn both_sets_have_an_image() {
    for count in 2..6 {
        for seed in 0..50 {
            for fraction in [1e-9, 0.5, 1.0 - 1e-9] {
                let held = hold_out(&names(count), fraction, seed).unwrap();
                assert!(!held.is_empty() && held.len() < count, "{held:?} of {count}");
            }
        }
    }
}

#[test]
fn shares_that_are_none_and_single_images_are_refused() {
    for fraction in [0.0, 1.0, -0.5, 2.0, f64::NAN] {
        let error = hold_out(&names(3), fraction, 0).unwrap_err();
        assert!(matches!(error, LayoutError::Fraction { .. }), "{error}");
    }
    assert_eq!(
        hold_out(&names(1), 0.1, 0).unwrap_err().to_string(),
        "`val_fraction` needs two images or more, one to train on and one to hold out; there are 1"
    );
}

#[test]
fn what_is_held_out_is_recorded_as_a_list_and_is_not_trained_on() {
    let tree = Tree::new(&[]);
    for i in 0..20 {
        tree.add(&format!("images/{i}.jpg"));
        tree.add(&format!("masks/{i}.png"));
    }
    let listing = Listing::of(&tree.at("images"), false).unwrap();
    let stems = listing.stems();
    let held = hold_out(&stems, 0.2, 7).unwrap();
    let list = NameList::of("what is held out", held.iter().map(|at| stems[*at].clone()));
    list.write(&tree.at("held_out.txt")).unwrap();
    let list = NameList::read(&tree.at("held_out.txt")).unwrap();

    let open = |selection| {
        let options = FolderOptions { selection, ..FolderOptions::default() };
        Folder::open_with(&tree.at("images"), &tree.at("masks"), options).unwrap()
    };
    let [validation, training] = [open(Selection::Only(list.clone())), open(Selection::Except(list))];
    assert_eq!(validation.pairs().len(), held.len());
    let mut all: Vec<_> = validation.pairs().iter().chain(training.pairs()).map(|pair| pair.stem.clone()).collect();
    all.sort();
    assert_eq!(all.len(), 20);
    all.dedup();
    assert_eq!(all.len(), 20);
    assert!(training.found().masks_without_image.is_empty());
}
