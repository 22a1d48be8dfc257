#!/usr/bin/env bash
# Times the whole process from one image to one mask, `sam2unet predict` beside PyTorch, in turn, files in the page cache.
#
#     [PYTHON=python] scripts/compare-process.sh REFERENCE IMAGE [VARIANT [ROUNDS]]
#
# REFERENCE is a folder with the PyTorch model (sam2unet_ref.py), which makes the weights, and predict_ref.py.
# PYTHON has torch, numpy and pillow; without it, that of scripts/python.sh is taken, or made.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -lt 2 ] || [ $# -gt 4 ]; then sed -n '2,7p' "$0" | cut -c3- >&2; exit 2; fi
for file in sam2unet_ref.py predict_ref.py; do
    if [ ! -f "$1/$file" ]; then echo "error: REFERENCE is $1, and holds no $file" >&2; exit 2; fi
done
reference=$(cd "$1" && pwd) image=$2 variant=${3:-large} rounds=${4:-5}
python=${PYTHON:-$("$root/scripts/python.sh")}
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
cargo build --release --manifest-path "$root/Cargo.toml" --bin sam2unet
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
(cd "$reference" && PYTHONDONTWRITEBYTECODE=1 "$python" - "$variant" "$folder/model.pth") <<'PY'
import sys, torch, sam2unet_ref as ref
torch.manual_seed(0)
torch.save(ref.Sam2UNet(sys.argv[1]).state_dict(), sys.argv[2])
PY
"$target/release/sam2unet" convert "$folder/model.pth" "$folder/model.safetensors" > "$folder/log"
"$python" - "$target/release/sam2unet" "$python" "$reference" "$image" "$variant" "$rounds" "$folder" <<'PY'
import os, statistics, subprocess, sys, time
sam2unet, python, reference, image, variant, rounds, folder = sys.argv[1:]
def ours(weights, *more):
    return [sam2unet, "predict", "--checkpoint", f"{folder}/{weights}", "--images", image, "--out", f"{folder}/out", "--device", "cpu", *more]
cases = {
    "PyTorch, .pth, f32": [python, f"{reference}/predict_ref.py", variant, f"{folder}/model.pth", image, f"{folder}/peer.png"],
    ".pth, f32": ours("model.pth"),
    ".safetensors, f32": ours("model.safetensors"),
    ".safetensors, bf16": ours("model.safetensors", "--precision", "bf16"),
}
runs = {name: [] for name in cases}
for i in range(int(rounds) + 1):
    for name, command in cases.items():
        start = time.perf_counter()
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        if status != 0:
            sys.exit(f"{name} failed: {' '.join(command)}")
        if i > 0:  # the first round brings the files into the page cache
            runs[name].append((seconds, usage.ru_maxrss / 1024))
print(f"| {variant}, one image | s | ratio | peak MB |\n|---|---|---|---|")
peer = statistics.median(s for s, _ in runs["PyTorch, .pth, f32"])
for name, measured in runs.items():
    seconds = statistics.median(s for s, _ in measured)
    print(f"| {name} | {seconds:.2f} | {seconds / peer:.2f} | {max(m for _, m in measured):.0f} |")
PY
