//! Whatever stands in a weight file, reading it gives values or one error: no panic, no endless loop, no huge
//! allocation.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::support::archive::archive;
use crate::support::shared::shared;
use proptest::prelude::*;
use sam2unet::checkpoint::{Scope, WeightFile, detect, load, save};
use sam2unet::nn::weights::{Role, Value, WeightSource, WeightSpec};
use zip::CompressionMethod;

fn spec(name: &str, shape: &[usize], role: Role) -> WeightSpec {
    WeightSpec { name: name.into(), shape: shape.into(), role }
}

fn specs() -> Vec<WeightSpec> {
    vec![
        spec("encoder.pos_embed", &[1, 2, 2, 2], Role::Frozen),
        spec("encoder.blocks.0.block.norm1.weight", &[2], Role::Frozen),
        spec("head.weight", &[1, 3], Role::Trainable),
        spec("rfb1.branch0.0.bn.num_batches_tracked", &[], Role::Counter),
    ]
}

fn safetensors(specs: &[WeightSpec]) -> Vec<u8> {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.safetensors");
    let each = |put: &mut dyn FnMut(WeightSpec, Value)| {
        for spec in specs {
            let value = if spec.role == Role::Counter { Value::Count(3) } else { Value::Real(vec![1.5; spec.len()]) };
            put(spec.clone(), value);
        }
    };
    save(&path, specs, each, &BTreeMap::from([("format".into(), "pt".into())])).expect("saves");
    std::fs::read(path).expect("written")
}

/// What `torch.save` writes for `{"model": {...}}`, in protocol 2.
fn pickle(specs: &[WeightSpec]) -> Vec<u8> {
    fn text(out: &mut Vec<u8>, text: &str) {
        out.push(b'X');
        out.extend((text.len() as u32).to_le_bytes());
        out.extend(text.as_bytes());
    }
    let mut out = b"\x80\x02}q\x00".to_vec();
    text(&mut out, "epoch");
    out.extend(b"K\x05s");
    text(&mut out, "model");
    out.extend(b"}q\x01(");
    for (i, spec) in specs.iter().enumerate() {
        text(&mut out, &spec.name);
        out.extend(b"ctorch._utils\n_rebuild_tensor_v2\n((");
        text(&mut out, "storage");
        out.extend(if spec.role == Role::Counter { &b"ctorch\nLongStorage\n"[..] } else { b"ctorch\nFloatStorage\n" });
        text(&mut out, &i.to_string());
        text(&mut out, "cpu");
        out.extend([b'K', spec.len() as u8]);
        out.extend(b"tQK\x00(");
        spec.shape.iter().for_each(|&size| out.extend([b'K', size as u8]));
        out.extend(b"t(");
        let mut stride = spec.len();
        for size in &spec.shape {
            stride /= size;
            out.extend([b'K', stride as u8]);
        }
        out.extend(b"t\x89ccollections\nOrderedDict\n)RtR");
    }
    out.extend(b"us.");
    out
}

/// An archive of other weights than [`specs`].
fn torch_of(specs: &[WeightSpec]) -> Vec<u8> {
    let bytes = |spec: &WeightSpec| vec![1; spec.len() * if spec.role == Role::Counter { 8 } else { 4 }];
    archive(&pickle(specs), &specs.iter().map(bytes).collect::<Vec<_>>(), CompressionMethod::Stored)
}

/// A pickle of one view of a storage of so many numbers.
fn view(shape: &[usize], strides: &[u8], offset: u8, count: u8, negative: bool) -> Vec<u8> {
    let mut out = b"\x80\x02}X\x01\0\0\0xctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storage".to_vec();
    out.extend(b"ctorch\nFloatStorage\nX\x01\0\0\x000N");
    out.extend([b'K', count, b't', b'Q', b'K', offset, b'(']);
    shape.iter().for_each(|&size| out.extend([b'K', size as u8]));
    out.extend(b"t(");
    strides.iter().for_each(|&stride| out.extend([b'K', stride]));
    out.extend(b"t\x89N}X\x03\0\0\0neg");
    out.extend([if negative { 0x88 } else { 0x89 }]);
    out.extend(b"stRs.");
    out
}

