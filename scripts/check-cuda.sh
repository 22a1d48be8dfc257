#!/usr/bin/env bash
# Builds with the feature `cuda` and runs the CUDA tests without a GPU, on the stand-in of tests/cuda_standin.
#
#     scripts/check-cuda.sh [ARGUMENTS OF cargo test]
#     scripts/check-cuda.sh --prepare          (only what needs no Rust: the compiler and the stand-in)
#
# The compiler comes from PyPI (scripts/cuda-toolkit.sh); all is kept under target/, so a second run builds what changed.
# Our own Rust is compiled in haste: nearly all of the time goes to the stand-in. So target/release/sam2unet is slow until cargo
# builds it again.
# Without arguments the tests on the device `Cuda` run, once with the threads of a block in order on a card of compute
# capability 8.0 and once in reverse, one warp after the other, on one of 7.5; then the kernels in the binary are looked at.
# WITH=mpi builds with MPI, too (Open MPI), and what check-mpi.sh --ci runs. With SAM2UNET_SLOW=1 Large at 352 and twenty steps on Kvasir run too, in a quarter of an hour more.
set -euo pipefail
unset CUDA_VISIBLE_DEVICES # nothing may be hidden: tests without a GPU end without a word of failure
root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root"
for tool in nm readelf; do
    command -v "$tool" >/dev/null || { echo "error: no $tool: install GNU binutils" >&2; exit 1; }
done
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
toolkit=$target/cuda-toolkit standin=$target/cuda-standin

