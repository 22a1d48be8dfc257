#!/usr/bin/env bash
# Checks and times the feature `cuda` on this machine's GPU, offline, in under ten minutes; prints a table.
#
#     ./check-gpu.sh [PYTHON]
#
# Lies in a folder made by scripts/gpu-bundle.sh. PYTHON (python3) may have torch, which is then timed beside. What time is
# left of CHECK_GPU_SECONDS (570) decides how much of it; what did not run says so, and a check that did not run has failed.
# With CHECK_GPU_TESTS_ONLY=1 nothing is timed.
set -uo pipefail
cd "$(dirname "$0")"
python=${1:-python3}
deadline=$((SECONDS + ${CHECK_GPU_SECONDS:-570}))
if [[ ! -x unit || ! -x tests || ! -x proptests || ! -x sam2unet ]]; then tar xzf binaries.tar.gz || exit 1; fi
export SAM2UNET_SHARED=$PWD/shared
# cuBLAS and NVRTC: where LD_LIBRARY_PATH says, else those that torch brings, else a toolkit's. For our programs
# only: torch finds its own, and another's before them may keep it from starting.
libraries=$("$python" - <<'PY' 2>/dev/null
import glob, os, site, sys
places = dict.fromkeys([*sys.path, *site.getsitepackages(), site.getusersitepackages()])
found = [path for place in places for path in glob.glob(os.path.join(place, "nvidia", "*", "lib"))]
found += [path for place in places if os.path.isdir(path := os.path.join(place, "torch", "lib"))]
print(":".join([*found, os.path.join(sys.prefix, "lib")]))
PY
)
libraries=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH:}${libraries:+$libraries:}/usr/local/cuda/lib64
with() { env "LD_LIBRARY_PATH=$libraries" "$@"; }
# kernels that the driver has compiled for the card are kept for the next program
export CUDA_CACHE_PATH=$PWD/.cuda-cache CUDA_CACHE_MAXSIZE=1073741824
nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader 2>/dev/null || echo "no nvidia-smi"
if torch=$("$python" -c 'import torch; print("torch", torch.__version__, "CUDA", torch.version.cuda)' 2>&1); then
    echo "$torch"
else
    echo "no torch, so no peer: $(tail -1 <<<"$torch")"
    torch=
fi
# says what is missing
for precision in f32 bf16; do
    if ! with ./sam2unet bench infer tiny 1 "$precision" --size 64 --repeat 1 --device cuda >/dev/null; then
        echo "libraries were looked for in $libraries" >&2
        exit 1
    fi
done

rows=()
# seconds that something may take which would take at most so many; fewer than five are none
left() { local rest=$((deadline - SECONDS)); echo $((rest < 5 ? 0 : rest < $1 ? rest : $1)); }
check() { # name, most seconds, command
    local name=$1 most start=$SECONDS log result status
    most=$(left "$2")
    shift 2
    if [[ $most == 0 ]]; then rows+=("$name|FAILED: no time left|"); return; fi
    log=$(mktemp)
    # a card before 8.0 has no bf16 and no TF32 to test
    with timeout -k 5 "$most" "$@" >"$log" 2>&1
    status=$?
    result=passed
    if grep SKIPPED "$log" | grep -qv 'computes no'; then result="FAILED: skipped tests"; fi
    if ! grep -qE '[1-9][0-9]* passed' "$log"; then result="FAILED: no test ran"; fi
    if [[ $status != 0 ]]; then result=FAILED; fi
    if [[ $status == 124 ]]; then result="FAILED: longer than $most s"; fi
    if [[ $result != passed ]]; then grep -E 'panicked|FAILED|gradient norms' "$log"; tail -20 "$log"; fi
    rows+=("$name|$result, $(grep -oE '[0-9]+ passed' "$log" | head -1)|$((SECONDS - start)) s")
    rm -f "$log"
}
check "kernels, products, memory" 60 ./unit cuda
check "operations, forward and gradient" 120 ./tests kernels::cuda::
check "Pico golden, Tiny and Large at 352" 120 ./tests cuda::pico cuda::tiny_at_352 cuda::large_at_352
check "CPU to GPU and back" 60 ./tests cuda::resume
check "Kvasir, twenty steps" 120 ./tests cuda::kvasir --nocapture
check "properties" 60 ./proptests on_cuda
if command -v compute-sanitizer >/dev/null; then
    check "memory (compute-sanitizer)" 90 compute-sanitizer --error-exitcode 9 ./tests kernels::cuda::conv:: --test-threads 1
