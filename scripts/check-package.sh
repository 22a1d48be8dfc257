#!/usr/bin/env bash
# Packs the crate as `cargo package` does, looks at what is in it, and prints how much that is.
#
#     scripts/check-package.sh [--check | --build]
#
# With --check the library, the programs and the examples of the package are type-checked; with --build they are compiled.
set -euo pipefail
cd "$(dirname "$0")/.."
how=${1:-}
if [[ $# -gt 1 || ! $how =~ ^(--check|--build)?$ ]]; then sed -n '2,6p' "$0" | cut -c3- >&2; exit 2; fi
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
crate=$(cargo metadata --format-version 1 --no-deps --locked |
    python3 -c 'import json, sys; p = json.load(sys.stdin)["packages"][0]; print(p["name"] + "-" + p["version"])')
cargo package --no-verify --allow-dirty --locked --quiet
packed=$target/package/$crate.crate unpacked=$target/package/unpacked

# size and name of each file
files=$(tar -tvzf "$packed" | awk '{ print $3, $6 }' | sed "s|$crate/||")
wrong=$(awk '$1 > 1000000 { print $2 " has " $1 " bytes, more than 1 MB" }
    $2 ~ /^(target|runs|weights|tests|proptests)\// && $2 != "weights/README.md" { print $2 " does not belong there" }' <<<"$files")
# .cargo/config.toml has the flags that README.md tells users to copy
for file in README.md LICENSE-APACHE LICENSE-MIT Cargo.lock build.rs .cargo/config.toml weights/README.md $(find src examples -type f); do
    grep -q " $file$" <<<"$files" || wrong+=$'\n'"$file is missing"
done
if [[ -n $wrong ]]; then
    printf '%s\nerror: the package is not as it should be; Cargo.toml says what it includes\n' "$wrong" >&2
    exit 1
fi
awk -v packed="$(stat -c %s "$packed")" '{ sum += $1 }
    END { printf "%d files, %.2f MB, %.2f MB packed\n", NR, sum / 1e6, packed / 1e6 }' <<<"$files"
[[ -n $how ]] || exit 0

# with the dates of today: a packed file's date is always the same, and cargo would not see that it has changed
rm -rf "$unpacked"
mkdir -p "$unpacked"
tar -xmzf "$packed" -C "$unpacked" --strip-components 1
cargo "${how#--}" --release --locked --quiet --manifest-path "$unpacked/Cargo.toml" --target-dir "$target" --lib --bins --examples
