#!/usr/bin/env bash
# A CUDA 13.0 compiler without an NVIDIA driver or an installed toolkit, for checks on a machine that has neither.
#
#     scripts/cuda-toolkit.sh DIR
#
# Lays out DIR as a toolkit (bin, include, nvvm, lib) from the wheels that NVIDIA publishes on PyPI: 105 MB, fetched once.
# It has no driver, cuBLAS or NVRTC to link with: scripts/check-cuda.sh puts the stand-in's there.
set -euo pipefail

dir=${1:?"usage: scripts/cuda-toolkit.sh DIR"}
wheels=(
    nvidia-cuda-nvcc==13.0.88     # nvcc, ptxas, fatbinary
    nvidia-cuda-crt==13.0.88      # headers that nvcc includes by itself
    nvidia-nvvm==13.0.88          # cicc, the compiler proper, and libdevice
    nvidia-cuda-runtime==13.0.96  # cuda.h, cuda_runtime.h
    nvidia-cuda-cccl==13.0.85     # cuda/std headers
)

done_mark=$dir/.complete
if [[ -f $done_mark && $(<"$done_mark") == "${wheels[*]}" ]]; then
    exit 0
fi

rm -rf "$dir" "$dir.new"
python3 -m pip install --quiet --no-deps --disable-pip-version-check --no-compile --target "$dir.new" "${wheels[@]}"
mkdir -p "$(dirname "$dir")"
mv "$dir.new/nvidia/cu13" "$dir"
rm -r "$dir.new"

# dfdx's build script asks for the machine's card even when CUDA_COMPUTE_CAP names the architecture.
cat >"$dir/bin/nvidia-smi" <<'SMI'
#!/bin/sh
printf 'compute_cap\n7.5\n'
SMI
chmod +x "$dir/bin/nvidia-smi"
echo "${wheels[*]}" >"$done_mark"
