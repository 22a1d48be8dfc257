//! The small network on maps that are not square, put together from the CPU's kernels on plain numbers: the network's
//! own types are square, the kernels are not.

use crate::support::golden::{Golden, Pico};
use crate::support::numbers::relative_difference;
use sam2unet::kernels::adapted_block::{AdaptedBlockKernel, BlockBuffers, BlockSize};
use sam2unet::kernels::add_relu::AddReluKernel;
use sam2unet::kernels::batch_norm::BatchNormKernel;
use sam2unet::kernels::concat::ConcatKernel;
use sam2unet::kernels::conv2d::{Conv2dKernel, ConvNormBuffers, ConvNormKernel, ConvSize};
use sam2unet::kernels::cpu::Cpu;
use sam2unet::kernels::device::Device;
use sam2unet::kernels::extent::Extent;
use sam2unet::kernels::memory_use::MemoryUse;
use sam2unet::kernels::patch_embed::{PatchEmbedKernel, StemSize, StemWeights};
use sam2unet::kernels::precision::Precision;
use sam2unet::kernels::resize::{ResizeKernel, ResizeSize};
use sam2unet::kernels::structure_loss::{CrossEntropy, StructureLossKernel};
use sam2unet::kernels::up2_concat::{JoinSize, Up2ConcatKernel};
use sam2unet::nn::Variant;

type Buffer = <Cpu as Device>::Buffer;
type Frozen = <Cpu as Device>::Frozen;

const WEIGHTS: &str = "golden/pico/sam2unet_pico.safetensors";
const EXPECTED: &str = "golden/pico_96x160/expected.safetensors";

/// Channels after a receptive-field block and in the decoder.
const MID: usize = 64;

/// A map, channels last.
struct Map {
    numbers: Buffer,
    extent: Extent,
    channels: usize,
}

/// What normalises a convolution's output.
#[derive(Clone, Copy, PartialEq)]
enum Norm {
    /// Running statistics, folded into the convolution.
    Inference,
    /// The batch's own.
    Training,
}

/// The network: weights by their published names, for so many images.
struct Net<'w> {
    weights: &'w Golden,
    batch: usize,
    norm: Norm,
}

/// A buffer of these numbers.
fn buffer(numbers: &[f32]) -> Buffer {
    let Ok(buffer) = Cpu.uninit(numbers.len(), |y| {
        y.copy_from_slice(numbers);
        Ok(())
    });
    buffer
}

/// What a kernel writes that has nothing to fail with.
fn written(length: usize, write: impl FnOnce(&mut [f32])) -> Buffer {
    let Ok(buffer) = Cpu.uninit(length, |y| {
        write(y);
        Ok(())
    });
    buffer
}

fn done<T>(result: Result<T, std::convert::Infallible>) -> T {
    let Ok(value) = result;
    value
}

