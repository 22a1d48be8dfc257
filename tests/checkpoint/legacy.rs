//! Files of torch.save before PyTorch 1.6: pickles one after another, then the storages.

use crate::support::pickle::Pickle;
use crate::support::small_model::{failure, load_both, open, published, small_specs, small_torch, value_of};
use sam2unet::checkpoint::{Format, Scope};

const MAGIC: &[u8] = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
const PROTOCOL: &[u8] = b"\x80\x02M\xe9\x03.";

fn machine(little: bool) -> Vec<u8> {
    Pickle::new().op(b"}").text("little_endian").op(if little { b"\x88" } else { b"\x89" }).op(b"s").stop()
}

fn names(names: &[&str]) -> Vec<u8> {
    names.iter().fold(Pickle::new().op(b"]("), |pickle, name| pickle.text(name)).op(b"e").stop()
}

/// A file of these parts; a storage is its count of numbers and its bytes.
fn legacy(pickle: &[u8], order: &[&str], storages: &[(u64, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = [MAGIC, PROTOCOL, &machine(true), pickle, &names(order)].concat();
    for (count, storage) in storages {
        bytes.extend(count.to_le_bytes());
        bytes.extend(storage);
    }
    bytes
}

fn floats(values: &[f32]) -> (u64, Vec<u8>) {
    (values.len() as u64, values.iter().flat_map(|value| value.to_le_bytes()).collect())
}

fn small() -> Vec<u8> {
    let specs = small_specs(4);
    let (pickle, storages) = small_torch(&specs, "FloatStorage", &published);
    // in an order of their own, as addresses in memory had it
    let order: Vec<String> = (0..specs.len()).rev().map(|i| i.to_string()).collect();
    let storages: Vec<_> =
        storages.into_iter().zip(&specs).map(|(bytes, spec)| (spec.len() as u64, bytes)).rev().collect();
    legacy(&pickle, &order.iter().map(String::as_str).collect::<Vec<_>>(), &storages)
}

#[test]
fn storages_are_found_in_the_order_that_the_file_says() {
    let specs = small_specs(4);
    let file = open(small()).expect("opens");
    assert_eq!((file.format(), file.section()), (Format::TorchLegacy, &["model".to_owned()][..]));
    assert_eq!(load_both(&file, &specs, Scope::All).0, specs.iter().map(value_of).collect::<Vec<_>>());
    // Python's protocols from 4 on put pickles into frames
    let framed = [&b"\x80\x04\x95\x0d\0\0\0\0\0\0\0"[..], &MAGIC[2..], &small()[MAGIC.len()..]].concat();
    let file = open(framed).expect("opens");
    assert_eq!(file.format(), Format::TorchLegacy);
    assert_eq!(load_both(&file, &specs, Scope::All).1.applied, specs.len());
    // what follows the storages is none of them
    let longer = [small(), vec![7; 100]].concat();
    assert_eq!(load_both(&open(longer).expect("opens"), &specs, Scope::All).1.applied, specs.len());
}

#[test]
fn files_that_are_cut_off_are_refused_wherever_they_end() {
    let (specs, whole) = (small_specs(4), small());
    for length in (1..whole.len()).step_by(13).chain([whole.len() - 1]) {
        failure(whole[..length].to_vec(), &specs);
    }
    assert!(failure(whole[..whole.len() - 1].to_vec(), &specs).contains("goes beyond the end (truncated?)"));
}

/// A part of a storage, as PyTorch before 0.4 wrote it: name, offset and size.
fn view(offset: i32, size: i32, at: i32, count: i32) -> Vec<u8> {
    let pickle = Pickle::new().op(b"}").text("x").global("torch._utils", "_rebuild_tensor").op(b"((");
    let storage = pickle.text("storage").global("torch", "FloatStorage").text("9").text("cpu").int(6);
    storage.op(b"(").text("10").int(offset).int(size).op(b"ttQ").int(at).ints(&[count]).ints(&[1]).op(b"tRs").stop()
}

#[test]
fn parts_of_a_storage_are_read_and_checked() {
    let storage = floats(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let read = |pickle: Vec<u8>| open(legacy(&pickle, &["9"], std::slice::from_ref(&storage)))?.values("x");
    assert_eq!(read(view(0, 6, 0, 6)).expect("all"), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    assert_eq!(read(view(2, 3, 1, 2)).expect("a part"), [3.0, 4.0]);
    for (pickle, part) in [
        (view(2, 3, 1, 3), "does not lie within the 3 numbers"),
        (view(2, 5, 0, 1), "does not lie within it"),
        (view(-1, 5, 0, 1), "is -1"),
    ] {
        let message = read(pickle).expect_err(part).to_string();
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn broken_and_hostile_files_are_refused() {
    let specs = small_specs(4);
    let one = |count: i32| Pickle::new().op(b"}").text("x").tensor("FloatStorage", "0", count, 0, &[1], &[1]).op(b"s");
    let pickle = one(2).stop();
    let good = floats(&[1.0, 2.0]);
    assert_eq!(
        open(legacy(&pickle, &["0"], std::slice::from_ref(&good))).expect("whole").values("x").expect("x"),
        [1.0]
    );
    let two_types = one(2).text("y").tensor("DoubleStorage", "0", 2, 0, &[1], &[1]).op(b"s").stop();
    let unknown = one(2).text("y").tensor("QUInt4x2Storage", "1", 2, 0, &[1], &[1]).op(b"s").stop();
    let huge = one(i32::MAX).stop();
    let told = |bytes: Vec<u8>, part: &str| {
        let message = failure(bytes, &specs);
        assert!(message.contains(part), "{part}: {message}");
    };
    told([MAGIC, b"\x80\x02K\x07."].concat(), "does not say protocol 1001");
    told([MAGIC, PROTOCOL, &machine(false)].concat(), "big-endian");
    // code where PyTorch would run it, and where no file of it has any
    let evil = Pickle::new().op(b"}").text("x").global("os", "system").op(b"(").text("id").op(b"tRs").stop();
    told([MAGIC, PROTOCOL, &evil].concat(), "a pickle beside that of its weights asks for os.system");
    told(legacy(&pickle, &[], &[]), "its storage 0 is not there");
    told(legacy(&pickle, &["0", "0"], &[good.clone(), good.clone()]), "has one twice");
    told(legacy(&pickle, &["7"], std::slice::from_ref(&good)), "storage 7 is announced, and no tensor is in it");
    told(legacy(&pickle, &["0"], &[(3, good.1.clone())]), "has 3 numbers, 2 were said");
    told(legacy(&pickle, &["0"], &[(u64::MAX, good.1.clone())]), "numbers, 2 were said");
    told(legacy(&huge, &["0"], &[(i32::MAX as u64, good.1.clone())]), "goes beyond the end");
    told(legacy(&two_types, &["0"], std::slice::from_ref(&good)), "two types or sizes");
    told(legacy(&unknown, &["1", "0"], &[(2, vec![0; 2]), good.clone()]), "whose type is not known here");
    let mut list = legacy(&pickle, &[], &[]);
    list.truncate(list.len() - names(&[]).len());
    told([&list[..], b"\x80\x02}."].concat(), "no list of storages");
    told([&list[..], b"\x80\x02]K\x01a."].concat(), "has one twice");
}
