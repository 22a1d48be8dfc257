#!/usr/bin/env python3
"""The normalised surface distances and Hausdorff distances of tests/metrics/classes/monai.json against MONAI's.

    scripts/compare-nsd.py           # computes them anew with MONAI and compares; says SKIPPED where there is no MONAI
    scripts/compare-nsd.py --write   # makes the cases anew and writes the file

The tests of this crate compare its own scores with that file. Needs monai 1.6.0 and scipy from PyPI.
"""

import json
import math
import random
import sys
import warnings
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "tests/metrics/classes/monai.json"
VERSION = "1.6.0"
IGNORED = "-"


def maps():
    """Pairs of maps of three classes, as rows of digits: discs, noise, frames, absent classes, the smallest sizes."""
    draw = random.Random(0)
    for number in range(24):
        height, width = draw.randint(4, 22), draw.randint(4, 22)
        pair = []
        for _ in range(2):
            rows = [["0"] * width for _ in range(height)]
            for _ in range(draw.randint(1, 4)):
                y, x, r, k = draw.uniform(0, height), draw.uniform(0, width), draw.uniform(1, 8), draw.choice("012")
                for i in range(height):
                    for j in range(width):
                        if (i - y) ** 2 + (j - x) ** 2 < r * r:
                            rows[i][j] = k
            for _ in range(draw.choice((0, 0, 5, 30))):
                rows[draw.randrange(height)][draw.randrange(width)] = draw.choice("012")
            pair.append(rows)
        if number % 3 == 0:
            for _ in range(draw.randint(1, 20)):
                pair[0][draw.randrange(height)][draw.randrange(width)] = IGNORED
        yield ["".join(row) for row in pair[0]], ["".join(row) for row in pair[1]]
    yield ["0"], ["1"]
    yield ["2"], ["2"]
    yield ["0011122-00"], ["0111022200"]
    yield ["0", "0", "1", "1", "2"], ["0", "1", "1", "0", "2"]
    yield ["---", "---"], ["012", "210"]
    yield ["0" * 12] * 9, ["0" * 12] * 8 + ["1" + "0" * 11]


def cases():
    spacings = [[1, 1], [1, 1], [0.5, 0.7], [2, 1], [0.1, 0.1], [3, 0.25]]
    tolerances = [2, 1, 0, 1.5, 0.3, math.sqrt(2), 5]
    for number, (truth, prediction) in enumerate(maps()):
        yield {
            "truth": truth, "prediction": prediction,
            "spacing": spacings[number % len(spacings)], "tolerance": tolerances[number % len(tolerances)],
        }


def measured(case, classes):
    """NSD and HD95 of each class by MONAI. Ignored pixels are of no class in either map."""
    import torch
    from monai.metrics import compute_hausdorff_distance, compute_surface_dice

    known = [[value != IGNORED for value in row] for row in case["truth"]]

    def planes(rows):
        plane = lambda k: [[v == str(k) and n for v, n in zip(*pair)] for pair in zip(rows, known)]
        return torch.tensor([[plane(k) for k in range(classes)]], dtype=torch.float)

    y, y_pred, spacing = planes(case["truth"]), planes(case["prediction"]), [float(s) for s in case["spacing"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        nsd = compute_surface_dice(y_pred, y, [case["tolerance"]] * classes, include_background=True, spacing=spacing)
        hd95 = compute_hausdorff_distance(y_pred, y, include_background=True, percentile=95, spacing=spacing)
    return [float(v) for v in nsd[0]], [float(v) for v in hd95[0]]


def hausdorff(value, nsd):
    """MONAI's HD95 of an empty and a filled mask is nan or infinite, by which of them is empty; here it is infinite."""
    return math.inf if not math.isnan(nsd) and not math.isfinite(value) else value


def written(value):
    return None if math.isnan(value) else "inf" if math.isinf(value) else value


def read(value):
    return math.nan if value is None else math.inf if value == "inf" else value


def main():
    if sys.argv[1:] not in ([], ["--write"]):
        sys.exit(__doc__.strip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import monai
    except ImportError as error:
        reason = f"{error} (pip install monai=={VERSION} scipy)"
        print(f"SKIPPED: nothing was compared with MONAI: {reason}", file=sys.stderr)
        return
    if monai.__version__ != VERSION:
        print(f"note: this is MONAI {monai.__version__}, the file is of {VERSION}", file=sys.stderr)
    if sys.argv[1:]:
        found = []
        for case in cases():
            nsd, hd95 = measured(case, 3)
            hd95 = [hausdorff(value, other) for value, other in zip(hd95, nsd)]
            found.append({**case, "NSD": [written(v) for v in nsd], "HD95": [written(v) for v in hd95]})
        lines = ",\n".join(json.dumps(case, separators=(",", ":")) for case in found)
        by = f"MONAI {monai.__version__}, scripts/compare-nsd.py"
        FILE.write_text(f'{{"by":"{by}","classes":3,"cases":[\n{lines}\n]}}\n')
        print(f"wrote {len(found)} cases to {FILE}")
        return
    kept, compared, wrong = json.loads(FILE.read_text()), 0, 0
    for number, case in enumerate(kept["cases"]):
        nsd, hd95 = measured(case, kept["classes"])
        hd95 = [hausdorff(value, other) for value, other in zip(hd95, nsd)]
        for key, values in (("NSD", nsd), ("HD95", hd95)):
            for k, (value, other) in enumerate(zip(values, map(read, case[key]))):
                compared += 1
                both_nan = math.isnan(value) and math.isnan(other)
                if not (value == other or both_nan or abs(value - other) <= 1e-6 * abs(other)):
                    wrong += 1
                    where = f"case {number}, class {k}"
                    print(f"{where}: {key} is {value} by MONAI, {other} in {FILE.name}", file=sys.stderr)
    print(f"{compared} numbers of {len(kept['cases'])} cases compared with MONAI {monai.__version__}: {wrong} differ")
    sys.exit(1 if wrong else 0)


main()
