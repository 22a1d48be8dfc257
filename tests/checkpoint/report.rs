//! What is said of weights that do not fit.

use crate::support::archive::archive;
use crate::support::small_model::{failure, meta, open, published, small_specs, small_torch, torch};
use sam2unet::checkpoint::{Scope, load};
use sam2unet::nn::weights::{Role, Value, WeightSource, WeightSpec};
use zip::CompressionMethod;

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
    let (pickle, storages) = small_torch(&specs, "ComplexFloatStorage", &published);
    let complex = failure(archive(&pickle, &storages, CompressionMethod::Stored), &specs);
    assert!(
        complex.contains("wrong type 21: encoder.blocks.0.block.attn.proj.bias expected real numbers, found complex64"),
        "{complex}"
    );
    let advice = r#"in Python: d = torch.load("bad file", weights_only=True)["model"]; torch.save({k: v.float() for"#;
    assert!(complex.contains(advice), "{complex}");
    // counters that are not there, and one of another type
    let file = open(build(&|s| drop(s.remove(19)))).expect("opens");
    let (mut loaded, report) = load(&file, &specs, Scope::All).expect("fits");
    assert_eq!((report.counters, loaded.value(&specs[19]).expect("a count")), (1, Value::Count(0)));
    assert!(report.to_string().contains("· counters not there, taken as 0: 1 · missing 0"), "{report}");
    let file = open(build(&|s| s[19].role = Role::Trainable)).expect("opens");
    let (mut loaded, _) = load(&file, &specs, Scope::All).expect("fits");
    assert_eq!(loaded.value(&specs[19]).expect("a count"), Value::Count(36));

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
        "applied 16 from `model` · other parts of SAM2 4 · missing 0 · unexpected 1: ema · wrong shape 0"
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
