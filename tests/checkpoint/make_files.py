"""Makes the weight files that tests/checkpoint/files.rs reads, as PyTorch and its users write them.

    python make_files.py FOLDER            # Python with torch, numpy and safetensors; what FOLDER names is made anew
    python make_files.py files.zip         # those that are kept

Files under `whole` hold the same weights, those of `WEIGHTS`, in other clothes. Files under `twins` hold tensors of every kind, each with what
`.float()` or `.long()` makes of it beside it. Files under `refused` are no models.
"""

import argparse
import collections
import gzip
import json
import os
import pathlib
import pickle
import sys
import tarfile
import tempfile
import zipfile

import numpy as np
import torch
from safetensors.torch import save_file

WEIGHTS = collections.OrderedDict(
    (("encoder.pos_embed", torch.arange(8.0).reshape(1, 2, 2, 2)), ("encoder.blocks.0.block.norm1.weight", torch.tensor([3.0, -2.0])),
     ("head.weight", torch.tensor([[1.0, -4.0, 7.0]])), ("rfb1.branch0.0.bn.num_batches_tracked", torch.tensor(3))))
COUNTER = "rfb1.branch0.0.bn.num_batches_tracked"


def under(prefix, weights=WEIGHTS):
    return {prefix + name: value for name, value in weights.items()}


def cast(dtype, counter=None):
    return {name: value.to(counter or value.dtype) if name == COUNTER else value.to(dtype) for name, value in WEIGHTS.items()}


class Net(torch.nn.Module):
    """A module whose `state_dict` is `WEIGHTS`, with buffers that it leaves out."""

    def __init__(self):
        super().__init__()
        tree = {}
        for name, value in WEIGHTS.items():
            at = self
            *path, last = name.split(".")
            for part in path:
                if part not in at._modules:
                    at.add_module(part, torch.nn.Module())
                at = at._modules[part]
            if value.is_floating_point():
                at.register_parameter(last, torch.nn.Parameter(value.clone()))
            else:
                at.register_buffer(last, value.clone())
        self.register_buffer("grid", torch.zeros(5), persistent=False)
        self.register_buffer("none", None)
        assert tree == {} and self.state_dict().keys() == WEIGHTS.keys()


class Evil:
    """What would make a file, if it were run."""

    def __reduce__(self):
        return os.system, ("touch code-was-run",)


class Python2:
    """An OrderedDict as Python 2 pickles it: made of a list of pairs."""

    def __reduce__(self):
        return collections.OrderedDict, ([[name, value] for name, value in WEIGHTS.items()],)


class Settings(dict):
    pass


class Slots:
    __slots__ = ("epoch", "model")

    def __init__(self, epoch, model):
        self.epoch, self.model = epoch, model


Saved = collections.namedtuple("Saved", "epoch model")


class Unpicklable:
    """Of a class that cannot be made again without what it was called with."""

    def __reduce__(self):
        return Unpicklable, (), ([1], {"x": self.__class__})


