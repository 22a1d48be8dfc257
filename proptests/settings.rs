//! Settings of any values are resolved or refused, and what is resolved has a plan.

use proptest::prelude::*;
use sam2unet::train::settings::KEYS;
use sam2unet::train::{Layer, Plan, Settings, resolve, settings::resume};
use toml::{Table, Value};

const NAMES: &[&str] =
    &["tiny", "LARGE", "polyp", "Both", "off", "bf16", "small", "cpu", "paper", "", "a/b", "\u{e9}", "\0"];

/// A value of any kind: sensible ones, and those at the ends of what a number can be.
fn value() -> impl Strategy<Value = Value> {
    let whole = prop_oneof![0i64..4, 60i64..400, any::<i64>(), Just(i64::MAX), Just(i64::MIN)];
    let real = prop_oneof![0.0..1.0, any::<f64>(), Just(f64::INFINITY), Just(f64::NAN)];
    prop_oneof![
        4 => whole.prop_map(Value::Integer),
        2 => real.prop_map(Value::Float),
        4 => proptest::sample::select(NAMES).prop_map(Value::from),
        1 => ".*".prop_map(Value::from),
        2 => any::<bool>().prop_map(Value::Boolean),
        1 => (0i64..9, any::<i64>()).prop_map(|(images, val_images)| {
            let sets = [("images", images), ("val_images", val_images)];
            Value::Table(sets.into_iter().map(|(key, count)| (key.to_string(), Value::Integer(count))).collect())
        }),
    ]
}

fn table() -> impl Strategy<Value = Table> {
    let key = proptest::sample::select(KEYS).prop_map(|key| key.name.to_string());
    proptest::collection::vec((key, value()), 0..6).prop_map(|entries| entries.into_iter().collect())
}

/// Values of the right kinds for most keys, so that many are resolved.
fn sensible() -> impl Strategy<Value = Table> {
    let numbers = (1i64..200_000, 1i64..200_000, 0i64..i64::MAX, 0i64..i64::MAX, 2i64..33);
    (numbers, any::<bool>(), 0.0..1e3).prop_map(|((batch, accumulate, epochs, seed, side), shuffle, lr)| {
        let entries = [
            ("batch_size", Value::Integer(batch)),
            ("accumulate", Value::Integer(accumulate)),
            ("epochs", Value::Integer(epochs)),
            ("seed", Value::Integer(seed)),
            ("size", Value::Integer(32 * side)),
            ("shuffle", Value::Boolean(shuffle)),
            ("lr", Value::Float(lr)),
        ];
        entries.map(|(key, value)| (key.to_string(), value)).into_iter().collect()
    })
}

/// What can be done with settings that hold, without much memory.
fn use_up(settings: &Settings, images: usize) {
    settings.check(false).unwrap();
    let text = settings.to_toml().unwrap();
    let again = resolve(&[text.parse::<Layer>().unwrap()]).unwrap();
    assert_eq!(&again.settings, settings);
    let plan = Plan::new(settings, images);
    assert!(plan.steps >= 1 && plan.steps_per_epoch >= 1, "{plan:?}");
    let seen: usize = plan.epoch(settings, 0).iter().map(|step| step.images()).sum();
    assert!(seen == images || seen == 2 * images, "{seen} of {images}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_values_are_resolved_or_refused(tables in (table(), sensible(), table()), images in 1usize..40) {
        let tables = [tables.0, tables.1, tables.2];
        let layers: Vec<Layer> = tables.into_iter().filter_map(|table| Layer::given(table).ok()).collect();
        match resolve(&layers) {
            Ok(resolved) => {
                use_up(&resolved.settings, images);
                resolved.annotated().unwrap();
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }

    /// A resume takes what it gives, and again.
    #[test]
    fn any_values_are_taken_by_a_resumed_run_or_refused(run in sensible(), given in table()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        let Ok(settings) = Layer::given(run).and_then(|layer| resolve(&[layer])) else { return Ok(()) };
        std::fs::write(&path, settings.settings.to_toml().unwrap()).unwrap();
        let Ok(given) = Layer::given(given) else { return Ok(()) };
        match resume(&path, &given) {
            Ok(resumed) => {
                std::fs::write(&path, resumed.settings.to_toml().unwrap()).unwrap();
                prop_assert_eq!(resume(&path, &given).unwrap().settings, resumed.settings);
            }
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}
