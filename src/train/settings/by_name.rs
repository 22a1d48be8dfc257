//! Puts a [`Named`] choice into a file by its name.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

use super::named::Named;

pub(in crate::train::settings) fn serialize<T: Named, S: Serializer>(choice: &T, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(choice.name())
}

pub(in crate::train::settings) fn deserialize<'de, T: Named, D: Deserializer<'de>>(from: D) -> Result<T, D::Error> {
    T::parse(&String::deserialize(from)?).map_err(D::Error::custom)
}

/// The same for a choice that may be absent.
pub(super) mod optional {
    use serde::{Deserializer, Serializer};

    use crate::train::settings::named::Named;

    pub(in crate::train::settings) fn serialize<T: Named, S: Serializer>(
        choice: &Option<T>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match choice {
            Some(choice) => super::serialize(choice, to),
            None => to.serialize_none(),
        }
    }

    pub(in crate::train::settings) fn deserialize<'de, T: Named, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<T>, D::Error> {
        super::deserialize(from).map(Some)
    }
}
