"""Writes the awkward image files beside this script, and what Pillow makes of each: NAME.rgb.png and NAME.l.png.

    python make.py      # needs Pillow and numpy; Pillow 13.0; without the last part 12.3 agrees on every pixel
"""

import io
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
rng = np.random.default_rng(0)
noise = rng.integers(0, 65536, (H, W, 4))
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

# ------------------------------------------------------------------------------------------- PNG that is not quite whole

whole = io.BytesIO()
colour.save(whole, "PNG")
whole = whole.getvalue()
(HERE / "no_end.png").write_bytes(whole[:-12])
(HERE / "cut_in_checksum.png").write_bytes(whole[:-14])
pixels = whole.index(b"IDAT")
after = pixels + 4 + int.from_bytes(whole[pixels - 4:pixels], "big")
(HERE / "wrong_checksum.png").write_bytes(whole[:after] + bytes([whole[after] ^ 255]) + whole[after + 1:])


def interlaced_png(name, depth, colour_type, values, palette=b""):
    """Adam7, which Pillow does not write."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    body = b""
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        body += b"".join(b"\0" + packed(row, depth) for row in values[y::dy, x::dx])
    head = struct.pack(">IIBBBBB", W, H, depth, colour_type, 0, 0, 1)
    (HERE / name).write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + (chunk(b"PLTE", palette) if palette else b"")
        + chunk(b"IDAT", zlib.compress(body, 9)) + chunk(b"IEND", b""))


def packed(row, depth):
    """A row's samples, from the highest bit on."""
    if depth >= 8:
        return row.astype(">u2" if depth == 16 else np.uint8).tobytes()
    bits = (row.reshape(-1, 1) >> np.arange(depth - 1, -1, -1)) & 1
    return np.packbits(bits.astype(np.uint8)).tobytes()


colours = rng.integers(0, 256, 48, dtype=np.uint8).tobytes()
interlaced_png("interlaced.png", 8, 2, np.asarray(colour))
interlaced_png("interlaced_bits.png", 1, 0, np.asarray(grey) >> 7)
interlaced_png("interlaced_palette.png", 4, 3, np.asarray(palette) & 15, colours)
interlaced_png("interlaced16.png", 16, 0, np.asarray(deep))

# -------------------------------------------------------------------------------- orientation, several frames, odd JPEG

colour.save(HERE / "turned_exif.png", exif=exif)
colour.save(HERE / "turned_exif.webp", exif=exif, lossless=True)
colour.save(HERE / "turned.tif", tiffinfo={274: 6}, compression="tiff_lzw")
# not compressed, Pillow would map the file and shear a grey picture whose sides change places
grey.save(HERE / "mirrored.tif", tiffinfo={274: 7}, compression="packbits")
other = Image.fromarray(255 - np.asarray(colour))
palette.save(HERE / "animated.gif", save_all=True, append_images=[other.quantize(16)])
colour.save(HERE / "animated.webp", save_all=True, append_images=[other], lossless=True)
colour.save(HERE / "animated.png", save_all=True, append_images=[other])
colour.save(HERE / "pages.tif", save_all=True, append_images=[grey, other], compression="tiff_lzw")
palette.save(HERE / "interlaced.gif", interlace=1)
small = io.BytesIO()
palette.crop((0, 0, 8, 6)).save(small, "GIF")
small = bytearray(small.getvalue())
struct.pack_into("<HH", small, 6, 20, 12)  # the screen
struct.pack_into("<HH", small, small.index(b"\x2c", 13 + 3 * (2 << (small[10] & 7))) + 1, 7, 5)  # the frame's place on it
(HERE / "inside.gif").write_bytes(small)
colour.save(HERE / "restarts.jpg", quality=95, restart_marker_blocks=1)
colour.save(HERE / "own_tables.jpg", quality=95, optimize=True, subsampling=1)
colour.save(HERE / "components_rgb.jpg", quality=95, keep_rgb=True)
# 4 bits, from the top down: Pillow writes neither
rows = b"".join(bytes(a << 4 | b for a, b in row.reshape(-1, 2)) for row in np.asarray(palette) & 15)
head = struct.pack("<IiiHHIIiiII", 40, W, -H, 1, 4, 0, len(rows), 0, 0, 16, 0)
table = b"".join(colours[i:i + 3] + b"\0" for i in range(0, 48, 3))
(HERE / "four_bits.bmp").write_bytes(struct.pack("<2sIHHI", b"BM", 54 + 64 + len(rows), 0, 0, 54 + 64) + head + table + rows)

# ------------------------------------------------------------------------------------------------------------- TIFF

signed = deep.convert("I").point(lambda v: v - 200)
floats = Image.fromarray((np.asarray(deep) * 0.7 - 40.5).astype(np.float32))
colour.save(HERE / "zstd.tif", compression="zstd")
colour.save(HERE / "packbits.tif", compression="packbits")
colour.save(HERE / "big.tif", big_tiff=True)
colour.save(HERE / "predictor.tif", compression="zstd", tiffinfo={317: 2})
colour.convert("YCbCr").save(HERE / "ycbcr.tif")
colour.convert("YCbCr").save(HERE / "ycbcr_jpeg.tif", compression="jpeg", quality=95)
colour.save(HERE / "rgb_jpeg.tif", compression="jpeg", quality=95)
colour.convert("LAB").save(HERE / "lab.tif")
grey.convert("1").save(HERE / "fax3.tif", compression="group3")
grey.convert("1").save(HERE / "huffman.tif", compression="tiff_ccitt")
with_alpha(grey).save(HERE / "grey_alpha.tif", compression="tiff_lzw")
palette.save(HERE / "palette.tif", compression="tiff_lzw")
signed.save(HERE / "signed32.tif", compression="tiff_adobe_deflate")
floats.save(HERE / "float32.tif", compression="tiff_lzw")
floats.save(HERE / "float_predictor.tif", compression="tiff_lzw", tiffinfo={317: 3})


