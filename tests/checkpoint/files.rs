//! Files as PyTorch and its users write them: those in `files.zip`, and with a Python that has torch those that it
//! writes today. `make_files.py` makes both.

use crate::support::python::python;
use crate::support::small_model::{load_both, spec};
use sam2unet::checkpoint::{FileFacts, Scope, Selection, WeightFile, describe_file, load};
use sam2unet::nn::weights::{Role, Value, WeightSource, WeightSpec};
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

const KEPT: &[u8] = include_bytes!("files.zip");

/// Folders of such files.
fn folders() -> Vec<TempDir> {
    let kept = tempfile::tempdir().expect("a folder");
    zip::ZipArchive::new(Cursor::new(KEPT)).expect("a zip file").extract(kept.path()).expect("extracts");
    let mut folders = vec![kept];
    if let Some(python) = python() {
        let fresh = tempfile::tempdir().expect("a folder");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/make_files.py");
        let run = Command::new(python).arg(script).arg(fresh.path()).output().expect("python runs");
        assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
        folders.push(fresh);
    }
    folders
}

fn files(folder: &Path, kind: &str) -> Vec<(String, PathBuf)> {
    let name = |entry: fs::DirEntry| (entry.file_name().into_string().expect("Unicode"), entry.path());
    let mut files: Vec<_> =
        fs::read_dir(folder.join(kind)).expect("there").map(|entry| name(entry.expect("entry"))).collect();
    files.sort();
    files
}

/// `WEIGHTS` of the script.
fn specs() -> Vec<WeightSpec> {
    vec![
        spec("encoder.pos_embed", &[1, 2, 2, 2], Role::Frozen),
        spec("encoder.blocks.0.block.norm1.weight", &[2], Role::Frozen),
        spec("head.weight", &[1, 3], Role::Trainable),
        spec("rfb1.branch0.0.bn.num_batches_tracked", &[], Role::Counter),
    ]
}

fn values() -> Vec<Value> {
    let real = |values: &[f32]| Value::Real(values.to_vec());
    vec![real(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), real(&[3.0, -2.0]), real(&[1.0, -4.0, 7.0]), Value::Count(3)]
}

fn facts(path: &Path) -> FileFacts {
    let file = WeightFile::open(path).expect("opens");
    describe_file(&file, &[("small", specs())]).expect("describes")
}

#[test]
fn the_same_weights_in_other_clothes() {
    for folder in folders() {
        let all = files(folder.path(), "whole");
        assert!(all.len() > 45, "{}", all.len());
        for (name, path) in all.iter().filter(|(name, _)| !name.contains("-of-")) {
            let file = WeightFile::open(path).unwrap_or_else(|error| panic!("{name}: {error}"));
            let (found, report) = load_both(&file, &specs(), Scope::All);
            let mut expected = values();
            let lost = usize::from(name == "no-counters.pth");
            if lost == 1 {
                expected[3] = Value::Count(0);
            }
            assert_eq!(found, expected, "{name}");
            assert_eq!((report.applied, report.counters), (4 - lost, lost), "{name}: {report}");
            assert!(report.unexpected.is_empty() && report.fits(), "{name}: {report}");
            // a part that is read alone is a trunk or not, and no model
            assert!(facts(path).variant.is_some(), "{name}");
        }
    }
}

