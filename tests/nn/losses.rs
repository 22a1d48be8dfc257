//! The losses of several classes, of labels that may overlap and of ignored pixels against the yardstick's.

use crate::support::devices::on_each_device;
use crate::support::golden::Golden;
use crate::support::numbers::{differences, norm};
use dfdx::prelude::*;
use sam2unet::nn::ops::{self, CrossEntropy};
use sam2unet::nn::{Backend, ClassWeights, IndexMaps, Known, Loss, Masks, Outputs, Targets, Truth};

on_each_device! { exclusive_classes, labels, image_by_image, the_sum_over_three_outputs }

const LOSSES: &str = "golden/multiclass/losses.safetensors";
const KINDS: [(&str, CrossEntropy, Loss); 2] =
    [("paper", CrossEntropy::Weighted, Loss::Paper), ("published_script", CrossEntropy::Plain, Loss::PublishedScript)];

/// Run-time batch, number of classes and side.
type Logits<D> = Masks<usize, usize, usize, D>;

/// One case of the file on a device.
struct Case<'a, D: Backend> {
    golden: &'a Golden,
    name: &'a str,
    device: &'a D,
    logits: Logits<D>,
    class_weights: Option<ClassWeights<usize, D>>,
}

impl<'a, D: Backend> Case<'a, D> {
    fn new(golden: &'a Golden, name: &'a str, device: &'a D) -> Self {
        let of = |what: &str| golden.0.get(&format!("{name}.{what}"));
        let (logits, scale) = (of("logits").unwrap(), of("scale").unwrap().numbers[0]);
        let numbers = logits.numbers.iter().map(|v| (v / scale) as f32).collect();
        let classes = logits.shape[1];
        let class_weights =
            of("class_weights").map(|weights| ClassWeights::new(device, &weights.f32(), classes).unwrap());
        Self { golden, name, device, logits: tensor(device, numbers, &logits.shape), class_weights }
    }

    fn numbers(&self, what: &str) -> &[f64] {
        &self.golden.get(&format!("{}.{what}", self.name)).numbers
    }

    fn planes(&self, what: &str, numbers: impl Fn(f64) -> f32) -> Option<Logits<D>> {
        let array = self.golden.0.get(&format!("{}.{what}", self.name))?;
        Some(tensor(self.device, array.numbers.iter().map(|v| numbers(*v)).collect(), &array.shape))
    }

    fn index(&self) -> IndexMaps<usize, usize, usize, D> {
        let array = self.golden.get(&format!("{}.index", self.name));
        let shape = (array.shape[0], self.logits.shape().1, array.shape[1]);
        IndexMaps::new(self.device, &array.u8(), shape).unwrap()
    }

    fn mask(&self) -> Logits<D> {
        self.planes("mask", |v| v as f32 / 255.0).unwrap()
    }

    fn known(&self) -> Option<Known<usize, usize, usize, D>> {
        let known = self.planes("known", |v| v as f32)?;
        let (batch, planes, side, _) = *known.shape();
        Some(match planes == self.logits.shape().1 {
            true => Known::OfEach(known),
            false => Known::OfAll(self.device.tensor_from_vec(known.as_vec(), (batch, Const, side, side))),
        })
    }

    fn check_weights(&self, found: &[f32]) {
        let found: Vec<f32> = found.iter().copied().step_by(7).collect();
        let worst =
            differences(&found, self.numbers("weights.every7")).into_iter().fold(0.0, |a: f64, b| a.max(b.abs()));
        assert!(worst <= 1e-6, "{}: a pixel's weight is off by {worst:e}", self.name);
    }

    /// Holds a loss, and its gradient with respect to the logits, against the file's.
    fn check(&self, kind: &str, loss: Tensor<(), f32, D, OwnedTape<f32, D>>) {
        let (what, found) = (format!("{}.{kind}", self.name), f64::from(loss.as_vec()[0]));
        let wanted = self.numbers(&format!("{kind}.loss"))[0];
        assert!((found - wanted).abs() <= 1e-6 * wanted, "{what}: the loss is {found}, wanted {wanted}");
        let gradient = loss.backward().get(&self.logits).as_vec();
        let every7: Vec<f32> = gradient.iter().copied().step_by(7).collect();
        let wanted = self.numbers(&format!("{kind}.gradient.every7"));
        let error = norm(differences(&every7, wanted));
        let size = norm(wanted.iter().copied());
        assert!(error <= 1e-5 * size, "{what}: the gradient is off by {error:e}, its norm is {size:e}");
        let (own, whole) =
            (norm(gradient.iter().map(|g| f64::from(*g))), self.numbers(&format!("{kind}.gradient.norm"))[0]);
        assert!((own - whole).abs() <= 1e-5 * whole, "{what}: the gradient's norm is {own:e}, wanted {whole:e}");
        println!("{what}: loss {found}, gradient off by {error:.1e}, its norm is {size:.1e}");
    }
}

