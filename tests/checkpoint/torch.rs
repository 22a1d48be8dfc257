//! Archives of `torch.save`: what it writes, views of a storage, and broken or hostile archives.

use crate::support::archive::{archive, archive_in};
use crate::support::pickle::Pickle;
use crate::support::python::python;
use crate::support::small_model::{failure, open, published, small_specs, small_torch};
use sam2unet::checkpoint::{CheckpointError, Format, WeightFile};
use std::io::{Cursor, Write};
use std::path::Path;
use std::process::Command;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipWriter};

#[test]
fn files_of_torch_save_in_every_form() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let run = Command::new(python)
        .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/pytorch.py"))
        .arg("write")
        .arg(folder.path())
        .output()
        .expect("python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let ramp: Vec<f32> = (0..24u8).map(|i| f32::from(i) / 8.0).collect();
    let at = |i: usize, j: usize, k: usize| ramp[(i * 3 + j) * 4 + k];
    let transposed: Vec<f32> = (0..24).map(|n| (n / 6, n / 3 % 2, n % 3)).map(|(k, i, j)| at(i, j, k)).collect();
    let sliced: Vec<f32> = (0..8).map(|n| (n / 4, 1 + n / 2 % 2, 2 * (n % 2))).map(|(i, j, k)| at(i, j, k)).collect();
    for (name, section) in [
        ("plain.pth", ""),
        ("training.pt", "model"),
        ("parallel.pt", "state_dict"),
        ("protocol3.pth", ""),
        ("protocol4.pth", ""),
        ("protocol5.pth", ""),
        ("no_checksum.pth", ""),
    ] {
        let file = WeightFile::open(&folder.path().join(name)).expect(name);
        assert_eq!(file.section().join("."), section, "{name}");
        assert_eq!(file.names().len(), 15, "{name}");
        for key in ["f32", "f16", "bf16", "parameter"] {
            assert_eq!(file.values(key).expect(key), ramp, "{name} {key}");
            let encoded = file.encoded(key).expect(key).expect("one after another");
            assert_eq!(encoded.to_vec(), ramp, "{name} {key}");
        }
        assert_eq!(file.values("transposed").expect("transposed"), transposed, "{name}");
        assert!(file.encoded("transposed").expect("transposed").is_none(), "{name}");
        assert_eq!(file.info("transposed").map(|info| info.shape), Some(&[4, 2, 3][..]));
        assert_eq!(file.values("sliced").expect("sliced"), sliced, "{name}");
        assert_eq!(file.values("expanded").expect("expanded"), [1.0; 3], "{name}");
        assert_eq!(file.values("scalar").expect("scalar"), [2.5], "{name}");
        assert_eq!(file.values("empty").expect("empty"), [0.0; 0], "{name}");
        assert_eq!(file.count("i64").expect("i64"), 7, "{name}");
        assert_eq!(file.values("f64").expect("f64"), ramp, "{name}");
        for key in ["u8", "f8", "u16"] {
            assert_eq!(file.values(key).expect(key), [1.0; 2], "{name}");
        }
        assert_eq!(file.values("i64").expect("i64"), [7.0], "{name}");
        let error = file.values("complex").expect_err("complex").to_string();
        assert!(error.contains("complex: numbers of type complex64") && error.contains("in Python: d = "), "{error}");
    }
    assert_eq!(WeightFile::open(&folder.path().join("module.pth")).expect("module").names().len(), 5);
    // a module that was saved whole, and the form of before 1.6
    assert_eq!(WeightFile::open(&folder.path().join("whole_model.pth")).expect("a module").names().len(), 5);
    let legacy = WeightFile::open(&folder.path().join("legacy.pth")).expect("legacy");
    assert_eq!((legacy.format(), legacy.values("transposed").expect("there")), (Format::TorchLegacy, transposed));
    for (name, part) in [("tensor.pth", "single tensor"), ("script.pt", "TorchScript")] {
        let error = WeightFile::open(&folder.path().join(name)).expect_err(name).to_string();
        assert!(error.contains(part), "{name}: {error}");
    }
}

