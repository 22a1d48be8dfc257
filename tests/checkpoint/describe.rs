//! Descriptions of files and variants.

use crate::support::small_model::{open, small_specs, torch};
use sam2unet::checkpoint::{describe_file, describe_variant};

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
