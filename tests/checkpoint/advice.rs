//! Advice in Python: that it runs no code unasked, and that it does what it says.

use crate::support::archive::archive;
use crate::support::pickle::Pickle;
use crate::support::small_model::{failure, open, small_specs, small_torch, torch, write_small};
use sam2unet::checkpoint::{Scope, Selection, WeightFile, describe_file, load};
use sam2unet::nn::weights::WeightSpec;
use std::fs;
use std::path::Path;
use zip::CompressionMethod;

/// One tensor.
fn one(pickle: Pickle) -> Pickle {
    pickle.tensor("FloatStorage", "0", 2, 0, &[2], &[1])
}

fn stored(pickle: Pickle) -> Vec<u8> {
    archive(&pickle.stop(), &[vec![0; 8]], CompressionMethod::Stored)
}

/// Two copies of the small model's weights under other names.
fn twice(first: &str, second: &str) -> Vec<WeightSpec> {
    let under = |prefix: &str| {
        let mut specs = small_specs(4);
        specs.iter_mut().for_each(|spec| spec.name.insert_str(0, prefix));
        specs
    };
    [under(first), under(second)].concat()
}

/// What `open` says, without a line's end in it.
fn refusal(path: &Path) -> String {
    WeightFile::open(path).expect_err("refused").to_string()
}

#[test]
fn a_load_that_runs_code_is_advised_with_a_caveat_only() {
    // one weight of a type that is not read
    let complex = |beside: &dyn Fn(Pickle) -> Pickle| {
        let pickle = Pickle::new().op(b"}(").text("model").op(b"}").text("encoder.pos_embed");
        let pickle = beside(pickle.tensor("ComplexFloatStorage", "0", 16, 0, &[1, 4, 2, 2], &[16, 4, 2, 1]).op(b"s"));
        failure(stored(pickle.op(b"u")), &small_specs(4))
    };
    let plain = complex(&|p| p);
    assert!(plain.contains("; in Python: d = torch.load(\"bad file\", weights_only=True)[\"model\"]; "), "{plain}");
    let evil = complex(&|p| p.text("x").global("os", "system").op(b"(").text("id").op(b"tR"));
    let caveat =
        "; if you trust the file, as this runs code that it names (`os.system`), in Python: import pickle, types; N = ";
    assert!(evil.contains(caveat), "{evil}");
    // what PyTorch has, it needs no stand-ins for; what weights_only=True refuses without need is loaded otherwise
    let own = complex(&|p| p.text("x").global("torch.optim.adam", "Adam").op(b")R"));
    assert!(
        own.contains("(`torch.optim.adam.Adam`), in Python: d = torch.load(\"bad file\", weights_only=False)"),
        "{own}"
    );
    let kind = complex(&|p| p.text("x").global("builtins", "list"));
    assert!(kind.contains("; in Python: d = torch.load(\"bad file\", weights_only=False)[\"model\"]"), "{kind}");
    // a key is a text, whatever it looks like
    let key = "[0]; __import__('os').system('id')";
    let pickle = Pickle::new().op(b"}").text(key).op(b"}(").text("encoder.pos_embed");
    let pickle = pickle.tensor("ComplexFloatStorage", "0", 16, 0, &[1, 4, 2, 2], &[16, 4, 2, 1]).op(b"us");
    let told = failure(stored(pickle), &small_specs(4));
    assert!(told.contains(&format!("weights_only=True)[\"{key}\"]; torch.save")), "{told}");
    // forms whose code is not known before they are loaded
    let bare = failure(vec![0x80, 2, b'}', b'.'], &small_specs(4));
    assert!(bare.contains("if you trust it, as this runs whatever code it holds, in Python: "), "{bare}");
}

