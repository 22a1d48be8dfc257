"""Adds up the calls that the stand-in logged: what the second file has more than the first, which made one call less.

Bytes are those that a kernel must read and write in device memory if it reads each number once; operations of kernels are
counted for attention only. The floor is an H200's: the longer of its arithmetic and its memory for each kind of work, with
every launch taking its time.
"""

import collections
import sys

MEMORY = 4.8e12
# what products reach, not what the data sheet says, in operations a second; the last are those of kernels without tensor cores
RATES = {"bf16": 790e12, "tf32": 395e12, "f32": 55e12, "plain": 55e12}
LAUNCH = 2.5e-6
# to and from the host, bytes a second
LINK = 55e9


def attention(a, passes):
    """Operations: map, window, heads, dim, pool follow each other; `passes` products of tiles."""
    height, width, window_height, window_width, heads, dim, pool, maps = a
    spans = lambda side, window: [min(window, side - start) for start in range(0, side, window)]
    windows = [h * w for h in spans(height, window_height) for w in spans(width, window_width)]
    pairs = sum(n // (4 if pool else 1) * (n + (n < window_height * window_width)) for n in windows)
    return 2 * passes * pairs * dim * heads * maps


def kernel(name, grid, a):
    """Kind of work, operations, bytes, and what operations are computed in."""
    n = a[0]
    half = 2 if name.endswith("_bf16") else 4
    full = 2 if name.endswith("_all_bf16") else 4
    base = name.removesuffix("_bf16").removesuffix("_all")
    rows = lambda per: n * a[1] * per
    if name.startswith("attention"):
        if base == "attention_dots":
            return "attention", 2 * n * a[1], n * ((full + half) * a[1] + 4), "plain"
        height, width, _, _, heads, dim, pool = a[:7]
        maps = grid[2]
        tokens = maps * height * width * heads * dim
        queries = tokens // (4 if pool else 1)
        on = "bf16" if "tensor" in name else "plain"
        size = 2 if "tensor" in name else 4
        passes, each = next(
            (p, b)
            for start, p, b in (
                ("attention_tensor_backward_queries", 3, size * (3 * tokens + queries) + size * tokens),
                ("attention_tensor_backward_keys", 4, size * (3 * tokens + queries) + size * 2 * tokens),
                ("attention_tensor", 2, size * (3 * tokens + queries)),
                ("attention_backward_queries", 3, 4 * (4 * tokens + queries)),
                ("attention_backward_keys", 4, 4 * (5 * tokens + queries)),
                ("attention", 2, 4 * (3 * tokens + queries)),
            )
            if name.startswith(start)
        )
        return "attention", attention((*a[:7], maps), passes), each + 8 * queries // dim, on
    row_work = {
        "bias_gelu": full + half, "bias_gelu_add": 12, "bias_add": 12, "bias_relu": 8, "bias_add_norm": 12 + half,
        "bias_gelu_add_norm": 12 + half, "bias_gelu_backward": 2 * full + half,
        "layer_norm": 4 + half, "layer_norm_backward": 12, "put_columns": 8, "add_columns": 12, "centre": 8,
        "layer_norm_backward_residual": 16,
    }
    if base == "layer_norm_backward" and a[-1] != 0:
        base = "layer_norm_backward_residual"
    if name in ("round_bf16", "round_two_bf16"):
        return "row kernels", 0, 6 * (n if name == "round_bf16" else n + a[3]), "plain"
    if base in ("bias_add_pooled", "pool_backward"):
        return "row kernels", 0, n * a[2] * (24 if base == "bias_add_pooled" else 36), "plain"
    if base in row_work:
        kind = {"put_columns": "joins and resampling", "add_columns": "joins and resampling", "centre": "batch norm"}
        return kind.get(base, "row kernels"), 0, rows(row_work[base]), "plain"
    if base == "conv_gather":
        return "convolutions", 0, a[1] * a[4] * (4 + a[5] * a[6] * half), "plain"
    if base in ("conv_weight_by_tap", "conv_weight_by_input", "conv_add_weight_gradient"):
        return "convolutions", 0, n * a[1] * a[2] * (12 if "gradient" in base else 4 + half), "plain"
    if base == "conv_relu_backward":
        return "convolutions", 0, 12 * n, "plain"
    over_batch = {"column_sums": 4, "square_sums": 4, "batch_norm_gradient_sums": 8}
    if base in over_batch:
        return "batch norm", 0, a[1] * a[2] * over_batch[base], "plain"
    if base == "batch_norm":
        return "batch norm", 0, rows(8), "plain"
    if base == "batch_norm_backward":
        return "batch norm", 0, rows(16), "plain"
    if base in ("mean_finish", "moments_finish", "channel_mean_finish", "column_sums_finish", "batch_norm_gradient_finish"):
        return "batch norm", 0, n * a[1] * 8, "plain"
    if base == "bilinear":
        images, k, c, from_height, from_width, to_height, to_width = a[:7]
        return "joins and resampling", 0, 4 * images * k * c * (from_height * from_width + to_height * to_width), "plain"
    if base == "bilinear_backward_columns":
        return "joins and resampling", 0, 4 * n * a[1] * (a[2] + a[3]), "plain"
    if base == "bilinear_backward_rows":
        images, k, c, source, to, width = a[:6]
        return "joins and resampling", 0, 4 * images * k * c * width * (2 * source + to), "plain"
    if base == "stem_gather":
        return "patch embedding", 0, a[1] * 147 * (4 + half), "plain"
    if base in ("position", "add_to_maps"):
        return "patch embedding", 0, 8 * n if base == "add_to_maps" else 4 * a[0] * a[1] * a[2], "plain"
    if base.startswith(("box", "loss", "exclusive")) or base == "softmax_scales":
        each = {"box_rows": 12, "box_weights": 16, "loss_backward": 20}
        bytes_ = each[base] * n if base in each else 12 * a[1] * grid[1] if base == "loss_sums" else 0
        return "loss", 0, bytes_, "plain"
    if base == "adamw":
        return "optimiser", 0, 28 * n, "plain"
    if base in ("add_relu", "add_relu_backward"):
        return "joins and resampling", 0, n * (12 if base == "add_relu" else 24), "plain"
    if base == "conv_fold":
        return "convolutions", 0, n * a[1] * a[2] * (4 + half), "plain"
    return "of dfdx", 0, 0, "plain"


def product(w):
    """As `kernel`, of a product: types, m, n, k, count, and whether the result is added to."""
    of, to, (m, n, k, count, _, _, beta) = w[0], w[1], map(int, w[2:9])
    size, result = (2 if of == "bf16" else 4), (2 if to == "bf16" else 4)
    # no linear layer has an extent of 64 (a decoder's channels) or 1 (an output's)
    kind = "patch embedding" if 147 in (m, n, k) else "convolutions" if {64, 1} & {m, n, k} else "linear layers"
    moved = count * ((m * k + k * n) * size + m * n * result * (2 if beta else 1))
    return kind, 2 * m * n * k * count, moved, of


calls = [collections.Counter(), collections.Counter()]
for counter, path in zip(calls, sys.argv[1:]):
    for line in open(path):
        times, call = line.rstrip("\n").split(" ", 1)
        counter[call] += int(times)
one = calls[1] - calls[0]

kinds, names = {}, {}
for call, times in one.items():
    what, *w = call.split()
    if what == "kernel":
        a = [0 if v == "0" else v if v in "p?" else float(v) if "." in v else int(v) for v in w[3:]]
        kind, operations, moved, on = kernel(w[0], [int(v) for v in w[1].split(",")], a)
        name = w[0]
    elif what == "product":
        kind, operations, moved, on = product(w)
        name = f"product of {w[0]} to {w[1]}, {kind}"
    else:
        across = what == "copy" and w[0] != "dd"
        kind, operations, on = "copies across" if across else "fills and copies", 0, "plain"
        moved = int(w[-1]) * (2 if w[0] == "dd" else 1)
        name = {"fill": "fill", "copy hd": "copy from the host", "copy dh": "copy to the host"}.get(" ".join([what, *w[:-1]]), "copy")
    seconds = times * operations / RATES[on]
    for row in (kinds.setdefault(kind, [0, 0, 0, 0.0]), names.setdefault(name, [0, 0, 0, 0.0])):
        row[0] += times
        row[1] += times * operations
        row[2] += times * moved
        row[3] += seconds


def table(rows, least):
    print("| | launches | GFLOP | GB moved | ms, arithmetic | ms, memory | floor, ms |\n|---|---|---|---|---|---|---|")
    lines = []
    for name, (launches, operations, moved, seconds) in rows.items():
        memory = moved / (LINK if "host" in name or "across" in name else MEMORY)
        lines.append([name, launches, operations / 1e9, moved / 1e9, 1e3 * seconds, 1e3 * memory, 1e3 * max(seconds, memory)])
    lines.sort(key=lambda line: -line[-1])
    total = [sum(line[i] for line in lines) for i in (1, 2, 3, 6)]
    for line in lines:
        if line[-1] >= least:
            print("| {} | {} | {:.1f} | {:.2f} | {:.2f} | {:.2f} | {:.2f} |".format(*line))
    print("| all | {} | {:.1f} | {:.2f} | | | {:.2f} |".format(*total))
    return total[0]


launches = table(kinds, 0.0)
print(f"\nHanding {launches} launches to the card takes {1e3 * launches * LAUNCH:.1f} ms, beside its work. Kernel by kernel, from 0.1 ms on:\n")
table(names, 0.1)
print("\nLaunches of each:", ", ".join(f"{name} {row[0]}" for name, row in sorted(names.items(), key=lambda item: -item[1][0])))