impl Net<'_> {
    fn weight(&self, name: &str) -> Buffer {
        buffer(&self.weights.get(name).f32())
    }

    fn frozen(&self, name: &str) -> Frozen {
        let array = self.weights.get(name);
        done(Cpu.freeze(array.f32(), &array.shape, Precision::F32))
    }

    /// A frozen layer's weight and bias.
    fn layer(&self, name: &str) -> [Frozen; 2] {
        ["weight", "bias"].map(|part| self.frozen(&format!("{name}.{part}")))
    }

    fn stem(&self, image: &[f32], extent: Extent) -> Map {
        let (map, channels) = (extent.quarter(), Pico::CHANNELS[0]);
        let [weight, bias] = self.layer("encoder.patch_embed.proj");
        let [background, window] = ["encoder.pos_embed", "encoder.pos_embed_window"].map(|name| self.frozen(name));
        let weights = StemWeights { weight: &weight, bias: &bias, background: &background, window: &window };
        let size = StemSize { batch: self.batch, image: extent, channels };
        let numbers = written(self.batch * map.area() * channels, |y| {
            done(Cpu.patch_embed(size, &buffer(image), weights, y));
        });
        Map { numbers, extent: map, channels }
    }

    /// Block `number` behind its adapter.
    fn block(&self, x: &Map, number: usize) -> Map {
        let at = |name: &str| format!("encoder.blocks.{number}.{name}");
        let pool = self.weights.0.contains_key(&at("block.proj.weight"));
        let weights = BlockBuffers {
            norm1: self.layer(&at("block.norm1")),
            qkv: self.layer(&at("block.attn.qkv")),
            proj: self.layer(&at("block.attn.proj")),
            norm2: self.layer(&at("block.norm2")),
            fc1: self.layer(&at("block.mlp.layers.0")),
            fc2: self.layer(&at("block.mlp.layers.1")),
            skip: pool.then(|| self.layer(&at("block.proj"))),
        };
        let adapter =
            ["0.weight", "0.bias", "2.weight", "2.bias"].map(|w| self.weight(&at(&format!("prompt_learn.{w}"))));
        let size = BlockSize {
            batch: self.batch,
            map: x.extent,
            channels: x.channels,
            out_channels: if pool { 2 * x.channels } else { x.channels },
            hidden: adapter[1].len(),
            attention: Pico::attention(number),
            pool,
        };
        let (extent, channels) = (size.out_map(), size.out_channels);
        let numbers = written(self.batch * extent.area() * channels, |y| {
            done(Cpu.adapted_block(size, &x.numbers, &adapter, &weights, MemoryUse::Small, y));
        });
        Map { numbers, extent, channels }
    }

    /// The encoder's four maps.
    fn encoder(&self, image: &[f32], extent: Extent) -> [Map; 4] {
        let (mut number, mut x) = (0, self.stem(image, extent));
        Pico::BLOCKS.map(|blocks| {
            for _ in 0..blocks {
                x = self.block(&x, number);
                number += 1;
            }
            Map { numbers: buffer(&x.numbers), ..x }
        })
    }

    /// A convolution called `conv` and the batch norm called `norm`.
    fn conv_norm(&self, x: &Map, [conv, norm]: [&str; 2], dilation: usize, relu: bool) -> Map {
        let &[channels, _, kh, kw] = &self.weights.get(conv).shape[..] else { panic!("{conv}") };
        let size = ConvSize {
            batch: self.batch,
            map: x.extent,
            channels: x.channels,
            out_channels: channels,
            kernel: [kh, kw],
            dilation,
            precision: Precision::F32,
        };
        let of = |part: &str| self.weight(&format!("{norm}.{part}"));
        let length = self.batch * x.extent.area() * channels;
        let numbers = match self.norm {
            Norm::Inference => written(length, |y| {
                let weights = || ConvNormBuffers {
                    weight: self.weight(conv),
                    scale: of("weight"),
                    bias: of("bias"),
                    mean: of("running_mean"),
                    variance: of("running_var"),
                };
                done(Cpu.conv_norm(size, &x.numbers, weights, None, relu, y));
            }),
            Norm::Training => {
                let convolved = written(length, |y| {
                    done(Cpu.conv2d(size, &x.numbers, &self.weight(conv), None, false, y));
                });
                let (mut mean, mut variance) = (vec![0.0; channels], vec![0.0; channels]);
                written(length, |y| {
                    let statistics = (&mut mean[..], &mut variance[..]);
                    done(Cpu.batch_norm(&convolved, &of("weight"), &of("bias"), relu, None, y, statistics));
                })
            }
        };
        Map { numbers, extent: x.extent, channels }
    }

    fn rfb(&self, name: &str, x: &Map) -> Map {
        let conv = |x: &Map, at: String, dilation: usize| {
            self.conv_norm(x, [&format!("{at}.conv.weight"), &format!("{at}.bn")], dilation, false)
        };
        let branch = |number: usize| {
            let reach = 2 * number + 1;
            let at = |part: usize| format!("{name}.branch{number}.{part}");
            let x = conv(x, at(0), 1);
            if number == 0 {
                return x;
            }
            conv(&conv(&conv(&x, at(1), 1), at(2), 1), at(3), reach)
        };
        let branches = [0, 1, 2, 3].map(branch).map(|map| map.numbers);
        let joined = written(4 * branches[0].len(), |y| done(Cpu.concat4(MID, &branches, y)));
        let joined = Map { numbers: joined, extent: x.extent, channels: 4 * MID };
        let (a, b) = (conv(&joined, format!("{name}.conv_cat"), 1), conv(x, format!("{name}.conv_res"), 1));
        let numbers = written(a.numbers.len(), |y| done(Cpu.add_relu(&a.numbers, &b.numbers, y)));
        Map { numbers, ..a }
    }

    fn up(&self, name: &str, skip: &Map, deep: &Map) -> Map {
        let size = JoinSize { batch: self.batch, map: skip.extent, skip: skip.channels, deep: deep.channels };
        let channels = skip.channels + deep.channels;
        let numbers = written(self.batch * skip.extent.area() * channels, |y| {
            done(Cpu.up2_concat(size, &skip.numbers, &deep.numbers, y));
        });
        let x = Map { numbers, extent: skip.extent, channels };
        let at = |part: &str| format!("{name}.conv.double_conv.{part}");
        let x = self.conv_norm(&x, [&at("0.weight"), &at("1")], 1, true);
        self.conv_norm(&x, [&at("3.weight"), &at("4")], 1, true)
    }

    /// Logits of one class at the image's height and width.
    fn head(&self, name: &str, x: &Map, to: Extent) -> Buffer {
        let size = ConvSize {
            batch: self.batch,
            map: x.extent,
            channels: x.channels,
            out_channels: 1,
            kernel: [1, 1],
            dilation: 1,
            precision: Precision::F32,
        };
        let [weight, bias] = ["weight", "bias"].map(|part| self.weight(&format!("{name}.{part}")));
        let logits = written(self.batch * x.extent.area(), |y| {
            done(Cpu.conv2d(size, &x.numbers, &weight, Some(&bias), false, y));
        });
        let size = ResizeSize { batch: self.batch, from: x.extent, to, classes: 1 };
        written(self.batch * to.area(), |y| done(Cpu.resize(size, &logits, y)))
    }

    /// `head`, `side1` and `side2` from the four reduced maps.
    fn decoder(&self, [x1, x2, x3, x4]: &[Map; 4], to: Extent) -> [(&'static str, Buffer); 3] {
        let x = self.up("up1", x3, x4);
        let side1 = self.head("side1", &x, to);
        let x = self.up("up2", x2, &x);
        let side2 = self.head("side2", &x, to);
        let x = self.up("up3", x1, &x);
        [("head", self.head("head", &x, to)), ("side1", side1), ("side2", side2)]
    }

    fn reduced(&self, features: &[Map; 4]) -> [Map; 4] {
        [0, 1, 2, 3].map(|i: usize| self.rfb(&format!("rfb{}", i + 1), &features[i]))
    }

    /// The numbers `(b, c, h, w)` of a map.
    fn channels_first(&self, map: &Map) -> Vec<f32> {
        let (pixels, c) = (map.extent.area(), map.channels);
        let images = map.numbers.chunks_exact(pixels * c);
        images.flat_map(|x| (0..c).flat_map(move |channel| (0..pixels).map(move |p| x[p * c + channel]))).collect()
    }
}

