//! Weight files written anew, as a trunk or a whole model.

use crate::support::archive::archive;
use crate::support::pico;
use crate::support::python::python;
use crate::support::shared::shared;
use crate::support::small_model::{Ramp, load_both, meta, small_specs, small_torch, value_of, write_small};
use sam2unet::checkpoint::{Dtype, Format, Layout, Report, Scope, Target, WeightFile, convert, save};
use sam2unet::data::{ClassKind, Classes};
use sam2unet::nn::weights::{Value, WeightSpec};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use zip::CompressionMethod;

#[test]
fn golden_trunks_of_every_spelling_convert_to_the_same_bytes() {
    let Some(specs) = pico::specs() else { return };
    let trunk_size = specs.iter().filter(|spec| spec.in_trunk()).count();
    let candidates = [("pico", specs)];
    let folder = tempfile::tempdir().expect("a folder");
    let mut outputs = Vec::new();
    for (name, layout, other_parts, rest) in [
        ("sam2_hiera_pico.pt", Layout::Meta, 3, 0),
        ("sam2_hiera_pico.timm.safetensors", Layout::Timm, 0, 0),
        ("sam2_hiera_pico.transformers.safetensors", Layout::Transformers, 0, 0),
        ("sam2unet_pico.pth", Layout::Sam2Unet, 0, 442),
        ("sam2unet_pico.safetensors", Layout::Sam2Unet, 0, 442),
    ] {
        let Some(path) = pico::file(name) else { return };
        let output = folder.path().join(format!("{name}.out"));
        let done = convert(&path, &output, Some(Target::Trunk), &candidates, None).expect(name);
        assert_eq!((done.from, done.written, done.variant.as_str()), (layout, trunk_size, "pico"), "{name}");
        let section = if name == "sam2_hiera_pico.pt" { "model" } else { "" };
        let expected = Report {
            applied: trunk_size,
            section: section.into(),
            other_parts,
            not_asked_for: rest,
            ..Report::default()
        };
        assert_eq!(done.report, expected, "{name}");
        outputs.push(std::fs::read(&output).expect("written"));

        // a variant that the caller does not know is taken by its own size
        let own = folder.path().join("own");
        convert(&path, &own, Some(Target::Trunk), &[] as &[(&str, _)], None).expect(name);
        assert!(std::fs::read(&own).expect("written") == outputs[0], "{name}");
    }
    assert_eq!((outputs.len(), trunk_size), (5, 94));
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
    let written = WeightFile::from_bytes("out", outputs.swap_remove(0)).expect("readable");
    assert_eq!(written.names().len(), trunk_size);
    assert!(written.names().all(|name| name.starts_with("image_encoder.trunk.")));
    assert_eq!(written.layout(), Some(Layout::Meta));
}

#[test]
fn golden_model_converts_and_converted_again_is_the_same() {
    let (Some(specs), Some(pth)) = (pico::specs(), pico::file("sam2unet_pico.pth")) else { return };
    let candidates = [("pico", specs)];
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("model.safetensors");
    let done = convert(&pth, &output, None, &candidates, None).expect("converts");
    assert_eq!((done.to, done.written), (Target::Sam2Unet, 536));
    let (a, b) = (WeightFile::open(&pth).expect("in"), WeightFile::open(&output).expect("out"));
    assert!(load_both(&a, &candidates[0].1, Scope::All).0 == load_both(&b, &candidates[0].1, Scope::All).0);
    // and a converted file converts to itself
    let again = folder.path().join("again.safetensors");
    convert(&output, &again, None, &candidates, None).expect("converts");
    assert!(std::fs::read(&output).expect("file") == std::fs::read(&again).expect("file"));
}

#[test]
fn golden_model_converts_and_loads_in_pytorch() {
    let (Some(specs), Some(pth), Some(python), Some(reference)) =
        (pico::specs(), pico::file("sam2unet_pico.pth"), python(), shared("reference"))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("model.safetensors");
    convert(&pth, &output, None, &[("pico", specs)], None).expect("converts");
    let run = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/pytorch.py"))
        .arg("strict")
        .args([&output, &reference, Path::new("pico"), &pth])
        .output()
        .expect("python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).contains("All keys matched"));
}

#[test]
fn a_trunk_becomes_a_model_with_a_source_for_the_rest() {
    let specs = small_specs(4);
    let candidates = [("small", specs.clone())];
    let trunk: Vec<_> = specs.iter().filter(|spec| spec.in_trunk()).cloned().collect();
    let (pickle, storages) = small_torch(&trunk, "HalfStorage", &meta);
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("in.pt"), folder.path().join("out.safetensors"));
    std::fs::write(&input, archive(&pickle, &storages, CompressionMethod::Stored)).expect("writes");
    let ask = |to, rest| convert(&input, &output, to, &candidates, rest);
    let message = ask(None, None).expect_err("not said what").to_string();
    assert!(message.contains("a trunk or a whole SAM2-UNet"), "{message}");
    let message = ask(Some(Target::Sam2Unet), None).expect_err("no seed").to_string();
    assert!(message.contains("another source"), "{message}");
    assert!(!output.exists());
    let done = ask(Some(Target::Sam2Unet), Some(&mut Ramp)).expect("converts");
    assert_eq!(done.written, specs.len());
    let file = WeightFile::open(&output).expect("opens");
    assert_eq!(load_both(&file, &specs, Scope::All).0, specs.iter().map(value_of).collect::<Vec<_>>());
    assert_eq!(file.names().len(), specs.len());
    assert!(file.names().all(|name| file.info(name).is_some_and(|info| matches!(info.dtype, Dtype::F32 | Dtype::I64))));

    let message = convert(&output, &output, Some(Target::Trunk), &candidates, None).expect_err("same").to_string();
    assert!(message.contains("input and output at once"), "{message}");
    let missing = folder.path().join("missing/out.safetensors");
    let message = convert(&input, &missing, Some(Target::Trunk), &candidates, None).expect_err("no folder").to_string();
    assert!(message.contains("missing does not exist"), "{message}");
    // a failed conversion leaves nothing behind
    assert_eq!(std::fs::read_dir(folder.path()).expect("folder").count(), 2);
}

