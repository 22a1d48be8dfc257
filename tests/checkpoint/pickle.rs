//! Pickles that carry code, or are broken.

use crate::support::archive::archive;
use crate::support::pickle::Pickle;
use crate::support::small_model::{failure, load_both, open, published, small_specs, small_torch, value_of};
use sam2unet::checkpoint::{Scope, describe_file};
use std::path::Path;
use zip::CompressionMethod;

#[test]
fn pickles_that_are_nothing_but_code_are_refused_by_name() {
    let specs = small_specs(4);
    let system = Pickle::new().global("posix", "system").op(b"(").text("touch harm").op(b"tR").stop();
    let stacked = Pickle(vec![0x80, 4]).text("builtins").text("eval").op(b"\x93(").text("1").op(b"tR").stop();
    let instance = Pickle::new().op(b"(").text("ls").op(b"ios\nsystem\n").stop();
    let object = Pickle::new().op(b"(").global("os", "system").text("ls").op(b"o").stop();
    let keywords = Pickle::new().global("os", "system").op(b")}\x92").stop();
    let hidden = Pickle::new().op(b"}").text("epoch").global("os", "popen").op(b"(").text("x").op(b"tRs").stop();
    let nested = Pickle::new().global("torch.storage", "_load_from_bytes").op(b"(").op(b"C\x01x").op(b"tR").stop();
    let numpy = Pickle::new().global("numpy.core.multiarray", "scalar").stop();
    let method = Pickle::new().global("torch", "FloatStorage.from_file").stop();
    let extension = Pickle::new().op(b"\x83\x02\x01)R").stop();
    for (pickle, name) in [
        (system, "posix.system"),
        (stacked, "builtins.eval"),
        (instance, "os.system"),
        (object, "os.system"),
        (keywords, "os.system"),
        (hidden, "os.popen"),
        (nested, "torch.storage._load_from_bytes"),
        (numpy, "numpy.core.multiarray.scalar"),
        (method, "torch.FloatStorage.from_file"),
        (extension, "extension.258"),
    ] {
        let message = failure(archive(&pickle, &[], CompressionMethod::Stored), &specs);
        let part = format!("without running code: its pickle asks for `{name}`, which is not run here");
        let advice = "d = torch.load(\"bad file\", weights_only=False)";
        assert!(message.contains(&part) && message.contains(advice), "{message}");
    }
    assert!(!Path::new("harm").exists());
}

/// One tensor, and beside it what `beside` makes of a key's value.
fn beside(beside: &dyn Fn(Pickle) -> Pickle) -> Vec<u8> {
    let begun = Pickle::new().op(b"}").text("model").op(b"}").text("x");
    let tensor = begun.tensor("FloatStorage", "0", 1, 0, &[1], &[1]).op(b"ss").text("other");
    archive(&beside(tensor).op(b"s").stop(), &[1.5f32.to_le_bytes().to_vec()], CompressionMethod::Stored)
}

