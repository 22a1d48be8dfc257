//! A run of each format is read by this version. `formats/N` holds the texts of one, as the version with format N wrote
//! them. The weights, which are too large to keep, are made here.
#![cfg(unix)]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use sam2unet::checkpoint::{FORMAT_KEY, MODEL_FORMAT, WeightFile, save};
use sam2unet::train::{Event, Learner, Outcome, RunFolder, STATE_FORMAT};

use crate::support::run_log::log;
use crate::support::toy::{Toy, never, run, sources, watched};

/// The texts of a run of this format, stopped after step 4 of 6; its best model is that of step 3.
fn texts(format: u64, to: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/train/formats").join(format.to_string());
    fs::create_dir_all(to).unwrap();
    for name in ["config.toml", "run.json", "log.jsonl"] {
        fs::copy(from.join(name), to.join(name)).unwrap();
    }
    from.join("state.json")
}

/// Writes the model with the metadata of its format.
fn model(learner: &Toy, place: &Path, step: u64, format: u64) {
    let entries = [("format", "sam2-unet"), ("variant", "large"), ("size", "64"), ("precision", "f32")];
    let mut metadata: BTreeMap<_, _> = entries.map(|(key, value)| (key.to_string(), value.to_string())).into();
    metadata.insert("step".to_string(), step.to_string());
    if format > 1 {
        metadata.insert(FORMAT_KEY.to_string(), format.to_string());
    }
    fs::create_dir_all(place).unwrap();
    save(&place.join("model.safetensors"), &learner.specs(), |put| learner.each_value(put), &metadata).unwrap();
}

#[test]
fn a_run_of_each_format_goes_on() {
    for format in 1..=STATE_FORMAT {
        let dir = tempfile::tempdir().unwrap();
        let (made, place) = (dir.path().join("made"), dir.path().join("run"));
        let state = texts(format, &place);
        let settings = sam2unet::train::Settings::read(&place.join("config.toml")).unwrap();
        // the weights of step 4
        let mut learner = Toy::new();
        run(&made, &settings, &sources(7), &mut learner, |step| step == 4).unwrap();
        let (last, best) = match format {
            1 => (place.join("last"), place.join("best")),
            _ => (place.join("checkpoints/4"), place.join("checkpoints/3")),
        };
        model(&learner, &last, 4, format);
        model(&learner, &best, 3, format);
        fs::copy(made.join("last/optimiser.safetensors"), last.join("optimiser.safetensors")).unwrap();
        fs::copy(&state, last.join("state.json")).unwrap();
        if format > 1 {
            symlink("checkpoints/4", place.join("last")).unwrap();
            symlink("checkpoints/3", place.join("best")).unwrap();
        }

        let folder = RunFolder::open(&place).unwrap();
        let read = folder.state().unwrap().unwrap();
        assert_eq!((read.format, read.step, read.best.map(|best| best.step)), (format, 4, Some(3)));
        assert_eq!(folder.notes(), []);
        assert_eq!(folder.history().unwrap().sessions[0].to_step, Some(4));
        drop(folder);
        let mut resumed = None;
        let look = |event: &Event| {
            if let Event::Ready(overview) = event {
                resumed = overview.resumed;
            }
        };
        let outcome = watched(&place, &settings, &sources(7), &mut Toy::new(), never, look).unwrap();
        assert_eq!((outcome, resumed), (Outcome::Finished, Some(4)), "format {format}");
        let steps: Vec<_> = log(&place).iter().filter_map(|record| record["step"].as_u64()).collect();
        assert_eq!(steps, [1, 2, 3, 4, 5, 6]);
        let state = RunFolder::open(&place).unwrap().state().unwrap().unwrap();
        assert_eq!((state.format, state.step, state.finished), (STATE_FORMAT, 6, true));
        let model = WeightFile::open(&place.join("last/model.safetensors")).unwrap();
        assert_eq!(model.metadata()[FORMAT_KEY], MODEL_FORMAT.to_string());
    }
}

#[test]
fn a_newer_run_is_refused_by_its_number() {
    let dir = tempfile::tempdir().unwrap();
    let place = dir.path().join("run");
    texts(2, &place);
    let settings = sam2unet::train::Settings::read(&place.join("config.toml")).unwrap();
    fs::remove_dir_all(&place).unwrap();
    run(&place, &settings, &sources(7), &mut Toy::new(), |step| step == 4).unwrap();
    let file = place.join("checkpoints/4/state.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("\"format\": 2", "\"format\": 3, \"unknown\": []")).unwrap();
    let message = RunFolder::open(&place).unwrap_err().to_string();
    assert!(message.contains("made by a newer version") && message.contains("format 3"), "{message}");
    fs::write(&file, text).unwrap();
    let file = place.join("checkpoints/4/model.safetensors");
    let mut bytes = fs::read(&file).unwrap();
    let entry = format!("\"{FORMAT_KEY}\":\"2\"");
    let at = bytes.windows(entry.len()).position(|part| part == entry.as_bytes()).unwrap();
    bytes[at + entry.len() - 2] = b'3';
    fs::write(&file, bytes).unwrap();
    let message = WeightFile::open(&file).unwrap_err().to_string();
    assert!(message.contains("made by a newer version") && message.contains("format 3"), "{message}");
}
