//! A share of the images that is held out of training, chosen by name.

use std::ffi::{OsStr, OsString};

use unicode_normalization::UnicodeNormalization;

use super::error::LayoutError;
use crate::data::random::Draws;

/// Holds out a share of the names for validation: their indices, ascending. A name is held out if the number in
/// `0.0..1.0` that is drawn from `seed` and the name alone is below `fraction`.
///
/// So a name stays where it is when others are added or taken away, and is the same on every machine: the folder's
/// path, the order of names and Unicode's form do not count. The share is right on average; of n names its standard
/// deviation is sqrt(fraction (1 - fraction) / n). If all names or none would be held out, the nearest one to the limit
/// changes sides, so that both sets have one; that one alone may move back as names are added.
///
/// Names are stems ([`Listing::stems`](crate::data::listing::Listing::stems)). To record who was held out, make a
/// [`NameList`](super::name_list::NameList) of them.
///
/// # Errors
///
/// When the fraction is not between 0 and 1, and when there are not two names.
pub fn hold_out(names: &[OsString], fraction: f64, seed: u64) -> Result<Vec<usize>, LayoutError> {
    if !(fraction > 0.0 && fraction < 1.0) {
        return Err(LayoutError::Fraction { fraction });
    }
    if names.len() < 2 {
        return Err(LayoutError::TooFewToHoldOut { names: names.len() });
    }
    let drawn: Vec<u64> = names.iter().map(|name| draw(seed, name)).collect();
    // 53 bits are what a f64 holds exactly
    let unit = |bits: u64| (bits >> 11) as f64 / (1u64 << 53) as f64;
    let mut held: Vec<usize> = (0..names.len()).filter(|at| unit(drawn[*at]) < fraction).collect();
    // equal draws: the name decides, whatever the order of the names
    let by_draw = |at: &usize| (drawn[*at], names[*at].as_encoded_bytes());
    if held.is_empty() {
        held.extend((0..names.len()).min_by_key(by_draw));
    } else if held.len() == names.len() {
        let last = (0..names.len()).max_by_key(by_draw);
        held.retain(|at| Some(*at) != last);
    }
    Ok(held)
}

/// 64 bits from the seed and the name's bytes: as UTF-8 in NFC where it is Unicode, with `/` between folders.
fn draw(seed: u64, name: &OsStr) -> u64 {
    let bytes = match name.to_str() {
        Some(text) => text.replace(std::path::MAIN_SEPARATOR, "/").nfc().collect::<String>().into_bytes(),
        None => name.as_encoded_bytes().to_vec(),
    };
    let word = |part: &[u8]| part.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte));
    let keys: Vec<u64> = [seed, bytes.len() as u64].into_iter().chain(bytes.chunks(8).map(word)).collect();
    Draws::new(&keys).bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A run that is gone on with holds out what it held out before, with any later release.
    #[test]
    fn the_draws_of_names_do_not_change() {
        let names: Vec<OsString> = (0..20).map(|i| OsString::from(format!("case_{i:03}"))).collect();
        let held = |seed| hold_out(&names, 0.25, seed).unwrap();
        assert_eq!((held(0), held(1)), (vec![1, 3, 7, 16, 17, 18, 19], vec![2, 7, 13]));
    }

    #[test]
    fn unicodes_form_is_no_other_name() {
        assert_eq!(draw(3, OsStr::new("caf\u{e9}")), draw(3, OsStr::new("cafe\u{301}")));
        assert_ne!(draw(3, OsStr::new("cafe")), draw(4, OsStr::new("cafe")));
        // zeros at the end are not lost
        assert_ne!(draw(3, OsStr::new("a")), draw(3, OsStr::new("a\0")));
    }
}
