"""Cross-checks of weight files with PyTorch, called by tests/checkpoint where a Python with torch is named.

    python pytorch.py strict FILE.safetensors REFERENCE_FOLDER VARIANT FILE.pth   # load_state_dict(strict=True), values equal
    python pytorch.py archive FILE.pth FILE.safetensors REFERENCE_FOLDER VARIANT    # torch.load(weights_only=True), strictly loaded, values equal
    python pytorch.py stems FOLDER                                               # archives whose names have 1 to 64 characters
    python pytorch.py write FOLDER                                               # files in every form of torch.save
"""

import collections
import pathlib
import sys

import torch


def strict(path, reference, variant, original):
    from safetensors.torch import load_file

    sys.dont_write_bytecode = True
    sys.path.insert(0, reference)
    import sam2unet_ref

    state = load_file(path)
    model = sam2unet_ref.Sam2UNet(variant)
    print(model.load_state_dict(state, strict=True))
    for name, value in torch.load(original, weights_only=True).items():
        loaded = model.state_dict()[name]
        assert loaded.dtype == value.dtype and torch.equal(loaded, value), name


def archive(path, original, reference, variant):
    from safetensors.torch import load_file

    sys.dont_write_bytecode = True
    sys.path.insert(0, reference)
    import sam2unet_ref

    expected = load_file(original)
    for options in ({"weights_only": True}, {"weights_only": True, "mmap": True}, {"weights_only": False, "map_location": "cpu"}):
        state = torch.load(path, **options)
        assert type(state) is dict and state.keys() == expected.keys()
        for name, value in state.items():
            assert value.dtype == expected[name].dtype and value.is_contiguous() and torch.equal(value, expected[name]), name
    # as the official test.py does
    model = sam2unet_ref.Sam2UNet(variant)
    print(model.load_state_dict(torch.load(path), strict=True))


def stems(folder):
    for length in range(1, 65):
        torch.save({"x": torch.ones(3)}, pathlib.Path(folder) / ("a" * length + ".pt"))


def write(folder):
    folder = pathlib.Path(folder)
    ramp = torch.arange(24, dtype=torch.float32).reshape(2, 3, 4) / 8  # exact in half precision too
    state = collections.OrderedDict(
        f32=ramp, f16=ramp.half(), bf16=ramp.bfloat16(), i64=torch.tensor(7), transposed=ramp.permute(2, 0, 1), sliced=ramp[:, 1:, ::2],
        expanded=torch.ones(1).expand(3), parameter=torch.nn.Parameter(ramp), empty=torch.zeros(0, 3), scalar=torch.tensor(2.5),
        f64=ramp.double(), u8=torch.ones(2, dtype=torch.uint8), f8=torch.ones(2, dtype=torch.float8_e4m3fn), u16=torch.ones(2, dtype=torch.uint16), complex=torch.ones(2, dtype=torch.complex64))
    torch.save(state, folder / "plain.pth")
    torch.save({"epoch": 3, "loss": 0.5, "note": "a", "done": None, "shape": torch.Size([1, 2]), "dtype": torch.float16, "device": torch.device("cpu"),
                "big": 1 << 100, "set": {1, 2}, "model": state, "optimizer": {"state": {0: {"exp_avg": ramp}}, "param_groups": [{"lr": 1e-3, "params": [0]}]}}, folder / "training.pt")
    torch.save({"state_dict": {f"module.{k}": v for k, v in state.items()}}, folder / "parallel.pt")
    for protocol in (3, 4, 5):
        torch.save(state, folder / f"protocol{protocol}.pth", pickle_protocol=protocol)
    torch.serialization.set_crc32_options(False)
    torch.save(state, folder / "no_checksum.pth")
    torch.serialization.set_crc32_options(True)
    norm = torch.nn.BatchNorm2d(3)
    torch.save(norm.state_dict(), folder / "module.pth")  # carries `_metadata`
    torch.save(norm, folder / "whole_model.pth")
    torch.save(ramp, folder / "tensor.pth")
    torch.save(state, folder / "legacy.pth", _use_new_zipfile_serialization=False)
    torch.jit.script(norm).save(str(folder / "script.pt"))


if __name__ == "__main__":
    {"strict": strict, "archive": archive, "stems": stems, "write": write}[sys.argv[1]](*sys.argv[2:])
