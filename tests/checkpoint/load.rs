//! Weights from files of every form and number type.

use crate::support::archive::archive;
use crate::support::pico;
use crate::support::small_model::{load_both, open, small_safetensors, small_specs, small_torch, torch, value_of};
use sam2unet::checkpoint::{Format, Report, Scope, WeightFile, detect, load};
use sam2unet::nn::weights::{Role, SourceError, Value, WeightSource, WeightSpec};
use zip::CompressionMethod;

#[test]
fn both_golden_models_hold_the_same() {
    let (Some(specs), Some(pth), Some(tensors)) =
        (pico::specs(), pico::file("sam2unet_pico.pth"), pico::file("sam2unet_pico.safetensors"))
    else {
        return;
    };
    assert_eq!(specs.len(), 536);
    let (pth, tensors) = (WeightFile::open(&pth).expect("pth"), WeightFile::open(&tensors).expect("safetensors"));
    assert_eq!((pth.format(), tensors.format()), (Format::Torch, Format::Safetensors));
    let (from_pth, report) = load_both(&pth, &specs, Scope::All);
    assert_eq!(report, Report { applied: 536, ..Report::default() });
    assert_eq!(report.to_string(), "applied 536 · other parts of SAM2 0 · missing 0 · unexpected 0 · wrong shape 0");
    let (from_tensors, report) = load_both(&tensors, &specs, Scope::All);
    assert_eq!(report, Report { applied: 536, ..Report::default() });
    assert_eq!(from_pth, from_tensors);
    assert_eq!(from_pth.len(), specs.len());
    let numbers = from_pth.iter().map(|v| if let Value::Real(v) = v { v.len() } else { 1 });
    assert!(numbers.zip(&specs).all(|(found, spec)| found == spec.len()));
    let counts = from_pth.iter().filter(|v| **v == Value::Count(0)).count();
    assert_eq!(counts, specs.iter().filter(|spec| spec.role == Role::Counter).count());
    let candidates = [("pico", specs)];
    assert_eq!(detect(&pth, &candidates).expect("pico"), "pico");
}

#[test]
fn every_form_and_number_type_reads_the_same() {
    let specs = small_specs(4);
    let expected: Vec<_> = specs.iter().map(value_of).collect();
    let safetensors = open(small_safetensors(&specs)).expect("safetensors");
    assert_eq!(safetensors.metadata().get("step").map(String::as_str), Some("5"));
    assert_eq!(load_both(&safetensors, &specs, Scope::All).0, expected);
    for kind in ["FloatStorage", "HalfStorage", "BFloat16Storage", "DoubleStorage"] {
        for method in [CompressionMethod::Stored, CompressionMethod::Deflated] {
            let (pickle, storages) = small_torch(&specs, kind, &|name| format!("module.{name}"));
            let file = open(archive(&pickle, &storages, method)).expect("archive");
            assert_eq!(file.section(), ["model"]);
            assert_eq!(load_both(&file, &specs, Scope::All).0, expected, "{kind} {method}");
        }
    }
    // f16 and bf16 in safetensors
    for (dtype, name) in [(safetensors::Dtype::F16, "F16"), (safetensors::Dtype::BF16, "BF16")] {
        let bytes: Vec<u8> = [1.5f32, -2.0]
            .iter()
            .flat_map(|&v| {
                if name == "F16" { half::f16::from_f32(v).to_le_bytes() } else { half::bf16::from_f32(v).to_le_bytes() }
            })
            .collect();
        let view = safetensors::tensor::TensorView::new(dtype, vec![2], &bytes).expect("a view");
        let file = open(safetensors::serialize([("x", view)], None).expect("bytes")).expect(name);
        assert_eq!(file.values("x").expect(name), [1.5, -2.0]);
    }
}

#[test]
fn a_count_may_have_one_dimension() {
    let specs = small_specs(4);
    let mut stored = specs.clone();
    for spec in stored.iter_mut().filter(|spec| spec.role == Role::Counter) {
        spec.shape = vec![1];
    }
    let file = open(torch(&stored)).expect("opens");
    let (values, report) = load_both(&file, &specs, Scope::All);
    assert!(report.fits() && values.contains(&Value::Count(12)));
}

#[test]
fn a_model_serves_as_backbone_and_the_rest_comes_from_elsewhere() {
    let specs = small_specs(4);
    let file = open(torch(&specs)).expect("opens");
    let (loaded, report) = load(&file, &specs, Scope::Trunk).expect("fits");
    assert_eq!((report.applied, report.not_asked_for), (16, 6));
    struct Nines;
    impl WeightSource for Nines {
        fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
            Ok(Value::Real(vec![9.0; spec.len()]))
        }
    }
    let mut rest = Nines;
    let mut both = loaded.with_rest(&mut rest);
    for spec in &specs {
        let expected = if spec.in_trunk() { value_of(spec) } else { Value::Real(vec![9.0; spec.len()]) };
        assert_eq!(both.value(spec).expect("a value"), expected);
    }
}
