//! A whole small "model" as weight files in every form.

use super::archive::archive;
use super::pickle::Pickle;
use sam2unet::checkpoint::{CheckpointError, Report, Scope, WeightFile, load, save};
use sam2unet::nn::weights::{Role, SourceError, Value, WeightSource, WeightSpec};
use std::collections::BTreeMap;
use std::path::Path;
use zip::CompressionMethod;

pub fn role(name: &str) -> Role {
    match name {
        _ if name.ends_with("num_batches_tracked") => Role::Counter,
        _ if name.starts_with("up4.") && !name.contains("running_") => Role::Unused,
        _ if name.contains("running_") => Role::Statistic,
        _ if name.starts_with("encoder.") && !name.contains("prompt_learn") => Role::Frozen,
        _ => Role::Trainable,
    }
}

pub fn spec(name: &str, shape: &[usize], role: Role) -> WeightSpec {
    WeightSpec { name: name.into(), shape: shape.into(), role }
}

/// A whole small "model": one block, an adapter, a norm with its counter, a head and `up4`.
pub fn small_specs(channels: usize) -> Vec<WeightSpec> {
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
pub struct Ramp;

impl WeightSource for Ramp {
    fn value(&mut self, spec: &WeightSpec) -> Result<Value, SourceError> {
        let start = spec.name.len() as f32;
        Ok(match spec.role {
            Role::Counter => Value::Count(12),
            _ => Value::Real((0..spec.len()).map(|i| start + (i % 64) as f32).collect()),
        })
    }
}

pub fn value_of(spec: &WeightSpec) -> Value {
    Ramp.value(spec).expect("always")
}

pub fn write_small(path: &Path, specs: &[WeightSpec]) {
    let each = |put: &mut dyn FnMut(WeightSpec, Value)| {
        for spec in specs.iter().rev() {
            put(spec.clone(), value_of(spec));
        }
    };
    save(path, specs, each, &BTreeMap::from([("step".into(), "5".into())])).expect("saves");
}

pub fn small_safetensors(specs: &[WeightSpec]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("small.safetensors");
    write_small(&path, specs);
    std::fs::read(path).expect("written")
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
pub fn small_torch(specs: &[WeightSpec], kind: &str, rename: &dyn Fn(&str) -> String) -> (Vec<u8>, Vec<Vec<u8>>) {
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
                "ComplexFloatStorage" => values.iter().flat_map(|v| [*v, 0.0]).flat_map(f32::to_le_bytes).collect(),
                "DoubleStorage" => values.iter().flat_map(|&v| f64::from(v).to_le_bytes()).collect(),
                other => panic!("no numbers for {other}"),
            },
        });
    }
    (pickle.op(b"us").stop(), storages)
}

pub fn torch(specs: &[WeightSpec]) -> Vec<u8> {
    let (pickle, storages) = small_torch(specs, "FloatStorage", &published);
    archive(&pickle, &storages, CompressionMethod::Stored)
}

pub fn published(name: &str) -> String {
    name.to_owned()
}

pub fn meta(name: &str) -> String {
    name.replace("encoder.", "image_encoder.trunk.").replace(".block.", ".")
}

pub fn open(bytes: Vec<u8>) -> Result<WeightFile, CheckpointError> {
    WeightFile::from_bytes("bad file", bytes)
}

pub fn load_both(file: &WeightFile, specs: &[WeightSpec], scope: Scope) -> (Vec<Value>, Report) {
    let (mut loaded, report) = load(file, specs, scope).expect("fits");
    let specs = specs.iter().filter(|spec| scope == Scope::All || spec.in_trunk());
    (specs.map(|spec| loaded.value(spec).expect("a value")).collect(), report)
}

/// The one message of whatever goes wrong between opening a file and having every value of `specs`.
pub fn failure(bytes: Vec<u8>, specs: &[WeightSpec]) -> String {
    let attempt = || -> Result<(), String> {
        let file = open(bytes.clone()).map_err(|e| e.to_string())?;
        let (mut loaded, _) = load(&file, specs, Scope::All).map_err(|e| e.to_string())?;
        specs.iter().try_for_each(|spec| loaded.value(spec).map(|_| ()).map_err(|e| e.to_string()))
    };
    let message = attempt().expect_err("a bad file was accepted");
    assert!(message.contains("bad file") && !message.contains('\n'), "{message}");
    message
}