#[test]
fn what_lies_beside_weights_is_skipped_and_named() {
    for (what, named, run) in [
        (
            "a call",
            &(|p: Pickle| p.global("os", "system").op(b"(").text("touch harm").op(b"tR")) as Beside,
            "os.system",
        ),
        ("a method of one", &|p| p.global("os", "popen").op(b")R)R"), "os.popen"),
        ("an object with attributes", &|p| p.global("a", "B").op(b")\x81}").text("k").op(b"Nsb"), "a.B"),
        ("a list of its own", &|p| p.global("a", "List").op(b")\x81(NNe"), "a.List"),
        ("a dictionary of its own", &|p| p.global("a", "Map").op(b")\x81(").text("k").op(b"Nu"), "a.Map"),
        (
            "an old object",
            &|p| {
                p.global("copyreg", "_reconstructor").op(b"(").global("a", "C").global("builtins", "object").op(b"NtR")
            },
            "a.C",
        ),
        (
            "an unknown function's tensor",
            &|p| p.global("torch._utils", "_rebuild_parameter").op(b"(").global("a", "f").op(b")R\x89NtR"),
            "a.f",
        ),
    ] {
        let file = open(beside(named)).unwrap_or_else(|error| panic!("{what}: {error}"));
        assert_eq!(file.values("x").expect("x"), [1.5], "{what}");
        let facts = describe_file(&file, &[("small", small_specs(4))]).expect("describes");
        assert_eq!((&facts.beside[..], &facts.not_run[..]), (&[format!("other ({run})")][..], &[run.to_owned()][..]));
    }
    assert!(!Path::new("harm").exists());
    // data that is built in has no class that could be named; instructions of all protocols
    for plain in [
        &b"I12\n"[..],
        b"I01\n",
        b"L12L\n",
        b"F0.5\n",
        b"S'text'\n",
        b"Vtext\n",
        b"Vx\np7\n0g7\n",
        b"\x8f(K\x01K\x02\x90",
        b"(K\x01\x91",
        b"ccollections\ndefaultdict\n(cbuiltins\nlist\ntR",
        b"c__builtin__\nset\n(]tR",
        b"ccollections\nOrderedDict\n(](](Vk\nNeetR",
    ] {
        let file = open(beside(&|p| p.op(plain))).unwrap_or_else(|error| panic!("{plain:?}: {error}"));
        let facts = describe_file(&file, &[("small", small_specs(4))]).expect("describes");
        assert_eq!((&facts.beside[..], facts.not_run.len()), (&["other".to_owned()][..], 0), "{plain:?}");
    }
    // so many things that they are counted
    let many = beside(&|p| (0..200).fold(p.op(b"N"), |p, i| p.op(b"s").text(&format!("k{i}")).op(b"N")));
    let facts = describe_file(&open(many).expect("opens"), &[("small", small_specs(4))]).expect("describes");
    assert_eq!(facts.beside.len(), 33);
    assert_eq!(facts.beside[32], "and 169 more");
}

/// What puts the value of a key on the stack.
type Beside = &'static dyn Fn(Pickle) -> Pickle;

/// A module with one weight, as `torch.save(model)` writes it; `inner` puts what it contains on the stack, a
/// dictionary.
fn module(pickle: Pickle, inner: &dyn Fn(Pickle) -> Pickle) -> Pickle {
    let begun =
        pickle.global("net", "Net").op(b")\x81q\x01}(").text("training").op(b"\x88").text("_parameters").op(b"}");
    let weight = begun.text("w").tensor("FloatStorage", "0", 1, 0, &[1], &[1]).op(b"s").text("_buffers").op(b"}");
    inner(weight.text("none").op(b"Ns").text("_modules")).op(b"ub")
}

