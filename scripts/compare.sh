#!/usr/bin/env bash
# Times this crate beside PyTorch, ONNX Runtime and OpenVINO on this machine, in turn, and prints medians and ratios.
#
#     [PYTHON=python] scripts/compare.sh REFERENCE [ROUNDS]
#
# REFERENCE is a folder with the PyTorch model (sam2unet_ref.py), bench_ref.py, which prints the same JSON
# object as `sam2unet bench`, and bench_engines.py.
# PYTHON has torch, onnx, onnxscript, onnxruntime and openvino; without it, that of scripts/python.sh is taken, or made.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [ $# -lt 1 ] || [ $# -gt 2 ]; then sed -n '2,8p' "$0" | cut -c3- >&2; exit 2; fi
reference=$1 rounds=${2:-3}
for file in sam2unet_ref.py bench_ref.py bench_engines.py; do
    if [ ! -f "$reference/$file" ]; then echo "error: REFERENCE is $reference, and holds no $file" >&2; exit 2; fi
done
python=${PYTHON:-$("$root/scripts/python.sh")}
cargo build --release --manifest-path "$root/Cargo.toml" --bin sam2unet
results=$(mktemp)
trap 'rm -f "$results"' EXIT
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
sam2unet=$target/release/sam2unet
cd "$reference"
for _ in $(seq "$rounds"); do
    for variant in tiny large; do
        for precision in f32 bf16; do
            case="infer $variant 1 $precision"
            # shellcheck disable=SC2086
            { echo "ours|$case|$("$sam2unet" bench $case --device cpu --repeat 7)"; echo "torch|$case|$("$python" bench_ref.py $case --repeat 5)"; } >> "$results"
        done
        echo "engines|$variant|$("$python" bench_engines.py "$variant" 1 2> /dev/null | tail -n 1)" >> "$results"
    done
    for step in "train tiny 4" "train large 2"; do
        for precision in f32 bf16; do
            case="$step $precision"
            for memory in small balanced fast; do
                # shellcheck disable=SC2086
                echo "ours|$case $memory|$("$sam2unet" bench $case --memory $memory --device cpu --repeat 3)" >> "$results"
            done
            # shellcheck disable=SC2086
            echo "torch|$case|$("$python" bench_ref.py $case --repeat 3)" >> "$results"
        done
    done
done
"$python" - "$results" <<'PY'
import collections, json, statistics, sys
runs = collections.defaultdict(list)
for line in open(sys.argv[1]):
    who, case, text = line.rstrip("\n").split("|", 2)
    out = json.loads(text)
    if who == "engines":
        for name in ("onnxruntime_f32", "openvino_f32", "openvino_bf16"):
            engine, precision = name.split("_")
            runs[engine, f"infer {case} 1 {precision}"].append(dict(median_s=out[name + "_s"], peak_mb=float("nan"), before_mb=0))
    else:
        runs[who, case].append(out)
median = lambda key, of: statistics.median(of(r) for r in runs[key])
print("| case | ours s | others s | ratio | ours MB above the model | PyTorch MB | ratio |\n|---|---|---|---|---|---|---|")
for who, case in [key for key in runs if key[0] == "ours"]:
    plain = " ".join(case.split()[:4])
    seconds, memory = (lambda r: r["median_s"]), (lambda r: r["peak_mb"] - r["before_mb"])
    ours, mb = median((who, case), seconds), median((who, case), memory)
    peers = {p: median((p, plain), seconds) for p in ("torch", "onnxruntime", "openvino") if (p, plain) in runs}
    theirs = median(("torch", plain), memory)
    print(f"| {case} | {ours:.3f} | " + ", ".join(f"{p} {s:.3f}" for p, s in peers.items()) + " | "
          + ", ".join(f"{ours / s:.2f}" for s in peers.values()) + f" | {mb:.0f} | {theirs:.0f} | {mb / max(theirs, 1e-9):.2f} |")
PY
