"""Writes shapes.json: random shapes, and the pixels that other tools give them, as COCO's compressed run lengths.

    pip install numpy Pillow==13.0.0 pycocotools==2.0.11 opencv-python-headless
    python make.py                 # shapes.json beside this file
    python make.py 2000 1          # so many of each kind with that seed, to standard output, for a wider comparison

Kinds: `coco` is pycocotools' frPyObjects; `polygon`, `rectangle`, `circle` and `line` are Pillow's ImageDraw as Labelme 7 calls it;
`open_cv` is OpenCV's fillPoly as Ultralytics calls it.
"""

import json
import math
import random
import sys
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw
from pycocotools import mask as coco

ROUNDINGS = [lambda v: v, round, lambda v: round(2 * v) / 2, lambda v: round(v, 2), lambda v: round(5 * v) / 5 + 0.1]


def outline(r, w, h):
    """Points of a polygon: tiny, thin, round, far outside, stepped, or anything that crosses itself."""
    n, style = r.choice([3, 3, 4, 5, 8, 12]), r.randrange(7)
    x, y = r.uniform(-0.3 * w, 1.3 * w), r.uniform(-0.3 * h, 1.3 * h)
    if style == 0:
        points = [(x + r.uniform(-1.5, 1.5), y + r.uniform(-1.5, 1.5)) for _ in range(n)]
    elif style == 1:
        a = r.uniform(0, math.pi)
        points = [(x + d * math.cos(a) + r.uniform(-0.7, 0.7), y + d * math.sin(a)) for d in (r.uniform(-w, w) for _ in range(n))]
    elif style == 2:
        a = r.uniform(1, w / 2)
        points = [(x + a * math.cos(2 * math.pi * i / n), y + a * math.sin(2 * math.pi * i / n)) for i in range(n)]
    elif style == 3:
        points = [(r.uniform(-50 * w, 50 * w), r.uniform(-50 * h, 50 * h)) for _ in range(n)]
    elif style == 4:
        points = []
        for _ in range(n):
            x, y = (x + r.uniform(-w / 3, w / 3), y) if r.random() < 0.5 else (x, y + r.uniform(-h / 3, h / 3))
            points.append((x, y))
    else:
        points = [(r.uniform(-0.2 * w, 1.2 * w), r.uniform(-0.2 * h, 1.2 * h)) for _ in range(n)]
    rounded = r.choice(ROUNDINGS)
    points = [[rounded(x), rounded(y)] for x, y in points]
    if r.random() < 0.15:
        points.insert(r.randrange(n), list(r.choice(points)))
    return points


def mask(kind, points, w, h):
    if kind == "coco":
        return coco.decode(coco.frPyObjects([[v for p in points for v in p]], h, w))[:, :, 0]
    if kind == "open_cv":
        image = np.zeros((h, w), np.uint8)
        cv2.fillPoly(image, [np.asarray(points, np.int32)], 1)
        return image
    image = Image.new("L", (w, h), 0)
    draw, points = ImageDraw.Draw(image), [tuple(p) for p in points]
    if kind == "polygon":
        draw.polygon(points, outline=1, fill=1)
    elif kind == "line":
        draw.line(points, fill=1, width=10, joint="curve")
    else:
        (x0, y0), (x1, y1) = points
        if kind == "rectangle":
            draw.rectangle(((min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))), outline=1, fill=1)
        else:
            d = math.sqrt((x0 - x1) ** 2 + (y0 - y1) ** 2)
            draw.ellipse(((x0 - d, y0 - d), (x0 + d, y0 + d)), outline=1, fill=1)
    return np.asarray(image)


def shapes(count, seed):
    r, made = random.Random(seed), []
    for kind in ("coco", "polygon", "rectangle", "circle", "line", "open_cv"):
        while sum(shape["kind"] == kind for shape in made) < count:
            w, h = r.randrange(1, 48), r.randrange(1, 48)
            points = outline(r, w, h)
            points = {"rectangle": points[:2], "circle": points[:2], "line": points[:4]}.get(kind, points)
            if kind == "circle" and r.random() < 0.5:
                points[1] = [v + r.choice([0, 0.5, 1, r.uniform(-2, 2)]) for v in points[0]]
            pixels = mask(kind, points, w, h)
            # few shapes without any pixel
            if pixels.any() or r.random() < 0.2:
                runs = coco.encode(np.asfortranarray(pixels))["counts"].decode()
                made.append({"kind": kind, "width": w, "height": h, "points": points, "runs": runs})
    return made


if __name__ == "__main__":
    count, seed = (int(v) for v in sys.argv[1:]) if len(sys.argv) == 3 else (12, 0)
    text = "[\n" + ",\n".join(json.dumps(shape) for shape in shapes(count, seed)) + "\n]\n"
    if len(sys.argv) == 3:
        sys.stdout.write(text)
    else:
        (Path(__file__).parent / "shapes.json").write_text(text)
