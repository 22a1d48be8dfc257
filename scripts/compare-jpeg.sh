#!/usr/bin/env bash
# Times how JPEG files are read, beside zune-jpeg, on one thread: 20 pictures of 12 megapixels and 200 of 352 x 352, of quality 75
# and 95, 4:2:0 and 4:4:4. Prints the median ratio for each kind.
#
#     [PYTHON=python] scripts/compare-jpeg.sh [cargo's flags, as --no-default-features]
#
# PYTHON has numpy and pillow; without it, that of scripts/python.sh is taken, or made. The pictures are generated, with a
# photograph's spectrum; they take 750 MB below target/ and are made once.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
if [[ ${1:-} == --help ]]; then sed -n '2,8p' "$0" | cut -c3- >&2; exit 2; fi
folder=$(realpath -m "${CARGO_TARGET_DIR:-$root/target}")/jpeg
if [[ ! -f $folder/complete ]]; then
    python=${PYTHON:-$("$root/scripts/python.sh")}
    mkdir -p "$folder"
    "$python" - "$folder" <<'PY'
import pathlib, sys
import numpy as np
from PIL import Image


def picture(width, height, seed):
    rng = np.random.default_rng(seed)
    y, x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    fall = 1 / np.maximum(np.hypot(x, y), 1 / max(width, height)) ** 1.15

    def plane(strength):
        noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal((height, width), np.float32)) * fall, (height, width))
        return noise / noise.std() * strength

    luma = plane(50)
    luma[: height // 2] += 40
    rgb = np.stack([luma + plane(12) for _ in range(3)], -1) + 110
    rgb += rng.standard_normal(rgb.shape, np.float32) * 1.5
    return Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8))


root = pathlib.Path(sys.argv[1])
for name, count, size in (("12-megapixels", 20, (4000, 3000)), ("352", 200, (352, 352))):
    for i in range(count):
        image = picture(*size, i)
        for quality in (75, 95):
            for subsampling in ("4:2:0", "4:4:4"):
                folder = root / f"{name}-{quality}-{subsampling.replace(':', '')}"
                folder.mkdir(parents=True, exist_ok=True)
                image.save(folder / f"{i:03}.jpg", quality=quality, subsampling=subsampling)
PY
    touch "$folder/complete"
fi
cargo bench --manifest-path "$root/Cargo.toml" "$@" --bench jpeg -- "$folder"/*/