#[test]
fn an_archive_for_pytorch_holds_the_same_and_depends_on_the_weights_only() {
    let specs = small_specs(4);
    let candidates = [("small", specs.clone())];
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    write_small(&path("a.safetensors"), &specs);
    let mut bytes = Vec::new();
    for (from, to) in [
        ("a.safetensors", "b.safetensors"),
        ("a.safetensors", "b.pth"),
        ("b.pth", "c.PT"),
        ("c.PT", "d.ckpt"),
        ("d.ckpt", "e.bin"),
        ("e.bin", "f.safetensors"),
    ] {
        let done = convert(&path(from), &path(to), None, &candidates, None).expect(to);
        assert_eq!(done.written, specs.len());
        bytes.push((to, std::fs::read(path(to)).expect("written")));
        let file = WeightFile::open(&path(to)).expect(to);
        let format = if to.ends_with("safetensors") { Format::Safetensors } else { Format::Torch };
        assert_eq!((file.format(), file.section().len()), (format, 0), "{to}");
        assert_eq!(load_both(&file, &specs, Scope::All).0, specs.iter().map(value_of).collect::<Vec<_>>(), "{to}");
    }
    assert!(bytes[1..5].windows(2).all(|pair| pair[0].1 == pair[1].1));
    assert!(bytes[0].1 == bytes[5].1);
    // a trunk, too
    convert(&path("b.pth"), &path("trunk.pth"), Some(Target::Trunk), &candidates, None).expect("converts");
    let trunk = WeightFile::open(&path("trunk.pth")).expect("opens");
    assert_eq!((trunk.layout(), trunk.names().len()), (Some(Layout::Meta), 16));
    // what fails leaves the file that was there before
    let before = std::fs::read(path("trunk.pth")).expect("there");
    convert(&path("trunk.pth"), &path("b.pth"), Some(Target::Sam2Unet), &candidates, None).expect_err("no rest");
    let mut nan = small_torch(&specs, "FloatStorage", &|name| name.to_owned());
    nan.1[5][12..16].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(path("nan.pth"), archive(&nan.0, &nan.1, CompressionMethod::Stored)).expect("writes");
    let message = convert(&path("nan.pth"), &path("trunk.pth"), None, &candidates, None).expect_err("NaN").to_string();
    let place = "nan.pth: encoder.blocks.0.block.norm1.bias holds NaN at [3]: the training that wrote it diverged";
    assert!(message.contains(place), "{message}");
    assert!(std::fs::read(path("trunk.pth")).expect("there") == before);
    let left = std::fs::read_dir(folder.path()).expect("folder").map(|entry| entry.expect("entry").file_name());
    assert!(left.into_iter().all(|name| !name.to_string_lossy().starts_with('.')));
    let message = convert(&path("b.pth"), folder.path(), None, &candidates, None).expect_err("a folder").to_string();
    assert!(message.contains("it is a folder"), "{message}");
}

#[test]
fn the_golden_model_is_an_archive_that_pytorch_loads() {
    let (Some(specs), Some(safetensors), Some(python), Some(reference)) =
        (pico::specs(), pico::file("sam2unet_pico.safetensors"), python(), shared("reference"))
    else {
        return;
    };
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("model.pth");
    convert(&safetensors, &output, None, &[("pico", specs)], None).expect("converts");
    let run = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/pytorch.py"))
        .arg("archive")
        .args([&output, &safetensors, &reference, Path::new("pico")])
        .output()
        .expect("python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).contains("All keys matched"));
}

#[test]
fn classes_that_an_archive_cannot_tell_are_told_to_be_lost() {
    let specs = small_specs(4);
    let candidates = [("small", specs.clone())];
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let mut heads = specs.clone();
    heads.iter_mut().filter(|spec| spec.name == "head.weight").for_each(|spec| spec.shape[0] = 2);
    let each = |put: &mut dyn FnMut(WeightSpec, Value)| {
        heads.iter().for_each(|spec| put(spec.clone(), value_of(spec)));
    };
    for (kind, told, other) in [
        (
            ClassKind::Overlapping,
            "warning: not written: the names of the classes, and that they may overlap",
            "keeps both",
        ),
        (ClassKind::Exclusive, "\nnot written: the names of the classes; a .safetensors file keeps them", "keeps them"),
    ] {
        let classes = Classes::named(kind, ["cat", "dog"].map(str::to_owned)).expect("classes");
        save(&path("in.safetensors"), &heads, each, &BTreeMap::from([classes.metadata()])).expect("saves");
        let done = convert(&path("in.safetensors"), &path("out.pth"), None, &candidates, None).expect("converts");
        let report = done.to_string();
        assert!(report.contains(told) && report.contains(other), "{report}");
        assert_eq!(done.untold, Some(classes));
        let done =
            convert(&path("in.safetensors"), &path("out.safetensors"), None, &candidates, None).expect("converts");
        assert!(done.untold.is_none() && !done.to_string().contains("not written"), "{done}");
        // what is read back tells nothing that could be lost
        let done = convert(&path("out.pth"), &path("again.pth"), None, &candidates, None).expect("converts");
        assert_eq!(done.untold, None);
    }
}
