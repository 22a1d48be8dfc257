#!/usr/bin/env bash
# Counts what a model asks of a GPU, without one: launches, operations, bytes, and the time that follows at least.
#
#     scripts/count-cuda.sh WHAT VARIANT BATCH PRECISION [ARGUMENTS OF sam2unet bench]
#
# For what scripts/check-cuda.sh has built. The stand-in checks and counts every launch and product, and runs none.
set -euo pipefail
unset CUDA_VISIBLE_DEVICES
root=$(cd "$(dirname "$0")/.." && pwd)
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
logs=$(mktemp -d)
trap 'rm -rf "$logs"' EXIT
export LD_LIBRARY_PATH=$target/cuda-standin CUDA_STANDIN_DRY=1 CUDA_STANDIN_MEMORY=150000000000
for calls in 1 2; do
    CUDA_STANDIN_LOG=$logs/$calls LD_PRELOAD=$target/cuda-standin/libcuda.so.1 \
        "$target/release/sam2unet" bench "$@" --device cuda --repeat "$calls" >"$logs/said.$calls"
done
grep -o '"device_peak_mb":[0-9.]*' "$logs/said.1" | sed 's/.*:/device memory at most, MiB: /'
python3 "$root/scripts/count-cuda.py" "$logs/1" "$logs/2"