#[test]
fn views_of_one_storage_are_read_by_stride_and_offset() {
    let bytes: Vec<u8> = (0..12).flat_map(|i| (i as f32).to_le_bytes()).collect();
    let read = |offset, shape: &[i32], strides: &[i32]| {
        let pickle =
            Pickle::new().op(b"}").text("x").tensor("FloatStorage", "0", 12, offset, shape, strides).op(b"s").stop();
        open(archive(&pickle, std::slice::from_ref(&bytes), CompressionMethod::Stored))?.values("x")
    };
    assert_eq!(read(0, &[2, 3], &[3, 1]).expect("plain"), [0., 1., 2., 3., 4., 5.]);
    assert_eq!(read(4, &[3, 2], &[1, 3]).expect("transposed"), [4., 7., 5., 8., 6., 9.]);
    assert_eq!(read(1, &[2, 2], &[6, 2]).expect("gaps"), [1., 3., 7., 9.]);
    assert_eq!(read(5, &[3], &[0]).expect("expanded"), [5., 5., 5.]);
    assert_eq!(read(3, &[], &[]).expect("scalar"), [3.]);
    assert_eq!(read(11, &[1, 1], &[99, 99]).expect("one number"), [11.]);
    assert_eq!(read(0, &[0, 7], &[7, 1]).expect("empty"), [0.; 0]);
    for (offset, shape, strides) in [
        (0, &[13][..], &[1][..]),
        (12, &[1], &[1]),
        (0, &[2, 2], &[i32::MAX, i32::MAX]),
        (-1, &[1], &[1]),
        (0, &[-1], &[1]),
        (0, &[2], &[1, 1]),
        (0, &[i32::MAX; 3], &[0; 3]),
        (0, &[1; 65], &[1; 65]),
    ] {
        assert!(
            matches!(read(offset, shape, strides), Err(CheckpointError::Damaged { .. })),
            "{offset} {shape:?} {strides:?}"
        );
    }
    // repeating one number 2^31 times is no weight
    assert!(matches!(read(0, &[i32::MAX], &[0]), Err(CheckpointError::Unsupported { .. })));
}

#[test]
fn archives_are_read_whatever_their_names_length() {
    let specs = small_specs(4);
    let (pickle, storages) = small_torch(&specs, "FloatStorage", &published);
    for length in 1..=64 {
        let root = "a".repeat(length);
        let file = open(archive_in(&root, &pickle, &storages, CompressionMethod::Stored)).expect("opens");
        assert_eq!(file.names().len(), specs.len(), "{length}");
    }
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().expect("a folder");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/checkpoint/pytorch.py");
    let run = Command::new(python).arg(script).arg("stems").arg(folder.path()).output().expect("python runs");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    for length in 1..=64 {
        let file = WeightFile::open(&folder.path().join("a".repeat(length) + ".pt")).expect("opens");
        assert_eq!(file.values("x").expect("x"), [1.0; 3], "{length}");
    }
}

#[test]
fn marks_of_a_tensor_change_its_numbers_or_are_refused() {
    let bytes: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|x| x.to_le_bytes()).collect();
    let read = |marks: &dyn Fn(Pickle) -> Pickle| {
        let pickle = marks(Pickle::new().op(b"}").text("x").tensor_begun("FloatStorage", "0", 2, 0, &[2], &[1]));
        open(archive(&pickle.op(b"tRs").stop(), std::slice::from_ref(&bytes), CompressionMethod::Stored))?.values("x")
    };
    let mark = |name: &'static str, value: &'static [u8]| move |p: Pickle| p.op(b"}").text(name).op(value).op(b"s");
    assert_eq!(read(&|p| p).expect("none"), [1.5, -2.0]);
    assert_eq!(read(&|p| p.op(b"N")).expect("none"), [1.5, -2.0]);
    assert_eq!(read(&|p| p.op(b"}")).expect("none"), [1.5, -2.0]);
    assert_eq!(read(&mark("neg", b"\x88")).expect("negative"), [-1.5, 2.0]);
    assert_eq!(read(&mark("neg", b"K\x01")).expect("negative"), [-1.5, 2.0]);
    assert_eq!(read(&mark("neg", b"\x89")).expect("not negative"), [1.5, -2.0]);
    for (name, value, part) in [
        ("conj", &b"\x88"[..], "conjugates a tensor that is not complex"),
        ("neg", b"N", "not true or false"),
        ("zero", b"\x88", "marked in a way that is not known here"),
    ] {
        let message = read(&mark(name, value)).expect_err(part).to_string();
        assert!(message.contains(part), "{message}");
    }
    let message = read(&|p| p.op(b"K\x01")).expect_err("a number").to_string();
    assert!(message.contains("no dictionary"), "{message}");
}

