#!/usr/bin/env bash
# Trains the four variants on one folder, predicts and evaluates each, and prints the paper's table (S, F, E, MAE).
#
#     scripts/ablation.sh IMAGES MASKS VAL_IMAGES VAL_MASKS OUT [train's other flags]
#
# SAM2's files in weights/, named as weights/README.md names them, are the trunks; without one the trunk is random.
set -euo pipefail
if [ $# -lt 5 ]; then sed -n '2,7p' "$0" | cut -c3- >&2; exit 2; fi
images=$1 masks=$2 val_images=$3 val_masks=$4 out=$5
shift 5
root=$(cd "$(dirname "$0")/.." && pwd)
cargo build --release --manifest-path "$root/Cargo.toml" --bin sam2unet
target=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")
sam2unet=$target/release/sam2unet
pairs=()
for variant in tiny small base-plus large; do
    flags=()
    trunk=
    for file in "$root"/weights/sam2*_hiera_"${variant//-/_}".{pt,safetensors}; do
        if [ -f "$file" ]; then trunk=$file; fi
    done
    if [ -n "$trunk" ]; then flags+=(--backbone "$trunk"); fi
    echo "== $variant: trunk ${trunk:-RANDOM}"
    run=$out/$variant
    if [ -f "$run/config.toml" ]; then
        "$sam2unet" train --resume "$run"
    else
        "$sam2unet" train --images "$images" --masks "$masks" --val-images "$val_images" --val-masks "$val_masks" \
            --variant "$variant" --out "$run" ${flags[@]+"${flags[@]}"} "$@"
    fi
    size=$(sed -n 's/^size = //p' "$run/config.toml")
    "$sam2unet" predict --checkpoint "$run/best/model.safetensors" --images "$val_images" --out "$out/masks-$variant" --size "$size"
    pairs+=(--pair "$variant" "$out/masks-$variant" "$val_masks")
done
"$sam2unet" evaluate "${pairs[@]}" --task camouflage --json "$out/ablation.json"