#[test]
fn where_the_weights_lie_and_what_lies_beside_them_is_told() {
    for folder in folders() {
        let of = |name: &str| facts(&folder.path().join("whole").join(name));
        for (name, prefix) in [
            ("averaged.pth", "module."),
            ("prefix-twice.pth", "module.module."),
            ("prefix-lightning-compiled.pth", "model._orig_mod."),
            ("prefix-own.pth", "segmenter/"),
            ("prefix-underscore.pth", "net_"),
            ("prefix-encoder.pth", "encoder."),
            ("prefix-unicode.pth", "né."),
            ("module-ddp.pt", "module."),
            ("f64.pth", ""),
        ] {
            assert_eq!(of(name).prefix, prefix, "{name}");
        }
        for (name, section) in [
            ("trainer.pth", &["state_dict"][..]),
            ("averaged-ema.pth", &["model"]),
            ("list.pt", &["[0]"]),
            ("tuple.pt", &["[1]"]),
            ("module.pt", &[".state_dict()"]),
            ("module-ddp.pt", &["ema", ".state_dict()"]),
            ("settings.pt", &["model"]),
            ("numbered.pt", &["[7]"]),
            ("folds.pt", &["folds", "[0]"]),
            ("long-list.pt", &["[200]"]),
            ("slots.pt", &[".model"]),
            ("named-tuple.pt", &["[1]"]),
            ("many-dimensions.pt", &["model"]),
            ("legacy-trainer.pth", &["state_dict"]),
        ] {
            assert_eq!(of(name).section, section, "{name}");
        }
        assert_eq!(of("averaged.pth").beside, ["n_averaged"]);
        assert_eq!(of("averaged-ema.pth").beside, ["ema (5 tensors)"]);
        assert_eq!(of("criterion.ckpt").beside, ["criterion.pos_weight"]);
        assert_eq!(of("optimiser-object.pth").beside, ["optim (torch.optim.adamw.AdamW)"]);
        let trainer = of("trainer.pth");
        for beside in [
            "optimizer",
            "args (argparse.Namespace)",
            "best (numpy._core.multiarray.scalar)",
            "log",
            "settings (__main__.Settings)",
            "set",
            "code (posix.system)",
        ] {
            assert!(trainer.beside.iter().any(|key| key == beside), "{beside}: {:?}", trainer.beside);
        }
        assert!(trainer.not_run.iter().any(|name| name == "posix.system"), "{:?}", trainer.not_run);
        let told = trainer.to_string();
        assert!(told.contains("args (argparse.Namespace)") && told.contains("not run"), "{told}");
        let told = of("module-ddp.pt").to_string();
        assert!(told.contains("weights under `ema.state_dict()`") && told.contains("`module.`, left out"), "{told}");
    }
    assert!(!Path::new("code-was-run").exists());
}

/// Beside each tensor lies what PyTorch's cast makes of it.
#[test]
fn numbers_of_every_type_and_order_are_those_of_pytorch() {
    for folder in folders() {
        for (name, path) in files(folder.path(), "twins") {
            let file = WeightFile::open(&path).expect("opens");
            let (mut reals, mut counts) = (0, 0);
            for key in file.names() {
                if file.info(&format!("{key}.float")).is_some() {
                    let (own, cast) = (file.values(key).expect(key), file.values(&format!("{key}.float")).expect(key));
                    let same = |(a, b): (&f32, &f32)| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
                    assert!(own.len() == cast.len() && own.iter().zip(&cast).all(same), "{name} {key}: {own:?}");
                    if let Some(encoded) = file.encoded(key).expect(key) {
                        assert!(encoded.to_vec().iter().zip(&own).all(same), "{name} {key}");
                    }
                    reals += 1;
                }
                if file.info(&format!("{key}.long")).is_some() {
                    assert_eq!(file.count(key).expect(key), file.count(&format!("{key}.long")).expect(key), "{key}");
                    counts += 1;
                }
            }
            assert!(reals >= 24 && counts >= 8, "{name}: {reals} {counts}");
        }
    }
}

/// What a person reads of a file that is no model, or none that can be taken.
fn told(path: &Path) -> String {
    let attempt = || -> Result<(), String> {
        let file = WeightFile::open(path).map_err(|error| error.to_string())?;
        let (mut loaded, _) = load(&file, &specs(), Scope::All).map_err(|error| error.to_string())?;
        specs().iter().try_for_each(|spec| loaded.value(spec).map(drop).map_err(|error| error.to_string()))
    };
    attempt().expect_err("a file that is no model was accepted")
}

