//! Settings from choices, from files and of resumed runs.

use super::choices::Choices;
use super::settings::Settings;
use crate::data::multi_scale::MultiScale;
use crate::kernels::memory_use::MemoryUse;
use crate::kernels::precision::Precision;
use crate::metrics::task::Task;
use crate::nn::losses::table::Loss;

fn folder() -> Choices {
    Choices { images: Some("i".into()), masks: Some("m".into()), ..Choices::default() }
}

fn refused(choices: Choices) -> String {
    choices.resolve().unwrap_err().to_string()
}

#[test]
fn presets_are_those_of_the_paper_and_the_demo() {
    let paper = folder().resolve().unwrap();
    assert_eq!((paper.variant.as_str(), paper.size, paper.batch_size, paper.epochs), ("large", 352, 12, Some(20)));
    assert_eq!((paper.lr, paper.weight_decay, paper.shuffle, paper.augment), (1e-3, 5e-4, true, true));
    assert!(paper.images.unwrap().is_absolute() && paper.generated.is_none());
    let demo = Choices::default().resolve().unwrap();
    assert_eq!((demo.variant.as_str(), demo.size, demo.batch_size), ("tiny", 128, 8));
    assert!(demo.generated.is_some());
    for (task, epochs, scale) in [
        (Task::Camouflage, 50, MultiScale::Off),
        (Task::Salient, 50, MultiScale::Off),
        (Task::Marine, 20, MultiScale::Off),
        (Task::Mirror, 20, MultiScale::Off),
        (Task::Polyp, 20, MultiScale::Random),
    ] {
        let settings = Choices { task: Some(task), ..folder() }.resolve().unwrap();
        assert_eq!((settings.epochs, settings.multi_scale), (Some(epochs), scale));
    }
}

#[test]
fn flags_win_over_the_file_the_file_over_the_task_the_task_over_the_preset() {
    let flags = Choices { lr: Some(3e-4), task: Some(Task::Polyp), ..folder() };
    let file: Choices = toml::from_str("lr = 1e-2\nsize = 96\nmulti_scale = \"both\"\ntask = \"marine\"").unwrap();
    let settings = flags.over(file).resolve().unwrap();
    assert_eq!((settings.lr, settings.size), (3e-4, 96));
    assert_eq!((settings.task, settings.multi_scale), (Some(Task::Polyp), MultiScale::Both));
    assert_eq!((settings.epochs, settings.batch_size), (Some(20), 12));
}

#[test]
fn steps_alone_replace_a_lower_layers_epochs() {
    let settings = Choices { steps: Some(7), ..folder() }.resolve().unwrap();
    assert_eq!((settings.steps, settings.epochs), (Some(7), None));
    let settings = Choices { steps: Some(7), epochs: Some(3), ..folder() }.resolve().unwrap();
    assert_eq!((settings.steps, settings.epochs), (Some(7), Some(3)));
    let file = Choices { steps: Some(7), ..Choices::default() };
    let settings = Choices { epochs: Some(3), ..folder() }.over(file).resolve().unwrap();
    assert_eq!((settings.steps, settings.epochs), (None, Some(3)));
}

#[test]
fn what_is_written_reads_back_equal() {
    let polyp = Choices { task: Some(Task::Polyp), multi_scale: Some(MultiScale::Off), ..folder() };
    let steps = Choices { steps: Some(5), threads: Some(2), loss: Some(Loss::PublishedScript), ..Choices::default() };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    for choices in [polyp, steps] {
        let settings = choices.resolve().unwrap();
        std::fs::write(&path, settings.to_toml().unwrap()).unwrap();
        assert_eq!(Settings::read(&path).unwrap(), settings);
        assert_eq!(Choices::read(&path).unwrap().resolve().unwrap(), settings);
    }
}