def tiff(name, order, photometric, values, bits, tile=None, planar=False, deflate=False, **tags):
    """A TIFF of a kind that Pillow does not write. Strips of 5 rows, or tiles."""
    values = values.reshape(H, W, -1)
    channels = values.shape[2]
    fields = {256: (4, [W]), 257: (4, [H]), 258: (3, [bits] * channels), 259: (3, [8 if deflate else 1]),
              262: (3, [photometric]), 277: (3, [channels]), 284: (3, [2 if planar else 1])}
    fields.update({int(tag[1:]): value for tag, value in tags.items()})
    chunks = []
    for plane in np.moveaxis(values[..., None], 2, 0) if planar else [values]:
        if tile:
            whole = np.zeros((-(-H // tile) * tile, -(-W // tile) * tile, plane.shape[2]), plane.dtype)
            whole[:H, :W] = plane
            parts = [whole[y:y + tile, x:x + tile] for y in range(0, H, tile) for x in range(0, W, tile)]
        else:
            parts = [plane[y:y + 5] for y in range(0, H, 5)]
        for part in parts:
            data = b"".join(packed(row, bits) if bits < 8 else row.tobytes() for row in part)
            chunks.append(zlib.compress(data, 9) if deflate else data)
    if tile:
        fields[322], fields[323] = (3, [tile]), (3, [tile])
    else:
        fields[278] = (3, [5])
    offsets = [8 + sum(len(chunk) for chunk in chunks[:i]) for i in range(len(chunks))]
    fields[324 if tile else 273], fields[325 if tile else 279] = (4, offsets), (4, [len(chunk) for chunk in chunks])
    data = b"".join(chunks)
    data += b"\0" * (len(data) % 2)
    directory, far = 8 + len(data), b""
    entries = b""
    for tag in sorted(fields):
        kind, numbers = fields[tag]
        raw = struct.pack(order + {3: "H", 4: "I"}[kind] * len(numbers), *numbers)
        entries += struct.pack(order + "HHI", tag, kind, len(numbers))
        if len(raw) <= 4:
            entries += raw.ljust(4, b"\0")
        else:
            entries += struct.pack(order + "I", directory + 2 + 12 * len(fields) + 4 + len(far))
            far += raw
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(order + "I", directory)
    (HERE / name).write_bytes(
        head + data + struct.pack(order + "H", len(fields)) + entries + struct.pack(order + "I", 0) + far)


rgb = np.asarray(colour)
rgba = np.dstack([rgb, np.asarray(alpha)])
for order, end in (("<", "le"), (">", "be")):
    deep16 = np.asarray(deep).astype(order + "u2")
    tiff(f"grey16_{end}.tif", order, 1, deep16, 16)
    tiff(f"signed16_{end}.tif", order, 1, (deep16.astype(int) - 200).astype(order + "i2"), 16, t339=(3, [2]))
    tiff(f"float32_{end}.tif", order, 1, np.asarray(floats).astype(order + "f4"), 32, t339=(3, [3]))
    tiff(f"rgb16_tiles_{end}.tif", order, 2, noise[..., :3].astype(order + "u2"), 16, tile=16, deflate=True)
tiff("white_is_zero16.tif", "<", 0, np.asarray(deep).astype("<u2"), 16)
tiff("planes.tif", "<", 2, rgb, 8, planar=True, deflate=True)
tiff("planes_tiles.tif", ">", 2, rgb, 8, planar=True, tile=16, deflate=True)
tiff("four_bits.tif", "<", 0, np.asarray(grey) >> 4, 4)
tiff("two_bits_tiles.tif", "<", 1, np.asarray(grey) >> 6, 2, tile=16, deflate=True)
tiff("palette_bits.tif", "<", 3, np.asarray(palette) & 3, 2, t320=(3, [int(v) * 257 for v in colours[:12]]))
tiff("reversed_bits.tif", "<", 1, np.asarray(grey) >> 7, 1, t266=(3, [2]))
tiff("premultiplied.tif", "<", 2, rgba, 8, t338=(3, [1]))
tiff("fourth_unknown.tif", "<", 2, rgba, 8, t338=(3, [0]))
tiff("cmyk_planes.tif", "<", 5, rgba, 8, planar=True, deflate=True)

# -------------------------------------------------------------------------------- JPEG 2000, for the feature of that name

J2K = HERE.parent / "jpeg2000"
J2K.mkdir(exist_ok=True)
colour.save(J2K / "rgb.jp2")
with_alpha(colour).save(J2K / "rgba.j2k")
with_alpha(grey).save(J2K / "grey_alpha.jp2")
deep.save(J2K / "grey16.jp2")
(J2K / "expected").mkdir(exist_ok=True)

for file in sorted(HERE.iterdir()) + sorted(J2K.iterdir()):
    if file.is_file() and file.suffix != ".py":
        for mode in ("RGB", "L"):
            seen = Image.open(file)
            # Pillow has no way from LAB to L; from RGB on it is one
            seen = seen.convert("RGB").convert(mode) if seen.mode == "LAB" else seen.convert(mode)
            seen.info.clear()  # a transparent colour would be written too
            seen.save(file.parent / "expected" / f"{file.name}.{mode.lower()}.png")