#[test]
fn files_that_are_no_models_are_told_with_what_to_do() {
    for folder in folders() {
        let all = files(folder.path(), "refused");
        for (name, path) in &all {
            let message = told(path);
            let shown = path.display().to_string();
            let parts: Vec<String> = match &name[..] {
                "optimiser.pt" | "optimiser-in-dict.pt" | "optimiser-legacy.pt" | "optimiser.safetensors" => {
                    vec!["holds the state of an optimiser only".into(), "another file of the same training".into()]
                }
                "tensor.pth" => vec!["a single tensor of shape [2, 3]".into()],
                "tensors.pth" => vec!["4 tensors without names".into()],
                "code.pth" | "code-in-dict.pth" => vec![
                    "asks for `posix.system`, which is not run".into(),
                    format!("torch.load({shown:?}, weights_only=False)"),
                ],
                "numbers.pth" => vec!["no dictionary of named tensors".into()],
                "complex.pth" => vec![
                    "head.weight expected real numbers, found complex64".into(),
                    format!("d = torch.load({shown:?}, weights_only=True); torch.save({{k: v.float() for"),
                ],
                "sparse.pth" => vec![
                    "head.weight is there, as a sparse tensor, which is not read; in Python: d = torch.load(".into(),
                    "weights_only=True); torch.save({k: v.to_dense() for k".into(),
                ],
                "numpy.pth" => vec!["head.weight is there, as an array of NumPy, which is not read".into()],
                "quantised.pth" => {
                    vec!["m.head.weight is there, as a quantised tensor".into(), "v.dequantize()".into()]
                }
                "all-numpy.pth" => vec!["stands an array of NumPy in place of each".into()],
                "all-lists.pth" => {
                    vec!["stands a list in place of each".into(), "weights_only=True)[\"model\"]".into()]
                }
                "own-class.pth" | "own-slots.pth" | "own-tuple.pth" => {
                    vec!["head.weight expected real numbers".into(), "pickle_module=P".into()]
                }
                "protocol5-complex.pth" => {
                    vec!["; in Python: d = ".into(), "weights_only=False); torch.save".into()]
                }
                "pos-weight.pth" => vec![
                    "unexpected 2: loss.pos_weight; rfb1.odd".into(),
                    format!("`sam2unet convert {shown} weights.safetensors --known-only` leaves out"),
                ],
                "too-large.pth" => vec![": head.weight holds 1e300 at [0, 1], which is beyond".into()],
                "new.tar" => vec!["is a tar archive; unpack it (tar -xf)".into()],
                "packed.pth.gz" => vec!["is packed by gzip; unpack it".into()],
                "around.zip" => vec!["is a zip archive around run/model.pth; unpack it".into()],
                "arrays.npz" => vec!["is an archive of NumPy arrays".into()],
                "expanded.pth" => vec!["expected [1, 3], found [1073741824]".into()],
                "two-models.ckpt" => vec![
                    "several models, under `model.` and `ema_model.module.`".into(),
                    format!("keep one of them, as with `sam2unet convert {shown} weights.safetensors --prefix model.`"),
                ],
                "beside.ckpt" => vec![
                    "unexpected 1: discriminator.weight".into(),
                    "the model is what `model.` stands before: `sam2unet convert ".into(),
                    " --prefix model.` takes it alone".into(),
                ],
                "other-net.pth" => vec!["none of its 2 tensors is of SAM2's image encoder".into()],
                "nan.pth" | "nan-f16.pth" => {
                    vec![": module.head.weight holds NaN at [0, 2]: the training that wrote it diverged".into()]
                }
                "inf.pth" => vec![": module.head.weight holds -inf at [0, 2]".into()],
                "bare.pkl" => vec![
                    "a bare pickle".into(),
                    "if you trust it".into(),
                    format!("pickle.load(open({shown:?}, \"rb\"))"),
                ],
                "old.tar" => vec![
                    "a tar archive".into(),
                    "you trust it".into(),
                    format!("torch.load({shown:?}, weights_only=False)"),
                ],
                other => panic!("{other} is not expected"),
            };
            for part in parts {
                assert!(message.contains(&part), "{name}: {part}: {message}");
            }
            // each is named once, in front
            assert!(message.starts_with(&shown) && !message.contains("damaged"), "{name}: {message}");
            let spoilt = message.contains("diverged") || message.contains("beyond");
            assert_eq!(message.matches("head.weight holds").count(), usize::from(spoilt), "{message}");
        }
        assert_eq!(all.len(), 34);
    }
}

