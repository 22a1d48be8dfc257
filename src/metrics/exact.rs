//! Numbers that come back from JSON as they went there.

use std::fmt;

use serde::de::{Deserializer, Error, Unexpected, Visitor};
use serde::{Deserialize, Serialize, Serializer};

/// A number in double precision. What JSON has no number for is a text: `"NaN"`, `"inf"` or `"-inf"`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Exact(pub f64);

const NOT_FINITE: [(&str, f64); 3] = [("NaN", f64::NAN), ("inf", f64::INFINITY), ("-inf", f64::NEG_INFINITY)];

impl Serialize for Exact {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let is_it = |other: f64| self.0 == other || self.0.is_nan() && other.is_nan();
        match NOT_FINITE.iter().find(|(_, other)| is_it(*other)) {
            Some((text, _)) => to.serialize_str(text),
            None => to.serialize_f64(self.0),
        }
    }
}

impl<'de> Deserialize<'de> for Exact {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Exact;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or \"NaN\", \"inf\" or \"-inf\"")
            }

            fn visit_f64<E: Error>(self, number: f64) -> Result<Exact, E> {
                Ok(Exact(number))
            }

            fn visit_u64<E: Error>(self, number: u64) -> Result<Exact, E> {
                Ok(Exact(number as f64))
            }

            fn visit_i64<E: Error>(self, number: i64) -> Result<Exact, E> {
                Ok(Exact(number as f64))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Exact, E> {
                let found = NOT_FINITE.iter().find(|(name, _)| *name == text);
                found.map(|(_, number)| Exact(*number)).ok_or_else(|| E::invalid_value(Unexpected::Str(text), &self))
            }
        }
        from.deserialize_any(Number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_comes_back() {
        let small = [0.0, -0.0, 1.0, 0.1, 1.0 / 3.0, f64::MIN_POSITIVE, 5e-324, f64::MAX, f64::EPSILON, -7.25, 1e17];
        let large = [f64::INFINITY, f64::NEG_INFINITY];
        for number in small.into_iter().chain(large) {
            let text = serde_json::to_string(&Exact(number)).unwrap();
            let Exact(found) = serde_json::from_str(&text).unwrap();
            assert_eq!(found.to_bits(), number.to_bits(), "{number}: {text}");
        }
        assert_eq!(serde_json::to_string(&Exact(f64::NAN)).unwrap(), "\"NaN\"");
        assert!(serde_json::from_str::<Exact>("\"NaN\"").unwrap().0.is_nan());
        assert_eq!(serde_json::from_str::<Exact>("3").unwrap().0, 3.0);
        for wrong in ["null", "\"nan\"", "\"\"", "[1]"] {
            assert!(serde_json::from_str::<Exact>(wrong).is_err(), "{wrong}");
        }
    }
}
