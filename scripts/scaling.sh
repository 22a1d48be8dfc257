#!/usr/bin/env bash
# How the time of an inference grows with threads, batch, side and variant: a table.
#
#     scripts/scaling.sh [f32|bf16]
set -euo pipefail
precision=${1:-f32}
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
cargo build --release --quiet --bin sam2unet
seconds() { # variant batch side threads
    "$target/release/sam2unet" bench infer "$1" "$2" "$precision" --size "$3" --threads "$4" --device cpu --repeat 3 |
        sed -E 's/.*"median_s":([0-9.e-]+).*/\1/'
}
all=$(nproc)
echo "| variant | images | side | threads | s | s an image at 352 x 352 |"
echo "|---|---|---|---|---|---|"
row() {
    local s
    s=$(seconds "$@")
    awk -v s="$s" -v b="$2" -v n="$3" -v row="| $1 | $2 | $3 | $4 |" 'BEGIN { printf "%s %.3f | %.3f |\n", row, s, s / b * 352 * 352 / n / n }'
}
for variant in tiny small base-plus large; do
    row $variant 1 352 1
    [ "$all" -gt 1 ] && row $variant 1 352 "$all"
done
for variant in tiny large; do
    for batch in 2 4 8 12; do row $variant $batch 352 "$all"; done
    for side in 224 288 448 640; do row $variant 1 $side "$all"; done
done
