"""Writes the awkward image files beside this script, and what Pillow makes of each: NAME.rgb.png and NAME.l.png.

    python make.py      # needs Pillow and numpy; Pillow 12.3 and 13.0 agree on every pixel
"""

import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

HERE = pathlib.Path(__file__).resolve().parent
EXPECTED = HERE / "expected"
W, H = 24, 16
EXPECTED.mkdir(exist_ok=True)

yy, xx = np.mgrid[:H, :W]
colour = Image.fromarray(np.stack([xx * 10, yy * 15, (xx * yy) % 256], -1).astype(np.uint8))
grey = colour.convert("L")
alpha = Image.fromarray(((xx + yy) * 6).astype(np.uint8))
palette = colour.quantize(16)
deep = Image.fromarray((xx * 7 + yy * 41).astype(np.uint16))


def with_alpha(image):
    image = image.copy()
    image.putalpha(alpha)
    return image


def raw_png(name, depth, colour_type, values):
    """A PNG of a kind that Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = values.astype(">u2" if depth == 16 else np.uint8).reshape(H, -1)
    body = b"".join(b"\0" + row.tobytes() for row in rows)
    head = struct.pack(">IIBBBBB", W, H, depth, colour_type, 0, 0, 0)
    (HERE / name).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b""))


palette.save(HERE / "palette_alpha.png", transparency=bytes(range(0, 256, 16)))
palette.save(HERE / "palette_transparent.png", transparency=3)
grey.save(HERE / "grey_transparent.png", transparency=60)
deep.save(HERE / "grey16.png")
deep.save(HERE / "grey16_transparent.png", transparency=130)
noise = np.random.default_rng(0).integers(0, 65536, (H, W, 4))
raw_png("colour16.png", 16, 2, noise[..., :3])
raw_png("colour16_alpha.png", 16, 6, noise)
raw_png("grey16_alpha.png", 16, 4, noise[..., :2])
raw_png("grey2.png", 2, 0, noise[..., 0][:, :W // 4] % 256)
colour.convert("CMYK").save(HERE / "cmyk.jpg", quality=95)
grey.save(HERE / "grey.jpg", quality=95)
exif = Image.Exif()
exif[0x0112] = 6
colour.save(HERE / "turned.jpg", quality=95, exif=exif)
colour.save(HERE / "progressive.jpg", quality=95, progressive=True)
palette.save(HERE / "palette.bmp")
colour.convert("1").save(HERE / "one_bit.bmp")
palette.save(HERE / "palette.gif", transparency=3)
deep.save(HERE / "grey16.tif", compression="tiff_lzw")
colour.convert("CMYK").save(HERE / "cmyk.tif", compression="tiff_deflate")
grey.convert("1").save(HERE / "one_bit.tif", compression="group4")
with_alpha(colour).save(HERE / "alpha.webp", lossless=True, exact=True)
deep.convert("I").save(HERE / "grey16.pgm")
(HERE / "plain.pgm").write_bytes(b"P2\n# 0 to 15\n4 2\n15\n0 1 2 3\n4 7 14 15\n")
with_alpha(colour).save(HERE / "alpha.tga", compression="tga_rle")
(HERE / "really_jpeg.png").write_bytes((HERE / "grey.jpg").read_bytes())

for file in sorted(HERE.iterdir()):
    if file.is_file() and file.suffix != ".py":
        for mode in ("RGB", "L"):
            seen = Image.open(file).convert(mode)
            seen.info.clear()  # a transparent colour would be written too
            seen.save(EXPECTED / f"{file.name}.{mode.lower()}.png")