def whole(folder):
    def save(name, value, **options):
        torch.save(value, folder / name, **options)

    for name, dtype in dict(f64=torch.float64, f16=torch.float16, bf16=torch.bfloat16, i32=torch.int32, i8=torch.int8).items():
        save(f"{name}.pth", cast(dtype, dtype))
    save_file(cast(torch.float16, torch.float16), folder / "f16.safetensors")
    save_file(cast(torch.float64, torch.uint8), folder / "f64.safetensors")
    save("no-counters.pth", {name: value for name, value in WEIGHTS.items() if name != COUNTER})
    # averaged models
    save("averaged.pth", {"n_averaged": torch.tensor(5)} | under("module."))
    save("averaged-f16.pth", under("module.", cast(torch.float16, torch.float16)) | {"n_averaged": torch.tensor(5.0).half()})
    save("averaged-ema.pth", {"model": under(""), "ema": under("module.") | {"n_averaged": torch.tensor([5], dtype=torch.int32)}})
    save("averaged-bare.pth", {"n_averaged": torch.tensor(5)} | under(""))
    # names with something before them
    for name, prefix in {"ddp": "module.", "twice": "module.module.", "compiled": "_orig_mod.", "lightning-compiled": "model._orig_mod.",
                         "net": "net.", "own": "segmenter/", "underscore": "net_", "deep": "a.b.c.d.", "encoder": "encoder.", "blocks": "blocks.", "unicode": "né."}.items():
        save(f"prefix-{name}.pth", under(prefix))
    # a loss with a weight of one number beside the model
    save("criterion.ckpt", {"state_dict": under("model.") | {"criterion.pos_weight": torch.tensor([2.0])}})
    # what programs write
    parameters = [torch.nn.Parameter(value.clone()) for value in WEIGHTS.values() if value.is_floating_point()]
    optimiser = torch.optim.AdamW(parameters)
    sum(parameter.sum() for parameter in parameters).backward()
    optimiser.step()
    args = argparse.Namespace(lr=1e-3, path=pathlib.PurePosixPath("/data"))
    save("lightning.ckpt", {
        "epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.6.0", "state_dict": under("model."),
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}}, "callbacks": {"ModelCheckpoint": {"best": torch.tensor(0.5)}},
        "optimizer_states": [optimiser.state_dict()], "lr_schedulers": [{"last_epoch": 1}], "hparams_name": "kwargs", "hyper_parameters": args})
    save("trainer.pth", {"state_dict": WEIGHTS, "optimizer": optimiser.state_dict(), "args": args, "best": np.float64(0.9), "curve": np.zeros(3),
                         "log": collections.defaultdict(list, {"loss": [1.0]}), "settings": Settings(a=1), "set": {1, 2}, "code": Evil()})
    save("optimiser-object.pth", {"optim": optimiser, "net": WEIGHTS})
    save("list.pt", [WEIGHTS, optimiser.state_dict()])
    save("tuple.pt", (3, WEIGHTS))
    save("settings.pt", Settings(model=Settings(WEIGHTS)))
    save("python2.pth", Python2())
    save("attributes.pth", {"model": attributes()})
    # under numbers, deep, behind much else, in classes of other kinds
    save("numbered.pt", {3: {"acc": 0.5}, 7: WEIGHTS})
    save("folds.pt", {"folds": {0: WEIGHTS, 1: {"x": torch.ones(1)}}})
    deep = WEIGHTS
    for i in range(20):
        deep = {f"level{i}": deep}
    save("deep.pt", deep)
    save("long-list.pt", [[float(i)] for i in range(200)] + [WEIGHTS])
    save("slots.pt", Slots(3, WEIGHTS))
    save("named-tuple.pt", Saved(3, WEIGHTS))
    save("many-dimensions.pt", {"model": WEIGHTS, "grid": torch.zeros([1] * 20)})
    save("prefix-long.pth", under("a_long_name." * 40))
    # whole modules
    save("module.pt", Net())
    save("module-ddp.pt", {"ema": torch.nn.ModuleDict({"module": Net()}), "epoch": 3})
    # before PyTorch 1.6
    save("legacy.pth", WEIGHTS, _use_new_zipfile_serialization=False)
    save("legacy-trainer.pth", {"state_dict": under("module."), "args": args, "optimizer": optimiser.state_dict()}, _use_new_zipfile_serialization=False)
    # with the source text of PyTorch in it, which is too large to keep
    if FRESH:
        save("legacy-module.pt", Net(), _use_new_zipfile_serialization=False)
    save("legacy-protocol1.pth", WEIGHTS, _use_new_zipfile_serialization=False, pickle_protocol=1)
    save("legacy-quantised-beside.pth", {"statistics": quantised(torch.ones(3)), "model": WEIGHTS}, _use_new_zipfile_serialization=False)
    save("legacy-shared.pth", shared_storage(), _use_new_zipfile_serialization=False)
    save("shared.pth", shared_storage())
    save("views.pth", views())
    save("protocol1.pth", WEIGHTS, pickle_protocol=1)
    save("protocol5.pth", {"model": WEIGHTS, "set": {1, 2}, "frozen": frozenset((1,))}, pickle_protocol=5)
    # the search for an archive's start is misled by this length
    save("a" * 21 + ".pt", WEIGHTS)
    shards(folder)


def quantised(value):
    return torch.quantize_per_tensor(value, 0.5, 3, torch.qint8)


def attributes():
    weights = {name: value.clone() for name, value in WEIGHTS.items()}
    weights["head.weight"].note = "kept"
    weights["encoder.pos_embed"] = torch.nn.Parameter(weights["encoder.pos_embed"])
    weights["encoder.pos_embed"].decay = False
    return weights


def shared_storage():
    """Every real weight is a view of one array."""
    real = [name for name in WEIGHTS if name != COUNTER]
    array = torch.cat([torch.zeros(3)] + [WEIGHTS[name].flatten() for name in real])
    weights, at = dict(WEIGHTS), 3
    for name in real:
        weights[name] = array[at:at + WEIGHTS[name].numel()].view(WEIGHTS[name].shape)
        at += WEIGHTS[name].numel()
    return weights


def negated(value):
    lazy = torch.complex(torch.zeros_like(value), -value).conj().imag
    assert lazy.is_neg() and torch.equal(lazy, value)
    return lazy


