#!/usr/bin/env bash
# Builds with the feature `cuda` and runs the CUDA tests without a GPU, on the stand-in of tests/cuda_standin.
#
#     scripts/check-cuda.sh [ARGUMENTS OF cargo test]
#
# The compiler comes from PyPI (scripts/cuda-toolkit.sh); all is kept under target/, so a second run builds what changed.
# Without arguments every test on the device `Cuda` runs, once with the threads of a block in order and once in reverse.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=${CARGO_TARGET_DIR:-$root/target}
toolkit=$target/cuda-toolkit standin=$target/cuda-standin

scripts/cuda-toolkit.sh "$toolkit"
dfdx=$(cargo metadata --format-version 1 --locked --features cuda |
    python3 -c 'import json, os, sys
packages = json.load(sys.stdin)["packages"]
print(*(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "dfdx"))')
make --no-print-directory --silent -C tests/cuda_standin -j"$(nproc)" OUT="$standin" DFDX="$dfdx"
make --no-print-directory --silent -C tests/cuda_standin OUT="$standin" check >"$standin/selftest.txt" || { cat "$standin/selftest.txt"; exit 1; }
ln -sf "$standin"/lib*.so "$toolkit/lib/"

export CUDA_PATH=$toolkit CUDA_ROOT=$toolkit CUDA_TOOLKIT_ROOT_DIR=$toolkit PATH=$toolkit/bin:$PATH
export LD_LIBRARY_PATH=$standin${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
if [[ $# -gt 0 ]]; then
    exec cargo test --release --locked --features cuda "$@"
fi
cargo test --release --locked --features cuda cuda
CUDA_STANDIN_REVERSE=1 cargo test --release --locked --features cuda cuda