#[test]
fn one_of_several_models_is_told_from_the_others() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("two models.pth");
    let kept = |path: &Path, prefixes: &[&str]| {
        let message = refusal(path);
        let command = format!("`sam2unet convert '{}' weights.safetensors --prefix {}`", path.display(), prefixes[0]);
        assert!(message.contains(&command), "{message}");
        for prefix in prefixes {
            let prefix = prefix.trim_matches('\'').to_owned();
            let selection = Selection { prefix: Some(prefix.clone()), ..Selection::default() };
            let file = WeightFile::open_selected(path, &selection).expect(&message);
            let (_, report) = load(&file, &small_specs(4), Scope::All).expect(&message);
            assert_eq!((report.applied, file.prefix()), (small_specs(4).len(), &prefix[..]), "{prefix}");
        }
        message
    };
    for (first, second, places) in [
        ("", "ema.", "at the top and under `ema.`"),
        ("module.a.", "module.b.", "under `module.a.` and `module.b.`"),
        ("model.", "model.ema.", "under `model.` and `model.ema.`"),
        ("it's.", "its copy.", "under `it\\'s.` and `its copy.`"),
    ] {
        fs::write(&path, torch(&twice(first, second))).expect("writes");
        let quoted = if first.is_empty() { "''".to_owned() } else { first.replace('\'', r"'\''") };
        let command = refusal(&path);
        assert!(command.contains(places), "{command}");
        if first != "it's." {
            kept(&path, &[&quoted, second]);
        } else {
            assert!(command.contains(r"--prefix 'it'\''s.'`"), "{command}");
        }
    }
    // an index, whose parts are read one by one
    let specs = twice("a.", "b.");
    let (left, right) = specs.split_at(30);
    write_small(&folder.path().join("1.safetensors"), left);
    fs::write(folder.path().join("2.bin"), torch(right)).expect("writes");
    let of = |specs: &[WeightSpec], file: &'static str| {
        specs.iter().map(move |spec| (spec.name.clone(), file.into())).collect::<Vec<_>>()
    };
    let map: serde_json::Map<_, _> = of(left, "1.safetensors").into_iter().chain(of(right, "2.bin")).collect();
    let path = folder.path().join("the model.index.json");
    fs::write(&path, serde_json::json!({ "weight_map": map }).to_string()).expect("writes");
    kept(&path, &["a.", "b."]);
}

#[test]
fn names_that_many_objects_share_are_counted() {
    // a state with one long name, and many objects that have it
    let long = "w".repeat(20 << 20);
    let state = Pickle::new().global("m", "M").op(b"q\x00)q\x01}(").text("_parameters").op(b"}(").text(&long);
    let state = state.op(b"Nu").text("_modules").op(b"}uq\x02").text("k").op(b"q\x030000}(");
    let pickle = state.op(&b"h\x03h\x00h\x01\x81h\x02b".repeat(2000)).op(b"u").stop();
    let told = failure(archive(&pickle, &[], CompressionMethod::Deflated), &small_specs(4));
    assert!(told.contains("the names of its weights have more than 67108864 bytes"), "{told}");
    // a dictionary that has one name again and again
    let pickle = one(Pickle::new().text(&long).op(b"q\x000}(")).op(b"q\x010");
    let pickle = pickle.op(&b"h\x00h\x01".repeat(100)).op(b"u");
    assert!(failure(stored(pickle), &small_specs(4)).contains("the names of its weights have more than"));
}

#[test]
fn keys_that_begin_like_an_optimiser_are_read() {
    let section = |keys: &[&str]| {
        let pickle = keys.iter().fold(Pickle::new().op(b"}("), |p, key| one(p.text(key).op(b"}").text("w")).op(b"s"));
        open(stored(pickle.op(b"u"))).map(|file| file.section().to_vec()).map_err(|error| error.to_string())
    };
    for key in ["optimal_model", "optimized_state_dict", "optimizer_ema_model"] {
        assert_eq!(section(&[key]), Ok(vec![key.to_owned()]));
    }
    for key in ["optim", "Optimizer", "optimizers", "optimiser", "optimizer_state_dict", "optimizer_states", "optim_0"]
    {
        assert!(section(&[key]).expect_err(key).contains("state of an optimiser only"), "{key}");
    }
    // of equal ones the model itself, wherever it stands
    for copy in ["ema", "model_ema", "averaged", "teacher_model", "swa", "target_net", "init_state", "fisher", "grads"]
    {
        assert_eq!(section(&[copy, "model"]), Ok(vec!["model".to_owned()]));
        assert_eq!(section(&["net", copy]), Ok(vec!["net".to_owned()]));
    }
    assert_eq!(section(&["ema", "ema2"]), Ok(vec!["ema".to_owned()]));
    // what is called as models are, before what is called anything
    for name in ["model", "state_dict", "net", "weights"] {
        assert_eq!(section(&["statistics", name]), Ok(vec![name.to_owned()]));
    }
}

