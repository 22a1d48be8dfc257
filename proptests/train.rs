//! A run gives the same bytes however often it is stopped or killed, and wherever.

use crate::support::run_folder::{copy, copy_following};
use crate::support::toy::{Noise, Toy, result, run, settings, watched};
use proptest::prelude::*;
use sam2unet::data::MultiScale;
use sam2unet::train::{Outcome, Settings, Sources};

#[derive(Clone, Debug)]
struct Case {
    images: usize,
    validated: bool,
    settings: Settings,
}

impl Case {
    fn sources(&self) -> Sources {
        let validation = self.validated.then(|| Noise::new(9, 2) as _);
        Sources::of(Noise::new(4, self.images), validation)
    }
}

fn case() -> impl Strategy<Value = Case> {
    let scale = prop_oneof![Just(MultiScale::Off), Just(MultiScale::Random), Just(MultiScale::Both)];
    let length = (1u64..4, proptest::option::of(1u64..12));
    let batches = (1usize..4, 1usize..4, any::<bool>(), any::<bool>());
    (2usize..8, any::<bool>(), length, batches, scale, any::<u64>(), any::<bool>()).prop_map(
        |(images, validated, (epochs, steps), (batch, accumulate, shuffle, augment), scale, seed, often)| {
            let settings = Settings {
                epochs: Some(epochs),
                steps,
                batch_size: batch,
                accumulate,
                shuffle,
                augment,
                multi_scale: scale,
                // a TOML integer holds no more
                seed: seed >> 1,
                checkpoint_minutes: if often { 0.0 } else { 1e6 },
                ..settings()
            };
            Case { images, validated, settings }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn stopping_anywhere_changes_nothing(case in case(), stops in proptest::collection::vec(1u64..16, 0..4)) {
        let dir = tempfile::tempdir().unwrap();
        let (one, other) = (dir.path().join("one"), dir.path().join("other"));
        let outcome = run(&one, &case.settings, &case.sources(), &mut Toy::new(), |_| false).unwrap();
        prop_assert_eq!(outcome, Outcome::Finished);
        for &stop in &stops {
            run(&other, &case.settings, &case.sources(), &mut Toy::new(), |step| step == stop).unwrap();
        }
        run(&other, &case.settings, &case.sources(), &mut Toy::new(), |_| false).unwrap();
        prop_assert_eq!(result(&one), result(&other));
    }

    #[test]
    fn being_killed_anywhere_changes_nothing(
        case in case(),
        kills in proptest::collection::vec((0usize..60, any::<bool>()), 1..3),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let one = dir.path().join("one");
        run(&one, &case.settings, &case.sources(), &mut Toy::new(), |_| false).unwrap();
        let mut from = dir.path().join("start");
        for (number, &(kill, follow)) in kills.iter().enumerate() {
            // what lies on the disk at one event of the run, or at its end; or a copy of it, in which links are folders
            let left = dir.path().join(format!("left-{number}"));
            let mut events = 0;
            watched(&from, &case.settings, &case.sources(), &mut Toy::new(), |_| false, |_| {
                if events == kill {
                    if follow { copy_following(&from, &left) } else { copy(&from, &left) }
                }
                events += 1;
            }).unwrap();
            if events > kill {
                from = left;
            }
        }
        run(&from, &case.settings, &case.sources(), &mut Toy::new(), |_| false).unwrap();
        prop_assert_eq!(result(&one), result(&from));
    }
}
