//! Weight files written anew, as a trunk or a whole model.

use crate::support::archive::archive;
use crate::support::pico;
use crate::support::python::python;
use crate::support::shared::shared;
use crate::support::small_model::{Ramp, load_both, meta, small_specs, small_torch, value_of};
use sam2unet::checkpoint::{Dtype, Layout, Report, Scope, Target, WeightFile, convert};
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
        let expected = Report { applied: trunk_size, other_parts, not_asked_for: rest, ..Report::default() };
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