#[test]
fn a_part_that_was_wrapped_by_itself_is_unwrapped() {
    let mut specs = small_specs(4);
    specs.push(WeightSpec { name: "head.bias".into(), shape: vec![1], role: specs[20].role });
    for (from, to) in
        [("encoder.", "encoder.module."), ("encoder.", "encoder._orig_mod."), ("encoder.", "net.encoder.module.")]
    {
        let before = to.strip_suffix("encoder.module.").unwrap_or_default();
        let rename = |name: &str| match name.strip_prefix(from) {
            Some(rest) => format!("{to}{rest}"),
            None => format!("{before}{name}"),
        };
        let (pickle, storages) = small_torch(&specs, "FloatStorage", &rename);
        let file = open(archive(&pickle, &storages, CompressionMethod::Stored)).expect(to);
        let (_, report) = load(&file, &specs, Scope::All).expect(to);
        assert_eq!((report.applied, file.prefix()), (specs.len(), before), "{to}: {report}");
        let facts = describe_file(&file, &[("small", specs.clone())]).expect(to);
        assert!(facts.beside.is_empty(), "{:?}", facts.beside);
    }
}

#[test]
fn wrappers_of_blocks_are_left_out_of_names() {
    let specs = small_specs(4);
    let words = ["_orig_mod", "module", "_fsdp_wrapped_module", "_fpw_module", "_checkpoint_wrapped_module"];
    for (word, before) in words.iter().zip(["", "model.", "module.", "", "net."]) {
        // of the first block, of what is in every block, and of what no trunk has
        for at in ["encoder.blocks.0.", "encoder.blocks.", "head."] {
            let rename = |name: &str| match name.strip_prefix(at) {
                Some(rest) if at == "encoder.blocks." => {
                    let (number, rest) = rest.split_once('.').expect("a block's number");
                    format!("{before}{at}{number}.{word}.{rest}")
                }
                Some(rest) => format!("{before}{at}{word}.{rest}"),
                None => format!("{before}{name}"),
            };
            assert!(specs.iter().any(|spec| rename(&spec.name).contains(&format!(".{word}."))), "{at}");
            let (pickle, storages) = small_torch(&specs, "FloatStorage", &rename);
            let file = open(archive(&pickle, &storages, CompressionMethod::Stored)).expect(word);
            let (_, report) =
                load(&file, &specs, Scope::All).unwrap_or_else(|error| panic!("{before}{at}{word}: {error}"));
            assert_eq!((report.applied, file.prefix()), (specs.len(), before), "{before}{at}{word}");
        }
    }
}

/// What is in a section twice, or what its name does not tell apart.
#[test]
fn sections_that_are_not_one_are_refused() {
    let under = |p: Pickle, key: &str| one(p.text(key).op(b"}").text("blocks.w")).op(b"s");
    let twice = under(under(Pickle::new().op(b"}("), "model"), "model").op(b"u");
    let message = open(stored(twice)).expect_err("twice").to_string();
    assert!(message.contains("its pickle gives model two values"), "{message}");
    let dotted = under(Pickle::new().op(b"}(").text("a").op(b"}"), "b").op(b"s");
    let dotted = stored(under(dotted, "a.b").op(b"u"));
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.pth");
    fs::write(&path, dotted).expect("writes");
    let selection = Selection { section: Some("a.b".into()), ..Selection::default() };
    let message = WeightFile::open_selected(&path, &selection).expect_err("two").to_string();
    assert!(message.contains("two dictionaries of tensors that are called `a.b`"), "{message}");
}

/// Few bytes that would become much memory, or much time.
#[test]
fn small_files_do_not_grow() {
    // a parameter of one tensor of many dimensions, again and again
    let tensor = Pickle::new().tensor("FloatStorage", "0", 2, 0, &[1; 64], &[1; 64]);
    let parameter = tensor.op(b"\x85q\x000").global("torch._utils", "_rebuild_parameter").op(b"q\x01");
    let parameters = parameter.op(&b"h\x01h\x00R".repeat(1_000_000)).stop();
    assert!(failure(stored(Pickle(parameters)), &small_specs(4)).contains("objects, more than are read"));
    // one long name on each of many steps
    let long = "w".repeat(20 << 20);
    let nested = (0..40).fold(Pickle::new().text(&long).op(b"q\x000"), |p, _| p.op(b"}h\x00"));
    let nested = (0..40).fold(one(nested.op(b"}").text("blocks.w")).op(b"s"), |p, _| p.op(b"s"));
    assert!(failure(stored(nested), &small_specs(4)).contains("the names of its weights have more than"));
    // a wrapper around a wrapper, and so on
    let name = "module.".repeat(200_000) + "w";
    let file = open(stored(one(Pickle::new().op(b"}").text(&name)).op(b"s"))).expect("harmless");
    assert!(file.prefix().len() < 5000);
}