else
    rows+=("memory (compute-sanitizer)|not there|")
fi

# a number, or the error, of the JSON object that a measurement printed last
field() { "$python" -c 'import json, sys
value = json.loads(sys.stdin.read().splitlines()[-1]).get(sys.argv[1])
print("%.4f" % value if isinstance(value, float) else value or "")' "$1" 2>/dev/null; }
ratio() { "$python" -c "print('%.2f' % ($1 / $2))" 2>/dev/null || echo "-"; }
declare -A measured
ours() { # case
    [[ -n ${measured[$1]:-} ]] && return
    local most
    most=$(left 60)
    # shellcheck disable=SC2086
    [[ $most == 0 ]] || measured[$1]=$(with timeout -k 5 "$most" ./sam2unet bench $1 --device cuda --repeat 10 2>&1)
}
peer() { # case, mode
    [[ -n ${measured[$1 $2]:-} || -z $torch ]] && return
    local most
    most=$(left "$3")
    if [[ $most == 0 ]]; then measured[$1 $2]='{"error": "no time left"}'; return; fi
    # shellcheck disable=SC2086
    measured[$1 $2]=$(timeout -k 5 "$most" "$python" peer-gpu.py shared/reference $1 "$2" 10 2>/dev/null)
    [[ $? == 124 ]] && measured[$1 $2]="{\"error\": \"longer than $most s\"}"
}
compare() { # case, mode of the peer, its name, target ratio, field of ours, of the peer, unit
    local a b why
    a=$(field "$5" <<<"${measured[$1]:-}") b=$(field "$6" <<<"${measured[$1 $2]:-}")
    why=$(field error <<<"${measured[$1 $2]:-}")
    [[ -n $torch ]] || why="no torch"
    if [[ -z $a ]]; then tail -3 <<<"${measured[$1]:-}"; fi
    rows+=("$1, $7|${a:-failed} beside ${b:-none} ($3${why:+: $why})|ratio $(ratio "${a:-nan}" "${b:-nan}"), target $4")
}
if [[ -z ${CHECK_GPU_TESTS_ONLY:-} ]]; then
    for case in "train large 12 bf16" "train large 12 tf32" "infer large 1 bf16" "infer large 16 bf16" "infer large 32 bf16"; do
        ours "$case"
    done
    for case in "train large 12 bf16" "train large 12 tf32" "infer large 1 bf16" "infer large 16 bf16"; do
        peer "$case" eager 60
    done
    # compilers last: they may take minutes, or not work at all offline
    peer "infer large 1 bf16" max-autotune 120
    peer "train large 12 bf16" default 150
    peer "infer large 32 bf16" max-autotune 120
    compare "train large 12 bf16" eager "PyTorch, autocast" 1.00 median_s median_s s
    # ours: the driver's pool; PyTorch's: torch.cuda.max_memory_allocated
    compare "train large 12 bf16" eager "PyTorch, autocast" "0.50, then 0.30" device_peak_mb peak_mb MiB
    compare "train large 12 bf16" default "and torch.compile" 0.70 median_s median_s s
    compare "train large 12 tf32" eager "PyTorch, TF32" 0.60 median_s median_s s
    compare "infer large 1 bf16" eager "PyTorch, autocast" 1.00 median_s median_s s
    compare "infer large 16 bf16" eager "PyTorch, autocast" 1.00 median_s median_s s
    compare "infer large 1 bf16" max-autotune "and torch.compile, max-autotune" 0.70 median_s median_s s
    compare "infer large 32 bf16" max-autotune "and torch.compile, max-autotune" 0.80 median_s median_s s
fi
echo
printf '%s\n' "${rows[@]}" | column -t -s '|'
echo "took $SECONDS s"
! printf '%s\n' "${rows[@]}" | grep -q -e FAILED -e '|failed'