#[test]
fn advice_works_with_the_file_alone() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    zip::ZipArchive::new(Cursor::new(KEPT)).expect("a zip file").extract(folder.path()).expect("extracts");
    let code = |message: &str| {
        let (_, code) = message.split_once("in Python: ").expect("advice");
        code.to_owned()
    };
    let expanded = WeightFile::open(&folder.path().join("refused/expanded.pth")).expect("opens");
    let expanded = expanded.values("head.weight").expect_err("too large").to_string();
    assert!(code(&expanded).contains("v.contiguous()"), "{expanded}");
    let refused = |name: &str| folder.path().join("refused").join(name);
    // what comes of it are the same weights
    for name in [
        "quantised.pth",
        "sparse.pth",
        "numpy.pth",
        "all-numpy.pth",
        "all-lists.pth",
        "own-class.pth",
        "own-slots.pth",
        "own-tuple.pth",
        "protocol5-complex.pth",
        "arrays.npz",
    ] {
        run_python(&python, folder.path(), &code(&told(&refused(name))));
        let file = WeightFile::open(&folder.path().join("weights.pth")).expect("opens");
        assert_eq!(load_both(&file, &specs(), Scope::All).0, values(), "{name}");
    }
    run_python(&python, folder.path(), &code(&told(&refused("bare.pkl"))));
    assert!(!folder.path().join("code-was-run").exists());
}

/// Runs advice where nothing else is known.
fn run_python(python: &str, folder: &Path, code: &str) {
    let code = format!("import torch; {code}");
    let run = Command::new(python).current_dir(folder).args(["-c", &code]).output().expect("runs");
    assert!(run.status.success(), "{code}: {}", String::from_utf8_lossy(&run.stderr));
}

/// Commands in messages name what to take, and it is taken.
#[test]
fn what_is_meant_can_be_said() {
    for folder in folders() {
        let place = |name: &str| folder.path().join(name);
        let open = |name: &str, selection: Selection| WeightFile::open_selected(&place(name), &selection);
        let prefixed = |prefix: &str| Selection { prefix: Some(prefix.into()), ..Selection::default() };
        let within = |section: &str| Selection { section: Some(section.into()), ..Selection::default() };
        let same =
            |file: WeightFile, name: &str| assert_eq!(load_both(&file, &specs(), Scope::All).0, values(), "{name}");
        for prefix in ["model.", "ema_model.module.", "ema_model."] {
            same(open("refused/two-models.ckpt", prefixed(prefix)).expect(prefix), prefix);
        }
        same(open("refused/beside.ckpt", prefixed("model.")).expect("opens"), "beside");
        let known = Selection { known_only: true, ..Selection::default() };
        let file = open("refused/pos-weight.pth", known).expect("opens");
        let (found, report) = load_both(&file, &specs(), Scope::All);
        assert_eq!((found, report.left_out), (values(), vec!["loss.pos_weight".to_owned(), "rfb1.odd".into()]));
        // what was said stays said in the command that a message gives
        let section = "whole/averaged-ema.pth";
        let both = Selection { section: Some("ema".into()), known_only: true, ..Selection::default() };
        same(open(section, both.clone()).expect("opens"), "both");
        let message = open("refused/two-models.ckpt", Selection { section: Some("state_dict".into()), ..both });
        let message = message.expect_err("two").to_string();
        assert!(message.contains(" --section state_dict --prefix model. --known-only`"), "{message}");
        let message = open("refused/two-models.ckpt", prefixed("net.")).expect_err("no such").to_string();
        assert!(message.contains("begins with `net.`; before the names of its models stands `model.`"), "{message}");

        for (name, section) in [
            ("whole/averaged-ema.pth", "ema"),
            ("whole/trainer.pth", "state_dict"),
            ("whole/folds.pt", "folds[0]"),
            ("whole/list.pt", "[0]"),
            ("whole/module-ddp.pt", "ema.state_dict()"),
            ("whole/module-ddp.pt", "ema"),
            ("whole/legacy-trainer.pth", "state_dict"),
            ("whole/f64.pth", ""),
        ] {
            same(open(name, within(section)).expect(section), section);
        }
        let message = open("whole/averaged-ema.pth", within("best")).expect_err("no such").to_string();
        assert!(message.contains("no named tensors in section `best`; they are in: `model`, `ema`"), "{message}");
        let message = open("whole/f16.safetensors", within("model")).expect_err("none").to_string();
        assert!(message.contains("a safetensors file has none"), "{message}");
    }
}
