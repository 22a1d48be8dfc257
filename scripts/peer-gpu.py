"""Times the PyTorch model on a GPU: the other side of scripts/check-gpu.sh.

    python peer-gpu.py FOLDER WHAT VARIANT BATCH PRECISION MODE [REPEAT] [DEVICE]

FOLDER holds the reference model's sam2unet_ref.py. WHAT is infer or train; PRECISION f32, tf32 or bf16 (autocast); MODE
eager, default or max-autotune (torch.compile's). Prints one JSON object: the median of seconds a call and the most of the
device's memory in MiB, or why there are none.
"""

import json
import statistics
import sys
import time

folder, what, variant, batch, precision, mode, *rest = sys.argv[1:]
repeat, device = int(rest[0]) if rest else 10, rest[1] if len(rest) > 1 else "cuda"
sys.path.insert(0, folder)


def measure():
    import torch

    import sam2unet_ref as ref

    torch.manual_seed(0)
    torch.set_float32_matmul_precision("highest" if precision == "f32" else "high")
    torch.backends.cudnn.allow_tf32 = precision != "f32"
    torch.backends.cudnn.benchmark = True
    cuda = device.startswith("cuda")
    model = ref.Sam2UNet(variant).to(device).train(what == "train")
    x = torch.randn(int(batch), 3, 352, 352, device=device)
    y = (torch.rand(int(batch), 1, 352, 352, device=device) > 0.5).float()
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3, weight_decay=5e-4)
    net = model if mode == "eager" else torch.compile(model, mode=None if mode == "default" else mode)

    def call():
        with torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bf16"):
            if what == "infer":
                with torch.inference_mode():
                    return net(x)[0]
            outputs = net(x)
        optimiser.zero_grad()
        ref.total_loss([o.float() for o in outputs], y).backward()
        optimiser.step()

    seconds = []
    for _ in range(repeat + 3):
        if cuda:
            torch.cuda.synchronize()
        start = time.perf_counter()
        call()
        if cuda:
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    peak = torch.cuda.max_memory_allocated() / 2**20 if cuda else None
    return {"median_s": statistics.median(seconds[3:]), "peak_mb": peak}


try:
    print(json.dumps(measure()))
except Exception as error:  # a compiler that is not there, memory, a device: the table says which
    lines = [line for line in str(error).splitlines() if line.strip()]
    print(json.dumps({"error": f"{type(error).__name__}: {lines[0] if lines else ''}"[:80]}))