fn tensor<D: Backend>(device: &D, numbers: Vec<f32>, shape: &[usize]) -> Logits<D> {
    device.tensor_from_vec(numbers, (shape[0], shape[1], shape[2], shape[3]))
}

/// The names of the cases that have this; as many as are expected.
fn cases<'a>(golden: &'a Golden, what: &str, count: usize) -> Vec<&'a str> {
    let names: Vec<&str> = golden.0.keys().filter_map(|name| name.strip_suffix(what)).collect();
    assert_eq!(names.len(), count, "{names:?}");
    names
}

fn exclusive_classes<D: Backend>(device: &D) {
    let Some(golden) = Golden::open(LOSSES) else { return };
    for name in cases(&golden, ".index", 15) {
        let case = Case::new(&golden, name, device);
        let index = case.index();
        let weights = ops::exclusive_weights(&index).unwrap();
        case.check_weights(&weights.as_vec());
        for (kind, cross_entropy, _) in KINDS {
            let traced = case.logits.leaky_trace();
            let loss = ops::exclusive_loss(traced, &index, &weights, case.class_weights.as_ref(), cross_entropy);
            case.check(kind, loss.unwrap());
        }
    }
}

fn labels<D: Backend>(device: &D) {
    let Some(golden) = Golden::open(LOSSES) else { return };
    for name in cases(&golden, ".mask", 9) {
        let case = Case::new(&golden, name, device);
        let (mask, known) = (case.mask(), case.known());
        let weights = ops::loss_weights(&mask, known.as_ref()).unwrap();
        case.check_weights(&weights.as_vec());
        for (kind, cross_entropy, _) in KINDS {
            let traced = case.logits.leaky_trace();
            let loss = ops::structure_loss(traced, &mask, &weights, case.class_weights.as_ref(), cross_entropy);
            case.check(kind, loss.unwrap());
        }
    }
}

/// The loss of each image of an exclusive case is the sum of its cross-entropy and of its IoU's part.
fn image_by_image<D: Backend>(device: &D) {
    let Some(golden) = Golden::open(LOSSES) else { return };
    for name in cases(&golden, ".index", 15) {
        let case = Case::new(&golden, name, device);
        let (batch, classes, side, _) = *case.logits.shape();
        let (logits, index) = (case.logits.as_vec(), golden.get(&format!("{name}.index")).u8());
        for image in 0..batch {
            let part = |length: usize| image * length..(image + 1) * length;
            let numbers = logits[part(classes * side * side)].to_vec();
            let logits: Logits<D> = tensor(device, numbers, &[1, classes, side, side]);
            let index = IndexMaps::new(device, &index[part(side * side)], (1, classes, side)).unwrap();
            let weights = ops::exclusive_weights(&index).unwrap();
            for (kind, cross_entropy, _) in KINDS {
                let logits = logits.clone();
                let loss = ops::exclusive_loss(logits, &index, &weights, case.class_weights.as_ref(), cross_entropy);
                let found = f64::from(loss.unwrap().as_vec()[0]);
                let wanted: f64 = case.numbers(&format!("{kind}.entropy_and_iou"))[2 * image..][..2].iter().sum();
                assert!(
                    (found - wanted).abs() <= 1e-6 * wanted,
                    "{name}.{kind}, image {image}: {found}, wanted {wanted}"
                );
            }
        }
    }
}

/// What the network's outputs are compared with, all kinds of it.
fn the_sum_over_three_outputs<D: Backend>(device: &D) {
    let Some(golden) = Golden::open(LOSSES) else { return };
    for name in ["k5_class_weights", "k3_ignore", "ml1", "ml3_ignore_by_class", "ml3_class_weights"] {
        let case = Case::new(&golden, name, device);
        for (kind, _, loss) in KINDS {
            let logits = || case.logits.clone();
            let outputs = Outputs { head: logits(), side1: logits(), side2: logits() };
            let check = |targets: Targets<'_, usize, usize, usize, D>| {
                let targets = Targets { class_weights: case.class_weights.as_ref(), ..targets };
                let found = f64::from(outputs.loss(targets, loss).unwrap().as_vec()[0]);
                let wanted = 3.0 * case.numbers(&format!("{kind}.loss"))[0];
                assert!((found - wanted).abs() <= 1e-6 * wanted, "{name}.{kind}: {found}, wanted {wanted}");
            };
            if name.starts_with('k') {
                check(Truth::Index(&case.index()).into());
            } else {
                match case.known() {
                    None => check(Targets::from(&case.mask())),
                    Some(known) => check(Targets::from((&case.mask(), &known))),
                }
            }
        }
    }
}
