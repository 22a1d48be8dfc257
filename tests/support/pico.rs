//! The small network with its published weights.

use super::golden::{Golden, Pico};
use super::shared::shared;
use super::small_model::role;
use dfdx::prelude::*;
use sam2unet::checkpoint::WeightFile;
use sam2unet::nn::weights::{Value, WeightSpec};
use sam2unet::nn::{Backend, BuildOptions, Classes, Image, Initialiser, Masks, Precision, Sam2UNet, Side, Variant};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub const WEIGHTS: &str = "golden/pico/sam2unet_pico.safetensors";
pub const EXPECTED: &str = "golden/pico/expected.safetensors";

/// The path of a golden file of Pico.
pub fn file(name: &str) -> Option<PathBuf> {
    shared(&format!("golden/pico/{name}"))
}

/// Its weights, from the golden safetensors file (published names).
pub fn specs() -> Option<Vec<WeightSpec>> {
    let file = WeightFile::open(&file("sam2unet_pico.safetensors")?).expect("a whole file");
    let spec = |name: &str| {
        let shape = file.info(name).map(|info| info.shape.to_vec()).unwrap_or_default();
        WeightSpec { name: name.into(), shape, role: role(name) }
    };
    Some(file.names().map(spec).collect())
}

pub type S64 = Const<64>;
pub type S96 = Const<96>;

/// Zero in exact arithmetic on Pico's 3x3 map: what is left is rounding.
pub const ZERO: [&str; 4] =
    ["rfb4.branch1.2.bn.bias", "rfb4.branch2.2.bn.bias", "rfb4.branch3.2.bn.bias", "rfb3.branch3.2.bn.bias"];

/// Pico with its published weights, and what is expected of it.
pub fn pico<D: Backend>(device: &D) -> Option<(Sam2UNet<Pico, D>, Golden)> {
    let (mut weights, expected) = (Golden::open(WEIGHTS)?, Golden::open(EXPECTED)?);
    let model = Sam2UNet::from_source(device, &mut weights).unwrap();
    Some((model, expected))
}

pub fn random<V: Variant, K: Classes>(seed: u64) -> Sam2UNet<V, Cpu, K> {
    Sam2UNet::from_source(&Cpu::default(), &mut Initialiser::new(seed)).unwrap()
}

pub fn image<B: Dim, S: Side + ConstDim>(batch: B) -> Image<B, S, Cpu> {
    let n = batch.size() * 3 * S::SIZE * S::SIZE;
    let values = (0..n).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
    Cpu::default().tensor_from_vec(values, (batch, Const, S::default(), S::default()))
}

pub fn mask<B: Dim, S: Side + ConstDim, K: Classes + ConstDim>(batch: B) -> Masks<B, S, K, Cpu> {
    let n = batch.size() * K::SIZE * S::SIZE * S::SIZE;
    let values = (0..n).map(|i| f32::from(u8::from(i * 7 % S::SIZE < S::SIZE / 3)));
    Cpu::default().tensor_from_vec(values.collect(), (batch, K::default(), S::default(), S::default()))
}

/// Options of a model that computes in this precision.
pub fn of(precision: Precision) -> BuildOptions {
    BuildOptions { precision, ..BuildOptions::default() }
}

pub fn tensor<S: ConstShape, D: Backend>(device: &D, golden: &Golden, name: &str) -> Tensor<S, f32, D> {
    device.tensor_from_vec(golden.get(name).f32(), S::default())
}

pub fn values<V: Variant, D: Backend, K: Classes>(model: &Sam2UNet<V, D, K>) -> BTreeMap<String, (WeightSpec, Value)> {
    let mut list = BTreeMap::new();
    model.each_value(&mut |spec, value| {
        list.insert(spec.name.clone(), (spec, value));
    });
    list
}
