#!/usr/bin/env bash
# What NVIDIA's assembler says that each kernel takes of a card, and how much of one can then be in use at once.
#
#     scripts/resources-cuda.sh [--ptx DIR] [ARCHITECTURE...]          (sm_75 sm_80 sm_90)
#
# Needs nvcc and ptxas in PATH or under target/cuda-toolkit (scripts/cuda-toolkit.sh). With --ptx the kernels' PTX is not
# compiled but taken from DIR, where a build has left it. Ends with an error if a kernel spills.
set -euo pipefail
cd "$(dirname "$0")/.."
target=$(realpath -m "${CARGO_TARGET_DIR:-target}")
command -v ptxas >/dev/null || export PATH=$target/cuda-toolkit/bin:$PATH
built=
if [[ ${1:-} == --ptx ]]; then
    built=${2:?"--ptx needs a folder"}
    shift 2
fi
[[ $# -gt 0 ]] || set -- sm_75 sm_80 sm_90
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
tensor=$(sed -n 's/^const TENSOR_KERNELS.*\["\(.*\)"\];/\1/p' build.rs)
jobs=()
for source in src/kernels/cuda/*.cu; do
    name=$(basename "$source" .cu)
    oldest=75
    [[ $name == "$tensor" ]] && oldest=80
    if [[ -n $built ]]; then
        cp "$built/$name.ptx" "$folder/"
    else
        nvcc --ptx -O3 --gpu-architecture "compute_$oldest" -o "$folder/$name.ptx" "$source"
    fi
    for architecture in "$@"; do
        [[ ${architecture#sm_} -ge $oldest ]] || continue
        jobs+=("$name $architecture")
    done
done
export folder
# shellcheck disable=SC2016
printf '%s\n' "${jobs[@]}" | xargs -P "$(nproc)" -L 1 bash -c \
    'ptxas -v -arch="$1" -o /dev/null "$folder/$0.ptx" >"$folder/$0.$1" 2>&1 || { cat "$folder/$0.$1" >&2; exit 1; }'
for job in "${jobs[@]}"; do
    echo "file $job"
    cat "$folder/${job/ /.}"
done >"$folder/said"
python3 - "$folder/said" src/kernels/cuda/attention.cu src/kernels/cuda/attention_tensor.cu <<'P'
import re, sys

# threads of a block: attention's from its table, (32, 8) or 256 elsewhere
threads = {}
for path in sys.argv[2:]:
    begin = "attention_tensor_" if "tensor" in path else "attention_"
    for line in open(path):
        if found := re.match(r"ATTENTION\((.*)\)$", line):
            name, *numbers = found[1].split(", ")
            numbers = [int(n) for n in numbers]
            ahead, back = (32 * numbers[1], 32 * numbers[3]) if "tensor" in path else (numbers[3], numbers[6])
            threads[begin + name] = ahead
            threads[begin + "backward_queries_" + name] = threads[begin + "backward_keys_" + name] = back
# registers, shared bytes, threads and blocks of a multiprocessor
CARDS = {"sm_75": (65536, 65536, 1024, 16), "sm_80": (65536, 167936, 2048, 32), "sm_90": (65536, 233472, 2048, 32)}
rows, spilt = {}, []
for line in open(sys.argv[1]):
    if found := re.match(r"file (\S+) (\S+)", line):
        architecture = found[2]
    elif found := re.search(r"Compiling entry function '(\w+)'", line):
        kernel = found[1]
    elif found := re.search(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads", line):
        stack, stores, loads = map(int, found.groups())
        if stores or loads:
            spilt.append(f"{kernel} on {architecture}: {stores} bytes stored, {loads} loaded")
    elif found := re.search(r"Used (\d+) registers", line):
        used = int(found[1])
        shared = int(m[1]) if (m := re.search(r"(\d+) bytes smem", line)) else 0
        block = threads.get(kernel, 256)
        registers, bytes_, most, blocks = CARDS.get(architecture, CARDS["sm_90"])
        warps = -(-block // 32)
        # registers are given out to warps in 256s, shared memory to blocks in 1 KiB more
        fit = min(blocks, most // block, registers // (warps * -(-used * 32 // 256) * 256), bytes_ // (shared + 1024))
        rows.setdefault(kernel, {})[architecture] = (used, shared, stack, block, 100 * fit * block // most)
architectures = list(dict.fromkeys(a for row in rows.values() for a in row))
print("| kernel | threads | shared bytes |" + "".join(f" {a}: registers, in use |" for a in architectures))
print("|---|---|---|" + "---|" * len(architectures))
few = 0
for kernel, row in sorted(rows.items()):
    (used, shared, stack, block, _), *_ = row.values()
    if all(r[4] == 100 for r in row.values()) and not any(r[2] for r in row.values()):
        few += 1
        continue
    cells = [f"{row[a][0]}, {row[a][4]} %" + (f", stack {row[a][2]}" if row[a][2] else "") if a in row else "" for a in architectures]
    print(f"| {kernel} | {block} | {shared} | " + " | ".join(cells) + " |")
print(f"\n{few} more kernels fill all of a multiprocessor's threads.")
print("\n".join(spilt) if spilt else "No kernel spills registers.")
sys.exit(bool(spilt))
P