prepare() {
    scripts/cuda-toolkit.sh "$toolkit"
    local dfdx
    dfdx=$(cargo metadata --format-version 1 --locked --features cuda |
        python3 -c 'import json, os, sys
packages = json.load(sys.stdin)["packages"]
print(*(os.path.dirname(p["manifest_path"]) for p in packages if p["name"] == "dfdx"))')
    make --no-print-directory --silent -C tests/cuda_standin -j"$(nproc)" OUT="$standin" DFDX="$dfdx"
    make --no-print-directory --silent -C tests/cuda_standin OUT="$standin" check >"$standin/selftest.txt" || { cat "$standin/selftest.txt"; exit 1; }
    ln -sf "$standin"/lib*.so "$toolkit/lib/"
}
mkdir -p "$target"
# one at a time: .ci/run prepares while it does other things
exec 9>"$target/cuda-standin.lock"
flock 9
prepare
exec 9>&-
if [[ ${1:-} == --prepare ]]; then exit; fi

export CUDA_PATH=$toolkit CUDA_ROOT=$toolkit CUDA_TOOLKIT_ROOT_DIR=$toolkit PATH=$toolkit/bin:$PATH
export LD_LIBRARY_PATH=$standin${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
haste=(--config profile.release.package.sam2unet.opt-level=1 --config profile.release.package.sam2unet.codegen-units=16
    --config profile.release.package.sam2unet.debug=false)
# the stand-in's shared memory is memory of threads, more than a library may bring that is not loaded at the start
runner=(env "LD_PRELOAD=$standin/libcuda.so.1")
if [[ $# -gt 0 ]]; then
    export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="${runner[*]}"
    exec cargo test --release --locked --features cuda "${haste[@]}" "$@"
fi

selected=(--lib --test tests --test proptests)
if [[ ${WITH:-} == mpi ]]; then
    export MPICC=mpicc.openmpi
    selected+=(--test over_mpi)
fi
cargo test --release --locked --features "cuda${WITH:+,$WITH}" "${haste[@]}" "${selected[@]}" --no-run \
    --message-format json >"$standin/built.json"
built() {
    python3 - "$standin/built.json" "$1" <<'PY'
import json, sys
for message in map(json.loads, open(sys.argv[1])):
    ours = "sam2unet" in message.get("package_id", "")
    tested = message["reason"] != "compiler-artifact" or message["profile"]["test"] and message["target"]["name"] != "over_mpi"
    if ours and message.get(sys.argv[2]) and tested:
        print(message[sys.argv[2]])
PY
}

made() { # bin or lib
    python3 - "$standin/built.json" "$1" <<'PY'
import json, sys
for message in map(json.loads, open(sys.argv[1])):
    ours = "sam2unet" in message.get("package_id", "") and message["reason"] == "compiler-artifact"
    if ours and not message["profile"]["test"] and sys.argv[2] in message["target"]["kind"]:
        print(*(name for name in message["filenames"] if not name.endswith(".rmeta")), sep="\n")
PY
}

# programs and tests define functions under NVIDIA's names, and the library, which others link with, does not
defined() {
    # nm complains of what in a library is no object
    nm --defined-only "$1" >"$standin/defined.txt" 2>/dev/null || true
    [[ -s $standin/defined.txt ]] || { echo "error: nm says nothing of $1" >&2; exit 1; }
    { grep -oE ' [A-Za-z] (cu[A-Z]|cublas[A-Z]|nvrtc[A-Z])\w+$' "$standin/defined.txt" || true; } | cut -d' ' -f3
}
defines_none() {
    local found
    found=$(defined "$1")
    [[ -z $found ]] || { echo "error: $1 defines" $found >&2; exit 1; }
}
library=$(made lib)
defines_none "$library"
for binary in $(built executable) "$target/release/"{train,sam2unet}; do
    found=$(defined "$binary")
    for name in cuInit cuLaunchKernel cublasCreate_v2 nvrtcCreateProgram; do
        grep -qx "$name" <<<"$found" || { echo "error: $binary does not define $name" >&2; exit 1; }
    done
done
for binary in $(built executable) $(made bin); do
    if readelf -d "$binary" | grep -E 'NEEDED.*lib(cu|nvrtc)'; then echo "error: $binary does not start without" >&2; exit 1; fi
done
# a program without them is linked with the libraries, and opens a GPU too
linked=$standin/linked
rustc --edition 2024 --crate-name linked -o "$linked" --extern "sam2unet=$library" -L "dependency=$target/release/deps" \
    -L "native=$toolkit/lib" - <<'RS'
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("{}", "cuda".parse::<sam2unet::device::DeviceChoice>()?.open()?.name());
    Ok(())
}
RS
defines_none "$linked"
grep -q 'NEEDED.*libcuda\.so\.1' <<<"$(readelf -d "$linked")" || { echo "error: $linked is not linked with the driver" >&2; exit 1; }
[[ $("$linked") == cuda ]] || { echo "error: $linked opens no GPU" >&2; exit 1; }

# what says that it tested nothing has failed; where the golden files' folder is missing, what needs them may say so
may_skip='^$'
[[ -d ${SAM2UNET_SHARED:-$root/../shared} ]] || may_skip='SAM2UNET_SHARED says where'
tested() {
    "${runner[@]}" "$@" 2>&1 | tee "$standin/tested.txt"
    ! grep SKIPPED "$standin/tested.txt" | grep -v "$may_skip"
}

slow=(--skip kvasir --skip large_at_352)
[[ -z ${SAM2UNET_SLOW:-} ]] || slow=()
# once is enough for what takes long, as whole networks do, whose kernels the operations' tests run in every order; a card
# before 8.0 has no bf16 and no TF32 to test
for binary in $(built executable); do
    tested "$binary" cuda "${slow[@]}"
    may_skip="$may_skip\|computes no" tested CUDA_STANDIN_REVERSE=1 CUDA_STANDIN_AHEAD=1 CUDA_STANDIN_CAPABILITY=7.5 \
        "$binary" cuda --skip at_352 --skip sam2unet::a_batch --skip sam2unet::steps --skip kvasir --skip lost \
        --skip pico_in_bf16 --skip pico_in_tf32
    # what 7.5 does not run, in the other orders
    tested CUDA_STANDIN_REVERSE=1 "$binary" cuda::attention
    tested CUDA_STANDIN_AHEAD=1 "$binary" cuda::attention
    tested CUDA_STANDIN_REVERSE=1 CUDA_STANDIN_AHEAD=1 "$binary" cuda::attention
    # what a card of 7.5 is asked to run, as the reverse run above does, is for it; one file is for newer ones
    targets=$(grep -aoP '^\.target sm_\d+' "$binary" | sort -u | grep -oE '[0-9]+$' | tr '\n' ' ')
    [[ $targets == "75 80 " ]] || { echo "error: $binary carries kernels for $targets" >&2; exit 1; }
done
for ptx in "$(built out_dir)"/*.ptx; do
    oldest=75
    [[ $ptx == */attention_tensor.ptx ]] && oldest=80
    grep -q "^\.target sm_$oldest$" "$ptx" || { echo "error: $ptx is not for $oldest" >&2; exit 1; }
done

# a program starts and computes where no library of NVIDIA's is, and says which it would need
program=$target/release/sam2unet
without() { env -u LD_LIBRARY_PATH "$program" bench infer tiny 1 --size 64 --repeat 1 --threads 2 --device "$1"; }
without cpu >/dev/null
without auto 2>&1 | grep -q '"device":"cpu"'
run=$(mktemp -d)
env -u LD_LIBRARY_PATH "$target/release/train" --size 64 --batch-size 2 --steps 1 --out "$run/run" >"$standin/without.txt" 2>&1 ||
    { cat "$standin/without.txt" >&2; echo "error: train does not train without NVIDIA's libraries" >&2; exit 1; }
rm -r "$run"
if without cuda 2>"$standin/without.txt"; then echo "error: $program found a GPU" >&2; exit 1; fi
grep -q 'libcuda.so.1' "$standin/without.txt" || { cat "$standin/without.txt" >&2; exit 1; }
# nor does a library that is newer than the driver do
old=(env CUDA_STANDIN_DRIVER=12080 "${runner[@]:1}" "$program" bench infer tiny 1 --size 64 --repeat 1 --device cuda)
if "${old[@]}" 2>"$standin/without.txt" >/dev/null; then echo "error: cuBLAS 13 on a driver for 12.8" >&2; exit 1; fi
grep -q 'libcublas.so.13 needs a newer driver' "$standin/without.txt" || { cat "$standin/without.txt" >&2; exit 1; }

# NVIDIA's assembler takes our kernels, for the oldest card and for new ones, and keeps their numbers in registers
scripts/resources-cuda.sh --ptx "$(built out_dir)" sm_75 sm_80 sm_90 sm_120 >"$standin/resources.txt" ||
    { tail -5 "$standin/resources.txt" >&2; exit 1; }
echo "all tests passed; every kernel is for compute capability 7.5 and newer, but attention on tensor cores (8.0)"
