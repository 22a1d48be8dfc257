//! Weight files: the golden ones, files built here in every form, and bad ones.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::golden::{shared, skipped};
use sam2unet::checkpoint::{
    CheckpointError, Dtype, Format, Layout, Report, Scope, Target, WeightFile, Writer, convert, describe_file,
    describe_variant, detect, load, save,
};
use sam2unet::nn::weights::{Role, SourceError, Value, WeightSource, WeightSpec};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

// ---------------------------------------------------------------- golden files

fn golden(name: &str) -> Option<PathBuf> {
    shared(&format!("golden/pico/{name}"))
}

/// A Python with torch, if one is named.
fn python() -> Option<String> {
    let python = std::env::var("SAM2UNET_PYTHON").ok();
    if python.is_none() {
        skipped("SAM2UNET_PYTHON names no Python with torch");
    }
    python
}

fn role(name: &str) -> Role {
    match name {
        _ if name.ends_with("num_batches_tracked") => Role::Counter,
        _ if name.starts_with("up4.") && !name.contains("running_") => Role::Unused,
        _ if name.contains("running_") => Role::Statistic,
        _ if name.starts_with("encoder.") && !name.contains("prompt_learn") => Role::Frozen,
        _ => Role::Trainable,
    }
}

/// Pico's weights, from the golden safetensors file (published names).
fn pico() -> Option<Vec<WeightSpec>> {
    let file = WeightFile::open(&golden("sam2unet_pico.safetensors")?).expect("a whole file");
    let spec = |name: &str| {
        let shape = file.info(name).map(|info| info.shape.to_vec()).unwrap_or_default();
        WeightSpec { name: name.into(), shape, role: role(name) }
    };
    Some(file.names().map(spec).collect())
}

fn load_both(file: &WeightFile, specs: &[WeightSpec], scope: Scope) -> (Vec<Value>, Report) {
    let (mut loaded, report) = load(file, specs, scope).expect("fits");
    let specs = specs.iter().filter(|spec| scope == Scope::All || spec.in_trunk());
    (specs.map(|spec| loaded.value(spec).expect("a value")).collect(), report)
}

#[test]
fn both_golden_models_hold_the_same() {
    let (Some(specs), Some(pth), Some(tensors)) =
        (pico(), golden("sam2unet_pico.pth"), golden("sam2unet_pico.safetensors"))
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
    let numbers = from_pth.iter().map(|v| if let Value::Real(v) = v { v.len() } else { 1 });
    assert!(numbers.zip(&specs).all(|(found, spec)| found == spec.len()));
    let counts = from_pth.iter().filter(|v| **v == Value::Count(0)).count();
    assert_eq!(counts, specs.iter().filter(|spec| spec.role == Role::Counter).count());
    let candidates = [("pico", specs)];
    assert_eq!(detect(&pth, &candidates).expect("pico"), "pico");
}

#[test]
fn golden_trunks_of_every_spelling_convert_to_the_same_bytes() {
    let Some(specs) = pico() else { return };
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
        let Some(path) = golden(name) else { return };
        let output = folder.path().join(format!("{name}.out"));
        let done = convert(&path, &output, Some(Target::Trunk), &candidates, None).expect(name);
        assert_eq!((done.from, done.written, done.variant.as_str()), (layout, trunk_size, "pico"), "{name}");
        let expected = Report { applied: trunk_size, other_parts, not_asked_for: rest, ..Report::default() };
        assert_eq!(done.report, expected, "{name}");
        outputs.push(std::fs::read(&output).expect("written"));

        // a variant that the caller does not know is taken by its own size
        let own = folder.path().join("own");
        convert(&path, &own, Some(Target::Trunk), &[], None).expect(name);
        assert!(std::fs::read(&own).expect("written") == outputs[0], "{name}");
    }
    assert!(outputs.windows(2).all(|pair| pair[0] == pair[1]));
    let written = WeightFile::from_bytes("out", outputs.swap_remove(0)).expect("readable");
    assert!(written.names().all(|name| name.starts_with("image_encoder.trunk.")));
    assert_eq!(written.layout(), Some(Layout::Meta));
}