#[test]
fn a_bad_value_is_refused_by_name() {
    assert_eq!(
        refused(Choices { size: Some(350), ..folder() }),
        "--size 350: the side must be a multiple of 32 from 64 to 1024; the nearest are 320 and 352"
    );
    assert!(refused(Choices { size: Some(0), ..folder() }).ends_with("64 and 96"));
    assert!(refused(Choices { size: Some(9999), ..folder() }).ends_with("992 and 1024"));
    assert!(refused(Choices { variant: Some("huge".into()), ..folder() }).contains("tiny, small, base-plus, large"));
    assert!(refused(Choices { epochs: Some(0), ..folder() }).starts_with("--epochs 0"));
    assert!(refused(Choices { batch_size: Some(0), ..folder() }).starts_with("--batch-size 0"));
    assert!(refused(Choices { lr: Some(-1.0), ..folder() }).starts_with("--lr -1"));
    assert!(refused(Choices { lr: Some(f64::NAN), ..folder() }).starts_with("--lr NaN"));
    assert!(refused(Choices { checkpoint_minutes: Some(-1.0), ..folder() }).starts_with("--checkpoint-minutes"));
    assert!(refused(Choices { masks: None, ..folder() }).starts_with("--images needs --masks"));
    assert!(refused(Choices { val_images: Some("v".into()), ..folder() }).contains("--val-masks"));
    assert!(refused(Choices { task: Some(Task::Polyp), ..Choices::default() }).contains("--images"));
    assert!(refused(Choices { backbone: Some("b".into()), init: Some("i".into()), ..folder() }).contains("exclude"));
    let large = Choices { size: Some(1024), multi_scale: Some(MultiScale::Random), ..folder() };
    assert!(refused(large).contains("1280"));
}

#[test]
fn a_bad_file_is_refused_with_its_line() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.toml");
    assert!(Choices::read(&path).unwrap_err().to_string().contains("run.toml"));
    for (text, part) in [
        ("sise = 352", "sise"),
        ("loss = \"dice\"", "paper, published-script"),
        ("size = \"big\"", "size"),
        ("size = ", "line 1"),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = Choices::read(&path).unwrap_err().to_string();
        assert!(message.contains("run.toml") && message.contains(part), "{message}");
    }
}

#[test]
fn a_resumed_run_may_change_its_length_and_nothing_that_changes_results() {
    let settings = Choices { epochs: Some(2), steps: Some(5), ..folder() }.resolve().unwrap();
    let longer = Choices { steps: Some(10), threads: Some(1), ..Choices::default() };
    let resumed = settings.clone().resumed_with(longer).unwrap();
    assert_eq!((resumed.steps, resumed.epochs, resumed.threads), (Some(10), Some(2), Some(1)));
    let less = Choices { memory: Some(MemoryUse::Small), ..Choices::default() };
    assert_eq!(settings.clone().resumed_with(less).unwrap().memory, MemoryUse::Small);
    for other in [
        Choices { lr: Some(1e-4), ..Choices::default() },
        Choices { precision: Some(Precision::Bf16), ..Choices::default() },
    ] {
        assert!(settings.clone().resumed_with(other).unwrap_err().to_string().contains("--resume"));
    }
}

#[test]
fn a_run_from_before_precision_and_memory_could_be_chosen_still_reads() {
    let text = folder().resolve().unwrap().to_toml().unwrap();
    let old: String = text
        .lines()
        .filter(|l| !l.starts_with("precision") && !l.starts_with("memory"))
        .map(|l| format!("{l}\n"))
        .collect();
    assert!(old.len() < text.len());
    let settings: Settings = toml::from_str(&old).unwrap();
    assert_eq!((settings.precision, settings.memory), (Precision::F32, MemoryUse::default()));
}

#[test]
fn the_larger_side_is_rounded_to_32() {
    let side = |size| Choices { size: Some(size), ..folder() }.resolve().unwrap().larger_side();
    assert_eq!([side(352), side(64), side(128), side(224)], [448, 96, 160, 288]);
}
