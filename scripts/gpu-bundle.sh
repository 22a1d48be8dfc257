#!/usr/bin/env bash
# Packs what scripts/check-gpu.sh needs on a machine with a GPU that is offline and has no toolkit.
#
#     scripts/gpu-bundle.sh OUT [SHARED]
#
# OUT gets stripped binaries built with the feature `cuda`, the golden files that they read from SHARED (../shared), and the
# script. A CUDA toolkit must be in PATH or CUDA_PATH; without one, that of scripts/cuda-toolkit.sh and the stand-in's
# libraries to link with, as scripts/check-cuda.sh leaves them under target/, will do.
set -euo pipefail
out=$(realpath -m "${1:?"usage: scripts/gpu-bundle.sh OUT [SHARED]"}")
root=$(cd "$(dirname "$0")/.." && pwd)
shared=$(realpath "${2:-$root/../shared}")
cd "$root"
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
if ! command -v nvcc >/dev/null && [[ -z ${CUDA_PATH:-} && -d $target/cuda-toolkit ]]; then
    export CUDA_PATH=$target/cuda-toolkit CUDA_ROOT=$target/cuda-toolkit CUDA_TOOLKIT_ROOT_DIR=$target/cuda-toolkit
    export PATH=$CUDA_PATH/bin:$PATH
fi
mkdir -p "$out/shared/golden/pico" "$out/shared/data" "$out/shared/reference"
cargo build --release --locked --features cuda --bin sam2unet
cargo test --release --locked --features cuda --lib --test tests --test proptests --no-run --message-format json |
    python3 -c 'import json, sys
for message in map(json.loads, sys.stdin):
    if message.get("executable") and message["profile"]["test"]:
        name = message["target"]["name"]
        print("unit" if name == "sam2unet" else name, message["executable"])' |
    while read -r name path; do strip -o "$out/$name" "$path"; done
strip -o "$out/sam2unet" "$target/release/sam2unet"
cp "$shared/golden/pico"/{sam2unet_pico,expected}.safetensors "$out/shared/golden/pico/"
cp "$shared/golden"/*.json "$shared/golden"/{tiny,large}_352.safetensors "$out/shared/golden/"
cp -r "$shared/data/kvasir80_png" "$out/shared/data/"
cp "$shared/reference"/sam2unet_ref.py "$out/shared/reference/"
cp scripts/check-gpu.sh scripts/peer-gpu.py "$out/"
# 64 MiB is what may travel
tar -C "$out" -czf "$out/binaries.tar.gz" unit tests proptests sam2unet
rm "$out"/{unit,tests,proptests,sam2unet}
chmod -R u+w "$out"
du -sh "$out"
[[ $(du -sb "$out" | cut -f1) -le $((64 << 20)) ]] || { echo "error: more than 64 MiB" >&2; exit 1; }