#[test]
fn whole_modules_are_read_to_a_depth() {
    let specs = small_specs(4);
    let storage = [1.5f32.to_le_bytes().to_vec()];
    let of = |pickle: Pickle| archive(&pickle.stop(), &storage, CompressionMethod::Stored);
    let flat = open(of(module(Pickle::new(), &|p| p.op(b"}")))).expect("opens");
    assert_eq!((flat.names().collect::<Vec<_>>(), flat.section()), (vec!["w"], &[".state_dict()".to_owned()][..]));
    let two =
        open(of(module(Pickle::new(), &|p| module(p.op(b"}").text("a"), &|p| p.op(b"}")).op(b"s")))).expect("opens");
    assert_eq!(two.names().collect::<Vec<_>>(), ["a.w", "w"]);
    // in itself, and deeper than any network
    let cycle = module(Pickle::new(), &|p| p.op(b"}").text("me").op(b"h\x01s"));
    assert!(failure(of(cycle), &specs).contains("deeper in each other than 64"));
    let deep = (0..70).fold(module(Pickle::new(), &|p| p.op(b"}")).op(b"q\x02"), |p, _| {
        module(p, &|p| p.op(b"}").text("a").op(b"h\x02s")).op(b"q\x02")
    });
    assert!(failure(of(deep), &specs).contains("deeper in each other than 64"));
    // each twice in the next one: more ways than a person could walk
    let doubled = (0..40).fold(module(Pickle::new(), &|p| p.op(b"}")).op(b"q\x02"), |p, _| {
        module(p, &|p| p.op(b"}").text("a").op(b"h\x02s").text("b").op(b"h\x02s")).op(b"q\x02")
    });
    assert!(failure(of(doubled), &specs).contains("more than 100000"));
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
        ("kept outside", Pickle::new().op(b"\x97").stop(), "instruction 0x97"),
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
        (
            "unknown storage",
            dict().text("x").tensor("QInt8Storage", "0", 1, 0, &[1], &[1]).op(b"s").stop(),
            "none of its 1 tensors",
        ),
        (
            "many classes",
            (0..1001).fold(Pickle::new(), |p, i| p.global("a", &format!("C{i}"))).stop(),
            "names more than 1000 classes",
        ),
        (
            "a long class",
            Pickle::new().text("a").text(&"b".repeat(2000)).op(b"\x93").stop(),
            "names a class in 2000 bytes",
        ),
        ("no number of a memo", Pickle::new().op(b"Npx\n").stop(), "numbers an object by something else"),
        ("no class", Pickle::new().op(b"(o").stop(), "takes more from the stack"),
        ("an array in protocol 0", Pickle::new().op(b"P0\n").stop(), "instruction 0x50"),
        ("another thing outside", Pickle::new().op(b"(").text("file").op(b"tQ").stop(), "outside that is no storage"),
        (
            "a function of itself",
            {
                let of = Pickle::new().global("torch._tensor", "_rebuild_from_type_v2").op(b"q\x00");
                of.op(b"(h\x00NN)tR").stop()
            },
            "by something that makes none",
        ),
        (
            "copies of a list",
            {
                // each copy costs a few bytes, and has as many items as the list
                let list = Pickle::new().op(b"]q\x05(").op(b"NN\x86q\x06");
                let list = list.op(&b"h\x06".repeat(400_000)).op(b"e");
                (0..4).fold(list, |p, _| p.global("collections", "OrderedDict").op(b"(h\x05tR0")).stop()
            },
            "objects, more than are read",
        ),
        ("many objects", Pickle::new().op(&vec![b']'; 2_000_000]).stop(), "more than 1500000 objects"),
        ("many places", Pickle::new().op(&vec![b'N'; 2_000_000]).stop(), "more than 1500000 objects"),
        ("many copies", Pickle::new().op(b"N").op(&vec![b'2'; 2_000_000]).stop(), "more than 1500001 objects"),
        ("many marks", Pickle::new().op(&vec![b'('; 2_000_000]).stop(), "more than 1500000 objects"),
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

/// Curves, lists of names, arrays: a trainer may keep much beside the weights.
#[test]
fn much_may_lie_beside_the_weights() {
    let specs = small_specs(4);
    let (model, storages) = small_torch(&specs, "FloatStorage", &published);
    // the same with something before it
    let model = Pickle(model[2..model.len() - 1].to_vec());
    let behind = |beside: Pickle| {
        let pickle = beside.op(&model.0).op(b"\x86").stop();
        open(archive(&pickle, &storages, CompressionMethod::Stored)).map(|file| load_both(&file, &specs, Scope::All).0)
    };
    let values: Vec<_> = specs.iter().map(value_of).collect();
    let array = Pickle::new().op(b"B").op(&(70u32 << 20).to_le_bytes()).op(&vec![7; 70 << 20]);
    assert_eq!(behind(array).expect("70 MB of bytes"), values);
    let list = |item: &[u8], count| Pickle::new().op(b"](").op(&item.repeat(count)).op(b"e");
    assert_eq!(behind(list(b"G\0\0\0\0\0\0\0\0", 1_300_000)).expect("floats"), values);
    assert_eq!(behind(list(b"M\0\x02q\x07", 1_300_000)).expect("numbers"), values);
    assert_eq!(behind(list(b"X\x02\0\0\0abq\x07", 1_300_000)).expect("texts"), values);
}
