#!/usr/bin/env bash
# The Python that this crate is compared with: PyTorch, ONNX Runtime and OpenVINO in fixed versions. Prints its path.
#
#     scripts/python.sh
#
# The first call makes a virtual environment under target/ from PyPI: about 5 GB, a few minutes (PyTorch for Linux brings
# NVIDIA's libraries). Needs python3, 3.11 or newer, with venv. The scripts compare*.sh call this script where PYTHON names no
# other; nothing else does. For the tests that load our checkpoints in PyTorch: SAM2UNET_PYTHON=$(scripts/python.sh).
set -euo pipefail
cd "$(dirname "$0")/.."
if [[ $# -gt 0 ]]; then sed -n '2,8p' "$0" | cut -c3- >&2; exit 2; fi
folder=$(realpath -m "${CARGO_TARGET_DIR:-target}")/python
packages=(
    torch==2.15.0
    onnxruntime==1.32.0
    openvino==2026.4.0
    onnx==1.23.2 onnxscript==0.7.2 # PyTorch writes ONNX files with them
    numpy==2.4.6 pillow==13.0.0 safetensors==0.8.0
)
python=$folder/bin/python
done_mark=$folder/.complete
if [[ ! -f $done_mark || $(<"$done_mark") != "${packages[*]}" ]]; then
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        { echo "error: $(python3 --version) is too old: 3.11 or newer is needed" >&2; exit 1; }
    echo "installing ${packages[*]} into $folder, about 5 GB; PYTHON=... names a Python that has them" >&2
    rm -rf "$folder"
    python3 -m venv "$folder" >&2
    "$python" -m pip install --quiet --disable-pip-version-check "${packages[@]}" >&2
    echo "${packages[*]}" >"$done_mark"
fi
echo "$python"
