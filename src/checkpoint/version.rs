//! The number of the form in which this program writes checkpoints, so that an older program refuses what it would misread.

use std::collections::BTreeMap;

use super::shown::shown;

/// The number that this version writes into a model's metadata, and the largest that it reads. Files without it are older.
pub const MODEL_FORMAT: u64 = 2;

/// Where the number stands in a model's metadata. (`format` says which program's file it is.)
pub const FORMAT_KEY: &str = "sam2-unet-format";

/// The number in `metadata` if it is beyond [`MODEL_FORMAT`], or no number at all.
pub(super) fn newer(metadata: &BTreeMap<String, String>) -> Option<String> {
    let found = metadata.get(FORMAT_KEY)?;
    match found.parse::<u64>() {
        Ok(number) if number <= MODEL_FORMAT => None,
        _ => Some(shown(found)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn older_and_equal_numbers_are_read_and_newer_ones_are_not() {
        let of = |number: &str| newer(&BTreeMap::from([(FORMAT_KEY.to_string(), number.to_string())]));
        assert_eq!(newer(&BTreeMap::from([("format".to_string(), "99".to_string())])), None);
        assert_eq!((of("1"), of("2")), (None, None));
        for number in ["3", "99999999999999999999999", "two", "-1", ""] {
            assert_eq!(of(number).as_deref(), Some(number));
        }
    }
}
