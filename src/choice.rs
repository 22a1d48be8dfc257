//! A choice among names: spelled once, and the same in files, on command lines and in messages.

/// A choice among names. Names are found in any case; the canonical ones are in lower case, with `-` between words.
pub trait Choice: Copy + PartialEq + Sized + 'static {
    /// What is chosen, for messages.
    const WHAT: &'static str;

    /// All choices, in the order in which they are listed.
    fn all() -> &'static [Self];

    /// The name of this choice.
    fn name(self) -> &'static str;

    /// All names, in the order in which they are listed.
    fn names() -> Vec<&'static str> {
        Self::all().iter().map(|choice| choice.name()).collect()
    }

    /// The choice of that name, in any case.
    ///
    /// # Errors
    /// When there is none; the message lists those there are.
    fn of_name(text: &str) -> Result<Self, UnknownChoice> {
        let found = Self::all().iter().find(|choice| choice.name().eq_ignore_ascii_case(text));
        found.copied().ok_or_else(|| UnknownChoice { what: Self::WHAT, found: text.to_string(), names: Self::names() })
    }
}

/// No choice has that name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what}: there is no `{found}`; choose one of {}", names.join(", "))]
pub struct UnknownChoice {
    /// What was to be chosen.
    pub what: &'static str,
    /// The name that was given.
    pub found: String,
    /// The names there are.
    pub names: Vec<&'static str>,
}

/// Declares an enum whose variants have names. It implements [`Choice`], `Display`, `FromStr`, `Serialize` and `Deserialize`.
macro_rules! choice {
    ($(#[$meta:meta])* $vis:vis enum $Name:ident: $what:literal {
        $($(#[$variant_meta:meta])* $Variant:ident = $name:literal),+ $(,)?
    }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $vis enum $Name {
            $($(#[$variant_meta])* $Variant),+
        }

        impl $Name {
            /// All choices, in the order in which they are listed.
            pub const ALL: &'static [Self] = &[$(Self::$Variant),+];

            /// The name of this choice in files and on command lines.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$Variant => $name),+
                }
            }
        }

        impl $crate::choice::Choice for $Name {
            const WHAT: &'static str = $what;

            fn all() -> &'static [Self] {
                Self::ALL
            }

            fn name(self) -> &'static str {
                self.name()
            }
        }

        $crate::choice::text_of_choice!($Name);
    };
}
pub(crate) use choice;

/// `Display`, `FromStr`, `Serialize` and `Deserialize` of a [`Choice`], all by its name.
macro_rules! text_of_choice {
    ($Name:ty) => {
        impl std::fmt::Display for $Name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad($crate::choice::Choice::name(*self))
            }
        }

        impl std::str::FromStr for $Name {
            type Err = $crate::choice::UnknownChoice;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                $crate::choice::Choice::of_name(text)
            }
        }

        impl serde::Serialize for $Name {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.serialize_str($crate::choice::Choice::name(*self))
            }
        }

        impl<'de> serde::Deserialize<'de> for $Name {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let text = <String as serde::Deserialize>::deserialize(from)?;
                $crate::choice::Choice::of_name(&text).map_err(serde::de::Error::custom)
            }
        }
    };
}
pub(crate) use text_of_choice;

#[cfg(test)]
mod tests {

    choice! {
        /// What a drink is.
        enum Drink: "drink" {
            Tea = "tea",
            BlackCoffee = "black-coffee",
        }
    }

    #[test]
    fn names_lead_back_in_any_case() {
        for drink in Drink::ALL {
            assert_eq!(drink.to_string().parse(), Ok(*drink));
            assert_eq!(drink.name().to_uppercase().parse(), Ok(*drink));
            let json = serde_json::to_string(drink).unwrap();
            assert_eq!(json, format!("\"{}\"", drink.name()));
            assert_eq!(serde_json::from_str::<Drink>(&json.to_uppercase()).unwrap(), *drink);
        }
        assert_eq!(format!("{:<5}|", Drink::Tea), "tea  |");
    }

    #[test]
    fn an_unknown_name_is_refused_with_those_there_are() {
        let error = "water".parse::<Drink>().unwrap_err().to_string();
        assert_eq!(error, "drink: there is no `water`; choose one of tea, black-coffee");
        assert!(serde_json::from_str::<Drink>("\"water\"").unwrap_err().to_string().starts_with(&error));
    }
}
