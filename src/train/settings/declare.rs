//! The macro that makes a struct of settings and the table of its keys out of one list.

/// Declares a struct of settings. A row is a documented field, its type, its default, the group it belongs to, how a
/// command line gives it ([`Flag`](super::key::Flag)), what another value means for a resumed run
/// ([`Change`](super::key::Change)), and what else is true of it ([`Mark`](super::key::Mark)).
macro_rules! settings {
    (
        $(#[$meta:meta])*
        pub struct $Name:ident, $(#[$keys_meta:meta])* $KEYS:ident {
            $(
                $(#[doc = $doc:literal])+
                $field:ident: $Type:ty = $default:expr, $group:ident, $flag:ident $(($text:literal))?, $change:ident
                    $(, $mark:ident)?;
            )+
        }
    ) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $Name {
            $(
                $(#[doc = $doc])+
                pub $field: $Type,
            )+
        }

        impl Default for $Name {
            fn default() -> Self {
                Self { $($field: $default),+ }
            }
        }

        $(#[$keys_meta])*
        pub const $KEYS: &[Key] = &[
            $(Key {
                name: stringify!($field),
                help: concat!($($doc),+),
                group: Group::$group,
                flag: Flag::$flag $(($text))?,
                change: Change::$change,
                always: !<[Mark]>::is_empty(&[$(Mark::$mark)?]),
                names: <$Type as SettingValue>::names,
                parse: <$Type as SettingValue>::from_text,
            }),+
        ];

        impl $Name {
            /// Calls `f` with each path that is given and its key.
            pub(in crate::train) fn each_path(&mut self, f: &mut dyn FnMut(&'static str, &mut std::path::PathBuf)) {
                $(if let Some(path) = self.$field.path() {
                    f(stringify!($field), path);
                })+
            }
        }
    };
}
pub(super) use settings;