#[test]
fn golden_model_converts_and_loads_in_pytorch() {
    let (Some(specs), Some(pth)) = (pico(), golden("sam2unet_pico.pth")) else { return };
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

    let (Some(python), Some(reference)) = (python(), shared("reference")) else { return };
    let run = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint_torch.py"))
        .arg("strict")
        .args([&output, &reference, Path::new("pico"), &pth])
        .output()
        .expect("python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    assert!(String::from_utf8_lossy(&run.stdout).contains("All keys matched"));
}

#[test]
fn files_of_torch_save_in_every_form() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let run = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint_torch.py"))
        .arg("write")
        .arg(folder.path())
        .output()
        .expect("python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let ramp: Vec<f32> = (0..24u8).map(|i| f32::from(i) / 8.0).collect();
    let at = |i: usize, j: usize, k: usize| ramp[(i * 3 + j) * 4 + k];
    let transposed: Vec<f32> = (0..24).map(|n| (n / 6, n / 3 % 2, n % 3)).map(|(k, i, j)| at(i, j, k)).collect();
    let sliced: Vec<f32> = (0..8).map(|n| (n / 4, 1 + n / 2 % 2, 2 * (n % 2))).map(|(i, j, k)| at(i, j, k)).collect();
    for (name, section) in [
        ("plain.pth", ""),
        ("training.pt", "model"),
        ("parallel.pt", "state_dict"),
        ("protocol3.pth", ""),
        ("protocol4.pth", ""),
        ("protocol5.pth", ""),
        ("no_checksum.pth", ""),
    ] {
        let file = WeightFile::open(&folder.path().join(name)).expect(name);
        assert_eq!(file.section().join("."), section, "{name}");
        assert_eq!(file.names().len(), 14, "{name}");
        for key in ["f32", "f16", "bf16", "parameter"] {
            assert_eq!(file.values(key).expect(key), ramp, "{name} {key}");
            let encoded = file.encoded(key).expect(key).expect("one after another");
            assert_eq!(encoded.to_vec(), ramp, "{name} {key}");
        }
        assert_eq!(file.values("transposed").expect("transposed"), transposed, "{name}");
        assert!(file.encoded("transposed").expect("transposed").is_none(), "{name}");
        assert_eq!(file.info("transposed").map(|info| info.shape), Some(&[4, 2, 3][..]));
        assert_eq!(file.values("sliced").expect("sliced"), sliced, "{name}");
        assert_eq!(file.values("expanded").expect("expanded"), [1.0; 3], "{name}");
        assert_eq!(file.values("scalar").expect("scalar"), [2.5], "{name}");
        assert_eq!(file.values("empty").expect("empty"), [0.0; 0], "{name}");
        assert_eq!(file.count("i64").expect("i64"), 7, "{name}");
        for key in ["f64", "u8", "f8", "u16", "i64"] {
            let error = file.values(key).expect_err(key).to_string();
            assert!(error.contains(key) && error.contains("f32, f16 or bf16"), "{name}: {error}");
        }
    }
    assert_eq!(WeightFile::open(&folder.path().join("module.pth")).expect("module").names().len(), 5);
    for (name, part) in [
        ("whole_model.pth", "refuses to run code: its pickle asks for `torch.nn.modules.batchnorm.BatchNorm2d`"),
        ("tensor.pth", "single tensor"),
        ("legacy.pth", "before PyTorch 1.6"),
        ("script.pt", "TorchScript"),
    ] {
        let error = WeightFile::open(&folder.path().join(name)).expect_err(name).to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
}

// ---------------------------------------------------------------- small files built here

/// A whole small "model": one block, an adapter, a norm with its counter, a head and `up4`.
fn small_specs(channels: usize) -> Vec<WeightSpec> {
    let c = channels;
    let block = "encoder.blocks.0.block";
    let named = [
        ("encoder.pos_embed".to_owned(), vec![1, c, 2, 2]),
        ("encoder.pos_embed_window".into(), vec![1, c, 2, 2]),
        ("encoder.patch_embed.proj.weight".into(), vec![c, 3, 7, 7]),
        ("encoder.patch_embed.proj.bias".into(), vec![c]),
        (format!("{block}.norm1.weight"), vec![c]),
        (format!("{block}.norm1.bias"), vec![c]),
        (format!("{block}.attn.qkv.weight"), vec![3 * c, c]),
        (format!("{block}.attn.qkv.bias"), vec![3 * c]),
        (format!("{block}.attn.proj.weight"), vec![c, c]),
        (format!("{block}.attn.proj.bias"), vec![c]),
        (format!("{block}.norm2.weight"), vec![c]),
        (format!("{block}.norm2.bias"), vec![c]),
        (format!("{block}.mlp.layers.0.weight"), vec![4 * c, c]),
        (format!("{block}.mlp.layers.0.bias"), vec![4 * c]),
        (format!("{block}.mlp.layers.1.weight"), vec![c, 4 * c]),
        (format!("{block}.mlp.layers.1.bias"), vec![c]),
        ("encoder.blocks.0.prompt_learn.0.weight".into(), vec![32, c]),
        ("rfb1.conv_res.conv.weight".into(), vec![64, c, 1, 1]),
        ("rfb1.conv_res.bn.running_mean".into(), vec![64]),
        ("rfb1.conv_res.bn.num_batches_tracked".into(), vec![]),
        ("head.weight".into(), vec![1, 64, 1, 1]),
        ("up4.conv.double_conv.1.weight".into(), vec![64]),
    ];
    named.map(|(name, shape)| WeightSpec { role: role(&name), name, shape }).into()
}

/// Values that f16 and bf16 hold exactly, different for every weight.
struct Ramp;

impl WeightSource for Ramp {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let start = spec.name.len() as f32;
        Ok(match spec.role {
            Role::Counter => Value::Count(12),
            _ => Value::Real((0..spec.len()).map(|i| start + (i % 64) as f32).collect()),
        })
    }
}

fn value_of(spec: &WeightSpec) -> Value {
    Ramp.value(spec).expect("always")
}

fn write_small(path: &Path, specs: &[WeightSpec]) {
    let each = |put: &mut dyn FnMut(WeightSpec, Value)| {
        for spec in specs.iter().rev() {
            put(spec.clone(), value_of(spec));
        }
    };
    save(path, specs, each, &BTreeMap::from([("step".into(), "5".into())])).expect("saves");
}

fn small_safetensors(specs: &[WeightSpec]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.safetensors");
    write_small(&path, specs);
    std::fs::read(path).expect("written")
}

/// An assembler for the few instructions that the tests need.
#[derive(Default, Clone)]
struct Pickle(Vec<u8>);

impl Pickle {
    fn new() -> Self {
        Pickle(vec![0x80, 2])
    }
    fn op(mut self, bytes: &[u8]) -> Self {
        self.0.extend(bytes);
        self
    }
    fn text(self, text: &str) -> Self {
        self.op(b"X").op(&(text.len() as u32).to_le_bytes()).op(text.as_bytes())
    }
    fn int(self, value: i32) -> Self {
        self.op(b"J").op(&value.to_le_bytes())
    }
    fn global(self, module: &str, name: &str) -> Self {
        self.op(b"c").op(module.as_bytes()).op(b"\n").op(name.as_bytes()).op(b"\n")
    }
    fn ints(self, values: &[i32]) -> Self {
        values.iter().fold(self.op(b"("), |pickle, &v| pickle.int(v)).op(b"t")
    }
    fn tensor(self, kind: &str, storage: &str, elements: i32, offset: i32, shape: &[i32], strides: &[i32]) -> Self {
        self.global("torch._utils", "_rebuild_tensor_v2")
            .op(b"((")
            .text("storage")
            .global("torch", kind)
            .text(storage)
            .text("cpu")
            .int(elements)
            .op(b"tQ")
            .int(offset)
            .ints(shape)
            .ints(strides)
            .op(b"\x89")
            .global("collections", "OrderedDict")
            .op(b")RtR")
    }
    fn stop(self) -> Vec<u8> {
        self.op(b".").0
    }
}

fn strides(shape: &[usize]) -> Vec<i32> {
    let mut strides: Vec<i32> = shape
        .iter()
        .rev()
        .scan(1, |stride, &size| {
            let this = *stride;
            *stride *= size as i32;
            Some(this)
        })
        .collect();
    strides.reverse();
    strides
}

/// A `.pth` of `specs` with numbers of `kind`, keys renamed by `rename`, below the key `model`.
fn small_torch(specs: &[WeightSpec], kind: &str, rename: &dyn Fn(&str) -> String) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut pickle = Pickle::new().op(b"}").text("model").op(b"}(");
    let mut storages = Vec::new();
    for (i, spec) in specs.iter().enumerate() {
        let shape: Vec<i32> = spec.shape.iter().map(|&s| s as i32).collect();
        let kind = if spec.role == Role::Counter { "LongStorage" } else { kind };
        pickle = pickle.text(&rename(&spec.name)).tensor(
            kind,
            &i.to_string(),
            spec.len() as i32,
            0,
            &shape,
            &strides(&spec.shape),
        );
        storages.push(match value_of(spec) {
            Value::Count(count) => count.to_le_bytes().to_vec(),
            Value::Real(values) => match kind {
                "FloatStorage" => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
                "HalfStorage" => values.iter().flat_map(|&v| half::f16::from_f32(v).to_le_bytes()).collect(),
                "BFloat16Storage" => values.iter().flat_map(|&v| half::bf16::from_f32(v).to_le_bytes()).collect(),
                "DoubleStorage" => values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect(),
                other => panic!("no numbers for {other}"),
            },
        });
    }
    (pickle.op(b"us").stop(), storages)
}

