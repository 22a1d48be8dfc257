//! Pickles that carry code, or are broken.

use crate::support::archive::archive;
use crate::support::pickle::Pickle;
use crate::support::small_model::{failure, open, small_specs};
use zip::CompressionMethod;

#[test]
fn pickles_that_carry_code_are_refused_by_name() {
    let specs = small_specs(4);
    let system = Pickle::new().global("posix", "system").op(b"(").text("touch harm").op(b"tR").stop();
    let stacked = Pickle(vec![0x80, 4]).text("builtins").text("eval").op(b"\x93(").text("1").op(b"tR").stop();
    let instance = Pickle::new().op(b"(").text("ls").op(b"ios\nsystem\n").stop();
    let hidden = Pickle::new().op(b"}").text("epoch").global("os", "popen").op(b"(").text("x").op(b"tRs").stop();
    let nested = Pickle::new().global("torch.storage", "_load_from_bytes").op(b"(").op(b"C\x01x").op(b"tR").stop();
    let numpy = Pickle::new().global("numpy.core.multiarray", "scalar").op(b"0").stop();
    let method = Pickle::new().global("torch", "FloatStorage.from_file").stop();
    for (pickle, name) in [
        (system, "posix.system"),
        (stacked, "builtins.eval"),
        (instance, "os.system"),
        (hidden, "os.popen"),
        (nested, "torch.storage._load_from_bytes"),
        (numpy, "numpy.core.multiarray.scalar"),
        (method, "torch.FloatStorage.from_file"),
    ] {
        let message = failure(archive(&pickle, &[], CompressionMethod::Stored), &specs);
        let part = format!("refuses to run code: its pickle asks for `{name}`");
        assert!(message.contains(&part) && message.contains("state_dict"), "{message}");
    }
}

#[test]
fn broken_and_monstrous_pickles() {
    let specs = small_specs(4);
    let dict = || Pickle::new().op(b"}");
    let two = |pickle: Pickle| pickle.text("x").tensor("FloatStorage", "0", 1, 0, &[1], &[1]);
    let memo_bomb = (0..40).fold(Pickle::new().op(b"]q\x00"), |p, _| p.op(b"(h\x00h\x00lq\x00"));
    for (what, pickle, part) in [
        ("no stop", Pickle::new().0, "ends in the middle"),
        ("no bytes", Vec::new(), "ends in the middle"),
        ("unknown opcode", Pickle::new().op(b"\xff").stop(), "instruction 0xff"),
        ("empty stack", Pickle::new().stop(), "takes more from the stack"),
        ("no mark", Pickle::new().op(b"t").stop(), "takes more from the stack"),
        ("below the mark", Pickle::new().op(b"}(").stop(), "takes more from the stack"),
        ("protocol", vec![0x80, 9, b'.'], "protocol 9"),
        ("memo", Pickle::new().op(b"h\x07").stop(), "recalls object 7"),
        ("long text", Pickle::new().op(b"X\xff\xff\xff\x7f").stop(), "ends in the middle"),
        ("longer text", Pickle::new().op(b"\x8d\xff\xff\xff\xff\xff\xff\xff\xff").stop(), "ends in the middle"),
        ("odd items", dict().op(b"(").text("x").op(b"u").stop(), "a key without a value"),
        ("call of data", dict().op(b")R").stop(), "no function"),
        ("no tensors", dict().stop(), "no dictionary of named tensors"),
        ("twice", two(two(dict().op(b"("))).op(b"u").stop(), "two tensors are called x"),
        (
            "lost storage",
            dict().text("x").tensor("FloatStorage", "7", 1, 0, &[1], &[1]).op(b"s").stop(),
            "lost its entry small/data/7",
        ),
        (
            "short storage",
            dict().text("x").tensor("FloatStorage", "0", 9, 0, &[1], &[1]).op(b"s").stop(),
            "must hold 9 numbers of 4 bytes, and has 4",
        ),
        ("unknown storage", Pickle::new().tensor("QInt8Storage", "0", 1, 0, &[1], &[1]).stop(), "torch.QInt8Storage"),
        ("many objects", Pickle::new().op(&vec![b'N'; 2_000_000]).stop(), "more than 1000000 objects"),
        ("many copies", Pickle::new().op(b"N").op(&vec![b'2'; 2_000_000]).stop(), "more than 1000000 objects"),
        ("many marks", Pickle::new().op(&vec![b'('; 2_000_000]).stop(), "more than 1000000 objects"),
        ("deep nesting", Pickle::new().op(b")").op(&vec![0x85; 900_000]).stop(), "no dictionary of named tensors"),
        ("doubling", memo_bomb.stop(), "no dictionary of named tensors"),
    ] {
        let message = failure(archive(&pickle, &[vec![0; 4]], CompressionMethod::Stored), &specs);
        assert!(message.contains(part), "{what}: {message}");
    }
    // a dictionary inside of itself
    let cycle = dict()
        .op(b"q\x00")
        .text("me")
        .op(b"h\x00s")
        .text("x")
        .tensor("FloatStorage", "0", 1, 0, &[1], &[1])
        .op(b"s")
        .stop();
    let file = open(archive(&cycle, &[vec![0; 4]], CompressionMethod::Stored)).expect("harmless");
    assert_eq!(file.names().collect::<Vec<_>>(), ["x"]);
    // a message never passes control characters on
    let escape = Pickle::new().global("\u{1b}[2Jmodule", "name").stop();
    assert!(!failure(archive(&escape, &[], CompressionMethod::Stored), &specs).contains('\u{1b}'));
}
