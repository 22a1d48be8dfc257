//! Writing safetensors, and hostile headers of such files.

use crate::support::small_model::{load_both, open, small_safetensors, small_specs, value_of, write_small};
use sam2unet::checkpoint::{CheckpointError, Scope, WeightFile, Writer, save};
use sam2unet::nn::weights::{Value, WeightSpec};
use std::collections::BTreeMap;

#[test]
fn saving_is_atomic_and_checks_what_it_is_given() {
    let specs = small_specs(4);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("model.safetensors");
    write_small(&path, &specs);
    let before = std::fs::read(&path).expect("written");
    let fill = |only: usize| {
        let specs = &specs;
        move |put: &mut dyn FnMut(WeightSpec, Value)| specs.iter().take(only).for_each(|s| put(s.clone(), value_of(s)))
    };
    let none = BTreeMap::new();
    let fails = |result: Result<(), CheckpointError>, part: &str| {
        let message = result.expect_err(part).to_string();
        assert!(message.contains(part) && message.contains("model.safetensors"), "{message}");
        assert_eq!(std::fs::read(&path).expect("still there"), before);
        assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 1);
    };
    fails(save(&path, &specs, fill(5), &none), "was announced and not given");
    fails(save(&path, &specs[..3], fill(5), &none), "was not announced");
    let twice = [specs.clone(), specs.clone()].concat();
    fails(save(&path, &twice, fill(0), &none), "two arrays are called");
    let wrong = |put: &mut dyn FnMut(WeightSpec, Value)| put(specs[0].clone(), Value::Real(vec![0.0; 3]));
    fails(save(&path, &specs, wrong, &none), "has 3 numbers, 16 were announced");
    let count = |put: &mut dyn FnMut(WeightSpec, Value)| put(specs[0].clone(), Value::Count(1));
    fails(save(&path, &specs, count, &none), "is a count");
    let mut writer = Writer::create(&path, &specs, &none).expect("begins");
    writer.put(&specs[3].name, &[0.0; 4]).expect("puts");
    let twice = writer.put(&specs[3].name, &[0.0; 4]);
    drop(writer);
    fails(twice, "given twice");
    // an open file keeps its values while another takes its name
    let file = WeightFile::open(&path).expect("opens");
    save(&path, &specs[..1], fill(1), &none).expect("replaces");
    assert_eq!(load_both(&file, &specs, Scope::All).0, specs.iter().map(value_of).collect::<Vec<_>>());
    assert_eq!(WeightFile::open(&path).expect("opens").names().len(), 1);

    let message = save(folder.path(), &specs, fill(0), &none).expect_err("a folder").to_string();
    assert!(message.contains("it is a folder"), "{message}");
}

#[test]
fn saved_bytes_depend_on_the_weights_only() {
    let mut specs = small_specs(4);
    let first = small_safetensors(&specs);
    specs.reverse();
    assert!(first == small_safetensors(&specs));
    // the crate that defines the format agrees
    let read = safetensors::SafeTensors::deserialize(&first).expect("valid");
    assert_eq!(read.len(), specs.len());
    for spec in &specs {
        let view = read.tensor(&spec.name).expect("there");
        assert_eq!(view.shape(), spec.shape);
        let bytes = match value_of(spec) {
            Value::Real(values) => values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>(),
            Value::Count(count) => count.to_le_bytes().to_vec(),
        };
        assert_eq!(view.data(), bytes);
    }
}

#[test]
fn hostile_safetensors_headers() {
    let file =
        |header: &str, data: usize| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat();
    let two_tensors = |other: &str| format!(r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":[0,8]}},{other}}}"#);
    let one = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}"#;
    assert_eq!(open(file(one, 8)).expect("well formed").values("a").expect("values"), [0.0, 0.0]);
    for (bytes, part) in [
        ([&u64::MAX.to_le_bytes()[..], b"{}"].concat(), "its header claims"),
        ([&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(), "its header claims"),
        ([&1000u64.to_le_bytes()[..], b"{}"].concat(), "its header claims 1000 bytes"),
        (file("{\"a\":", 8), "its header is no list of tensors"),
        (file("{[]}", 8), "its header is no list of tensors"),
        (file(one, 7), "truncated"),
        (file(one, 9), "appended"),
        (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,4]}}"#, 4), "shape"),
        (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}"#, 8), "offset"),
        (file(r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#, 12), "offset"),
        (file(&two_tensors(r#""b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}"#), 12), "offset"),
        (file(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#, 8), "overflow"),
        (file(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, 8), "header"),
        (file(r#"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#, 8), "F31"),
        (file(&two_tensors(r#""a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}"#), 8), "two tensors are called a"),
        (file(&format!("{}{}", r#"{"a":"#, "[".repeat(100_000)), 8), "its header is no list of tensors"),
    ] {
        let message = open(bytes).expect_err(part).to_string();
        assert!(message.contains(part) && !message.contains('\n'), "{part}: {message}");
    }
}

/// What a person reads when the disk is full, and when it is not.
#[test]
fn a_full_disk_is_told_with_what_to_do() {
    use std::io::{Error, ErrorKind};
    let told = |kind| {
        let (path, source) = ("model.safetensors".into(), Error::from(kind));
        sam2unet::checkpoint::CheckpointError::Write { path, source }.to_string()
    };
    for kind in [ErrorKind::StorageFull, ErrorKind::QuotaExceeded] {
        assert!(told(kind).contains("free some space, then try again"), "{}", told(kind));
    }
    assert!(!told(ErrorKind::PermissionDenied).contains("free some space"));
}
