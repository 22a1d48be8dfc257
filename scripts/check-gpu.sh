#!/usr/bin/env bash
# Checks and times the feature `cuda` on this machine's GPU, offline, in under ten minutes; prints a table.
#
#     ./check-gpu.sh [PYTHON]
#
# Lies in a folder made by scripts/gpu-bundle.sh. PYTHON (python3) may have torch, which is then timed beside.
set -uo pipefail
cd "$(dirname "$0")"
python=${1:-python3}
[[ -x tests ]] || tar xzf binaries.tar.gz
export SAM2UNET_SHARED=$PWD/shared
# cuBLAS and NVRTC: a toolkit's, or those that torch brings
libraries=$("$python" - <<'PY' 2>/dev/null
import glob, os, sysconfig
roots = glob.glob(os.path.join(sysconfig.get_paths()["purelib"], "nvidia", "*", "lib"))
print(":".join(roots))
PY
)
export LD_LIBRARY_PATH=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}/usr/local/cuda/lib64${libraries:+:$libraries}
nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader || echo "no nvidia-smi"
"$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)' 2>/dev/null || echo "no torch: no peer"
# says what is missing
./bench infer tiny 1 --size 64 --repeat 1 --device cuda >/dev/null || exit 1

rows=()
check() { # name, command
    local name=$1 start=$SECONDS log
    shift
    log=$(mktemp)
    # a card before 8.0 has no bf16 and no TF32 to test
    if timeout 300 "$@" >"$log" 2>&1 && ! grep SKIPPED "$log" | grep -qv 'computes no'; then result=passed; else result=FAILED; tail -40 "$log"; fi
    rows+=("$name|$result, $(grep -oE '[0-9]+ passed' "$log" | head -1)|$((SECONDS - start)) s")
    rm -f "$log"
}
check "operations, forward and gradient" ./tests cuda::ops
check "Pico golden, Tiny and Large at 352" ./tests network::cuda
check "CPU to GPU and back" ./tests cuda::resume
check "Kvasir, twenty steps" ./tests cuda::kvasir --nocapture
check "calls of the driver" ./tests cuda::counts
check "properties" ./proptests on_cuda
if command -v compute-sanitizer >/dev/null; then
    check "memory (compute-sanitizer)" compute-sanitizer --error-exitcode 9 ./tests cuda::ops::convolution --test-threads 1
else
    rows+=("memory (compute-sanitizer)|not there|")
fi
# a number of the JSON object that a benchmark printed last
number() { "$python" -c 'import json, sys; print("%.4f" % json.loads(sys.stdin.read().splitlines()[-1])[sys.argv[1]])' "$1" 2>/dev/null; }
ratio() { "$python" -c "print('%.2f' % ($1 / $2))" 2>/dev/null || echo "-"; }
for case in "infer large 1 f32" "train tiny 4 f32" "train large 12 tf32" "infer large 1 bf16" "infer large 16 bf16" "train large 12 bf16"; do
    # shellcheck disable=SC2086
    ours=$(timeout 120 ./bench $case --device cuda --repeat 10) || ours=
    # shellcheck disable=SC2086
    peer=$(cd shared/reference && timeout 120 "$python" bench_ref.py $case --device cuda --repeat 10 2>/dev/null) || peer=
    seconds=$(number median_s <<<"$ours") memory=$(number device_peak_mb <<<"$ours")
    peer_seconds=$(number median_s <<<"$peer") peer_memory=$(number peak_mb <<<"$peer")
    rows+=("$case|${seconds:-failed} s, PyTorch ${peer_seconds:--} s|ratio $(ratio "${seconds:-nan}" "${peer_seconds:-nan}")")
    # ours: the driver's pool; PyTorch's: torch.cuda.max_memory_allocated
    rows+=("    device memory|${memory:--} MiB, PyTorch ${peer_memory:--} MiB|ratio $(ratio "${memory:-nan}" "${peer_memory:-nan}")")
done
echo
printf '%s\n' "${rows[@]}" | column -t -s '|'
! printf '%s\n' "${rows[@]}" | grep -q -e FAILED -e failed