fn close(what: &str, found: &[f32], expected: &Golden) {
    let difference = relative_difference(found, &expected.get(what).numbers);
    println!("{what}: {difference:.1e} of the largest value");
    assert!(difference <= 1e-4, "{what}: {difference:e}");
}

/// Every map and output in inference, and the loss in training.
fn check(expected: &str, extent: Extent, loss_name: &str) {
    let (Some(weights), Some(expected)) = (Golden::open(WEIGHTS), Golden::open(expected)) else {
        return;
    };
    let (batch, image) = (2, expected.get("image").f32());
    let net = Net { weights: &weights, batch, norm: Norm::Inference };
    let features = net.encoder(&image, extent);
    for (i, map) in features.iter().enumerate() {
        let what = format!("eval.feature{}", i + 1);
        assert_eq!(expected.get(&what).shape, [batch, map.channels, map.extent.height, map.extent.width]);
        close(&what, &net.channels_first(map), &expected);
    }
    let reduced = net.reduced(&features);
    for (i, map) in reduced.iter().enumerate() {
        close(&format!("eval.rfb{}", i + 1), &net.channels_first(map), &expected);
    }
    for (name, logits) in net.decoder(&reduced, extent) {
        close(&format!("eval.{name}"), &logits, &expected);
    }

    // the encoder has no norm of the batch
    let net = Net { norm: Norm::Training, ..net };
    let outputs = net.decoder(&net.reduced(&features), extent);
    let mask = buffer(&expected.get("mask").f32());
    let pixels = written(mask.len(), |y| done(Cpu.loss_weights(extent, &mask, None, y)));
    let of = |logits: &Buffer| {
        let loss = written(1, |y| {
            done(Cpu.structure_loss(extent, CrossEntropy::Weighted, logits, &mask, &pixels, None, y));
        });
        f64::from(loss[0])
    };
    let loss: f64 = outputs.iter().map(|(_, logits)| of(logits)).sum();
    let wanted = expected.scalar(loss_name);
    println!("loss {loss}, expected {wanted}");
    assert!((loss / wanted - 1.0).abs() < 1e-5, "{loss} {wanted}");
}

/// What is put together here is the network.
#[test]
fn pico_at_96_by_96() {
    check("golden/pico/expected.safetensors", Extent::square(96), "train.paper.loss");
}

#[test]
fn pico_at_96_by_160() {
    check(EXPECTED, Extent::new(96, 160), "train.loss");
}

#[test]
fn pico_at_other_heights_and_widths() {
    let (Some(weights), Some(expected)) = (Golden::open(WEIGHTS), Golden::open(EXPECTED)) else {
        return;
    };
    let net = Net { weights: &weights, batch: 1, norm: Norm::Inference };
    for extent in [Extent::new(64, 224), Extent::new(160, 96), Extent::new(224, 64)] {
        let name = format!("eval_{}x{}", extent.height, extent.width);
        let features = net.encoder(&expected.get(&format!("{name}.image")).f32(), extent);
        let [(_, head), ..] = net.decoder(&net.reduced(&features), extent);
        close(&format!("{name}.head"), &head, &expected);
    }
}
