//! Which variant a file's weights are of.

use crate::support::small_model::{open, small_specs, torch};
use sam2unet::checkpoint::{CheckpointError, Scope, Target, convert, detect, load};

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
