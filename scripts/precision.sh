#!/usr/bin/env bash
# Whether bf16 is good enough: an epoch with three seeds in f32 and one in bf16, and an f32 model evaluated in both.
#
#     scripts/precision.sh IMAGES MASKS VAL_IMAGES VAL_MASKS OUT [train's other flags]
set -euo pipefail
if [ $# -lt 5 ]; then sed -n '2,5p' "$0" | cut -c3- >&2; exit 2; fi
images=$1 masks=$2 val_images=$3 val_masks=$4 out=$5
shift 5
root=$(cd "$(dirname "$0")/.." && pwd)
cargo build --release --quiet --manifest-path "$root/Cargo.toml" --bin sam2unet
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
sam2unet=$target/release/sam2unet
run() { # folder seed precision
    "$sam2unet" train --images "$images" --masks "$masks" --val-images "$val_images" --val-masks "$val_masks" --variant tiny \
        --epochs 1 --seed "$2" --precision "$3" --out "$out/$1" "${@:4}" > "$out/$1.txt"
    grep -o '"sample_biiou":[0-9.]*' "$out/$1/log.jsonl" | tail -n 1 | cut -d: -f2
}
score() { # precision
    "$sam2unet" predict --checkpoint "$out/f32-0/best/model.safetensors" --images "$val_images" --precision "$1" --out "$out/masks-$1" > /dev/null
    "$sam2unet" evaluate --predictions "$out/masks-$1" --masks "$val_masks" --json "$out/$1.json" > /dev/null
    grep -oE '"sample_biiou": *[0-9.]*' "$out/$1.json" | head -n 1 | grep -oE '[0-9.]+$'
}
mkdir -p "$out"
echo "sample_biiou after an epoch"
for seed in 0 1 2; do echo "f32, seed $seed: $(run "f32-$seed" $seed f32 "$@")"; done
echo "bf16, seed 0: $(run bf16-0 0 bf16 "$@")"
echo "the model of f32, seed 0, evaluated in f32: $(score f32), in bf16: $(score bf16)"