fn archive(pickle: &[u8], storages: &[Vec<u8>], method: CompressionMethod) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default().compression_method(method);
    let entry = |zip: &mut ZipWriter<Cursor<Vec<u8>>>, name: &str, bytes: &[u8]| {
        zip.start_file(name, options).expect("entry");
        zip.write_all(bytes).expect("bytes");
    };
    entry(&mut zip, "small/data.pkl", pickle);
    entry(&mut zip, "small/byteorder", b"little");
    for (i, bytes) in storages.iter().enumerate() {
        entry(&mut zip, &format!("small/data/{i}"), bytes);
    }
    zip.finish().expect("archive").into_inner()
}

fn open(bytes: Vec<u8>) -> Result<WeightFile, CheckpointError> {
    WeightFile::from_bytes("bad file", bytes)
}

/// The one message of whatever goes wrong between opening a file and having every value of `specs`.
fn failure(bytes: Vec<u8>, specs: &[WeightSpec]) -> String {
    let attempt = || -> Result<(), String> {
        let file = open(bytes.clone()).map_err(|e| e.to_string())?;
        let (mut loaded, _) = load(&file, specs, Scope::All).map_err(|e| e.to_string())?;
        specs.iter().try_for_each(|spec| loaded.value(spec).map(|_| ()).map_err(|e| e.to_string()))
    };
    let message = attempt().expect_err("a bad file was accepted");
    assert!(message.contains("bad file") && !message.contains('\n'), "{message}");
    message
}

