#!/usr/bin/env bash
# Builds with the feature `cuda` and runs the CUDA tests without a GPU, on the stand-in of tests/cuda_standin.
#
#     scripts/check-cuda.sh [ARGUMENTS OF cargo test]
#
# The compiler comes from PyPI (scripts/cuda-toolkit.sh); all is kept under target/, so a second run builds what changed.
# Without arguments the tests on the device `Cuda` run, once with the threads of a block in order on a card of compute
# capability 8.0 and once in reverse on one of 7.5; then the kernels in the binary are looked at.
set -euo pipefail
unset CUDA_VISIBLE_DEVICES # nothing may be hidden: tests without a GPU end without a word of failure
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
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

cargo test --release --locked --features cuda --lib --test tests --test proptests --no-run --message-format json \
    >"$standin/built.json"
built() {
    python3 - "$standin/built.json" "$1" <<'PY'
import json, sys
for message in map(json.loads, open(sys.argv[1])):
    ours = "sam2unet" in message.get("package_id", "")
    if ours and message.get(sys.argv[2]) and (message["reason"] != "compiler-artifact" or message["profile"]["test"]):
        print(message[sys.argv[2]])
PY
}

# what says that it tested nothing has failed
tested() {
    "$@" 2>&1 | tee "$standin/tested.txt"
    ! grep SKIPPED "$standin/tested.txt"
}

# large_at_352 and kvasir take a GPU; a card before 8.0 has no bf16 and no TF32 to test
for binary in $(built executable); do
    tested "$binary" cuda --skip large_at_352 --skip kvasir
    tested env CUDA_STANDIN_REVERSE=1 CUDA_STANDIN_CAPABILITY=7.5 "$binary" cuda --skip large_at_352 --skip kvasir \
        --skip pico_in_bf16 --skip pico_in_tf32
    targets=$(grep -aoP '^\.target sm_\d+' "$binary" | sort -u)
    [[ $targets == ".target sm_75" ]] || { echo "error: $binary carries kernels for $targets" >&2; exit 1; }
done

# NVIDIA's assembler takes our kernels, for the oldest card and for new ones
for architecture in sm_75 sm_80 sm_90 sm_120; do
    for ptx in "$(built out_dir)"/*.ptx; do "$toolkit/bin/ptxas" -arch="$architecture" -o /dev/null "$ptx"; done
done
echo "all tests passed; every kernel is for compute capability 7.5 and newer"