/// Overwrites every occurrence of a little-endian number.
fn replace_all(bytes: &mut [u8], old: u32, new: u32) -> usize {
    let mut replaced = 0;
    for at in 0..bytes.len().saturating_sub(3) {
        if bytes[at..at + 4] == old.to_le_bytes() {
            bytes[at..at + 4].copy_from_slice(&new.to_le_bytes());
            replaced += 1;
        }
    }
    replaced
}

#[test]
fn zip_bombs_and_broken_archives() {
    let specs = small_specs(4);
    // a pickle that really unpacks to more than the limit
    let bomb = archive(&vec![b'N'; (64 << 20) + 1], &[], CompressionMethod::Deflated);
    assert!(bomb.len() < 1 << 18);
    assert!(failure(bomb, &specs).contains("at most 67108864 are read"));
    // a pickle that claims to be small and is large
    let mut lie = archive(&vec![b'N'; 12_345_678], &[], CompressionMethod::Deflated);
    assert!(replace_all(&mut lie, 12_345_678, 12_345) > 0);
    assert!(failure(lie, &specs).contains("damaged or hostile"));
    // sizes that no compression reaches
    let (pickle, storages) = small_torch(&specs, "FloatStorage", &published);
    let mut lie = archive(&pickle, &storages, CompressionMethod::Deflated);
    assert!(replace_all(&mut lie, pickle.len() as u32, 60_000_000) > 0);
    assert!(failure(lie, &specs).contains("claims to unpack"));
    // a storage that claims more than a gigabyte
    let pickle = Pickle::new()
        .op(b"}")
        .text("encoder.pos_embed")
        .tensor("FloatStorage", "0", 16, 0, &[1, 4, 2, 2], &[16, 4, 2, 1])
        .op(b"s")
        .stop();
    let one = vec![specs[0].clone()];
    let mut lie = archive(&pickle, &[vec![7; 123_457]], CompressionMethod::Deflated);
    assert!(replace_all(&mut lie, 123_457, u32::MAX - 9) > 0);
    assert!(failure(lie, &one).contains("at most 1073741824 are read"));
    // a stored entry that reaches over the end
    let mut lie = archive(&pickle, &[vec![7; 123_457]], CompressionMethod::Stored);
    assert!(replace_all(&mut lie, 123_457, u32::MAX - 9) > 0);
    assert!(failure(lie, &one).contains("damaged or hostile"));
    // one flipped bit in a weight
    let good = archive(&pickle, &[vec![7; 64]], CompressionMethod::Stored);
    let at = good.windows(64).position(|w| w == [7; 64]).expect("the storage");
    let mut flipped = good.clone();
    flipped[at + 20] ^= 1;
    assert!(failure(flipped, &one).to_lowercase().contains("checksum"));
    // the same entry twice: rename `small/data/1` to `small/data/0`
    let mut twice = archive(&pickle, &[vec![7; 64], vec![8; 64]], CompressionMethod::Stored);
    let names: Vec<_> =
        twice.windows(12).enumerate().filter(|(_, w)| *w == b"small/data/1").map(|(at, _)| at).collect();
    assert_eq!(names.len(), 2);
    names.into_iter().for_each(|at| twice[at + 11] = b'0');
    assert!(failure(twice, &one).contains("same name"));
    // other compressions and machines
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    zip.start_file("small/data.pkl", SimpleFileOptions::default()).expect("entry");
    zip.write_all(&pickle).expect("bytes");
    zip.start_file("small/byteorder", SimpleFileOptions::default()).expect("entry");
    zip.write_all(b"big").expect("bytes");
    let message = open(zip.finish().expect("archive").into_inner()).expect_err("big").to_string();
    assert!(message.contains("big-endian"), "{message}");
}
