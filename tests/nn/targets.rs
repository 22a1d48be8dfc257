//! Targets that are refused, each with what is said of it.

use crate::support::wrong::panics;
use dfdx::prelude::*;
use sam2unet::nn::{ClassWeights, IGNORED, IndexMaps, Known, Loss, Masks, Outputs, TargetError, Targets};

type Maps = IndexMaps<usize, usize, usize, Cpu>;

fn maps(index: &[u8], batch: usize, classes: usize, side: usize) -> Result<Maps, TargetError> {
    IndexMaps::new(&Cpu::default(), index, (batch, classes, side))
}

#[test]
fn index_maps_of_no_classes_are_refused() {
    let said = |index: &[u8], batch, classes, side| maps(index, batch, classes, side).unwrap_err().to_string();
    for classes in [0, 1, 256] {
        assert_eq!(
            said(&[0; 4], 1, classes, 2),
            format!(
                "an index map is for 2 to 255 classes that exclude each other, and there are {classes}: compare a \
                 single class with a mask"
            )
        );
    }
    let one = IndexMaps::new(&Cpu::default(), &[0; 4], (1usize, Const::<1>, 2usize));
    assert_eq!(one.unwrap_err(), TargetError::Classes { classes: 1 });
    assert_eq!(said(&[], 0, 3, 2), "an empty batch: there must be an image");
    assert_eq!(said(&[0; 7], 2, 3, 2), "index maps of shape [2, 2, 2] are 8 numbers, 7 were given");
    let mut index = [0, 1, 2, IGNORED, 2, 1, 0, 3];
    assert_eq!(
        said(&index, 2, 3, 2),
        "index map 1 of the batch has 3 in row 1, column 1: with 3 classes an index is 0 to 2, or 255 where a pixel is \
         ignored"
    );
    index[7] = 254;
    assert_eq!(
        maps(&index, 2, 3, 2).unwrap_err(),
        TargetError::Index { image: 1, row: 1, column: 1, found: 254, classes: 3 }
    );
    maps(&index, 2, 255, 2).unwrap();
    maps(&[IGNORED; 8], 2, 2, 2).unwrap();
}

#[test]
fn class_weights_that_count_nothing_are_refused() {
    let device = Cpu::default();
    let said = |weights: &[f32]| ClassWeights::new(&device, weights, 2usize).unwrap_err().to_string();
    assert_eq!(said(&[1.0]), "class weights of shape [2] are 2 numbers, 1 were given");
    for (weights, shown) in [
        ([0.0, 0.0], "[0.0, 0.0]"),
        ([1.0, -1.0], "[1.0, -1.0]"),
        ([1.0, f32::NAN], "[1.0, NaN]"),
        ([f32::INFINITY, 1.0], "[inf, 1.0]"),
    ] {
        assert_eq!(
            said(&weights),
            format!("class weights are numbers of 0 or more, one of them above 0, and are {shown}")
        );
    }
    ClassWeights::new(&device, &[0.0, 2.5], Const::<2>).unwrap();
}

#[test]
fn targets_of_another_shape_are_refused() {
    let device = Cpu::default();
    let masks = |[batch, classes, side]: [usize; 3]| -> Masks<usize, usize, usize, Cpu> {
        device.zeros_like(&(batch, classes, side, side))
    };
    let outputs = || Outputs { head: masks([2, 3, 4]), side1: masks([2, 3, 4]), side2: masks([2, 3, 4]) };
    let index =
        |batch: usize, classes: usize, side: usize| maps(&vec![0; batch * side * side], batch, classes, side).unwrap();
    outputs().loss(&index(2, 3, 4), Loss::Paper).unwrap();
    for (batch, classes, side) in [(1, 3, 4), (2, 3, 5)] {
        let said = panics(|| outputs().loss(&index(batch, classes, side), Loss::Paper));
        let found = format!("[{batch}, {side}, {side}]");
        assert!(said.contains("[2, 4, 4]") && said.contains(&found), "{said}");
    }
    let said = panics(|| outputs().loss(&index(2, 4, 4), Loss::Paper));
    assert!(said.contains("logits and index maps differ in the number of classes"), "{said}");
    let mask = masks([2, 3, 4]);
    for known in [masks([2, 2, 4]), masks([1, 3, 4]), masks([2, 3, 5])] {
        let said = panics(|| outputs().loss((&mask, &Known::OfEach(known)), Loss::Paper));
        assert!(said.contains("a mask and what is known of it differ in shape"), "{said}");
    }
    let weights = ClassWeights::new(&device, &[1.0, 2.0], 2).unwrap();
    let index = index(2, 3, 4);
    let of_two = [Targets::from(&mask), Targets::from(&index)].map(|targets| targets.weighted(&weights));
    for targets in of_two {
        let said = panics(|| outputs().loss(targets, Loss::Paper));
        assert!(said.contains("there is a weight for each class"), "{said}");
    }
}
