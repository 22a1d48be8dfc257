//! The table `[data]` of a settings file, in which a data set is described; its keys are settings, too.

use toml::{Table, Value};

/// The table's name, and the key of its folder beside it.
pub(super) const DATA: &str = "data";

/// The keys of the table, each with the setting that it is, and whether a run's `config.toml` has it there: those that earlier
/// versions had outside of the table stay there.
const IN_TABLE: [(&str, &str, bool); 19] = [
    ("root", DATA, true),
    ("images", "images", false),
    ("masks", "masks", false),
    ("val_images", "val_images", false),
    ("val_masks", "val_masks", false),
    ("val_fraction", "val_fraction", true),
    ("train_list", "train_list", true),
    ("val_list", "val_list", true),
    ("mask_suffix", "mask_suffix", false),
    ("labels", "labels", true),
    ("class", "classes", true),
    ("classes", "classes", false),
    ("ignore", "ignore", true),
    ("annotations", "annotations", true),
    ("overlapping", "overlapping", true),
    ("recursive", "recursive", false),
    ("resize_masks", "resize_masks", false),
    ("exif_orientation", "exif_orientation", false),
    ("scale_16_bit", "scale_16_bit", false),
];

/// The setting that a key of the table is.
pub(super) fn setting_of(key: &str) -> Option<&'static str> {
    IN_TABLE.iter().find(|(name, ..)| *name == key).map(|(_, setting, _)| *setting)
}

/// The keys of the table, for messages.
pub(super) fn keys() -> Vec<&'static str> {
    IN_TABLE.iter().map(|(name, ..)| *name).collect()
}

/// Puts settings that describe the data set into the table, where a run's settings have them.
pub(super) fn nest(settings: &mut Table) {
    let mut inner = Table::new();
    for (name, setting, _) in IN_TABLE.iter().filter(|(.., nested)| *nested) {
        match settings.remove(*setting) {
            // what is not so need not be said
            None | Some(Value::Boolean(false)) => {}
            Some(value) => {
                inner.insert((*name).to_string(), value);
            }
        }
    }
    if !inner.is_empty() {
        settings.insert(DATA.to_string(), Value::Table(inner));
    }
}

/// Takes the table apart: its keys stand among the settings then. Gives those that stand twice, in the table and beside it, and
/// those that are none.
pub(super) fn flatten(settings: &mut Table) -> Result<(), String> {
    let Some(Value::Table(_)) = settings.get(DATA) else { return Ok(()) };
    let Some(Value::Table(inner)) = settings.remove(DATA) else { return Ok(()) };
    for (name, value) in inner {
        let Some(setting) = setting_of(&name) else {
            return Err(format!("`{name}` is no key of [{DATA}]; it has {}", keys().join(", ")));
        };
        if settings.insert(setting.to_string(), value).is_some() {
            return Err(format!("`{name}` stands in [{DATA}] and beside it; leave one of them out"));
        }
    }
    Ok(())
}
