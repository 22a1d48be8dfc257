#!/usr/bin/env bash
# Builds and runs a crate that uses this one as a library with `default-features = false`, and sees that it compiles nothing that
# only the programs need.
#
#     scripts/check-embedding.sh
set -euo pipefail
cd "$(dirname "$0")/.."
crate=tests/embedded
cp Cargo.lock "$crate/Cargo.lock"
trap 'rm -f "$crate/Cargo.lock"' EXIT
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
tree=$(cargo tree --manifest-path "$crate/Cargo.toml" --edges normal --prefix none)
if grep -E '^(clap|clap_[a-z]+|indicatif|signal-hook[a-z-]*) ' <<<"$tree"; then
    echo "error: the library compiles what only programs need" >&2
    exit 1
fi
if ! grep -q '^sam2unet ' <<<"$tree"; then
    printf '%s\nerror: sam2unet is not among what cargo lists for %s\n' "$tree" "$crate" >&2
    exit 1
fi
folder=$(mktemp -d)
trap 'rm -rf "$crate/Cargo.lock" "$folder"' EXIT
# compiled in haste: two steps on small images show that it works
haste=(--config profile.release.package.sam2unet.opt-level=1 --config profile.release.package.sam2unet.codegen-units=16
    --config profile.release.package.sam2unet.debug=false)
cargo run --release --quiet "${haste[@]}" --manifest-path "$crate/Cargo.toml" --target-dir "$target" -- "$folder/run"