/// An archive of this pickle and the storages of [`specs`].
fn torch(pickle: &[u8], method: CompressionMethod) -> Vec<u8> {
    let bytes = |spec: &WeightSpec| vec![1; spec.len() * if spec.role == Role::Counter { 8 } else { 4 }];
    archive(pickle, &specs().iter().map(bytes).collect::<Vec<_>>(), method)
}

/// What `torch.save` wrote before PyTorch 1.6 for this pickle and the storages of [`specs`].
fn legacy(pickle: &[u8]) -> Vec<u8> {
    let mut out = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.\x80\x02M\xe9\x03.\x80\x02}.".to_vec();
    out.extend(pickle);
    out.extend(b"\x80\x02](");
    (0..specs().len()).for_each(|i| out.extend([b'U', 1, b'0' + i as u8]));
    out.extend(b"e.");
    for spec in specs() {
        out.extend((spec.len() as u64).to_le_bytes());
        out.extend(vec![1; spec.len() * if spec.role == Role::Counter { 8 } else { 4 }]);
    }
    out
}

/// Does everything that can be done with a file, and asks that every value has the size that was promised.
fn exercise(bytes: Vec<u8>) -> Result<(), TestCaseError> {
    let size = bytes.len();
    let specs = specs();
    let file = match WeightFile::from_bytes("fuzzed", bytes) {
        Ok(file) => file,
        Err(error) => {
            let message = error.to_string();
            prop_assert!(
                message.starts_with("fuzzed: ") && message.len() < 2000 && !message.contains('\n'),
                "{message}"
            );
            return Ok(());
        }
    };
    for name in file.names() {
        let promised: usize = file.info(name).map_or(0, |info| info.shape.iter().product());
        if let Ok(values) = file.values(name) {
            prop_assert_eq!(values.len(), promised);
            // a number may be repeated, but not without bound
            prop_assert!(values.len() <= (1 << 24).max(size));
        }
        let _ = file.count(name);
    }
    for scope in [Scope::All, Scope::Trunk] {
        match load(&file, &specs, scope) {
            Ok((mut loaded, report)) => {
                prop_assert!(report.fits());
                for spec in specs.iter().filter(|spec| scope == Scope::All || spec.in_trunk()) {
                    if let Ok(Value::Real(values)) = loaded.value(spec) {
                        prop_assert_eq!(values.len(), spec.len());
                    }
                }
            }
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }
    let _ = detect(&file, &[("small", specs)]);
    Ok(())
}

fn golden() -> Option<Vec<u8>> {
    shared("golden/pico/sam2_hiera_pico.pt").map(|path| std::fs::read(path).expect("a golden file"))
}

/// Overwrites, removals, insertions and doublings at random places.
fn mutate(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (at, kind, value) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = at.index(bytes.len());
        match kind % 6 {
            0 | 1 => bytes[at] = *value,
            2 => bytes[at] ^= 1 << (value % 8),
            3 => drop(bytes.remove(at)),
            4 => bytes.insert(at, *value),
            _ => {
                let piece = bytes[at..(at + usize::from(*value)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    prop::collection::vec(any::<(prop::sample::Index, u8, u8)>(), 1..6)
}

/// One instruction of a pickle, with an argument that is often valid.
fn instruction() -> impl Strategy<Value = Vec<u8>> {
    let plain = b".(012N\x88\x89]la)t\x85\x86\x87}dsu\x8f\x90\x91\x93\x81\x92RbQ\x94eo";
    let names =
        ["storage", "a", "0", "cpu", "encoder.pos_embed", "torch", "FloatStorage", "collections", "OrderedDict"];
    let globals = [
        "ccollections\nOrderedDict\n",
        "ctorch._utils\n_rebuild_tensor_v2\n",
        "ctorch._utils\n_rebuild_tensor_v3\n",
        "ctorch._utils\n_rebuild_parameter\n",
        "ctorch\nFloatStorage\n",
        "ctorch.storage\nUntypedStorage\n",
        "ctorch\nSize\n",
        "ctorch\nfloat32\n",
        "ctorch._tensor\n_rebuild_from_type_v2\n",
        "ccollections\ndefaultdict\n",
        "cbuiltins\nset\n",
        "ccopyreg\n_reconstructor\n",
        "cposix\nsystem\n",
        "(inet\nNet\n",
        "I01\n",
        "Vneg\n",
        "V_modules\n",
        "V_parameters\n",
    ];
    // a whole storage, a whole tensor
    let storage = b"(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000NK\x08tQ";
    let tensor = [&b"ctorch._utils\n_rebuild_tensor_v2\n("[..], storage, b"K\x00K\x08\x85K\x01\x85tR"].concat();
    prop_oneof![
        8 => prop::sample::select(plain.to_vec()).prop_map(|op| vec![op]),
        3 => any::<u8>().prop_map(|value| vec![b'K', value]),
        1 => any::<i32>().prop_map(|value| [&b"J"[..], &value.to_le_bytes()].concat()),
        1 => any::<i64>().prop_map(|value| [&b"\x8a\x08"[..], &value.to_le_bytes()].concat()),
        3 => (0..6u8).prop_map(|slot| vec![b'q', slot]),
        3 => (0..6u8).prop_map(|slot| vec![b'h', slot]),
        3 => prop::sample::select(names.to_vec()).prop_map(|n| [&[0x8c, n.len() as u8], n.as_bytes()].concat()),
        3 => prop::sample::select(globals.to_vec()).prop_map(|g| g.as_bytes().to_vec()),
        1 => Just(storage.to_vec()),
        2 => Just(tensor),
    ]
}

proptest! {
    #[test]
    fn changed_safetensors(changes in changes()) {
        static WHOLE: LazyLock<Vec<u8>> = LazyLock::new(|| safetensors(&specs()));
        exercise(mutate(WHOLE.clone(), &changes))?;
    }

    #[test]
    fn changed_archives(changes in changes(), deflated: bool) {
        let method = if deflated { CompressionMethod::Deflated } else { CompressionMethod::Stored };
        exercise(mutate(torch(&pickle(&specs()), method), &changes))?;
    }

    #[test]
    fn changed_pickles_in_whole_archives(changes in changes()) {
        exercise(torch(&mutate(pickle(&specs()), &changes), CompressionMethod::Stored))?;
    }

    #[test]
    fn changed_files_of_before_archives(changes in changes()) {
        exercise(mutate(legacy(&pickle(&specs())), &changes))?;
    }

    #[test]
    fn changed_indices(changes in changes()) {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("a"), safetensors(&specs())).expect("writes");
        let names: Vec<_> = specs().iter().map(|spec| format!("\"{}\": \"a\"", spec.name)).collect();
        let index = format!("{{\"weight_map\": {{{}}}}}", names.join(", "));
        let path = folder.path().join("x.index.json");
        std::fs::write(&path, mutate(index.into_bytes(), &changes)).expect("writes");
        match WeightFile::open(&path) {
            Ok(file) => prop_assert_eq!(file.names().len(), specs().len()),
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    /// Whatever stands before all names, the names are found.
    #[test]
    fn names_behind_any_prefix(prefix in "[^\\p{Cc}\"]{0,40}", counter: bool) {
        let renamed = specs().into_iter().map(|s| WeightSpec { name: format!("{prefix}{}", s.name), ..s });
        let mut renamed: Vec<_> = renamed.collect();
        if counter {
            renamed.push(spec("n_averaged", &[], Role::Counter));
        }
        let file = WeightFile::from_bytes("renamed", torch_of(&renamed)).expect("opens");
        prop_assert_eq!(file.prefix(), &prefix);
        let (_, report) = load(&file, &specs(), Scope::All).expect("fits");
        prop_assert_eq!(report.applied, specs().len());
    }

    /// What is written for PyTorch is read back to the bit, and strided views of it are what their strides say.
    #[test]
    fn tensors_of_any_strides(
        shape in prop::collection::vec(0usize..4, 0..4),
        strides in prop::collection::vec(0u8..5, 4),
        offset in 0u8..5,
        negative: bool,
    ) {
        let strides: Vec<u8> = strides[..shape.len()].to_vec();
        let last: usize = shape.iter().zip(&strides).map(|(&size, &s)| size.saturating_sub(1) * usize::from(s)).sum();
        let count = usize::from(offset) + last + 1;
        let stored: Vec<f32> = (0..count).map(|i| i as f32).collect();
        let bytes: Vec<u8> = stored.iter().flat_map(|x| x.to_le_bytes()).collect();
        let file = WeightFile::from_bytes("view", archive(
            &view(&shape, &strides, offset, count as u8, negative),
            &[bytes],
            CompressionMethod::Stored,
        )).expect("opens");
        let mut expected = vec![usize::from(offset)];
        for (&size, &stride) in shape.iter().zip(&strides) {
            expected = expected.iter().flat_map(|at| (0..size).map(move |i| at + i * usize::from(stride))).collect();
        }
        let sign = if negative { -1.0 } else { 1.0 };
        prop_assert_eq!(file.values("x").expect("x"), expected.iter().map(|&at| sign * at as f32).collect::<Vec<_>>());
    }

    #[test]
    fn random_programs(program in prop::collection::vec(instruction(), 0..60)) {
        let pickle = [b"\x80\x02".to_vec(), program.concat(), b".".to_vec()].concat();
        exercise(torch(&pickle, CompressionMethod::Stored))?;
        exercise(legacy(&pickle))?;
    }

    #[test]
    fn random_bytes(
        start in prop::sample::select(vec![
            &b""[..],
            b"PK\x03\x04",
            b"\x10\0\0\0\0\0\0\0{",
            b"{\"weight_map\":",
            b"\x80\x02",
        ]),
        bytes: Vec<u8>,
    ) {
        exercise([start, &bytes].concat())?;
    }

    #[test]
    fn changed_golden_archive(changes in changes(), near_the_end: bool) {
        // most of the file is weights; what a reader interprets stands at both ends
        static GOLDEN: LazyLock<Option<Vec<u8>>> = LazyLock::new(golden);
        if let Some(whole) = &*GOLDEN {
            let ends = if near_the_end { whole.len() - 24_000..whole.len() } else { 0..12_000 };
            let changed = mutate(whole[ends.clone()].to_vec(), &changes);
            exercise([&whole[..ends.start], &changed, &whole[ends.end..]].concat())?;
        }
    }

    #[test]
    fn what_is_saved_is_read_back(
        weights in prop::collection::btree_map("[a-z\"\\\\ é.]{1,12}", prop::collection::vec(0usize..5, 0..4), 0..8),
        seed: u32,
    ) {
        let specs: Vec<_> = weights.iter().map(|(name, shape)| spec(name, shape, Role::Trainable)).collect();
        let value = |i: usize, j: usize| f32::from_bits(seed.wrapping_mul(i as u32 + 1).wrapping_add(j as u32));
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("a.safetensors");
        let each = |put: &mut dyn FnMut(WeightSpec, Value)| {
            for (i, spec) in specs.iter().enumerate() {
                put(spec.clone(), Value::Real((0..spec.len()).map(|j| value(i, j)).collect()));
            }
        };
        save(&path, &specs, each, &BTreeMap::new()).expect("saves");
        let file = WeightFile::open(&path).expect("opens");
        prop_assert_eq!(file.names().len(), specs.len());
        for (i, spec) in specs.iter().enumerate() {
            prop_assert_eq!(file.info(&spec.name).map(|info| info.shape), Some(&spec.shape[..]));
            let bits: Vec<_> = file.values(&spec.name).expect("values").iter().map(|v| v.to_bits()).collect();
            prop_assert_eq!(bits, (0..spec.len()).map(|j| value(i, j).to_bits()).collect::<Vec<_>>());
        }
    }
}

#[test]
fn the_unchanged_files_are_read() {
    for bytes in [
        safetensors(&specs()),
        torch(&pickle(&specs()), CompressionMethod::Stored),
        torch(&pickle(&specs()), CompressionMethod::Deflated),
        legacy(&pickle(&specs())),
    ] {
        let file = WeightFile::from_bytes("whole", bytes).expect("opens");
        assert!(load(&file, &specs(), Scope::All).is_ok());
    }
}
