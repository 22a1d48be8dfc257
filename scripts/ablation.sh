#!/usr/bin/env bash
# Trains the four variants on one folder, predicts and evaluates each, and prints the paper's table (S, F, E, MAE).
#
#     scripts/ablation.sh IMAGES MASKS VAL_IMAGES VAL_MASKS OUT [train's other flags]
#
# With pretrained trunks in weights/ (sam2_hiera_VARIANT.safetensors, see weights/README.md) these are used.
set -euo pipefail
if [ $# -lt 5 ]; then sed -n '2,7p' "$0" | cut -c3- >&2; exit 2; fi
images=$1 masks=$2 val_images=$3 val_masks=$4 out=$5
shift 5
root=$(cd "$(dirname "$0")/.." && pwd)
cargo build --release --manifest-path "$root/Cargo.toml" --bins
bin=$root/target/release
pairs=()
for variant in tiny small base-plus large; do
    flags=()
    trunk=$root/weights/sam2_hiera_$variant.safetensors
    if [ -f "$trunk" ]; then flags+=(--backbone "$trunk"); fi
    run=$out/$variant
    if [ -f "$run/config.toml" ]; then
        "$bin/train" --resume "$run"
    else
        "$bin/train" --images "$images" --masks "$masks" --val-images "$val_images" --val-masks "$val_masks" \
            --variant "$variant" --out "$run" ${flags[@]+"${flags[@]}"} "$@"
    fi
    size=$(sed -n 's/^size = //p' "$run/config.toml")
    "$bin/predict" --checkpoint "$run/best/model.safetensors" --images "$val_images" --out "$out/masks-$variant" --size "$size"
    pairs+=(--pair "$variant" "$out/masks-$variant" "$val_masks")
done
"$bin/evaluate" "${pairs[@]}" --task camouflage --json "$out/ablation.json"
