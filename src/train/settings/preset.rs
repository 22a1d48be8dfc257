//! What holds where nothing is given.

use toml::{Table, Value};

use super::demo;
use crate::metrics::task::Task;

/// What the paper's section 4.1 sets for a folder of images, beside the defaults of [`Settings`](super::Settings): the epochs.
pub fn paper() -> Table {
    table([("epochs", Value::Integer(20))])
}

/// What differs without images: a demonstration of a few minutes on generated scenes.
pub fn demonstration() -> Table {
    let whole = |number: usize| Value::Integer(number as i64);
    let generated = table([("images", whole(demo::IMAGES)), ("val_images", whole(demo::VALIDATION_IMAGES))]);
    table([
        ("variant", Value::from(demo::VARIANT)),
        ("size", whole(demo::SIZE)),
        ("epochs", Value::Integer(demo::EPOCHS as i64)),
        ("batch_size", whole(demo::BATCH_SIZE)),
        ("lr", Value::Float(demo::LR)),
        ("generated", Value::Table(generated)),
    ])
}

/// The same for scenes of several classes.
pub fn demonstration_of_classes() -> Table {
    let whole = |number: usize| Value::Integer(number as i64);
    let generated =
        table([("images", whole(demo::IMAGES_OF_CLASSES)), ("val_images", whole(demo::VALIDATION_IMAGES_OF_CLASSES))]);
    let differs = table([
        ("epochs", Value::Integer(demo::EPOCHS_OF_CLASSES as i64)),
        ("lr", Value::Float(demo::LR_OF_CLASSES)),
        ("generated", Value::Table(generated)),
    ]);
    demonstration().into_iter().chain(differs).collect()
}

/// What the paper sets for a task.
pub fn of_task(task: Task) -> Table {
    let epochs = Value::Integer(task.epochs() as i64);
    table([("epochs", epochs), ("multi_scale", Value::from(task.multi_scale().name()))])
}

fn table<const N: usize>(entries: [(&str, Value); N]) -> Table {
    entries.into_iter().map(|(key, value)| (key.to_string(), value)).collect()
}
