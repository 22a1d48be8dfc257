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
missing=$(ldd ./tests | grep 'not found')
if [[ -n $missing ]]; then echo "libraries are missing:"; echo "$missing"; exit 1; fi

rows=()
check() { # name, command
    local name=$1 start=$SECONDS log
    shift
    log=$(mktemp)
    if timeout 300 "$@" >"$log" 2>&1 && ! grep -q SKIPPED "$log"; then result=passed; else result=FAILED; tail -40 "$log"; fi
    rows+=("$name|$result, $(grep -oE '[0-9]+ passed' "$log" | head -1)|$((SECONDS - start)) s")
    rm -f "$log"
}
check "operations, forward and gradient" ./tests cuda::ops
check "Pico golden, Tiny and Large at 352" ./tests network::cuda
check "CPU to GPU and back" ./tests cuda::resume
check "Kvasir, twenty steps" ./tests cuda::kvasir --nocapture
check "properties" ./proptests on_cuda
if command -v compute-sanitizer >/dev/null; then
    check "memory (compute-sanitizer)" compute-sanitizer --error-exitcode 9 ./tests cuda::ops::convolution --test-threads 1
else
    rows+=("memory (compute-sanitizer)|not there|")
fi
seconds() { "$python" -c 'import json, sys; print("%.4f" % json.loads(sys.stdin.read().splitlines()[-1])["median_s"])' 2>/dev/null; }
for case in "infer large 1" "infer large 16" "train large 12" "train tiny 4"; do
    # shellcheck disable=SC2086
    ours=$(timeout 120 ./bench $case f32 --device cuda --repeat 10 | seconds)
    # shellcheck disable=SC2086
    peer=$(cd shared/reference && timeout 120 "$python" bench_ref.py $case f32 --device cuda --repeat 10 2>/dev/null | seconds)
    ratio=$("$python" -c "print('%.2f' % (${ours:-nan} / ${peer:-nan}))" 2>/dev/null || echo "-")
    rows+=("$case, f32|${ours:-failed} s, PyTorch ${peer:--} s|ratio $ratio")
done
echo
printf '%s\n' "${rows[@]}" | column -t -s '|'
! printf '%s\n' "${rows[@]}" | grep -q -e FAILED -e failed
