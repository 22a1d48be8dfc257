#!/usr/bin/env bash
# Times this crate beside PyTorch on this machine, in turn, and prints medians and their ratios.
#
#     scripts/compare.sh PYTHON REFERENCE [ROUNDS]
#
# PYTHON has torch; REFERENCE holds bench_ref.py, which prints the same JSON object as `bench`.
set -euo pipefail
if [ $# -lt 2 ]; then sed -n '2,6p' "$0" | cut -c3- >&2; exit 2; fi
python=$1 reference=$2 rounds=${3:-3}
root=$(cd "$(dirname "$0")/.." && pwd)
cargo build --release --manifest-path "$root/Cargo.toml" --bin bench
results=$(mktemp)
trap 'rm -f "$results"' EXIT
for case in "infer tiny 1" "infer large 1" "train tiny 4" "train large 2"; do
    for _ in $(seq "$rounds"); do
        # shellcheck disable=SC2086
        echo "ours|$case|$("$root/target/release/bench" $case --repeat 3)" >> "$results"
        # shellcheck disable=SC2086
        echo "peer|$case|$(cd "$reference" && "$python" bench_ref.py $case f32 --repeat 3)" >> "$results"
    done
done
"$python" - "$results" <<'PY'
import json, statistics, sys
cases = {}
for line in open(sys.argv[1]):
    who, case, text = line.rstrip("\n").split("|", 2)
    cases.setdefault(case, {"ours": [], "peer": []})[who].append(json.loads(text))
print("| case | ours s | PyTorch s | ratio | ours MB above the model | PyTorch MB | ratio |\n|---|---|---|---|---|---|---|")
for case, sides in cases.items():
    time = {k: statistics.median(r["median_s"] for r in v) for k, v in sides.items()}
    memory = {k: statistics.median(r["peak_mb"] - r["before_mb"] for r in v) for k, v in sides.items()}
    print(f"| {case} | {time['ours']:.3f} | {time['peer']:.3f} | {time['ours'] / time['peer']:.2f} | "
          f"{memory['ours']:.0f} | {memory['peer']:.0f} | {memory['ours'] / max(memory['peer'], 1e-9):.2f} |")
PY
