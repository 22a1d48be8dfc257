#!/usr/bin/env bash
# Compiles one file of CUDA kernels for the host and enlists them by name: compile.sh SOURCE.cu OBJECT.o COMPILER ARGS...
set -euo pipefail
source=$1 object=$2
shift 2

# kernels and dynamic shared memory are found in the preprocessed source, where macros are expanded
text=$("$@" -E -P -DSTANDIN_LIST -x c++ "$source" | tr '\n' ' ')
kernels=$(grep -oP 'extern "C" __global__ void\s+(alignas\S*\s+)?\K\w+(?=\s*\()' <<<"$text" | grep -v '_f16$' || true)
shared=$(grep -oP 'extern\s+__shared__\s+(alignas\([^)]*\)\s+)?\K[^;]+(?=\[\s*\]\s*;)' <<<"$text" | sort -u || true)

{
    echo "#include \"$(realpath "$source")\""
    where=nullptr
    while read -r type name; do
        [[ -n $name ]] || continue
        echo "alignas(256) thread_local $type $name"
        echo "    [(standin::SHARED_BYTES + standin::SHARED_GUARD) / sizeof($type)];"
        where="[]() -> void* { return $name; }"
    done < <(sed -E 's/\s*(\w+)\s*$/ \1/' <<<"$shared")
    for kernel in $kernels; do
        echo "static const standin::Enlist enlist_$kernel(standin::Entry<$kernel>(), \"$kernel\", $where);"
    done
} >"$object.cpp"
"$@" -c "$object.cpp" -o "$object"
# two files may give one name to two things: nothing but kernels by name leaves a file
ld -r --force-group-allocation "$object" -o "$object.all"
objcopy --localize-hidden "$object.all" "$object"
rm "$object.all"