fn published(name: &str) -> String {
    name.to_owned()
}

fn torch(specs: &[WeightSpec]) -> Vec<u8> {
    let (pickle, storages) = small_torch(specs, "FloatStorage", &published);
    archive(&pickle, &storages, CompressionMethod::Stored)
}

#[test]
fn every_form_and_number_type_reads_the_same() {
    let specs = small_specs(4);
    let expected: Vec<_> = specs.iter().map(value_of).collect();
    let safetensors = open(small_safetensors(&specs)).expect("safetensors");
    assert_eq!(safetensors.metadata().get("step").map(String::as_str), Some("5"));
    assert_eq!(load_both(&safetensors, &specs, Scope::All).0, expected);
    for kind in ["FloatStorage", "HalfStorage", "BFloat16Storage"] {
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
fn views_of_one_storage_are_read_by_stride_and_offset() {
    let bytes: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let read = |offset, shape: &[i32], strides: &[i32]| {
        let pickle =
            Pickle::new().op(b"}").text("x").tensor("FloatStorage", "0", 12, offset, shape, strides).op(b"s").stop();
        open(archive(&pickle, std::slice::from_ref(&bytes), CompressionMethod::Stored))?.values("x")
    };
    assert_eq!(read(0, &[2, 3], &[3, 1]).expect("plain"), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(read(4, &[3, 2], &[1, 3]).expect("transposed"), [4., 7., 5., 8., 6., 9.]);
    assert_eq!(read(1, &[2, 2], &[6, 2]).expect("gaps"), [1., 3., 7., 9.]);
    assert_eq!(read(5, &[3], &[0]).expect("expanded"), [5., 5., 5.]);
    assert_eq!(read(3, &[], &[]).expect("scalar"), [3.]);
    assert_eq!(read(11, &[1, 1], &[99, 99]).expect("one number"), [11.]);
    assert_eq!(read(0, &[0, 7], &[7, 1]).expect("empty"), [0.; 0]);
    for (offset, shape, strides) in [
        (0, &[13][..], &[1][..]),
        (12, &[1], &[1]),
        (0, &[2, 2], &[i32::MAX, i32::MAX]),
        (-1, &[1], &[1]),
        (0, &[-1], &[1]),
        (0, &[2], &[1, 1]),
        (0, &[i32::MAX; 3], &[0; 3]),
        (0, &[1; 17], &[1; 17]),
    ] {
        assert!(
            matches!(read(offset, shape, strides), Err(CheckpointError::Damaged { .. })),
            "{offset} {shape:?} {strides:?}"
        );
    }
    // repeating one number 2^31 times is no weight
    assert!(matches!(read(0, &[i32::MAX], &[0]), Err(CheckpointError::Unsupported { .. })));
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

fn meta(name: &str) -> String {
    name.replace("encoder.", "image_encoder.trunk.").replace(".block.", ".")
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
fn descriptions_tell_format_layout_variant_and_parameters() {
    let specs = small_specs(4);
    let candidates = [("small", specs.clone())];
    let text = describe_file(&open(torch(&specs)).expect("opens"), &candidates).expect("describes").to_string();
    for part in ["PyTorch archive, weights under `model`", "SAM2-UNet", "small", "f32 × 21, i64 × 1", "up4"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    // adapter 128, RFB 256 (its statistics are no parameters), head 64, up4 64
    for text in [text, describe_variant("small", &specs).to_string()] {
        let line = |what: &str| text.lines().find(|line| line.starts_with(what)).unwrap_or_default().to_owned();
        assert!(line("parameters").ends_with(" 1,380"), "{text}");
        assert!(line("  trunk, frozen").ends_with(" 868"), "{text}");
        assert!(line("  trainable").ends_with(" 448 (512 with up4, which is never used)"), "{text}");
    }
}

// ---------------------------------------------------------------- writing

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

// ---------------------------------------------------------------- bad files

#[test]
fn truncated_files_are_named() {
    let specs = small_specs(4);
    for whole in [small_safetensors(&specs), torch(&specs)] {
        let step = (whole.len() / 150).max(1);
        for length in (1..whole.len()).step_by(step).chain([8, 9, whole.len() - 1]) {
            failure(whole[..length].to_vec(), &specs);
        }
    }
    assert!(failure(Vec::new(), &specs).contains("it is empty"));
    let cut = small_safetensors(&specs);
    assert!(failure(cut[..cut.len() - 1].to_vec(), &specs).contains("truncated"));
    assert!(failure(cut[..100].to_vec(), &specs).contains("truncated"));
    let cut = torch(&specs);
    assert!(failure(cut[..cut.len() - 1].to_vec(), &specs).contains("truncated"));
}

#[test]
fn things_that_are_no_weight_files() {
    let folder = tempfile::tempdir().expect("a folder");
    let message = WeightFile::open(folder.path()).expect_err("a folder").to_string();
    assert!(message.contains("it is a folder"), "{message}");
    let message = WeightFile::open(&folder.path().join("none.pth")).expect_err("missing").to_string();
    assert!(message.contains("none.pth"), "{message}");
    let path = folder.path().join("x.safetensors");
    for (bytes, part) in [
        (&b""[..], "it is empty"),
        (b"just some text, no weights", "a text file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 3\n", "git lfs pull"),
        (b"\x80\x02}q\x00.", "a bare pickle"),
        (b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.", "before PyTorch 1.6"),
        (b"\x00\x01\x02\x03\x04\x05", "neither a safetensors file nor a PyTorch archive"),
    ] {
        std::fs::write(&path, bytes).expect("writes");
        let message = WeightFile::open(&path).expect_err(part).to_string();
        assert!(message.contains(part) && message.contains("x.safetensors"), "{message}");
    }
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("photo.txt", SimpleFileOptions::default()).expect("entry");
    let message = open(zip.finish().expect("archive").into_inner()).expect_err("no weights").to_string();
    assert!(message.contains("torch.save did not write"), "{message}");
}

#[test]
fn hostile_safetensors_headers() {
    let file =
        |header: &str, data: usize| [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &vec![0; data]].concat();
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
        (
            file(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#,
                12,
            ),
            "offset",
        ),
        (file(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8]}}"#, 8), "overflow"),
        (file(r#"{"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}}"#, 8), "header"),
        (file(r#"{"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}}"#, 8), "F31"),
        (
            file(
                r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}}"#,
                8,
            ),
            "two tensors are called a",
        ),
        (file(&format!("{}{}", r#"{"a":"#, "[".repeat(100_000)), 8), "its header is no list of tensors"),
    ] {
        let message = open(bytes).expect_err(part).to_string();
        assert!(message.contains(part) && !message.contains('\n'), "{part}: {message}");
    }
}

#[test]
fn pickles_that_carry_code_are_refused_by_name() {
    let specs = small_specs(4);
    let system = Pickle::new().global("posix", "system").op(b"(").text("touch harm").op(b"tR").stop();
    let stacked = Pickle(vec![0x80, 4]).text("builtins").text("eval").op(b"\x93(").text("1").op(b"tR").stop();
    let instance = Pickle::new().op(b"(").text("ls").op(b"ios\nsystem\n").stop();
    let hidden = Pickle::new().op(b"}").text("epoch").global("os", "popen").op(b"(").text("x").op(b"tRs").stop();
    let nested = Pickle::new().global("torch.storage", "_load_from_bytes").op(b"(").op(b"C\x01x").op(b"tR").stop();
    let numpy = Pickle::new().global("numpy.core.multiarray", "scalar").op(b"0").stop();
    let method = Pickle::new().global("torch", "FloatStorage.from_file").stop();
    for (pickle, name) in [
        (system, "posix.system"),
        (stacked, "builtins.eval"),
        (instance, "os.system"),
        (hidden, "os.popen"),
        (nested, "torch.storage._load_from_bytes"),
        (numpy, "numpy.core.multiarray.scalar"),
        (method, "torch.FloatStorage.from_file"),
    ] {
        let message = failure(archive(&pickle, &[], CompressionMethod::Stored), &specs);
        let part = format!("refuses to run code: its pickle asks for `{name}`");
        assert!(message.contains(&part) && message.contains("state_dict"), "{message}");
    }
}

#[test]
fn broken_and_monstrous_pickles() {
    let specs = small_specs(4);
    let dict = || Pickle::new().op(b"}");
    let two = |pickle: Pickle| pickle.text("x").tensor("FloatStorage", "0", 1, 0, &[1], &[1]);
    let memo_bomb = (0..40).fold(Pickle::new().op(b"]q\x00"), |p, _| p.op(b"(h\x00h\x00lq\x00"));
    for (what, pickle, part) in [
        ("no stop", Pickle::new().0, "ends in the middle"),
        ("no bytes", Vec::new(), "ends in the middle"),
        ("unknown opcode", Pickle::new().op(b"\xff").stop(), "instruction 0xff"),
        ("empty stack", Pickle::new().stop(), "takes more from the stack"),
        ("no mark", Pickle::new().op(b"t").stop(), "takes more from the stack"),
        ("below the mark", Pickle::new().op(b"}(").stop(), "takes more from the stack"),
        ("protocol", vec![0x80, 9, b'.'], "protocol 9"),
        ("memo", Pickle::new().op(b"h\x07").stop(), "recalls object 7"),
        ("long text", Pickle::new().op(b"X\xff\xff\xff\x7f").stop(), "ends in the middle"),
        ("longer text", Pickle::new().op(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff").stop(), "ends in the middle"),
        ("odd items", dict().op(b"(").text("x").op(b"u").stop(), "a key without a value"),
        ("call of data", dict().op(b")R").stop(), "no function"),
        ("no tensors", dict().stop(), "no dictionary of named tensors"),
        ("twice", two(two(dict().op(b"("))).op(b"u").stop(), "two tensors are called x"),
        (
            "lost storage",
            dict().text("x").tensor("FloatStorage", "7", 1, 0, &[1], &[1]).op(b"s").stop(),
            "lost its entry small/data/7",
        ),
        (
            "short storage",
            dict().text("x").tensor("FloatStorage", "0", 9, 0, &[1], &[1]).op(b"s").stop(),
            "must hold 9 numbers of 4 bytes, and has 4",
        ),
        ("unknown storage", Pickle::new().tensor("QInt8Storage", "0", 1, 0, &[1], &[1]).stop(), "torch.QInt8Storage"),
        ("many objects", Pickle::new().op(&vec![b'N'; 2_000_000]).stop(), "more than 1000000 objects"),
        ("many copies", Pickle::new().op(b"N").op(&vec![b'2'; 2_000_000]).stop(), "more than 1000000 objects"),
        ("many marks", Pickle::new().op(&vec![b'('; 2_000_000]).stop(), "more than 1000000 objects"),
        ("deep nesting", Pickle::new().op(b")").op(&vec![0x85; 900_000]).stop(), "no dictionary of named tensors"),
        ("doubling", memo_bomb.stop(), "no dictionary of named tensors"),
    ] {
        let message = failure(archive(&pickle, &[vec![0; 4]], CompressionMethod::Stored), &specs);
        assert!(message.contains(part), "{what}: {message}");
    }
    // a dictionary inside of itself
    let cycle = dict()
        .op(b"q\x00")
        .text("me")
        .op(b"h\x00s")
        .text("x")
        .tensor("FloatStorage", "0", 1, 0, &[1], &[1])
        .op(b"s")
        .stop();
    let file = open(archive(&cycle, &[vec![0; 4]], CompressionMethod::Stored)).expect("harmless");
    assert_eq!(file.names().collect::<Vec<_>>(), ["x"]);
    // a message never passes control characters on
    let escape = Pickle::new().global("\u{1b}[2Jmodule", "name").stop();
    assert!(!failure(archive(&escape, &[], CompressionMethod::Stored), &specs).contains('\u{1b}'));
}

/// Overwrites every occurrence of a little-endian number.
fn replace_all(bytes: &mut [u8], old: u32, new: u32) -> usize {
    let mut replaced = 0;
    for at in 0..bytes.len().saturating_sub(3) {
        if bytes[at..at + 4] == old.to_le_bytes() {
            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
            replaced += 1;
        }
    }
    replaced
}

#[test]
fn zip_bombs_and_broken_archives() {
    let specs = small_specs(4);
    // a pickle that really unpacks to more than the limit
    let bomb = archive(&vec![b'N'; (64 << 20) + 1], &[], CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 18);
    assert!(failure(bomb, &specs).contains("at most 67108864 are read"));
    // a pickle that claims to be small and is large
    let mut lie = archive(&vec![b'N'; 12_345_678], &[], CompressionMethod::Deflated);
    assert!(replace_all(&mut lie, 12_345_678, 12_345) > 0);
    assert!(failure(lie, &specs).contains("damaged or hostile"));
    // sizes that no compression reaches
    let (pickle, storages) = small_torch(&specs, "FloatStorage", &published);
    let mut lie = archive(&pickle, &storages, CompressionMethod::Deflated);
    assert!(replace_all(&mut lie, pickle.len() as u32, 60_000_000) > 0);
    assert!(failure(lie, &specs).contains("claims to unpack"));
    // a storage that claims more than a gigabyte
    let pickle = Pickle::new()
        .op(b"}")
        .text("encoder.pos_embed")
        .tensor("FloatStorage", "0", 16, 0, &[1, 4, 2, 2], &[16, 4, 2, 1])
        .op(b"s")
        .stop();
    let one = vec![specs[0].clone()];
    let mut lie = archive(&pickle, &[vec![7; 123_457]], CompressionMethod::Deflated);
    assert!(replace_all(&mut lie, 123_457, u32::MAX - 9) > 0);
    assert!(failure(lie, &one).contains("at most 1073741824 are read"));
    // a stored entry that reaches over the end
    let mut lie = archive(&pickle, &[vec![7; 123_457]], CompressionMethod::Stored);
    assert!(replace_all(&mut lie, 123_457, u32::MAX - 9) > 0);
    assert!(failure(lie, &one).contains("damaged or hostile"));
    // one flipped bit in a weight
    let good = archive(&pickle, &[vec![7; 64]], CompressionMethod::Stored);
    let at = good.windows(64).position(|w| w == [7; 64]).expect("the storage");
    let mut flipped = good.clone();
    flipped[at + 20] ^= 1;
    assert!(failure(flipped, &one).to_lowercase().contains("checksum"));
    // the same entry twice: rename `small/data/1` to `small/data/0`
    let mut twice = archive(&pickle, &[vec![7; 64], vec![8; 64]], CompressionMethod::Stored);
    let names: Vec<_> =
        twice.windows(12).enumerate().filter(|(_, w)| *w == b"small/data/1").map(|(at, _)| at).collect();
    assert_eq!(names.len(), 2);
    names.into_iter().for_each(|at| twice[at + 11] = b'0');
    assert!(failure(twice, &one).contains("same name"));
    // other compressions and machines
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("small/data.pkl", SimpleFileOptions::default()).expect("entry");
    zip.write_all(&pickle).expect("bytes");
    zip.start_file("small/byteorder", SimpleFileOptions::default()).expect("entry");
    zip.write_all(b"big").expect("bytes");
    let message = open(zip.finish().expect("archive").into_inner()).expect_err("big").to_string();
    assert!(message.contains("big-endian"), "{message}");
}

#[test]
fn weights_that_do_not_fit_are_named_with_shapes_and_close_names() {
    let specs = small_specs(4);
    let build = |change: &dyn Fn(&mut Vec<WeightSpec>)| {
        let mut changed = specs.clone();
        change(&mut changed);
        torch(&changed)
    };
    let missing = failure(build(&|s| drop(s.remove(4))), &specs);
    assert!(missing.contains("missing 1: encoder.blocks.0.block.norm1.weight"), "{missing}");
    let misspelled = failure(build(&|s| s[20].name = "head.wieght".into()), &specs);
    assert!(misspelled.contains("missing 1: head.weight, the file has head.wieght"), "{misspelled}");
    assert!(misspelled.contains("unexpected 1: head.wieght"), "{misspelled}");
    let shape = failure(build(&|s| s[17].shape = vec![64, 6, 1, 1]), &specs);
    assert!(
        shape.contains("wrong shape 1: rfb1.conv_res.conv.weight expected [64, 4, 1, 1], found [64, 6, 1, 1]"),
        "{shape}"
    );
    let extra = failure(
        build(&|s| s.push(WeightSpec { name: "rfb9.weight".into(), shape: vec![1], role: Role::Trainable })),
        &specs,
    );
    assert!(extra.contains("unexpected 1: rfb9.weight"), "{extra}");
    let count = failure(build(&|s| s[19].role = Role::Trainable), &specs);
    assert!(count.contains("wrong type 1: rfb1.conv_res.bn.num_batches_tracked expected i64, found f32"), "{count}");
    let (pickle, storages) = small_torch(&specs, "DoubleStorage", &published);
    let double = failure(archive(&pickle, &storages, CompressionMethod::Stored), &specs);
    assert!(
        double.contains("wrong type 21: encoder.blocks.0.block.attn.proj.bias expected f32, f16 or bf16, found f64"),
        "{double}"
    );

    // a trunk: the file's own spelling is named too, other parts of SAM2 are counted, strangers outside are only told
    let mut trunk: Vec<_> = specs.iter().filter(|spec| spec.in_trunk()).cloned().collect();
    for name in [
        "memory_attention.norm.weight",
        "sam_mask_decoder.x",
        "no_obj_ptr",
        "image_encoder.neck.convs.0.conv.bias",
        "ema",
    ] {
        trunk.push(WeightSpec { name: name.into(), shape: vec![2], role: Role::Trainable });
    }
    let bytes = |trunk: &[WeightSpec]| {
        let (pickle, storages) =
            small_torch(trunk, "FloatStorage", &|n| if n.contains("neck") { n.into() } else { meta(n) });
        archive(&pickle, &storages, CompressionMethod::Stored)
    };
    let file = open(bytes(&trunk)).expect("opens");
    let (_, report) = load(&file, &specs, Scope::Trunk).expect("fits");
    assert_eq!(
        report.to_string(),
        "applied 16 · other parts of SAM2 4 · missing 0 · unexpected 1: ema · wrong shape 0"
    );
    let whole = failure(bytes(&trunk), &specs);
    assert!(whole.contains("SAM2's trunk only") && whole.contains("`convert`"), "{whole}");
    let lost = trunk.iter().position(|s| s.name.ends_with("norm2.bias")).expect("there");
    trunk.remove(lost);
    let file = open(bytes(&trunk)).expect("opens");
    let message = load(&file, &specs, Scope::Trunk).expect_err("missing").to_string();
    let names = "missing 1: image_encoder.trunk.blocks.0.norm2.bias (encoder.blocks.0.block.norm2.bias)";
    assert!(message.contains(names), "{message}");

    let strange = failure(build(&|s| s.retain(|s| s.name.starts_with("up4"))), &specs);
    assert!(strange.contains("none of its 1 tensors is of SAM2's image encoder"), "{strange}");
}

#[test]
fn the_variant_is_the_one_whose_trunk_fits_completely() {
    let candidates = [("four", small_specs(4)), ("six", small_specs(6))];
    for (name, specs) in &candidates {
        let file = open(torch(specs)).expect("opens");
        assert_eq!(detect(&file, &candidates).expect("known"), *name);
    }
    let eight = open(torch(&small_specs(8))).expect("opens");
    let message = detect(&eight, &candidates).expect_err("unknown").to_string();
    let sizes =
        "it has 1 blocks from 8 channels; known are four 1 blocks from 4 channels, six 1 blocks from 6 channels";
    assert!(message.contains(sizes), "{message}");
    let mut damaged = small_specs(6);
    damaged.remove(5);
    let damaged = open(torch(&damaged)).expect("opens");
    let message = detect(&damaged, &candidates).expect_err("damaged").to_string();
    assert!(
        message.contains("closest is six") && message.contains("missing 1: encoder.blocks.0.block.norm1.bias"),
        "{message}"
    );
    // and asked for as the wrong one
    let six = open(torch(&small_specs(6))).expect("opens");
    let message = load(&six, &candidates[0].1, Scope::Trunk).expect_err("wrong").to_string();
    assert!(message.contains("wrong shape") && message.contains("expected [4], found [6]"), "{message}");
    // a damaged file of a known size is not mistaken for a variant of its own
    let folder = tempfile::tempdir().expect("a folder");
    let (input, output) = (folder.path().join("in.pth"), folder.path().join("out"));
    let mut cut = small_specs(6);
    cut.retain(|spec| !spec.name.contains("mlp.layers.1"));
    std::fs::write(&input, torch(&cut)).expect("writes");
    assert!(matches!(
        convert(&input, &output, Some(Target::Trunk), &candidates, None),
        Err(CheckpointError::Variant { .. })
    ));
    // and one of an unknown size with a weight missing is refused by that weight's name
    let mut cut = small_specs(8);
    cut.retain(|spec| !spec.name.contains("mlp.layers.1.bias"));
    std::fs::write(&input, torch(&cut)).expect("writes");
    let message = convert(&input, &output, Some(Target::Trunk), &candidates, None).expect_err("missing").to_string();
    assert!(message.contains("missing 1: encoder.blocks.0.block.mlp.layers.1.bias"), "{message}");
    assert!(!output.exists());
}