def views():
    weights = dict(WEIGHTS)
    weights["encoder.pos_embed"] = negated(WEIGHTS["encoder.pos_embed"])
    weights["encoder.blocks.0.block.norm1.weight"] = torch.stack([WEIGHTS["encoder.blocks.0.block.norm1.weight"], torch.zeros(2)], 1)[:, 0]
    weights["head.weight"] = WEIGHTS["head.weight"].t().contiguous().t()
    return weights


def shards(folder):
    names = list(WEIGHTS)
    for stem, ending in (("model", "safetensors"), ("pytorch_model", "bin")):
        files = [f"{stem}-0000{i}-of-00002.{ending}" for i in (1, 2)]
        for i, file in enumerate(files):
            part = {name: WEIGHTS[name] for name in names[2 * i:2 * i + 2]}
            save_file(part, folder / file) if ending == "safetensors" else torch.save(part, folder / file)
        index = {"metadata": {"total_size": 60}, "weight_map": {name: files[i // 2] for i, name in enumerate(names)}}
        (folder / f"{stem}.{ending}.index.json").write_text(json.dumps(index, indent=2))
    # other ways to the same files; one that tells where not all of its weights are; one of which both files hold a weight
    index["weight_map"] = {name: f"./{file}" for name, file in index["weight_map"].items()}
    (folder / "dots.index.json").write_text("\ufeff" + " " * 20 + json.dumps(index))
    (folder / "below-of-").mkdir(exist_ok=True)
    save_file(WEIGHTS, folder / "below-of-" / "1.safetensors")
    save_file({names[0]: WEIGHTS[names[0]] + 1, names[3]: WEIGHTS[names[3]]}, folder / "below-of-" / "2.safetensors")
    index["weight_map"] = {name: "below-of-/1.safetensors" for name in names} | {names[3]: "below-of-/2.safetensors"}
    index["weight_map"].pop(names[2])
    (folder / "below.index.json").write_text(json.dumps(index))


def twins(folder):
    ramp = torch.tensor([[0.1, -2.5, 3.0], [70000.0, 0.0, -1e-30]], dtype=torch.float64)
    small = torch.tensor([[0.0, 1.0, 3.0], [127.0, 5.0, 9.0]])
    kinds = {"f64": ramp, "f32": ramp.float(), "bf16": ramp.bfloat16(), "f16": small.half(), "bool": small > 2, "i64": torch.tensor([2**53 + 1, -7]),
             "neg": negated(ramp.float()), "neg_f64": negated(ramp), "neg_strided": negated(ramp.float()).t(), "imag": torch.complex(ramp, ramp + 1).imag,
             "real": torch.complex(ramp.float(), ramp.float() + 1).conj().real, "t": ramp.float().t(), "slice": ramp.float()[:, ::2], "expanded": torch.tensor([[0.5], [2.5]]).expand(2, 3),
             "expanded_all": torch.tensor(1.5).expand(4), "diagonal": torch.arange(9.0).view(3, 3).diagonal(), "windows": torch.arange(6.0).unfold(0, 3, 1), "scalar": torch.tensor(0.1).double(),
             "empty": torch.zeros(0, 3), "large": torch.tensor([float("inf"), float("-inf"), float("nan"), 1e300], dtype=torch.float64)}
    for dtype in (torch.int32, torch.int16, torch.int8, torch.uint8):
        kinds[str(dtype)] = small.to(dtype)
    tensors = {}
    for name, value in kinds.items():
        tensors[name], tensors[name + ".float"] = value, value.float().contiguous().clone()
    for name, value in dict(f16=torch.tensor(7.0).half(), bf16=torch.tensor([300.0]).bfloat16(), f32=torch.tensor(16777216.0), f64=torch.tensor(9e15, dtype=torch.float64),
                            i8=torch.tensor(5, dtype=torch.int8), u8=torch.tensor(200, dtype=torch.uint8), b=torch.tensor(True), cut=torch.tensor(2.9)).items():
        tensors["count." + name], tensors["count." + name + ".long"] = value, value.long()
    torch.save(tensors, folder / "twins-legacy.pth", _use_new_zipfile_serialization=False)
    for dtype in (torch.uint16, torch.uint32, torch.uint64, torch.float8_e4m3fn, torch.float8_e5m2):
        value = torch.tensor([0.0, 1.0, 3.0, 40.0, 208.0]).to(dtype)
        tensors[str(dtype)], tensors[str(dtype) + ".float"] = value, value.float()
    torch.save(tensors, folder / "twins.pth")


def refused(folder):
    def save(name, value, **options):
        torch.save(value, folder / name, **options)

    parameters = [torch.nn.Parameter(torch.ones(2, 2))]
    optimiser = torch.optim.Adam(parameters)
    parameters[0].sum().backward()
    optimiser.step()
    save("optimiser.pt", optimiser.state_dict())
    save("optimiser-in-dict.pt", {"epoch": 3, "optimizer_state_dict": optimiser.state_dict(), "scaler": {}})
    save("optimiser-legacy.pt", optimiser.state_dict(), _use_new_zipfile_serialization=False)
    save_file({"exp_avg.head.weight": torch.ones(3), "exp_avg_sq.head.weight": torch.ones(3)}, folder / "optimiser.safetensors")
    save("tensor.pth", torch.ones(2, 3))
    save("tensors.pth", list(WEIGHTS.values()))
    save("code.pth", Evil())
    save("code-in-dict.pth", {"epoch": Evil()})
    save("numbers.pth", {"epoch": 3, "loss": 0.5})
    save("complex.pth", WEIGHTS | {"head.weight": torch.complex(WEIGHTS["head.weight"], WEIGHTS["head.weight"]).conj()})
    save("sparse.pth", WEIGHTS | {"head.weight": WEIGHTS["head.weight"].to_sparse()})
    save("numpy.pth", WEIGHTS | {"head.weight": WEIGHTS["head.weight"].numpy()})
    save("quantised.pth", {"net": under("m.") | {"m.head.weight": quantised(WEIGHTS["head.weight"])}})
    save("all-numpy.pth", {"model": {name: value.numpy() for name, value in WEIGHTS.items()}, "epoch": 3})
    save("all-lists.pth", {"model": {name: value.tolist() for name, value in WEIGHTS.items()}, "epoch": 3})
    save("own-class.pth", {"settings": Settings(a=1), "slots": Slots(1, 2), "saved": Saved(1, [2]), "evil": Unpicklable(),
                           "model": WEIGHTS | {"head.weight": torch.complex(WEIGHTS["head.weight"], torch.zeros(1, 3))}})
    complex_head = WEIGHTS | {"head.weight": torch.complex(WEIGHTS["head.weight"], torch.zeros(1, 3))}
    save("own-slots.pth", Slots(3, complex_head))
    save("own-tuple.pth", Saved(3, complex_head))
    save("protocol5-complex.pth", WEIGHTS | {"head.weight": torch.complex(WEIGHTS["head.weight"], torch.zeros(1, 3))}, pickle_protocol=5)
    save("pos-weight.pth", {"model": WEIGHTS | {"loss.pos_weight": torch.ones(2), "rfb1.odd": torch.ones(2)}})
    save("too-large.pth", WEIGHTS | {"head.weight": torch.tensor([[1.0, 1e300, 7.0]], dtype=torch.float64)})
    save("expanded.pth", WEIGHTS | {"head.weight": torch.ones(1).expand(1 << 30)})
    save("two-models.ckpt", {"state_dict": under("model.") | under("ema_model.module.")})
    save("beside.ckpt", {"state_dict": under("model.") | {"discriminator.weight": torch.ones(2, 2)}})
    save("other-net.pth", {"conv1.weight": torch.ones(2, 2), "fc.bias": torch.ones(2)})
    for name, value, dtype in (("nan", "nan", torch.float32), ("nan-f16", "nan", torch.float16), ("inf", "-inf", torch.float64)):
        weights = {name: value.clone() for name, value in cast(dtype).items()}
        weights["head.weight"][0, 2] = float(value)
        save(f"{name}.pth", under("module.", weights))
    with open(folder / "bare.pkl", "wb") as file:
        pickle.dump({"head.weight": [1.0]}, file, protocol=2)
    with tarfile.open(folder / "old.tar", "w") as tar:
        tar.addfile(tarfile.TarInfo("pickle"))
    with tarfile.open(folder / "new.tar", "w") as tar:
        tar.add(folder / "nan.pth", "model.pth")
    with zipfile.ZipFile(folder / "around.zip", "w") as packed:
        packed.write(folder / "nan.pth", "run/model.pth")
    (folder / "packed.pth.gz").write_bytes(gzip.compress((folder / "nan.pth").read_bytes(), mtime=0))
    np.savez(folder / "arrays.npz", **{name: value.numpy() for name, value in WEIGHTS.items()})


def main(target):
    """Into a folder; or, if the target ends in .zip, packed."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary if PACKED else target)
        torch.manual_seed(0)
        for make in (whole, twins, refused):
            place = folder / make.__name__
            place.mkdir(parents=True, exist_ok=True)
            make(place)
        if PACKED:
            with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as packed:
                for file in sorted(path for path in folder.rglob("*") if path.is_file()):
                    packed.writestr(zipfile.ZipInfo(str(file.relative_to(folder))), file.read_bytes(), zipfile.ZIP_DEFLATED, 9)


if __name__ == "__main__":
    PACKED = sys.argv[1].endswith(".zip")
    FRESH = not PACKED
    main(sys.argv[1])
